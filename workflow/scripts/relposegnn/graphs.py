"""Retrieval graphs: a query and some database images, by default strided along its ranking.

A graph has 1 + k nodes: node 0 is the query, nodes 1..k its neighbours. The file holds frame
indices and nothing else, so that a graph costs some tens of bytes.
"""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from .frames import Frames
from .runtime import InputError, numpy_generator
from .storage import SPLITS, create_hdf5, open_hdf5

logger = logging.getLogger(__name__)


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

    neighbours: int = 7
    selection: str = "strided"
    stride: int = 5
    drop_probability: float = 0.5
    seed: int = 0


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
) -> tuple[np.ndarray, int]:
    """Return the neighbours (N, k) of N rankings (N, K), and how many rankings were too short."""
    chosen = [subsample_ranking(ranked.shape[1], settings, generator) for _ in ranked]
    positions = np.array([position for position, _ in chosen], dtype=np.int64)
    positions = positions.reshape(len(ranked), settings.neighbours)
    return np.take_along_axis(ranked, positions, axis=1), sum(filled for _, filled in chosen)


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


def sample_graphs(
    neighbours_file: str | Path,
    graphs_file: str | Path,
    scene: str,
    settings: SamplingSettings,
    frames_file: str | Path,
) -> None:
    """Sample one graph per frame of both splits and write the graphs file.

    Args:
        neighbours_file: rankings of the database images for each frame.
        graphs_file: output.
        scene: its name, for the seeds and messages.
        settings: how neighbours are chosen.
        frames_file: counts and names of the frames.

    Raises:
        InputError: there are too few database images for a graph, the two files do not belong
            together, or the selection is unknown.
    """
    with (
        Frames(frames_file) as frames,
        open_hdf5(neighbours_file, "neighbours") as rankings,
        create_hdf5(graphs_file, "graphs", asdict(settings)) as graphs,
    ):
        for split in SPLITS:
            ranked = rankings[f"{split}/index"][:]
            _check_ranking(ranked, settings, frames, split, f"{neighbours_file} ({scene}, {split})")
            generator = numpy_generator(settings.seed, "graphs", scene, split)
            neighbours, filled = _select(ranked, settings, generator, frames, split)
            write_split(graphs, split, np.arange(len(neighbours)), neighbours, filled)
            if filled:
                logger.warning(
                    "%s, %s: %d of %d rankings (length %d) end before stride %d yields %d "
                    "neighbours; their best unused entries fill these graphs. A larger "
                    "retrieval.candidates or a smaller graphs.stride avoids it",
                    *(scene, split, filled, len(ranked), ranked.shape[1]),
                    *(settings.stride, settings.neighbours),
                )


def _select(
    ranked: np.ndarray,
    settings: SamplingSettings,
    generator: np.random.Generator,
    frames: Frames,
    split: str,
) -> tuple[np.ndarray, int]:
    """Return the neighbours (N, k) of a split's queries, and how many rankings were too short."""
    count, database = settings.neighbours, frames.names("train")
    within = split == "train"
    if settings.selection == "strided":
        return strided_neighbours(ranked, settings, generator)
    if settings.selection == "random":
        return random_neighbours(len(ranked), len(database), count, generator, within), 0
    if settings.selection == "sequential":
        return sequential_neighbours(ranked[:, 0], database, count, within), 0
    raise InputError(
        f"graphs.selection is {settings.selection!r}, expected strided, random or sequential"
    )


def _check_ranking(
    ranked: np.ndarray, settings: SamplingSettings, frames: Frames, split: str, source: str
) -> None:
    """Refuse rankings of other frames, and a database too small for a graph."""
    if len(ranked) != frames.count(split):
        raise InputError(
            f"{source}: ranks for {len(ranked)} frames, expected the {frames.count(split)} of "
            f"{frames.path}; rank the neighbours again"
        )
    strided = settings.selection == "strided"
    found = ranked.shape[1] if strided else frames.count("train") - (split == "train")
    if found < settings.neighbours:
        raise InputError(
            f"{source}: {found} database images to choose from for each query, expected at least "
            f"graphs.neighbours = {settings.neighbours}: the scene has too few training frames, or "
            "retrieval.candidates is too small"
        )


def write_split(
    file: h5py.File,
    split: str,
    query: np.ndarray,
    neighbours: np.ndarray,
    rankings_too_short: int = 0,
) -> None:
    """Write one split's graphs: query (G,) in ``split``, neighbours (G, k) in the training frames.

    ``rankings_too_short`` of them were filled up because a ranking ended.
    """
    group = file.create_group(split)
    group["query"] = query.astype(np.int32)
    group["neighbours"] = neighbours.astype(np.int32)
    group.attrs["rankings_too_short"] = rankings_too_short


def read_graphs(graphs_file: str | Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the frame indices of a split's graphs: query (G,) and neighbours (G, k).

    Queries count in ``split``, neighbours in the training frames.
    """
    with open_hdf5(graphs_file, "graphs") as file:
        return file[f"{split}/query"][:], file[f"{split}/neighbours"][:]


def complete_edges(nodes: int) -> np.ndarray:
    """Return both directions of every pair of ``nodes`` nodes as edges (2, n (n - 1)).

    In the order of the published graphs: pairs (i, i + d) by d, then by i; then all reversed. The
    first edge into node 0 comes from node 1, the best-ranked neighbour.
    """
    source = np.concatenate([np.arange(nodes - d) for d in range(1, nodes)])
    target = np.concatenate([np.arange(d, nodes) for d in range(1, nodes)])
    forward = np.stack([source, target])
    return np.concatenate([forward, forward[::-1]], axis=1)
