"""Choice of a query's neighbours among the database images, by default strided along its ranking.

Dimensions: N queries, K images in a ranking, k neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .runtime import InputError


@dataclass(frozen=True)
class SamplingSettings:
    """How the neighbours of a query are chosen (paper, section 3.1 and supplement; 3DV poster).

    Attributes:
        neighbours: database images in a graph.
        selection: ``strided``: by ``subsample_ranking``, best-ranked first, as published.
            ``random``: any database images, in random order. ``sequential``: the best-ranked image
            and those that follow it in its sequence. The last two are ablations.
        stride: of ``strided`` alone.
        drop_probability: of ``strided`` alone.
        seed: of ``strided`` and ``random``.
    """

    neighbours: int
    selection: str
    stride: int
    drop_probability: float
    seed: int


def choose_neighbours(
    ranked: np.ndarray,
    database: Sequence[object],
    settings: SamplingSettings,
    generator: np.random.Generator,
    within: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the neighbours (N, k) of N queries, and whose rankings were too short (N,) bool.

    Args:
        ranked: (N, K) database images of each query, best first.
        database: names of the database images; anything as long where no sequence is chosen.
        settings: how they are chosen.
        generator: of the draws, query by query.
        within: query i is database image i, which its graph leaves out.

    Raises:
        InputError: a sequence has too few frames, or the selection is unknown.
    """
    count, none = settings.neighbours, np.zeros(len(ranked), dtype=bool)
    if settings.selection == "strided":
        return strided_neighbours(ranked, settings, generator)
    if settings.selection == "random":
        return random_neighbours(len(ranked), len(database), count, generator, within), none
    if settings.selection == "sequential":
        return sequential_neighbours(ranked[:, 0], database, count, within), none
    raise InputError(
        f"graphs.selection is {settings.selection!r}, expected strided, random or sequential"
    )


def check_choice(settings: SamplingSettings, ranked: int, database: int, source: str) -> None:
    """Refuse a ranking too short, or a database too small, to choose a graph from.

    Args:
        settings: how neighbours are chosen.
        ranked: length of a ranking.
        database: images that may be a query's neighbours.
        source: what the message starts with.

    Raises:
        InputError: there are fewer than the neighbours of a graph.
    """
    found = ranked if settings.selection == "strided" else database
    unranked = settings.selection == "sequential" and ranked < 1  # it begins at the first
    if found < settings.neighbours or unranked:
        found = 0 if unranked else found
        raise InputError(
            f"{source}: {found} database images to choose from for each query, expected at least "
            f"graphs.neighbours = {settings.neighbours}: the scene has too few training frames, "
            "graphs.validation holds too many of them out, or retrieval.candidates is too small"
        )


def subsample_ranking(
    ranking_length: int, settings: SamplingSettings, generator: np.random.Generator
) -> tuple[np.ndarray, bool]:
    """Return the positions (k,) of one query's neighbours in its ranking, best first.

    Each entry of the ranking is dropped with ``drop_probability``; from a random offset in
    [0, stride) every stride-th of the rest is taken until there are k. Where the ranking ends
    before, the best entries not yet taken fill the graph, and the second value is True.
    """
    kept = np.flatnonzero(generator.random(ranking_length) >= settings.drop_probability)
    offset = generator.integers(settings.stride)
    taken = kept[offset :: settings.stride][: settings.neighbours]
    missing = settings.neighbours - len(taken)
    if missing == 0:
        return taken, False
    rest = np.setdiff1d(np.arange(ranking_length), taken)
    return np.sort(np.concatenate([taken, rest[:missing]])), True


def strided_neighbours(
    ranked: np.ndarray, settings: SamplingSettings, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the neighbours (N, k) of N rankings (N, K), and which were too short (N,) bool."""
    chosen = [subsample_ranking(ranked.shape[1], settings, generator) for _ in ranked]
    positions = np.array([position for position, _ in chosen], dtype=np.int64)
    positions = positions.reshape(len(ranked), settings.neighbours)
    filled = np.array([filled for _, filled in chosen], dtype=bool)
    return np.take_along_axis(ranked, positions, axis=1), filled


def mix_nearest(
    neighbours: np.ndarray, ranked: np.ndarray, share: float, generator: np.random.Generator
) -> np.ndarray:
    """Give a share of the graphs the first k of their rankings (N, K); return which ones (N,) bool.

    ``neighbours`` (N, k) are changed in place.
    """
    nearest = generator.random(len(ranked)) < share
    neighbours[nearest] = ranked[nearest, : neighbours.shape[1]]
    return nearest


def random_neighbours(
    queries: int, database: int, count: int, generator: np.random.Generator, within: bool
) -> np.ndarray:
    """Return ``count`` distinct database indices (N, k) for each of N queries, in random order.

    Where the queries are ``within`` the database, query i being frame i, none is its own neighbour.
    """
    others = database - 1 if within else database
    chosen = [generator.choice(others, count, replace=False) for _ in range(queries)]
    neighbours = np.array(chosen, dtype=np.int64).reshape(queries, count)
    return neighbours + (neighbours >= np.arange(queries)[:, None]) if within else neighbours


def sequential_neighbours(
    best: np.ndarray, names: list[str], count: int, within: bool
) -> np.ndarray:
    """Return each query's best-ranked image and those that follow it in its sequence, (N, k).

    A sequence is what the names share up to their last slash, in the order of the database. Where
    it ends, the frames before the best-ranked one follow, nearest first.

    Args:
        best: (N,) the best-ranked database image of each query.
        names: of the database images.
        count: k.
        within: query i is database image i, which its graph leaves out.

    Raises:
        InputError: a sequence has too few frames.
    """
    sequence_of = np.array([name.rpartition("/")[0] for name in names])
    members = {name: np.flatnonzero(sequence_of == name) for name in np.unique(sequence_of)}
    neighbours = np.empty((len(best), count), dtype=np.int64)
    for query, first in enumerate(best.tolist()):
        frames = members[sequence_of[first]]
        start = np.searchsorted(frames, first)
        ordered = np.concatenate([frames[start:], frames[:start][::-1]])
        ordered = ordered[ordered != query][:count] if within else ordered[:count]
        if len(ordered) < count:
            raise InputError(
                f"sequence {str(sequence_of[first])!r} has {len(ordered)} database images for a "
                f"graph, expected at least graphs.neighbours = {count}; lower it or choose another "
                "graphs.selection"
            )
        neighbours[query] = ordered
    return neighbours
