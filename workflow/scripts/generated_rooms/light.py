"""Light of generated rooms, baked into the textures once, as every surface is matt.

It consists of direct light from lamps, with fall-off and shadows, and of ambient light, which is
weaker in corners and under furniture. It is computed on a coarse grid of each surface and
interpolated.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .geometry import Solid, Surface, turn

CELLS_PER_METRE = 11
GLOW = 1.6  # light emitted by a glowing surface, in the units of the lamps
BRIGHTEST = 4.0  # radiance at which the tone curve ends
LINEAR_TONES = (np.arange(256, dtype=np.float32) / 255) ** 2.2
_RADIANCE = np.linspace(0, BRIGHTEST, 8192)
_EXPOSED = np.clip((1 - np.exp(-1.35 * _RADIANCE)) / (1 - np.exp(-1.35)), 0, 1)
FILM = np.round(255 * _EXPOSED ** (1 / 2.2)).astype(np.uint8)  # tone curve over [0, BRIGHTEST]
AMBIENT_REACH = (0.06, 0.18, 0.45, 0.9)  # distances in metres at which free space is probed


@dataclass(frozen=True)
class Light:
    """A lamp: ``points`` (P, 3) sampled on it, RGB ``power``, ``facing`` direction (3) or None."""

    points: np.ndarray
    power: np.ndarray
    facing: np.ndarray | None = None


def bake(
    surfaces: list[Surface],
    textures: list[np.ndarray],
    solids: list[Solid],
    size: tuple[float, float, float],
    lights: list[Light],
    ambient: np.ndarray,
) -> list[np.ndarray]:
    """Return the surfaces' textures as a camera sees them: uint8 (H, W, 3 or 4), RGB.

    ``textures`` are sRGB in [0, 1], (H, W, 3 or 4); ``size`` is the room's, in metres; ``ambient``
    is the RGB light in open space.
    """
    grids = [_grid(surface) for surface in surfaces]
    points = np.concatenate([points.reshape(-1, 3) for points in grids])
    counts = [points.shape[0] * points.shape[1] for points in grids]
    normals = np.repeat([surface.normal for surface in surfaces], counts, axis=0)
    both = np.repeat([surface.two_sided for surface in surfaces], counts)
    received = ambient * _openness(points, normals, solids, size)[:, None]
    for light in lights:
        received += _direct(points, normals, both, light, solids)
    maps = np.split(received.astype(np.float32), np.cumsum(counts)[:-1])
    return [
        _expose(texture, light_map.reshape(*grid.shape), surface.glow)
        for surface, texture, light_map, grid in zip(surfaces, textures, maps, grids, strict=True)
    ]


def _grid(surface: Surface) -> np.ndarray:
    """Return the points (rows, columns, 3) of a surface at which light is computed."""
    lengths = np.linalg.norm([surface.along_v, surface.along_u], axis=1)
    rows, columns = (max(2, int(np.ceil(length * CELLS_PER_METRE))) for length in lengths)
    v = ((np.arange(rows) + 0.5) / rows)[:, None, None] * surface.along_v
    u = ((np.arange(columns) + 0.5) / columns)[None, :, None] * surface.along_u
    return surface.origin + v + u


def _openness(
    points: np.ndarray, normals: np.ndarray, solids: list[Solid], size: tuple[float, float, float]
) -> np.ndarray:
    """Return the share (N) of ambient light that reaches each point.

    Probes are points at some distance along the normal; light is missing if anything is nearer to a
    probe than the point itself.
    """
    missing = np.zeros(len(points))
    for reach in AMBIENT_REACH:
        probes = points + reach * normals
        free = np.full(len(points), np.inf)
        for solid in solids:
            local = turn(solid.yaw).T @ (probes - solid.centre).T
            x, y, z = np.maximum(np.abs(local) - solid.half[:, None], 0)
            free = np.minimum(free, np.sqrt(x * x + y * y + z * z))
        missing += np.clip(1 - free / reach, 0, 1)
        to_walls = np.minimum(probes, np.asarray(size) - probes)
        missing += np.clip(1 - to_walls / reach, 0, 1).sum(axis=1)
    return np.exp(-0.42 * missing)


def _direct(
    points: np.ndarray, normals: np.ndarray, both: np.ndarray, light: Light, solids: list[Solid]
) -> np.ndarray:
    """Return the light (N, 3) that reaches each point directly from a lamp."""
    total = np.zeros(len(points))
    for source in light.points:
        ray = source - points
        distance = np.linalg.norm(ray, axis=1)
        direction = ray / distance[:, None]
        cosine = (direction * normals).sum(1)
        cosine = np.where(both, np.abs(cosine), np.maximum(cosine, 0))
        if light.facing is not None:
            cosine = cosine * np.maximum(-direction @ light.facing, 0)
        lit = np.flatnonzero(cosine > 0.01)
        start = points[lit] + 0.012 * normals[lit] * np.sign((ray * normals).sum(1))[lit, None]
        seen = ~_blocked(start, source, solids)
        total[lit] += seen * cosine[lit] / (distance[lit] ** 2 + 0.25)
    return total[:, None] / len(light.points) * light.power


def _blocked(start: np.ndarray, end: np.ndarray, solids: list[Solid]) -> np.ndarray:
    """Return whether a solid stands between each of ``start`` (N, 3) and ``end`` (3)."""
    blocked = np.zeros(len(start), bool)
    start, end = start.astype(np.float32), end.astype(np.float32)
    for solid in solids:
        rotation, centre = turn(solid.yaw).astype(np.float32), solid.centre.astype(np.float32)
        enter, leave = np.zeros(len(start), np.float32), np.ones(len(start), np.float32)
        for axis, half in zip(rotation.T, solid.half, strict=True):
            origin = start @ axis - centre @ axis
            step = (end - centre) @ axis - origin
            inverse = 1 / np.where(np.abs(step) < 1e-6, np.float32(1e-6), step)
            middle, reach = -origin * inverse, np.abs(np.float32(half) * inverse)
            np.maximum(enter, middle - reach, out=enter)
            np.minimum(leave, middle + reach, out=leave)
        blocked |= enter < leave
    return blocked


def _expose(texture: np.ndarray, light_map: np.ndarray, glow: float) -> np.ndarray:
    """Return a texture lit by ``light_map`` (rows, columns, 3), tone-mapped, as uint8."""
    height, width = texture.shape[:2]
    light = cv2.resize(light_map, (width, height), interpolation=cv2.INTER_LINEAR)
    light = (1 - glow) * light + GLOW * glow
    linear = LINEAR_TONES[(texture[..., :3] * 255 + 0.5).astype(np.uint8)]
    steps = np.minimum(linear * light * (len(FILM) / BRIGHTEST), len(FILM) - 1)
    opacity = (texture[..., 3:] * 255).astype(np.uint8)
    return np.concatenate([FILM[steps.astype(np.uint16)], opacity], axis=-1)
