"""Drawn textures of generated rooms: pictures, screens, leaves, the view outside.

All are materials as in ``textures``; each call draws a new one. ``leaves`` has a fourth channel,
opacity.
"""

import string

import cv2
import numpy as np

from .textures import Colour, flat, noise, shade, vary, wood

LETTERS = np.array(list(string.ascii_uppercase + string.digits))


def some_colour(rng: np.random.Generator, low: float = 0.1, high: float = 0.95) -> Colour:
    """Return a muted colour of any hue, with channels in [low, high]."""
    grey = rng.uniform(low, high)
    return tuple(float(0.4 * grey + 0.6 * v) for v in rng.uniform(low, high, 3))


def write(
    rng: np.random.Generator, image: np.ndarray, at: tuple[int, int], size: float, colour: Colour
) -> None:
    """Write a random word into ``image``; ``at`` is its lower left corner (x, y)."""
    word = "".join(rng.choice(LETTERS, rng.integers(3, 10)))
    thickness = max(1, round(size * 2))
    ink = np.zeros(image.shape[:2], np.uint8)
    cv2.putText(ink, word, at, cv2.FONT_HERSHEY_DUPLEX, size, 255, thickness, cv2.LINE_AA)
    share = ink[..., None] / np.float32(255)
    image[:] = (1 - share) * image + share * np.float32(colour)


