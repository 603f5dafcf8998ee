"""Retrieval graphs: a query and some database images, by default strided along its ranking.

A graph has 1 + k nodes: node 0 is the query, nodes 1..k its neighbours. The file holds frame
indices and nothing else, so that a graph costs some tens of bytes. The splits may be sampled
differently, and a share of the strided training graphs replaced by the nearest neighbours.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from .frames import Frames
from .retrieval.rankings import read_ranking
from .runtime import InputError, numpy_generator
from .storage import (
    SPLITS,
    Numbers,
    check_scene,
    create_hdf5,
    open_hdf5,
    read_numbers,
    tell_scene,
)
from .validation import ValidationSettings, held_out_frames, rank_among

logger = logging.getLogger(__name__)

# Parts of the training frames, and groups of a graphs file.
VALIDATION, LEFT_OUT = "validation", "left_out"


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
    if found < settings.neighbours:
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


def sample_graphs(
    neighbours_file: str | Path,
    frames_file: str | Path,
    graphs_file: str | Path,
    sampling: Mapping[str, SamplingSettings],
    train_mix: float,
    validation: ValidationSettings | None,
) -> None:
    """Sample one graph per frame of both splits and write the graphs file.

    Training frames that are held out are queries of graphs of their own, the validation graphs,
    sampled as those of test queries, and neighbours in none but the test queries' graphs.

    Args:
        neighbours_file: rankings of the database images for each frame.
        frames_file: of the scene: its name, of which the seeds are made, and the frames' names.
        graphs_file: output.
        sampling: how neighbours are chosen, by split.
        train_mix: share, 0 to 1, of the strided training graphs that take the best-ranked
            neighbours instead. Which ones is drawn apart: the others stay what they are without.
        validation: what is held out; None: nothing.

    Raises:
        InputError: there are too few database images for a graph, the two files do not belong
            together, or the selection is unknown.
    """
    recorded = {split: asdict(sampling[split]) for split in SPLITS} | {"train_mix": train_mix}
    recorded["validation"] = validation and validation._asdict()
    with Frames(frames_file) as frames, create_hdf5(graphs_file, "graphs", recorded) as out:
        tell_scene(out, frames)
        draw = numpy_generator(sampling["train"].seed, VALIDATION, frames.scene)
        held_out = held_out_frames(frames.count("train"), validation, draw)
        kept, database = np.flatnonzero(~held_out), np.asarray(frames.names("train"))
        parts = {
            "train": (kept, sampling["train"]),
            VALIDATION: (np.flatnonzero(held_out), sampling["test"]),
            "test": (np.arange(frames.count("test")), sampling["test"]),
        }
        for part, (queries, settings) in parts.items():
            split = "test" if part == "test" else "train"
            ranked = read_ranking(neighbours_file, split, frames).index[queries]
            names, among = database, None
            if part != "test" and held_out.any():
                ranked, names, among = rank_among(ranked, kept), database[kept], kept
            place = part, frames.scene, f"{neighbours_file} ({frames.scene}, {part})"
            chosen, filled = _sample_part(ranked, names.tolist(), settings, place, train_mix)
            neighbours = chosen if among is None else among[chosen]
            write_split(out, part, queries, neighbours, filled.sum())


def _sample_part(
    ranked: np.ndarray,
    database: list[str],
    settings: SamplingSettings,
    place: tuple[str, str, str],
    train_mix: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return neighbours (N, k) and whose rankings were too short (N,), of one part of a scene.

    ``place`` is the part, the scene and what a message starts with.
    """
    part, scene, source = place
    within = part == "train"
    check_choice(settings, ranked.shape[1], len(database) - within, source)
    draw = numpy_generator(settings.seed, "graphs", scene, part)
    neighbours, filled = choose_neighbours(ranked, database, settings, draw, within)
    if within and settings.selection == "strided":
        draw = numpy_generator(settings.seed, "train_mix", scene)
        filled &= ~mix_nearest(neighbours, ranked, train_mix, draw)
    if filled.any():
        logger.warning(
            "%s, %s: %d of %d rankings (length %d) end before stride %d yields %d neighbours; "
            "their best unused entries fill these graphs. A larger retrieval.candidates or a "
            "smaller stride avoids it",
            *(scene, part, filled.sum(), len(ranked), ranked.shape[1]),
            *(settings.stride, settings.neighbours),
        )
    return neighbours, filled


def write_split(
    file: h5py.File,
    split: str,
    query: np.ndarray,
    neighbours: np.ndarray,
    rankings_too_short: int = 0,
) -> None:
    """Write one part's graphs: query (G,) and neighbours (G, k), see ``read_graphs``.

    ``rankings_too_short`` of them were filled up because a ranking ended.
    """
    group = file.create_group(split)
    group["query"] = query.astype(np.int32)
    group["neighbours"] = neighbours.astype(np.int32)
    group.attrs["rankings_too_short"] = rankings_too_short


def read_graphs(
    graphs_file: str | Path, split: str, frames: Frames | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frame indices of a part's graphs: query (G,) and neighbours (G, k).

    Queries of ``test`` count in the test frames, those of other parts in the training frames, and
    so do all neighbours. A file without validation graphs has 0 of them.

    Raises:
        InputError: the file has no such graphs, or, where ``frames`` are given, is of another scene
            or of other frames.
    """
    with open_hdf5(graphs_file, "graphs") as file:
        last = [np.inf, np.inf]
        if frames is not None:
            check_scene(file, frames)
            last = [
                frames.count(each) - 1 for each in ("test" if split == "test" else "train", "train")
            ]
        if split == VALIDATION and split not in file:
            width = read_numbers(file, "train/neighbours", Numbers("i", (None, None))).shape[1]
            return np.zeros(0, np.int32), np.zeros((0, width), np.int32)
        query = read_numbers(file, f"{split}/query", Numbers("i", (None,), most=last[0]))
        among = Numbers("i", (len(query), None), most=last[1])
        return query, read_numbers(file, f"{split}/neighbours", among)
