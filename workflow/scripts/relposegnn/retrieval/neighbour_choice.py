"""Choice of a query's neighbours among the database images, strided along its ranking by default.

Dimensions: N queries, K images in a ranking, k neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..runtime import InputError


@dataclass(frozen=True)
class SamplingSettings:
    """How the neighbours of a query are chosen (paper, section 3.1 and supplement; 3DV poster).

    Attributes:
        neighbours: database images in a graph.
        selection: ``strided``: by ``subsample_ranking``, best-ranked first, as published.
            ``random``: any database images, in random order. ``sequential``: the best-ranked image
            and those that follow it in its sequence. The last two are ablations.
        stride: only for ``strided``.
        drop_probability: only for ``strided``.
        seed: for ``strided`` and ``random``.
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
        database: names of the database images; only ``sequential`` looks at them.
        settings: how neighbours are chosen.
        generator: of the draws, query by query.
        within: query i is database image i and must not be its own neighbour.

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
    """Check that a ranking is long enough, or a database large enough, to choose a graph from.

    Args:
        settings: how neighbours are chosen.
        ranked: length of a ranking.
        database: images that may be a query's neighbours.
        source: start of the message.

    Raises:
        InputError: there are fewer images than neighbours in a graph.
    """
    found = ranked if settings.selection == "strided" else database
    unranked = settings.selection == "sequential" and ranked < 1  # it starts at the best-ranked
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
    [0, stride) on, every stride-th of the rest is taken until there are k. If the ranking ends
    before, the best entries not taken yet fill the graph, and the second value is True.
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
    """Replace the neighbours of a random share of the graphs by the k best-ranked images.

    ``neighbours`` (N, k) are changed in place; ``ranked`` (N, K) are the rankings. Return which
    graphs (N,) bool were changed.
    """
    nearest = generator.random(len(ranked)) < share
    neighbours[nearest] = ranked[nearest, : neighbours.shape[1]]
    return nearest


def random_neighbours(
    queries: int, database: int, count: int, generator: np.random.Generator, within: bool
) -> np.ndarray:
    """Return ``count`` distinct database indices (N, k) for each of N queries, in random order.

    If the queries are ``within`` the database, query i is frame i and not its own neighbour.
    """
    others = database - 1 if within else database
    chosen = [generator.choice(others, count, replace=False) for _ in range(queries)]
    neighbours = np.array(chosen, dtype=np.int64).reshape(queries, count)
    return neighbours + (neighbours >= np.arange(queries)[:, None]) if within else neighbours


def sequential_neighbours(
    best: np.ndarray, names: list[str], count: int, within: bool
) -> np.ndarray:
    """Return each query's best-ranked image and those that follow it in its sequence, (N, k).

    Images of a sequence have the same name up to the last slash; they are in the order of the
    database. After its end, the frames before the best-ranked one follow, nearest first.

    Args:
        best: (N,) the best-ranked database image of each query.
        names: of the database images.
        count: k.
        within: query i is database image i and must not be its own neighbour.

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