def write_lines(
    rng: np.random.Generator, image: np.ndarray, top: int, step: int, colour: Colour
) -> None:
    """Draw rows of grey word-like dashes from row ``top`` on."""
    height, width = image.shape[:2]
    for y in range(top, height - step, step):
        x = int(0.08 * width)
        while x < width * rng.uniform(0.6, 0.98):
            length = int(rng.integers(3, 16))
            end = min(x + length, int(0.93 * width))
            cv2.line(image, (x, y), (end, y), colour, max(1, step // 3), cv2.LINE_AA)
            x += length + 5


def landscape(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a painted landscape: sky, sun, and ridges behind one another."""
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    image = (1 - rows) * np.float32(some_colour(rng, 0.3, 0.9)) + rows * np.float32(
        some_colour(rng, 0.7, 1.0)
    )
    image = np.repeat(image, width, axis=1).astype(np.float32)
    sun = (int(rng.uniform(0.1, 0.9) * width), int(rng.uniform(0.1, 0.4) * height))
    cv2.circle(image, sun, max(3, int(0.09 * width)), some_colour(rng, 0.75, 1), -1, cv2.LINE_AA)
    near = np.float32(some_colour(rng, 0.05, 0.5))
    for depth in np.linspace(0.15, 1, 5):
        ridge = noise(rng, 1, width, (1, width / 2.5), 5)[0]
        ridge = (0.35 + 0.55 * depth - 0.09 * ridge) * height
        mask = np.arange(height)[:, None] > ridge[None, :]
        image[mask] = near * depth + np.float32(0.75) * (1 - depth)
    return shade(image, 0.06 * noise(rng, height, width, (8, 8), 3))


def abstract(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return an abstract print of overlapping shapes."""
    image = flat(height, width, some_colour(rng, 0.6, 0.95))
    for _ in range(int(rng.integers(12, 24))):
        at = tuple(int(v) for v in rng.uniform((0, 0), (width, height)))
        size = int(rng.uniform(0.04, 0.28) * width) + 2
        if rng.random() < 0.4:
            cv2.circle(image, at, size, some_colour(rng), rng.choice([-1, 2, 4]), cv2.LINE_AA)
        else:
            corners = at + rng.normal(0, size, (int(rng.integers(3, 6)), 2))
            cv2.fillPoly(image, [corners.astype(np.int32)], some_colour(rng), cv2.LINE_AA)
    return shade(image, 0.02 * noise(rng, height, width, (4, 4), 2))


def blocks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a print of coloured blocks between dark lines."""
    image = flat(height, width, (0.93, 0.9, 0.85))
    xs = np.sort(rng.integers(0, width, 4)).tolist()
    ys = np.sort(rng.integers(0, height, 5)).tolist()
    for left, right in zip([0, *xs], [*xs, width], strict=True):
        for top, bottom in zip([0, *ys], [*ys, height], strict=True):
            if rng.random() < 0.6:
                image[top:bottom, left:right] = some_colour(rng)
            cv2.rectangle(
                image, (left, top), (right, bottom), (0.08, 0.08, 0.08), max(1, width // 50)
            )
    return image


def chart(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a printed sheet: a title, a diagram, lines of text."""
    image = flat(height, width, vary(rng, (0.9, 0.88, 0.8), 0.05))
    ink = some_colour(rng, 0.05, 0.45)
    write(rng, image, (int(0.08 * width), int(0.13 * height)), width / 260, ink)
    top, bottom = int(0.2 * height), int(0.6 * height)
    cv2.rectangle(image, (int(0.08 * width), top), (int(0.92 * width), bottom), ink, 1)
    for left in np.linspace(0.12, 0.84, int(rng.integers(4, 9))):
        x, bar = int(left * width), int(rng.uniform(0.1, 0.95) * (bottom - top))
        cv2.rectangle(image, (x, bottom - bar), (x + width // 14, bottom), some_colour(rng), -1)
    curve = np.interp(np.arange(width), np.linspace(0, width, 7), rng.uniform(top, bottom, 7))
    points = np.stack([np.arange(width), curve], -1)[int(0.1 * width) : int(0.9 * width)]
    cv2.polylines(image, [points.astype(np.int32)], False, some_colour(rng, 0, 0.6), 2, cv2.LINE_AA)
    write_lines(rng, image, int(0.66 * height), max(4, height // 28), (0.35, 0.35, 0.38))
    return image


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a framed picture of a random kind, often with a mount."""
    border = max(3, min(height, width) // 22)
    mount = border + int(rng.integers(0, 3)) * border
    frame = vary(rng, [(0.16, 0.1, 0.06), (0.75, 0.6, 0.3), (0.9, 0.9, 0.88)][rng.integers(3)], 0.1)
    image = wood(rng, height, width, tuple(frame))
    image[border:-border, border:-border] = (0.94, 0.93, 0.9)
    draw = (landscape, abstract, blocks, chart)[rng.integers(4)]
    image[mount:-mount, mount:-mount] = draw(rng, height - 2 * mount, width - 2 * mount)
    return image


def screen(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a monitor that shows windows with text and pictures."""
    image = flat(height, width, (0.03, 0.03, 0.035))
    shown = image[5:-7, 5:-5]
    shown[:] = landscape(rng, *shown.shape[:2])
    for _ in range(3):
        tall, wide = (int(rng.uniform(0.35, 0.65) * size) for size in shown.shape[:2])
        top = int(rng.integers(0, shown.shape[0] - tall))
        left = int(rng.integers(0, shown.shape[1] - wide))
        window = np.ascontiguousarray(shown[top : top + tall, left : left + wide])
        dark = rng.random() < 0.5
        window[:] = some_colour(rng, 0.05, 0.2) if dark else some_colour(rng, 0.85, 1)
        window[:6] = some_colour(rng, 0.3, 0.8)
        write_lines(
            rng, window, 12, 6, some_colour(rng, 0.5, 0.9) if dark else some_colour(rng, 0, 0.5)
        )
        shown[top : top + tall, left : left + wide] = window
    return image


def outdoors(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return the view out of a window: sky, clouds, a row of houses, trees."""
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    sky = np.stack([0.5 + 0.4 * rows, 0.7 + 0.25 * rows, 0.95 + 0 * rows], -1)
    image = np.repeat(sky, width, axis=1)
    cloud = np.clip(noise(rng, height, width, (60, 120), 5), 0, 1)[..., None]
    image = np.float32(image * (1 - cloud) + cloud)
    left = -10
    while left < width:
        wide, top = int(rng.integers(40, 90)), int(rng.uniform(0.42, 0.68) * height)
        wall = tuple(vary(rng, (0.72, 0.64, 0.54), 0.14).tolist())
        cv2.rectangle(image, (left, top), (left + wide, height), wall, -1)
        roof = np.array([(left - 4, top), (left + wide // 2, top - 28), (left + wide + 4, top)])
        cv2.fillPoly(image, [roof.astype(np.int32)], (0.5, 0.25, 0.2), cv2.LINE_AA)
        for x in range(left + 6, left + wide - 10, 16):
            for y in range(top + 8, height, 24):
                cv2.rectangle(image, (x, y), (x + 8, y + 13), (0.2, 0.25, 0.32), -1)
        left += wide + int(rng.integers(0, 25))
    for x in rng.uniform(0, width, 5):
        for _ in range(60):
            at = (int(x + rng.normal(0, 16)), int(0.85 * height + rng.normal(0, 22)))
            leaf = vary(rng, (0.22, 0.42, 0.15), 0.25).tolist()
            cv2.circle(image, at, int(rng.integers(2, 7)), leaf, -1, cv2.LINE_AA)
    return np.clip(image, 0, 1)


def leaves(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a spray of leaves on stems from the bottom centre, (H, W, 4) with opacity."""
    image = np.zeros((height, width, 4), np.float32)
    image[..., :3] = (0.15, 0.32, 0.1)
    root = np.array([width / 2, height])
    for _ in range(int(rng.integers(9, 14))):
        tip = rng.uniform((0.12 * width, 0.1 * height), (0.88 * width, 0.6 * height))
        green = (*vary(rng, (0.24, 0.46, 0.14), 0.22).tolist(), 1.0)
        cv2.line(image, root.astype(int).tolist(), tip.astype(int).tolist(), green, 2)
        for share in np.linspace(0.35, 1, 6):
            at = (root + share * (tip - root) + rng.normal(0, 3, 2)).astype(int).tolist()
            axes = (int(rng.uniform(9, 17)), int(rng.uniform(4, 7)))
            angle = float(rng.uniform(0, 180))
            tint = (*vary(rng, green[:3], 0.12).tolist(), 1.0)
            cv2.ellipse(image, at, axes, angle, 0, 360, tint, -1)
            vein = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * axes[0]
            ends = (np.array(at) - vein, np.array(at) + vein)
            cv2.line(image, *(e.astype(int).tolist() for e in ends), (*tint[:2], 0.3, 1.0), 1)
    return image
