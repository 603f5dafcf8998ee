"""Faces of furniture in generated rooms: books, drawers, doors, cartons, tool boards, cushions.

All are materials as in ``textures``; each call draws a new one.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from .pictures import some_colour, write, write_lines
from .textures import Colour, fabric, flat, noise, paint, shade, vary, wood


def drawers(
    rng: np.random.Generator, height: int, width: int, colour: Colour, rows: int, columns: int
) -> np.ndarray:
    """Return the front of a cabinet: ``rows`` x ``columns`` drawers or doors with handles."""
    image = flat(height, width, (0.05, 0.04, 0.03))
    ys, xs = (
        np.linspace(0, size, n + 1).astype(int) for size, n in ((height, rows), (width, columns))
    )
    for top, bottom in pairwise(ys):
        for left, right in pairwise(xs):
            size = (bottom - top - 4, right - left - 4)
            face = wood(rng, *size, tuple(vary(rng, colour, 0.06)))
            bevel = max(4, min(size) // 10)
            cv2.rectangle(face, (bevel, bevel), (size[1] - bevel, size[0] - bevel), (0, 0, 0), 1)
            face[bevel + 1 : -bevel, bevel + 1 : -bevel] *= 1.08
            knob = (size[1] // 2, max(4, size[0] // 4))
            cv2.circle(face, (knob[0] + 1, knob[1] + 2), 4, (0.03, 0.02, 0.02), -1, cv2.LINE_AA)
            cv2.circle(face, knob, 4, (0.8, 0.7, 0.42), -1, cv2.LINE_AA)
            image[top + 2 : bottom - 2, left + 2 : right - 2] = np.clip(face, 0, 1)
    return image


def door(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    """Return a panelled door with its frame and handle."""
    image = paint(rng, height, width, tuple(vary(rng, colour, 0.03)))
    edge = 18
    leaf = image[edge:, edge:-edge]
    leaf[:] = wood(rng, *leaf.shape[:2], colour)
    leaf[:, :2] = leaf[:, -2:] = leaf[:2] = 0.06
    tall, wide = leaf.shape[:2]
    for top, bottom in ((0.06, 0.36), (0.42, 0.94)):
        for left, right in ((0.12, 0.46), (0.54, 0.88)):
            low, high = (int(left * wide), int(top * tall)), (int(right * wide), int(bottom * tall))
            panel = leaf[low[1] : int(bottom * tall), low[0] : high[0]]
            panel *= 0.88
            panel[:4] *= 0.5
            panel[:, :3] *= 0.6
            panel[-3:] *= 1.3
    at = (int(0.9 * wide), int(0.52 * tall))
    handle = np.ascontiguousarray(leaf)
    cv2.circle(handle, at, 6, (0.75, 0.72, 0.65), -1, cv2.LINE_AA)
    cv2.line(handle, at, (at[0] - 24, at[1]), (0.8, 0.78, 0.7), 5, cv2.LINE_AA)
    leaf[:] = handle
    return np.clip(image, 0, 1)


def carton(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a side of a cardboard box: tape, a label, print."""
    brown = vary(rng, (0.66, 0.5, 0.33), 0.1)
    image = shade(flat(height, width, tuple(brown)), 0.04 * noise(rng, height, width, (4, 60), 3))
    image[:, width // 2 - 5 : width // 2 + 5] = brown * 1.18
    tall, wide = int(0.3 * height), int(0.36 * width)
    top, left = (int(v) for v in rng.uniform((2, 2), (height - tall - 2, width - wide - 2)))
    label = np.ascontiguousarray(flat(tall, wide, (0.93, 0.92, 0.88)))
    write_lines(rng, label, 5, 5, (0.1, 0.1, 0.1))
    image[top : top + tall, left : left + wide] = label
    write(rng, image, (4, int(0.9 * height)), height / 160, (0.25, 0.17, 0.1))
    return np.clip(image, 0, 1)


def pegboard(
    rng: np.random.Generator, height: int, width: int, colour: Colour, inks: Sequence[Colour]
) -> np.ndarray:
    """Return a board with holes, hung with drawn tools."""
    image = paint(rng, height, width, colour)
    for y in range(5, height, 9):
        for x in range(5, width, 9):
            cv2.circle(image, (x, y), 1, (0.12, 0.1, 0.08), -1, cv2.LINE_AA)
    for x in range(16, width - 20, 30):
        for y in range(14, height - 70, 92):
            _draw_tool(
                rng,
                image,
                (x + int(rng.integers(-4, 5)), y),
                vary(rng, inks[rng.integers(len(inks))], 0.1),
            )
    return image


def _draw_tool(
    rng: np.random.Generator, image: np.ndarray, at: tuple[int, int], handle: np.ndarray
) -> None:
    x, y = at
    steel, length = vary(rng, (0.62, 0.64, 0.68), 0.12).tolist(), int(rng.integers(38, 72))
    kind = rng.integers(4)
    cv2.line(image, (x + 3, y + 4), (x + 3, y + length + 3), (0.1, 0.09, 0.08), 6, cv2.LINE_AA)
    cv2.line(image, (x, y), (x, y + length), steel, 4 if kind else 3, cv2.LINE_AA)
    cv2.line(image, (x, y + length // 2), (x, y + length), handle.tolist(), 8, cv2.LINE_AA)
    if kind == 0:  # hammer
        cv2.rectangle(image, (x - 12, y), (x + 10, y + 10), steel, -1)
    elif kind == 1:  # spanner
        cv2.circle(image, (x, y + 2), 8, steel, 4, cv2.LINE_AA)
    elif kind == 2:  # saw
        blade = np.array([(x, y), (x + 14, y + 4), (x + 6, y + length // 2), (x, y + length // 2)])
        cv2.fillPoly(image, [blade.astype(np.int32)], steel, cv2.LINE_AA)


def cushion(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a cushion's cloth in a random colour."""
    return fabric(rng, height, width, tuple(vary(rng, some_colour(rng, 0.25, 0.8), 0.1)))


def spines(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a row of books seen from the front."""
    image = flat(height, width, (0.06, 0.05, 0.04))
    left = 0
    while left < width:
        thick = int(rng.integers(5, 14))
        right = min(left + thick, width)
        top = int(rng.uniform(0, 0.12) * height)
        cover = vary(rng, some_colour(rng, 0.12, 0.75), 0.1)
        image[top:, left:right] = cover
        image[top:, right - 1 : right] *= 0.5
        ink = np.float32(
            some_colour(rng, 0.6, 0.95) if cover.mean() < 0.5 else some_colour(rng, 0, 0.3)
        )
        for band in rng.uniform(0.08, 0.95, rng.integers(1, 4)):
            y = top + int(band * (height - top))
            image[y : y + int(rng.integers(1, 5)), left:right] = ink
        low, high = sorted(top + (rng.uniform(0.2, 0.85, 2) * (height - top)).astype(int))
        dashes = rng.random(max(high - low, 0)) < 0.6
        image[low:high, left + 2 : right - 3][dashes] = ink
        left = right
    return image


def pages(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return the top of a row of books: paper edges between covers."""
    image = flat(height, width, (0.82, 0.78, 0.68))
    across = image if width > height else image.transpose(1, 0, 2)
    across *= rng.uniform(0.8, 1.05, (1, across.shape[1], 1)).astype(np.float32)
    for x in np.cumsum(rng.integers(5, 14, across.shape[1] // 5)):
        across[:, x : x + 2] = some_colour(rng, 0.1, 0.6)
    return np.clip(image, 0, 1)
