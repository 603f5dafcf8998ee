"""Generated rooms: size, style, furniture and lamps from a seed.

A room is seen from the half with small y, where the cameras move; its furniture stands along the
wall opposite, along both side walls and in the middle. See ``geometry`` for the axes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np

from relposegnn.runtime import numpy_generator

from . import furniture
from .faces import door
from .geometry import Assembly, Part, Solid, Surface, place, prism, turn
from .light import Light, bake
from .styles import Style, mixed, study, workshop
from .textures import boards, fabric, paint

SIZE = (4.7, 4.5, 2.5), (5.5, 5.1, 2.9)  # metres along x, y, z, from and to
ANY_SIZE = (4.2, 4.2, 2.4), (6.2, 5.8, 3.1)
NEAREST_WALL = 1.9  # metres from the cameras to the front wall, at least
ROOM_FOR_MIDDLE = 2.4  # metres from the cameras to the front wall for a table with chairs
CAMERA_REGION = (2.2, 1.1, 0.3)  # metres along x, y, z in which cameras move
EYE_HEIGHT = 1.42
MARGIN = 0.25  # metres around that region from which a room may be looked at
CURTAINS = 0.58  # metres that they take beside a window, both together
LOW = 1.25  # furniture below this height leaves room for a picture above
Size = tuple[float, float, float]
WARM, DAYLIGHT = np.array([1.0, 0.86, 0.66]), np.array([0.86, 0.94, 1.0])


@dataclass(frozen=True)
class Room:
    """A room, ready to be rendered; all arrays in world metres, S surfaces.

    ``frames`` (S, 3, 3) has the columns along_u, along_v, origin; ``normals`` (S, 3) face the
    viewer; ``textures`` are pyramids of uint8 images, each level half the one before. Cameras
    move in the box ``region`` (2, 3): its lowest and highest corner. What faces away from all
    of it is left out.
    """

    size: Size
    region: np.ndarray
    frames: np.ndarray
    normals: np.ndarray
    two_sided: np.ndarray
    textures: list[list[np.ndarray]]
    solids: list[Solid] = field(default_factory=list)


# Width range in metres, height in metres, how to make one.
PIECES: dict[str, tuple[tuple[float, float], float, Callable]] = {
    "bookcase": ((0.85, 1.15), 2.1, furniture.bookcase),
    "cabinet": ((1.0, 1.4), 0.9, furniture.cabinet),
    "desk": ((1.3, 1.55), 1.25, furniture.desk),
    "armchair": ((0.85, 1.0), 0.9, furniture.armchair),
    "sofa": ((1.5, 1.8), 0.9, furniture.armchair),
    "plant": ((0.6, 0.75), 1.4, furniture.plant),
    "lamp": ((0.4, 0.46), 1.7, furniture.floor_lamp),
    "workbench": ((1.5, 1.8), 1.9, furniture.workbench),
    "rack": ((1.0, 1.3), 2.0, furniture.rack),
    "window": ((1.15, 1.4), 0.8, furniture.radiator),
}


def build_room(seed: int, any_style: bool = False, arrangement: int = 0) -> Room:
    """Return the room that belongs to ``seed``: a study or a workshop.

    Args:
        seed: of everything in it.
        any_style: of any size, materials and furniture instead.
        arrangement: of what stands in the middle; 0 is the room's first.
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
    """Return where cameras move in a room of any size: near its front wall, or far from it."""
    extent = rng.uniform(0.5, 1.2) * np.array(CAMERA_REGION)
    nearest, farthest = 0.3 + extent[1] / 2, size[1] - NEAREST_WALL - extent[1] / 2
    y, z = rng.uniform(nearest, max(nearest, farthest)), EYE_HEIGHT + rng.uniform(-0.3, 0.2)
    return np.array([size[0] / 2, y, z]) + np.array([[-0.5], [0.5]]) * extent


