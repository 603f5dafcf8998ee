"""Materials of generated rooms: plaster, brick, wallpaper, wood, tiles, fabric, rugs.

A material is a function ``(rng, height, width) -> image``: float32 (height, width, 3), sRGB in
[0, 1], with ``PIXELS_PER_METRE``. Further arguments, such as colours, are bound with
``functools.partial``. No two calls give the same image: bricks, boards and motifs all vary.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

PIXELS_PER_METRE = 240

Colour = tuple[float, float, float]
Material = Callable[[np.random.Generator, int, int], np.ndarray]


def noise(
    rng: np.random.Generator, height: int, width: int, cell: tuple[float, float], octaves: int = 4
) -> np.ndarray:
    """Return smooth noise (height, width), mean 0 and deviation about 1.

    ``cell`` is the size (rows, columns) in pixels of the coarsest blobs; each octave halves it.
    """
    total = np.zeros((height, width), np.float32)
    rows, columns, weight = float(cell[0]), float(cell[1]), 1.0
    for _ in range(octaves):
        rows, columns = max(rows, 1.0), max(columns, 1.0)
        grid_shape = (int(height / rows) + 2, int(width / columns) + 2)
        grid = rng.standard_normal(grid_shape).astype(np.float32)
        size = (int(np.ceil(grid_shape[1] * columns)), int(np.ceil(grid_shape[0] * rows)))
        total += weight * cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
        rows, columns, weight = rows / 2, columns / 2, weight * 0.6
    return total


def flat(height: int, width: int, colour: Colour) -> np.ndarray:
    """Return an image of one colour."""
    return np.full((height, width, 3), colour, np.float32)


def vary(rng: np.random.Generator, colour: Colour, amount: float) -> np.ndarray:
    """Return a colour near ``colour``: brightness varies by ``amount``, tint by a third of that."""
    shade = 1 + amount * rng.normal() + amount / 3 * rng.normal(size=3)
    return np.clip(np.asarray(colour) * shade, 0.02, 1).astype(np.float32)


def shade(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return ``image`` with the brightness of each pixel scaled by 1 + ``field`` (H, W)."""
    return np.clip(image * (1 + field[..., None]), 0, 1)


