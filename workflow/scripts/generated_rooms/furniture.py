"""Furniture of generated rooms; each piece is a list of parts in its own frame.

Frame: x along the width with 0 in the middle, y from the back at 0 towards the front, z up from
the floor. Functions of pieces are ``(rng, width, colours) -> items``; ``colours`` are the room's
wood, then its accents.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from .faces import carton, cushion, drawers, pages, pegboard, spines
from .geometry import Card, Part, prism
from .pictures import leaves, outdoors, picture, screen, some_colour
from .textures import Colour, Material, fabric, paint, vary, wood

Items = list[Part | Card]
METAL = partial(paint, colour=(0.42, 0.43, 0.46))
DARK = partial(paint, colour=(0.07, 0.07, 0.08))
WHITE = partial(paint, colour=(0.9, 0.89, 0.86))


def _box(
    x: float, y: float, z: float, size: Sequence[float], material: Material, **options
) -> Part:
    """Return a part of ``size`` (width, depth, height), centred at x, back at y, bottom at z."""
    half = size[0] / 2
    return Part((x - half, y, z), (x + half, y + size[1], z + size[2]), material, **options)


def _accent(rng: np.random.Generator, colours: Sequence[Colour]) -> Colour:
    return tuple(float(v) for v in vary(rng, colours[rng.integers(1, len(colours))], 0.1))


def books(rng: np.random.Generator, left: float, right: float, y: float, z: float) -> Items:
    """Return a row of books from x = ``left`` to ``right``, blocks of varied height and depth."""
    items: Items = []
    while left < right - 0.07:
        wide = min(float(rng.uniform(0.1, 0.3)), right - left)
        if rng.random() < 0.86:
            size = (wide, float(rng.uniform(0.15, 0.22)), float(rng.uniform(0.19, 0.28)))
            cover = partial(paint, colour=some_colour(rng, 0.15, 0.6))
            block = _box(left + wide / 2, y, z, size, cover, front=spines, top=pages, solid=False)
            items.append(block)
        left += wide + float(rng.choice([0.0, 0.004, 0.05]))
    return items


def bookcase(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return a tall bookcase, filled."""
    board, depth, high = partial(wood, colour=colours[0]), 0.3, float(rng.uniform(1.9, 2.15))
    half = width / 2
    items: Items = [_box(0, 0, 0, (width, 0.03, high), board)]
    items += [_box(x, 0, 0, (0.03, depth, high), board) for x in (-half + 0.015, half - 0.015)]
    levels = np.linspace(0.08, high - 0.03, 7)
    items += [_box(0, 0.03, z, (width - 0.06, depth - 0.035, 0.025), board) for z in levels]
    for z in levels[:-1]:
        items += books(rng, -half + 0.04, half - 0.04, 0.04, z + 0.025)
    return items


def ornament(
    rng: np.random.Generator,
    at: tuple[float, float, float],
    colours: Sequence[Colour],
    kind: int,
) -> Items:
    """Return a small object to stand on furniture, by kind: vase, books, carton, picture."""
    x, y, z = at
    kind = kind % 4
    if kind == 0:
        colour = partial(paint, colour=_accent(rng, colours))
        return prism((x, y), (z, z + float(rng.uniform(0.14, 0.3))), 0.06, colour)
    if kind == 1:
        items: Items = []
        for level in range(int(rng.integers(2, 6))):
            cover = partial(paint, colour=some_colour(rng, 0.15, 0.75))
            size = (float(rng.uniform(0.2, 0.27)), 0.17, 0.035)
            turn = float(rng.normal(0, 0.2))
            base = z + 0.035 * level
            items.append(_box(x, y - 0.08, base, size, cover, yaw=turn, solid=False))
        return items
    if kind == 2:
        size = rng.uniform(0.16, 0.28, 3).tolist()
        return [_box(x, y - 0.1, z, size, carton, yaw=float(rng.normal(0, 0.25)), solid=False)]
    size = (float(rng.uniform(0.16, 0.24)), 0.025, float(rng.uniform(0.2, 0.3)))
    return [_box(x, y, z, size, DARK, front=picture, yaw=float(rng.normal(0, 0.3)), solid=False)]


