"""Shapes of generated rooms: textured rectangles, and the boxes that cast shadows.

World axes: x right, y towards the wall that the cameras face, z up; metres; the room's floor is
z = 0 and spans [0, width] x [0, depth]. Furniture is built in its own frame: x along its width, y
from its back at 0 towards its front, z up. ``Part`` and ``Card`` are in such a frame; ``place``
turns them into ``Surface`` and ``Solid`` in the world.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .textures import PIXELS_PER_METRE, Material

SIDES = 8  # of a prism


@dataclass(frozen=True)
class Part:
    """A box between two corners, turned by ``yaw`` about its own vertical axis.

    ``front`` and ``top`` override the material of these faces. A part that is not ``solid``, for
    thin or small things, casts no shadow and is no obstacle. ``glow`` is emitted light.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    material: Material
    front: Material | None = None
    top: Material | None = None
    yaw: float = 0.0
    solid: bool = True
    glow: float = 0.0


@dataclass(frozen=True)
class Card:
    """A rectangle seen from both sides; its texture may have a fourth channel, opacity."""

    origin: tuple[float, float, float]
    along_u: tuple[float, float, float]
    along_v: tuple[float, float, float]
    material: Material
    glow: float = 0.0


@dataclass(frozen=True)
class Surface:
    """A rectangle in the world; ``origin`` is the top left corner of its texture.

    ``along_u`` and ``along_v`` (3) are its edges along the texture's columns and rows.
    """

    origin: np.ndarray
    along_u: np.ndarray
    along_v: np.ndarray
    material: Material
    two_sided: bool = False
    glow: float = 0.0

    @cached_property
    def normal(self) -> np.ndarray:
        """The unit vector towards a viewer who sees the texture upright."""
        normal = np.cross(self.along_v, self.along_u)
        return normal / np.linalg.norm(normal)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return a texture (H, W, 3 or 4) of this rectangle's material and size."""
        lengths = np.linalg.norm([self.along_v, self.along_u], axis=1)
        height, width = (max(4, round(length * PIXELS_PER_METRE)) for length in lengths)
        return self.material(rng, height, width)


@dataclass(frozen=True)
class Solid:
    """A box in the world: ``centre`` and ``half`` size (3), turned by ``yaw`` about z."""

    centre: np.ndarray
    half: np.ndarray
    yaw: float


@dataclass
class Assembly:
    """The surfaces and solids of a room."""

    surfaces: list[Surface] = field(default_factory=list)
    solids: list[Solid] = field(default_factory=list)


def turn(yaw: float) -> np.ndarray:
    """Return the rotation (3, 3) by ``yaw`` radians about z."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def place(
    assembly: Assembly,
    items: Iterable[Part | Card],
    at: tuple[float, float, float] | np.ndarray,
    yaw: float = 0.0,
) -> None:
    """Add furniture to ``assembly``: its frame's origin goes to ``at``, turned by ``yaw``."""
    rotation, shift = turn(yaw), np.asarray(at, float)
    for item in items:
        if isinstance(item, Part):
            low, high = np.asarray(item.low, float), np.asarray(item.high, float)
            centre = rotation @ ((low + high) / 2) + shift
            solid = Solid(centre, (high - low) / 2, yaw + item.yaw)
            assembly.surfaces += _faces(solid, item)
            assembly.solids += [solid] * item.solid
        else:
            edges = (item.origin, item.along_u, item.along_v)
            origin, u, v = (rotation @ np.asarray(edge, float) for edge in edges)
            surface = Surface(origin + shift, u, v, item.material, True, item.glow)
            assembly.surfaces.append(surface)


def _faces(solid: Solid, part: Part) -> list[Surface]:
    """Return the faces of a part, without the bottom if it stands on the floor."""
    x, y, z = (turn(solid.yaw) * solid.half).T
    centre, side = solid.centre, part.material
    front, top = part.front or side, part.top or side
    # A viewer of the front looks along -y, so the texture's columns run along -x.
    faces = [
        (centre + y + x + z, -2 * x, -2 * z, front),
        (centre - y - x + z, 2 * x, -2 * z, side),
        (centre + x - y + z, 2 * y, -2 * z, side),
        (centre - x + y + z, -2 * y, -2 * z, side),
        (centre + z + x - y, -2 * x, 2 * y, top),
        (centre - z - x - y, 2 * x, 2 * y, side),
    ]
    on_floor = centre[2] - solid.half[2] < 0.01
    return [Surface(*face, glow=part.glow) for face in faces[: 6 - on_floor]]


def prism(
    at: tuple[float, float],
    z_range: tuple[float, float],
    radius: float,
    material: Material,
    glow: float = 0.0,
) -> list[Part | Card]:
    """Return an upright prism about ``at`` (x, y): the cylinder of pots, lamps and poles."""
    angles = np.arange(SIDES) * 2 * np.pi / SIDES
    edge = 2 * radius * np.tan(np.pi / SIDES)
    items: list[Part | Card] = []
    for angle in angles:
        outward = np.array([np.cos(angle), np.sin(angle), 0.0])
        along = np.array([-np.sin(angle), np.cos(angle), 0.0]) * edge
        middle = np.array([*at, z_range[1]]) + radius * outward
        down = (0.0, 0.0, z_range[0] - z_range[1])
        # Seen from outside, the columns run along +tangent.
        items.append(Card(tuple(middle - along / 2), tuple(along), down, material, glow))
    inner = radius * 0.7
    low, high = (at[0] - inner, at[1] - inner), (at[0] + inner, at[1] + inner)
    lid = z_range[1] - 0.01
    items.append(Part((*low, z_range[0]), (*high, lid), material, glow=glow))
    return items


def distance_to_solids(points: np.ndarray, solids: list[Solid]) -> np.ndarray:
    """Return the distances (N) in metres from ``points`` (N, 3) to the nearest solid.

    Zero inside a solid; infinite if there are no solids.
    """
    nearest = np.full(len(points), np.inf)
    for solid in solids:
        local = (points - solid.centre) @ turn(solid.yaw)
        outside = np.maximum(np.abs(local) - solid.half, 0)
        nearest = np.minimum(nearest, np.linalg.norm(outside, axis=1))
    return nearest
