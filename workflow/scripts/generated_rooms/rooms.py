"""Generated rooms: their size, style and furniture, drawn from a seed.

The cameras move in the half of a room with small y; furniture stands along the opposite wall, along
both side walls and in the middle. See ``geometry`` for the axes.
"""

from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np

from relposegnn.runtime import numpy_generator

from .furnishing import Size, furnish_middle, furnish_walls, hang_lamps
from .geometry import Assembly, Part, Solid, Surface, place
from .light import Light, bake
from .styles import Style, mixed, study, workshop
from .textures import paint

SIZE = (4.7, 4.5, 2.5), (5.5, 5.1, 2.9)  # metres along x, y, z: least, most
ANY_SIZE = (4.2, 4.2, 2.4), (6.2, 5.8, 3.1)
NEAREST_WALL = 1.9  # metres from the cameras to the front wall, at least
ROOM_FOR_MIDDLE = 2.4  # metres from the cameras to the front wall that a table with chairs needs
CAMERA_REGION = (2.2, 1.1, 0.3)  # metres along x, y, z of the region in which cameras move
EYE_HEIGHT = 1.42
MARGIN = 0.25  # metres that cameras may be outside that region


@dataclass(frozen=True)
class Room:
    """A room of S surfaces, ready to be rendered; arrays are in metres, world axes.

    ``frames`` (S, 3, 3) has the columns along_u, along_v, origin; ``normals`` (S, 3) point to the
    viewer; ``textures`` are pyramids of uint8 images, each level half the size of the one before.
    Cameras move in the box ``region`` (2, 3), given by its lowest and highest corner. Surfaces that
    face away from the whole region are left out.
    """

    size: Size
    region: np.ndarray
    frames: np.ndarray
    normals: np.ndarray
    two_sided: np.ndarray
    textures: list[list[np.ndarray]]
    solids: list[Solid] = field(default_factory=list)


def build_room(seed: int, any_style: bool = False, arrangement: int = 0) -> Room:
    """Return the room that belongs to ``seed``: a study or a workshop.

    Args:
        seed: of everything in it.
        any_style: make a room of any size, materials and furniture instead.
        arrangement: number of the arrangement of what stands in the middle, from 0.
    """
    rng = numpy_generator(seed, "synthetic", "room")
    if any_style:
        style, (low, high) = (study, workshop, mixed, mixed)[int(rng.integers(4))](rng), ANY_SIZE
    else:
        style, (low, high) = (study, workshop)[int(rng.integers(2))](rng), SIZE
    size = tuple(float(v) for v in rng.uniform(low, high))
    region = _any_camera_region(rng, size) if any_style else _camera_region(size)
    middle = rng
    if arrangement:
        middle = numpy_generator(seed, "synthetic", "arrangement", str(arrangement))
    if region[1, 1] + ROOM_FOR_MIDDLE > size[1]:
        middle = None
    assembly, lights = _lay_out(rng, size, style, middle)
    seen = [surface for surface in assembly.surfaces if _can_be_seen(surface, region)]
    textures = [surface.draw(rng) for surface in seen]
    ambient = style.ambient * np.array([1.0, 0.98, 0.95])
    images = bake(seen, textures, assembly.solids, size, lights, ambient)
    return Room(
        size=size,
        region=region,
        frames=np.stack([np.stack([s.along_u, s.along_v, s.origin], -1) for s in seen]),
        normals=np.stack([surface.normal for surface in seen]),
        two_sided=np.array([surface.two_sided for surface in seen]),
        textures=[_pyramid(image) for image in images],
        solids=assembly.solids,
    )


def _camera_region(size: Size) -> np.ndarray:
    middle = np.array([size[0] / 2, 1.4, EYE_HEIGHT])
    return middle + np.array([[-0.5], [0.5]]) * CAMERA_REGION


def _any_camera_region(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Return where cameras move in a room of any size, at a random distance from its front wall."""
    extent = rng.uniform(0.5, 1.2) * np.array(CAMERA_REGION)
    nearest, farthest = 0.3 + extent[1] / 2, size[1] - NEAREST_WALL - extent[1] / 2
    y, z = rng.uniform(nearest, max(nearest, farthest)), EYE_HEIGHT + rng.uniform(-0.3, 0.2)
    return np.array([size[0] / 2, y, z]) + np.array([[-0.5], [0.5]]) * extent


def _lay_out(
    rng: np.random.Generator, size: Size, style: Style, middle: np.random.Generator | None
) -> tuple[Assembly, list[Light]]:
    """Return everything in a room of ``size``, and its lamps and windows.

    ``middle`` is the generator of what stands in the middle: ``rng``, or another one, which leaves
    the rest of the room as with ``rng``; None: nothing stands there.
    """
    assembly, lights = Assembly(), []
    _add_shell(assembly, size, style)
    furnish_walls(rng, assembly, size, style, lights)
    usual = Assembly()
    furnish_middle(rng, usual, size, style)
    if middle is rng:
        assembly.surfaces += usual.surfaces
        assembly.solids += usual.solids
    elif middle is not None:
        furnish_middle(middle, assembly, size, style)
    hang_lamps(rng, assembly, size, style, lights)
    return assembly, lights


def _can_be_seen(surface: Surface, region: np.ndarray) -> bool:
    """Return whether a surface faces any point of the cameras' region, with a margin."""
    nearest = np.where(surface.normal > 0, region[1] + MARGIN, region[0] - MARGIN)
    return surface.two_sided or bool((nearest - surface.origin) @ surface.normal > 0)


def _pyramid(image: np.ndarray) -> list[np.ndarray]:
    levels = [image]
    while min(levels[-1].shape[:2]) >= 8:
        height, width = levels[-1].shape[:2]
        half = (max(1, width // 2), max(1, height // 2))
        levels.append(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA))
    return levels


def _add_shell(assembly: Assembly, size: Size, style: Style) -> None:
    """Add walls, floor, ceiling and skirting."""
    width, depth, _ = size
    x, y, z = np.diag(np.asarray(size))
    for origin, along_u, along_v, material in (
        (y + z, x, -z, style.front_wall),
        (x + z, -x, -z, style.side_wall),
        (z, y, -z, style.side_wall),
        (x + y + z, -y, -z, style.side_wall),
        (y, x, -y, style.floor),
        (z, x, y, style.ceiling),
    ):
        assembly.surfaces.append(Surface(origin, along_u, along_v, material))
    strip = partial(paint, colour=tuple(0.8 * np.asarray(style.colours[0])))
    skirting = [
        Part((0, 0, 0), (width, 0.02, 0.09), strip, solid=False),
        Part((0, depth - 0.02, 0), (width, depth, 0.09), strip, solid=False),
        Part((0, 0, 0), (0.02, depth, 0.09), strip, solid=False),
        Part((width - 0.02, 0, 0), (width, depth, 0.09), strip, solid=False),
    ]
    place(assembly, skirting, (0, 0, 0))