def paint(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    """Return painted wood or metal: nearly even, a little worn."""
    wear = noise(rng, height, width, (60, 60))
    return shade(flat(height, width, colour), 0.035 * wear)


def plaster(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    """Return plaster: clouds, trowel marks and a few hairline cracks and stains."""
    clouds = noise(rng, height, width, (260, 260), 3)
    trowel = noise(rng, height, width, (10, 34), 3)
    image = shade(flat(height, width, colour), 0.025 * clouds + 0.022 * trowel)
    cracks = np.zeros((height, width), np.float32)
    for _ in range(max(1, height * width // 90_000)):
        steps = rng.normal(0, 1, (30, 2)) + rng.normal(0, 1.2, 2)
        line = (rng.uniform((0, 0), (width, height)) + 3 * np.cumsum(steps, 0)).astype(np.int32)
        cv2.polylines(cracks, [line], False, float(rng.uniform(0.4, 1)), 1, cv2.LINE_AA)
    return shade(image, -0.22 * cracks)


def brick(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    """Return a brick wall in running bond."""
    image = shade(flat(height, width, (0.66, 0.63, 0.58)), 0.06 * noise(rng, height, width, (8, 8)))
    tall, long, gap = 18, 54, 3
    for row, top in enumerate(range(0, height, tall)):
        for left in range(-(row % 2) * long // 2, width, long):
            low, high = max(left, 0), max(left + long - gap, 0)
            image[top : top + tall - gap, low:high] = vary(rng, colour, 0.16)
    rough = 0.05 * noise(rng, height, width, (6, 6), 3) + 0.05 * noise(rng, height, width, (90, 90))
    return shade(cv2.GaussianBlur(image, (3, 3), 0.6), rough)


def wallpaper(
    rng: np.random.Generator, height: int, width: int, colours: Sequence[Colour]
) -> np.ndarray:
    """Return striped wallpaper with flowers; ``colours``: of ground, stripes, then flowers."""
    image = flat(height, width, colours[0])
    ground = np.asarray(colours[0])
    pale = [tuple(0.5 * ground + 0.5 * np.asarray(colour)) for colour in colours[2:]]
    for left in range(0, width, 62):
        image[:, left : left + 31] = colours[1]
    for row, y in enumerate(range(20, height + 40, 46)):
        for x in range(15 + 31 * (row % 2), width + 40, 62):
            _draw_flower(rng, image, (x, y), pale)
    aging = 0.03 * noise(rng, height, width, (300, 300), 3)
    return shade(image, aging + 0.015 * noise(rng, height, width, (3, 3), 2))


def _draw_flower(
    rng: np.random.Generator, image: np.ndarray, at: tuple[int, int], colours: Sequence[Colour]
) -> None:
    angle = np.linspace(0, 2 * np.pi, 60)
    petals, phase = rng.integers(3, 8), rng.uniform(0, 2 * np.pi)
    radius = rng.uniform(8, 15) * (0.55 + 0.45 * np.abs(np.cos(petals * angle / 2 + phase)))
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1) + at
    petal, heart = (colours[i] for i in rng.integers(0, len(colours), 2))
    fixed = (outline * 16).astype(np.int32)
    cv2.fillPoly(image, [fixed], vary(rng, petal, 0.12).tolist(), cv2.LINE_AA, 4)
    cv2.circle(image, at, int(rng.integers(2, 5)), vary(rng, heart, 0.3).tolist(), -1, cv2.LINE_AA)


def wood(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    """Return one board of wood, its grain along the longer side."""
    if width > height:
        return np.ascontiguousarray(wood(rng, width, height, colour).transpose(1, 0, 2))
    return _grain_down(rng, height, width, colour)


def _grain_down(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    across = np.arange(width, dtype=np.float32)[None, :]
    bend = 10 * noise(rng, height, width, (220, 50), 2)
    rings = np.sin((across + bend) * rng.uniform(0.25, 0.5) + rng.uniform(0, 6))
    fibre = noise(rng, height, width, (90, 3), 2)
    return shade(flat(height, width, tuple(vary(rng, colour, 0.05))), 0.07 * rings + 0.06 * fibre)


def boards(
    rng: np.random.Generator, height: int, width: int, colour: Colour, board: int, length: int
) -> np.ndarray:
    """Return parallel boards of wood along the rows' axis, ``board`` x ``length`` pixels each."""
    image = _grain_down(rng, height, width, colour)
    for left in range(0, width, board):
        top = -int(rng.integers(0, length))
        while top < height:
            piece = image[max(top, 0) : max(top + length, 0), left : left + board]
            piece *= 1 + 0.13 * rng.normal() + 0.02 * rng.normal(size=3).astype(np.float32)
            piece[:, :1] *= 0.55
            piece[-2:] *= 0.6
            top += length
    return np.clip(image, 0, 1)


def panelling(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    """Return upright matchboard with a rail on top."""
    image = boards(rng, height, width, colour, board=26, length=10_000)
    image[:10] = wood(rng, 10, width, colour)
    image[10:13] *= 0.5
    return image


def half_panelled(
    rng: np.random.Generator, height: int, width: int, upper: Material, lower: Material, rail: int
) -> np.ndarray:
    """Return a wall with ``lower`` up to ``rail`` pixels from the floor and ``upper`` above."""
    image = upper(rng, height, width)
    image[-rail:] = lower(rng, rail, width)
    return image


def tiles(
    rng: np.random.Generator, height: int, width: int, colours: Sequence[Colour], size: int
) -> np.ndarray:
    """Return square tiles of ``size`` pixels, a checkerboard of ``colours`` with grout."""
    image = flat(height, width, (0.5, 0.49, 0.47))
    for row, top in enumerate(range(0, height, size)):
        for column, left in enumerate(range(0, width, size)):
            colour = vary(rng, colours[(row + column) % len(colours)], 0.07)
            image[top : top + size - 2, left : left + size - 2] = colour
    veins = np.abs(noise(rng, height, width, (70, 70), 4))
    return shade(image, 0.1 * np.exp(-8 * veins) + 0.03 * noise(rng, height, width, (120, 120)))


def concrete(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    """Return a worn concrete floor with slabs, stains and splashes of paint."""
    cloud, grain = noise(rng, height, width, (200, 200), 5), noise(rng, height, width, (4, 4), 2)
    image = shade(flat(height, width, colour), 0.07 * cloud + 0.035 * grain)
    for _ in range(height * width // 12_000):
        at = tuple(int(v) for v in rng.uniform((0, 0), (width, height)))
        axes = tuple(int(v) for v in rng.gamma(2, 2.2, 2) + 1)
        splash = vary(rng, tuple(rng.uniform(0.15, 0.85, 3)), 0.1).tolist()
        cv2.ellipse(image, at, axes, float(rng.uniform(0, 180)), 0, 360, splash, -1, cv2.LINE_AA)
    slab = 1.5 * PIXELS_PER_METRE
    for axis, size in ((0, height), (1, width)):
        for joint in np.arange(slab / 2, size - 3, slab).astype(int):
            image[(slice(None),) * axis + (slice(joint, joint + 3),)] *= 0.55
    return np.clip(image, 0, 1)


def fabric(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    """Return woven cloth with soft folds and a check of thin lines."""
    image = shade(flat(height, width, colour), 0.05 * noise(rng, height, width, (3, 3), 2))
    line = vary(rng, colour, 0.5)
    step = int(rng.integers(16, 30))
    image[:, ::step] = 0.5 * image[:, ::step] + 0.5 * line
    image[::step] = 0.5 * image[::step] + 0.5 * line
    return shade(image, 0.06 * noise(rng, height, width, (70, 70), 2))


def rug(rng: np.random.Generator, height: int, width: int, colours: Sequence[Colour]) -> np.ndarray:
    """Return a woven rug: borders around a field of medallions, no two the same."""
    image = flat(height, width, colours[0])
    for inset, colour in zip((8, 14, 40, 46), (1, 2, 1, 3), strict=True):
        image[inset:-inset, inset:-inset] = colours[colour % len(colours)]
    for y in range(27, height - 20, 26):
        for x in (27, width - 27):
            _draw_diamond(rng, image, (x, y), 9, colours)
    for x in range(53, width - 40, 26):
        for y in (27, height - 27):
            _draw_diamond(rng, image, (x, y), 9, colours)
    for y in range(85, height - 60, 70):
        for x in range(85, width - 60, 70):
            for size in (32, 22, 12):
                _draw_diamond(rng, image, (x, y), size, colours)
    return shade(image, 0.09 * noise(rng, height, width, (3, 3), 1))


def _draw_diamond(
    rng: np.random.Generator,
    image: np.ndarray,
    at: tuple[int, int],
    size: int,
    colours: Sequence[Colour],
) -> None:
    corners = int(rng.integers(4, 9))
    angle = np.arange(2 * corners) * np.pi / corners
    radius = np.where(np.arange(2 * corners) % 2, size * rng.uniform(0.5, 0.9), size)
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1) + at
    colour = vary(rng, colours[rng.integers(len(colours))], 0.1).tolist()
    cv2.fillPoly(image, [(outline * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)
