"""Styles of generated rooms: materials, colours and kinds of furniture."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from .textures import (
    Colour,
    Material,
    boards,
    brick,
    concrete,
    half_panelled,
    panelling,
    plaster,
    rug,
    tiles,
    wallpaper,
)

FURNITURE = [
    "armchair", "bookcase", "cabinet", "desk", "lamp",
    "plant", "rack", "sofa", "window", "workbench",
]  # fmt: skip


@dataclass(frozen=True)
class Style:
    """The materials and furniture of a kind of room.

    ``colours``: its wood, then accents. ``kinds``: furniture; the first four stand along the front
    wall. ``ambient``: light from all directions, where 1 is bright. ``rug`` may be None.
    """

    colours: list[Colour]
    front_wall: Material
    side_wall: Material
    floor: Material
    ceiling: Material
    kinds: list[str]
    rug: Material | None
    ambient: float
    beams: bool


def study(rng: np.random.Generator) -> Style:
    """Return a study: wallpaper over panelling, dark wood, books."""
    wood = [(0.42, 0.25, 0.13), (0.55, 0.36, 0.2), (0.3, 0.17, 0.1)][rng.integers(3)]
    ground, stripe = [
        ((0.78, 0.72, 0.56), (0.72, 0.64, 0.46)),
        ((0.55, 0.66, 0.6), (0.48, 0.6, 0.55)),
        ((0.76, 0.6, 0.55), (0.7, 0.53, 0.48)),
    ][rng.integers(3)]
    accents = [(0.55, 0.14, 0.12), (0.13, 0.27, 0.42), (0.72, 0.53, 0.2), (0.25, 0.38, 0.2)]
    paper = partial(wallpaper, colours=[ground, stripe, *accents])
    lower = partial(panelling, colour=tuple(1.1 * np.asarray(wood)))
    wall = partial(half_panelled, upper=paper, lower=lower, rail=215)
    return Style(
        colours=[wood, *accents],
        front_wall=wall,
        side_wall=wall,
        floor=partial(boards, colour=(0.6, 0.42, 0.25), board=28, length=330),
        ceiling=partial(plaster, colour=(0.9, 0.88, 0.83)),
        kinds=["bookcase", "desk", "window", "cabinet", "plant", "sofa", "bookcase", "armchair"],
        rug=partial(rug, colours=[*accents, (0.85, 0.78, 0.62)]),
        ambient=0.28,
        beams=False,
    )


def workshop(rng: np.random.Generator) -> Style:
    """Return a workshop: brick, beams, pale wood, racks of cartons."""
    wood = [(0.74, 0.58, 0.38), (0.66, 0.5, 0.34)][rng.integers(2)]
    accents = [(0.24, 0.42, 0.52), (0.82, 0.62, 0.12), (0.72, 0.22, 0.12), (0.16, 0.4, 0.28)]
    wall_colour = [(0.8, 0.82, 0.8), (0.72, 0.78, 0.8)][rng.integers(2)]
    tiled = rng.random() < 0.4
    floor = partial(tiles, colours=[(0.62, 0.6, 0.55), (0.42, 0.44, 0.46)], size=80)
    return Style(
        colours=[wood, *accents],
        front_wall=partial(brick, colour=(0.6, 0.32, 0.24)),
        side_wall=partial(plaster, colour=wall_colour),
        floor=floor if tiled else partial(concrete, colour=(0.56, 0.55, 0.53)),
        ceiling=partial(boards, colour=(0.78, 0.68, 0.5), board=34, length=500),
        kinds=["workbench", "window", "rack", "rack", "cabinet", "desk", "plant", "lamp"],
        rug=None,
        ambient=0.33,
        beams=True,
    )


def mixed(rng: np.random.Generator) -> Style:
    """Return a room of any materials, colours and furniture."""
    colours = [tuple(colour) for colour in rng.uniform(0.1, 0.9, (8, 3)).tolist()]
    dim, bright = colours[0], tuple((0.5 + 0.5 * rng.uniform(0.6, 1, 3)).tolist())
    accents = colours[2:6]
    walls = [
        partial(wallpaper, colours=[bright, colours[6], *accents]),
        partial(plaster, colour=bright),
        partial(brick, colour=colours[7]),
        partial(panelling, colour=dim),
        partial(concrete, colour=bright),
        partial(tiles, colours=[bright, colours[6]], size=int(rng.integers(30, 90))),
    ]
    tiling, wooden = int(rng.integers(30, 110)), int(rng.integers(20, 45))
    floors = [
        partial(boards, colour=colours[6], board=wooden, length=int(rng.integers(200, 500))),
        partial(tiles, colours=colours[6:8], size=tiling),
        partial(concrete, colour=colours[7]),
        partial(rug, colours=[*accents, bright]),
    ]
    upper, lower, front = (walls[i] for i in rng.integers(len(walls), size=3))
    split = partial(half_panelled, upper=upper, lower=lower, rail=int(rng.integers(150, 260)))
    kinds = rng.permutation(FURNITURE * 2)[: int(rng.integers(6, 13))].tolist()
    return Style(
        colours=[dim, *accents],
        front_wall=split if rng.random() < 0.3 else front,
        side_wall=split if rng.random() < 0.3 else upper,
        floor=floors[rng.integers(len(floors))],
        ceiling=partial(plaster, colour=bright),
        kinds=kinds,
        rug=partial(rug, colours=[*accents, bright]) if rng.random() < 0.5 else None,
        ambient=float(rng.uniform(0.2, 0.4)),
        beams=bool(rng.random() < 0.3),
    )
