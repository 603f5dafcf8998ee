"""Validation queries: whole stretches of a database, held out of all training graphs.

A frame next to a query is nearly its copy. Queries drawn one by one would keep such frames as
neighbours and measure little; those of a held-out stretch are as far from what a network was
trained on as a new recording is. Choices are made on them, never on test queries.
"""

from typing import NamedTuple

import numpy as np


class ValidationSettings(NamedTuple):
    """What is held out.

    Attributes:
        share: of the database, 0 to 1; rounded to whole stretches, never all of it.
        stretch: consecutive frames that are held out together.
    """

    share: float
    stretch: int


def held_out_frames(
    count: int, settings: ValidationSettings | None, generator: np.random.Generator
) -> np.ndarray:
    """Return which of ``count`` database frames, in recorded order, are held out (count,) bool."""
    if settings is None:
        return np.zeros(count, dtype=bool)
    stretches = count // settings.stretch  # a shorter one at the end would show too little
    held_out = held_out_count(count, settings) // settings.stretch
    chosen = generator.choice(stretches, held_out, replace=False)
    return np.isin(np.arange(count) // settings.stretch, chosen)


def held_out_count(count: int, settings: ValidationSettings | None) -> int:
    """Return how many of ``count`` database frames are held out."""
    if settings is None:
        return 0
    wanted = round(settings.share * count / settings.stretch)
    most = (count - 1) // settings.stretch  # at least one frame is left
    return settings.stretch * max(min(wanted, most), 0)


def rank_among(ranked: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the rankings (N, K') restricted to some images, as positions in ``images``.

    All are cut to the length of the shortest.

    Args:
        ranked: (N, K) database images of each query, best first.
        images: (M,) indices of the database images to keep, ascending.
    """
    allowed = np.isin(ranked, images)
    length = allowed.sum(axis=1).min(initial=ranked.shape[1])
    first = np.argsort(~allowed, axis=1, kind="stable")[:, :length]
    return np.searchsorted(images, np.take_along_axis(ranked, first, axis=1))