def _lay_out(
    rng: np.random.Generator, size: Size, style: Style, middle: np.random.Generator | None
) -> tuple[Assembly, list[Light]]:
    """Return what stands in a room of ``size``, and its lamps and windows.

    ``middle`` draws what stands in the middle: ``rng``, another generator, after which the rest is
    as with ``rng``, or None: nothing stands there.
    """
    assembly, lights = Assembly(), []
    _add_shell(assembly, size, style)
    _furnish_walls(rng, assembly, size, style, lights)
    usual = Assembly()
    _furnish_middle(rng, usual, size, style)
    if middle is rng:
        assembly.surfaces += usual.surfaces
        assembly.solids += usual.solids
    elif middle is not None:
        _furnish_middle(middle, assembly, size, style)
    _hang_lamps(rng, assembly, size, style, lights)
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


def _furnish_walls(
    rng: np.random.Generator, assembly: Assembly, size: Size, style: Style, lights: list[Light]
) -> None:
    """Stand furniture along the front wall, then the side walls, and a door behind."""
    width, depth, _ = size
    kinds = list(style.kinds)
    front, sides = kinds[:4], kinds[4:]
    rng.shuffle(front)
    rng.shuffle(sides)
    left, right = sides + front[:1], sides[::-1] + front[1:2]
    walls = (
        ((width, depth, 0.0), np.pi, front + sides, 0.12, width - 0.05),
        ((0.0, depth, 0.0), -np.pi / 2, left, 0.95, depth - 0.2),
        ((width, 0.0, 0.0), np.pi / 2, right, 0.2, depth - 0.9),
    )
    for corner, yaw, wanted, start, end in walls:
        _furnish_wall(rng, assembly, size, style, lights, (corner, yaw, wanted, start, end))
    leaf = partial(door, colour=tuple(float(v) for v in np.asarray(style.colours[0]) * 1.15))
    place(assembly, [Part((0.3, 0, 0), (1.25, 0.03, 2.05), leaf, solid=False)], (0, 0, 0))


def _furnish_wall(
    rng: np.random.Generator,
    assembly: Assembly,
    size: Size,
    style: Style,
    lights: list[Light],
    wall: tuple[Size, float, list[str], float, float],
) -> None:
    """Stand pieces side by side along one wall and hang pictures over the low ones.

    ``wall``: its left corner as seen from behind it, its yaw, the pieces wanted, and the stretch
    from start to end, metres from the corner, that they may take.
    """
    corner, yaw, wanted, position, end = wall
    along, inward = turn(yaw)[:, 0], turn(yaw)[:, 1]
    for kind in wanted:
        span, high, make = PIECES[kind]
        width = float(rng.uniform(*span))
        taken = width + CURTAINS * (kind == "window")
        if position + taken > end:
            continue
        base = np.asarray(corner) + along * (position + taken / 2)
        place(assembly, make(rng, width, style.colours), base + 0.025 * inward, yaw)
        if kind == "window":
            sill = base + np.array([0, 0, 0.98])
            place(assembly, furniture.window(rng, width, style.colours), sill, yaw)
            lights.append(_daylight(sill, along, inward, width))
        elif high <= LOW:
            _hang_pictures(rng, assembly, base, yaw, width, high, size[2])
        position += taken + float(rng.uniform(0.05, 0.16))
    if end - position > 0.5:
        base = np.asarray(corner) + along * ((position + end) / 2)
        _hang_pictures(rng, assembly, base, yaw, end - position, 0.7, size[2])


def _daylight(sill: np.ndarray, along: np.ndarray, inward: np.ndarray, width: float) -> Light:
    across, up = np.meshgrid(np.array([-0.3, 0, 0.3]) * width, [0.3, 0.9])
    points = sill + 0.12 * inward + across.reshape(-1, 1) * along
    points = points + up.reshape(-1, 1) * np.array([0.0, 0.0, 1.0])
    return Light(points, 3.4 * DAYLIGHT, inward)


