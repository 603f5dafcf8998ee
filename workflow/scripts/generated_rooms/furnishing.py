"""What stands and hangs in a generated room: furniture, a door, windows, pictures and lamps."""

from collections.abc import Callable
from functools import partial

import numpy as np

from . import furniture
from .faces import door
from .geometry import Assembly, Part, place, prism, turn
from .light import Light
from .styles import Style
from .textures import boards, fabric

CURTAINS = 0.58  # metres that both curtains together take beside a window
LOW = 1.25  # furniture below this height leaves room for a picture above
WARM, DAYLIGHT = np.array([1.0, 0.86, 0.66]), np.array([0.86, 0.94, 1.0])
Size = tuple[float, float, float]  # metres along x, y, z

# Range of widths in metres, height in metres, function that makes the piece.
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


def furnish_walls(
    rng: np.random.Generator, assembly: Assembly, size: Size, style: Style, lights: list[Light]
) -> None:
    """Place furniture along the front wall, then the side walls, and a door in the back wall."""
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
    """Place pieces side by side along one wall and hang pictures above the low ones.

    ``wall``: its left corner as seen from behind it, its yaw, the pieces wanted, and the start and
    end of the stretch that they may take, in metres from the corner.
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
    """Hang pictures side by side along ``width`` metres, between ``high`` and the ceiling."""
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


def furnish_middle(rng: np.random.Generator, assembly: Assembly, size: Size, style: Style) -> None:
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


def hang_lamps(
    rng: np.random.Generator, assembly: Assembly, size: Size, style: Style, lights: list[Light]
) -> None:
    """Hang two lamps from the ceiling, and lay beams across it if the style has them."""
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