def cabinet(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return a sideboard with drawers or doors, and objects on top."""
    high, depth = float(rng.uniform(0.75, 0.95)), float(rng.uniform(0.4, 0.48))
    first = int(rng.integers(4))
    rows, columns = int(rng.integers(1, 4)), max(2, round(width / 0.45))
    body = partial(wood, colour=colours[0])
    front = partial(drawers, colour=colours[0], rows=rows, columns=columns)
    items: Items = [_box(0, 0, 0.06, (width, depth, high - 0.06), body, front=front)]
    items.append(_box(0, 0, high, (width + 0.04, depth + 0.02, 0.03), body))
    for kind, x in enumerate(np.arange(-width / 2 + 0.18, width / 2 - 0.12, 0.32), first):
        items += ornament(rng, (float(x), 0.2, high + 0.03), colours, kind)
    return items


def table(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return a table on four legs with a few things on it."""
    board, depth, high = partial(wood, colour=colours[0]), 0.8, 0.74
    items: Items = [_box(0, 0, high - 0.04, (width, depth, 0.04), board)]
    items.append(_box(0, 0.08, high - 0.12, (width - 0.16, depth - 0.16, 0.08), board))
    for x in (-width / 2 + 0.06, width / 2 - 0.06):
        items += [_box(x, y, 0, (0.06, 0.06, high - 0.04), board) for y in (0.03, depth - 0.09)]
    places = np.arange(-width / 2 + 0.2, width / 2 - 0.1, 0.38)
    for kind, x in enumerate(places, int(rng.integers(4))):
        items += ornament(rng, (float(x), float(rng.uniform(0.25, 0.6)), high), colours, kind)
    return items


def desk(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return a desk with a monitor, a keyboard, a lamp and a pedestal of drawers."""
    board, half = partial(wood, colour=colours[0]), width / 2
    front = partial(drawers, colour=colours[0], rows=4, columns=1)
    items: Items = [
        _box(0, 0, 0.71, (width, 0.72, 0.035), board),
        _box(half - 0.24, 0.05, 0, (0.42, 0.6, 0.7), board, front=front),
        _box(-half + 0.04, 0.03, 0, (0.05, 0.62, 0.71), board),
        _box(0, 0.12, 0.745, (0.24, 0.2, 0.02), DARK, solid=False),
        _box(0, 0.17, 0.76, (0.05, 0.03, 0.15), DARK, solid=False),
        _box(0, 0.2, 0.86, (0.62, 0.04, 0.38), DARK, front=screen),
        _box(0.02, 0.45, 0.745, (0.44, 0.15, 0.02), DARK, top=_keys, yaw=0.06, solid=False),
    ]
    kind = int(rng.integers(4))
    items += ornament(rng, (half - 0.2, 0.3, 0.745), colours, kind)
    items += ornament(rng, (half - 0.44, 0.2, 0.745), colours, kind + 1)
    items += desk_lamp(rng, -half + 0.2, 0.22, 0.745, colours)
    return items


def _keys(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    image = DARK(rng, height, width)
    for y in range(3, height - 5, 7):
        for x in range(3, width - 5, 7):
            image[y : y + 5, x : x + 5] = vary(rng, (0.5, 0.5, 0.5), 0.25)
    return image


def desk_lamp(
    rng: np.random.Generator, x: float, y: float, z: float, colours: Sequence[Colour]
) -> Items:
    """Return a small lamp with a glowing shade."""
    shade = partial(fabric, colour=(0.95, 0.85, 0.65))
    foot = prism((x, y), (z, z + 0.22), 0.025, partial(paint, colour=_accent(rng, colours)))
    return foot + prism((x, y), (z + 0.2, z + 0.42), 0.12, shade, glow=0.75)


def chair(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return a chair that faces +y, its seat covered in cloth."""
    board, seat = partial(wood, colour=colours[0]), partial(fabric, colour=_accent(rng, colours))
    half = width / 2 - 0.03
    items: Items = [_box(0, 0, 0.42, (width, 0.44, 0.05), seat)]
    for x in (-half, half):
        items += [
            _box(x, 0, 0, (0.04, 0.04, 0.95), board),
            _box(x, 0.4, 0, (0.04, 0.04, 0.42), board),
        ]
    items += [_box(0, 0.005, z, (width - 0.08, 0.025, 0.09), board) for z in (0.6, 0.72, 0.85)]
    return items


def armchair(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return an upholstered chair with cushions; a wide one is a sofa."""
    cloth, half = partial(fabric, colour=_accent(rng, colours)), width / 2
    items: Items = [
        _box(0, 0.02, 0.08, (width, 0.8, 0.3), cloth),
        _box(0, 0, 0.08, (width, 0.2, 0.78), cloth),
        _box(-half + 0.08, 0, 0.08, (0.16, 0.82, 0.52), cloth),
        _box(half - 0.08, 0, 0.08, (0.16, 0.82, 0.52), cloth),
    ]
    for x in np.arange(-half + 0.38, half - 0.3, 0.5):
        turn = float(rng.normal(0, 0.25))
        items.append(_box(float(x), 0.22, 0.39, (0.38, 0.13, 0.36), cushion, yaw=turn, solid=False))
    return items


def plant(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return a potted plant, leaves on crossed cards."""
    pot = partial(paint, colour=_accent(rng, colours))
    middle, high = (0.0, width / 2), float(rng.uniform(0.8, 1.15))
    items = prism(middle, (0, 0.36), 0.17, pot)
    for angle in np.arange(4) * np.pi / 4 + rng.uniform(0, 1):
        out = width / 2 * np.array([np.cos(angle), np.sin(angle), 0.0])
        corner = np.array([*middle, 0.3 + high]) - out
        items.append(Card(tuple(corner), tuple(2 * out), (0, 0, -high), leaves))
    return items


def floor_lamp(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return a standard lamp with a glowing shade."""
    at = (0.0, width / 2)
    shade = partial(fabric, colour=(0.96, 0.86, 0.66))
    items = prism(at, (0, 0.03), 0.15, METAL) + prism(at, (0.03, 1.5), 0.016, METAL)
    return items + prism(at, (1.4, 1.7), width / 2, shade, glow=0.8)


def radiator(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return a ribbed radiator."""
    ribs = np.arange(-width / 2, width / 2, 0.075)
    return [_box(float(x), 0.04, 0.12, (0.055, 0.1, 0.6), WHITE, solid=False) for x in ribs] + [
        _box(0, 0.06, 0.2, (width, 0.06, 0.45), WHITE)
    ]


def window(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return a window with bars, a sill and curtains; z = 0 is the sill."""
    high, half = 1.25, width / 2
    view = Card((half, 0.015, high), (-width, 0, 0), (0, 0, -high), outdoors, glow=0.5)
    items: Items = [view, _box(0, 0, -0.05, (width + 0.12, 0.17, 0.04), WHITE, solid=False)]
    for x in (-half, 0, half):
        items.append(_box(x, 0.01, -0.02, (0.06, 0.07, high + 0.04), WHITE, solid=False))
    for z in (0, 0.8, high):
        items.append(_box(0, 0.01, z - 0.02, (width, 0.055, 0.045), WHITE, solid=False))
    cloth = partial(fabric, colour=_accent(rng, colours))
    for side in (-1, 1):
        for fold in range(4):
            at = side * (half + 0.02 + 0.075 * fold)
            size = (0.08, 0.05 + 0.03 * (fold % 2), high + 0.5)
            items.append(_box(at, 0.03, -0.32, size, cloth, solid=False))
    return items


def workbench(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return a workbench with a shelf of cartons below and a board of tools above."""
    board, half = partial(wood, colour=colours[0]), width / 2
    hung = partial(pegboard, colour=colours[1], inks=colours[2:])
    items: Items = [_box(0, 0, 0.82, (width, 0.68, 0.07), board)]
    items.append(_box(0, 0.06, 0.2, (width - 0.1, 0.55, 0.03), board))
    for x in (-half + 0.06, half - 0.06):
        items += [_box(x, y, 0, (0.09, 0.09, 0.82), board) for y in (0.03, 0.56)]
    items.append(_box(0, 0, 1.05, (width, 0.03, 0.85), DARK, front=hung))
    for kind, x in enumerate(np.arange(-half + 0.3, half - 0.25, 0.42), int(rng.integers(4))):
        size = rng.uniform((0.28, 0.3, 0.22), (0.38, 0.45, 0.46)).tolist()
        items.append(_box(float(x), 0.1, 0.23, size, carton, yaw=float(rng.normal(0, 0.06))))
        at = (float(x), float(rng.uniform(0.2, 0.45)), 0.89)
        items += ornament(rng, at, colours, kind)
    return items


def rack(rng: np.random.Generator, width: float, colours: Sequence[Colour]) -> Items:
    """Return an open metal rack of cartons and painted boxes."""
    half, depth, high = width / 2, 0.42, 2.0
    items: Items = [
        _box(x, y, 0, (0.035, 0.035, high), METAL, solid=False)
        for x in (-half + 0.02, half - 0.02)
        for y in (0, depth - 0.035)
    ]
    for z in (0.12, 0.6, 1.08, 1.56, high - 0.02):
        items.append(_box(0, 0, z, (width, depth, 0.03), METAL))
    for z in (0.15, 0.63, 1.11, 1.59):
        left = -half + 0.05
        while left < half - 0.2:
            wide = min(float(rng.uniform(0.18, 0.42)), half - 0.04 - left)
            size = (wide, float(rng.uniform(0.26, 0.36)), float(rng.uniform(0.16, 0.36)))
            plain = partial(paint, colour=_accent(rng, colours))
            material = carton if rng.random() < 0.6 else plain
            items.append(
                _box(left + wide / 2, 0.03, z, size, material, yaw=float(rng.normal(0, 0.04)))
            )
            left += wide + float(rng.uniform(0.02, 0.07))
    return items


def framed(rng: np.random.Generator, width: float, height: float) -> Items:
    """Return a picture to hang; z = 0 is its lower edge."""
    return [_box(0, 0.003, 0, (width, 0.03, height), DARK, front=picture, solid=False)]