def _hang_pictures(
    rng: np.random.Generator,
    assembly: Assembly,
    base: np.ndarray,
    yaw: float,
    width: float,
    high: float,
    top: float,
) -> None:
    """Hang pictures side by side over ``width`` metres, between ``high`` and the ceiling."""
    along = turn(yaw)[:, 0]
    position = -width / 2 + 0.04
    while position < width / 2 - 0.3:
        wide = min(float(rng.uniform(0.3, 0.68)), width / 2 - position)
        tall = min(float(rng.uniform(0.35, 0.8)), top - high - 0.45)
        free = top - high - 0.3 - tall
        lift = high + 0.2 + float(rng.uniform(0.1, 0.6)) * max(free - 0.1, 0)
        at = base + along * (position + wide / 2) + np.array([0, 0, lift])
        place(assembly, furniture.framed(rng, wide, tall), at, yaw)
        position += wide + float(rng.uniform(0.05, 0.14))


def _furnish_middle(rng: np.random.Generator, assembly: Assembly, size: Size, style: Style) -> None:
    """Put a table with chairs between the cameras and the front wall, on a rug if there is one."""
    x = size[0] / 2 + float(rng.uniform(-0.3, 0.3))
    y, yaw = size[1] - 1.85, float(rng.normal(0, 0.12))
    if style.rug:
        pile = partial(fabric, colour=(0.3, 0.2, 0.15))
        mat = Part((-1.35, -0.95, 0), (1.35, 0.95, 0.012), pile, top=style.rug, solid=False)
        place(assembly, [mat], (x, y, 0), 0.5 * yaw)
    wide = float(rng.uniform(1.2, 1.5))
    table = furniture.table(rng, wide, style.colours)
    place(assembly, table, np.array([x, y, 0]) + turn(yaw) @ np.array([0, 0.4, 0]), yaw + np.pi)
    half = wide / 2
    spots = ((-half - 0.35, 0, -np.pi / 2), (half + 0.35, 0, np.pi / 2), (0.25, -0.72, 0.0))
    for right, forth, facing in spots:
        heading = yaw + facing + float(rng.normal(0, 0.25))
        at = np.array([x, y, 0]) + turn(yaw) @ np.array([right, forth, 0])
        at = at - turn(heading) @ np.array([0, 0.22, 0])
        place(assembly, furniture.chair(rng, 0.44, style.colours), at, heading)


def _hang_lamps(
    rng: np.random.Generator, assembly: Assembly, size: Size, style: Style, lights: list[Light]
) -> None:
    """Hang two lamps from the ceiling, and lay beams across it where the style has them."""
    width, depth, height = size
    glow = partial(fabric, colour=(0.98, 0.93, 0.82))
    for y in (depth - 1.6, 1.5):
        x = width / 2 + float(rng.uniform(-0.4, 0.4))
        if style.beams:
            tube = Part((-0.6, -0.07, height - 0.17), (0.6, 0.07, height - 0.1), glow, glow=0.85)
            place(assembly, [tube], (x, y, 0))
        else:
            items = prism((0, 0), (height - 0.42, height - 0.2), 0.2, glow, glow=0.8)
            items += prism((0, 0), (height - 0.2, height), 0.012, furniture.DARK)
            place(assembly, items, (x, y, 0))
        spread = np.array([[-0.4, 0], [0.4, 0], [0, -0.25], [0, 0.25]])
        z = np.full((4, 1), height - 0.45)
        lights.append(Light(np.hstack([spread + np.array([x, y]), z]), 2.3 * WARM))
    if style.beams:
        timber = partial(boards, colour=style.colours[0], board=60, length=900)
        for y in np.arange(0.6, depth, 0.95):
            beam = Part((0, y, height - 0.14), (width, y + 0.12, height + 0.1), timber, solid=False)
            place(assembly, [beam], (0, 0, 0))
