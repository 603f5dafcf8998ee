"""Retrieval graphs: a query and a strided subsample of its ranked database images.

A graph has 1 + k nodes: node 0 is the query, nodes 1..k its neighbours, best-ranked first. The file
holds frame indices and nothing else, so that a graph costs some tens of bytes.
"""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from .runtime import InputError, numpy_generator
from .storage import SPLITS, create_hdf5, open_hdf5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SamplingSettings:
    """How neighbours are drawn from a ranking (paper, section 3.1 and supplement)."""

    neighbours: int = 7
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


def sample_neighbours(
    ranked: np.ndarray, settings: SamplingSettings, generator: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Return the neighbours (N, k) of N rankings (N, K), and how many rankings were too short."""
    positions = [subsample_ranking(ranked.shape[1], settings, generator) for _ in ranked]
    chosen = np.stack([position for position, _ in positions])
    return np.take_along_axis(ranked, chosen, axis=1), sum(filled for _, filled in positions)


def sample_graphs(
    neighbours_file: str | Path, graphs_file: str | Path, scene: str, settings: SamplingSettings
) -> None:
    """Sample one graph per frame of both splits and write the graphs file.

    Raises:
        InputError: a ranking has fewer database images than a graph has neighbours.
    """
    with (
        open_hdf5(neighbours_file, "neighbours") as rankings,
        create_hdf5(graphs_file, "graphs", asdict(settings)) as graphs,
    ):
        for split in SPLITS:
            ranked = rankings[f"{split}/index"][:]
            _check_ranking(ranked, settings, f"{neighbours_file} ({scene}, {split})")
            generator = numpy_generator(settings.seed, "graphs", scene, split)
            neighbours, filled = sample_neighbours(ranked, settings, generator)
            _write_split(graphs, split, neighbours, filled)
            if filled:
                logger.warning(
                    "%s, %s: %d of %d rankings (length %d) end before stride %d yields %d "
                    "neighbours; their best unused entries fill these graphs. A larger "
                    "retrieval.candidates or a smaller graphs.stride avoids it",
                    *(scene, split, filled, len(ranked), ranked.shape[1]),
                    *(settings.stride, settings.neighbours),
                )


def _check_ranking(ranked: np.ndarray, settings: SamplingSettings, source: str) -> None:
    if ranked.shape[1] < settings.neighbours:
        raise InputError(
            f"{source}: {ranked.shape[1]} database images are ranked for each query, expected at "
            f"least graphs.neighbours = {settings.neighbours}: the scene has too few training "
            "frames, or retrieval.candidates is too small"
        )


def _write_split(graphs: h5py.File, split: str, neighbours: np.ndarray, filled: int) -> None:
    group = graphs.create_group(split)
    group["query"] = np.arange(len(neighbours), dtype=np.int32)
    group["neighbours"] = neighbours.astype(np.int32)
    group.attrs["rankings_too_short"] = filled


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
