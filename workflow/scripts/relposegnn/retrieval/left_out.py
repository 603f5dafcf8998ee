"""Left-out frames: database frames as queries, each without the stretch of video around it.

The poses of the database are known, so its own frames show how well a place can be localised in.
The frames next to such a query are nearly its copies, so some on either side are not among its
neighbours; for some queries few, for others many, so that near and far neighbours both occur. Near
frames are some of the queries again, with nothing left out but themselves: a reach of 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..data.frames import Frames
from ..files.owners import Owner
from ..files.storage import (
    ORIGIN,
    Numbers,
    check_scene,
    create_hdf5,
    open_hdf5,
    read_numbers,
    tell_scene,
)
from ..runtime import InputError, numpy_generator
from .graphs import LEFT_OUT, VALIDATION, read_graphs, write_split
from .neighbour_choice import SamplingSettings, subsample_ranking
from .rankings import Ranking, read_ranking, tells_cosines

# Frames on either side of a query that are left out with it, for one query after the other.
REACHES = (4, 10, 25, 60)


def reaches(count: int, database: int) -> np.ndarray:
    """Return how many frames on either side are left out with each of ``count`` queries (count,).

    At most a tenth of the ``database``, so that enough of a small one is left.
    """
    return np.minimum(np.resize(REACHES, count), database // 10)


def rank_outside(ranked: np.ndarray, query: int, reach: int) -> np.ndarray:
    """Return a ranking (K,) of database frames without the query and frames within its reach."""
    return ranked[np.abs(ranked.astype(np.int64) - query) > reach]


def sample_left_out(
    neighbours_file: str | Path,
    frames_file: str | Path,
    trained_file: str | Path,
    graphs_file: str | Path,
    sampling: SamplingSettings,
    count: int,
) -> None:
    """Write the graphs of evenly spread database frames, without the frames around each.

    As many validation queries at most are included, evenly spread likewise: a network trained on
    this scene knows all other frames.

    The file is like one of ``sample_graphs``, with the part ``left_out`` alone and the ``reach`` of
    each graph. Neighbours are strided along the rankings, whatever ``selection`` is.

    Args:
        neighbours_file: rankings of the database images for each frame.
        frames_file: of the scene.
        trained_file: graphs of the scene, for the frames that are held out from training.
        graphs_file: to write.
        sampling: as for the graphs of test queries.
        count: of the frames, those for validation and near ones not counted; all if there are
            fewer.

    Raises:
        InputError: the files do not belong together, or no ranking is long enough.
    """
    with Frames(frames_file) as frames:
        ranking = read_ranking(neighbours_file, "train", frames)
        scene, held_out = frames.scene, read_graphs(trained_file, VALIDATION, frames)[0]
    database = len(ranking.index)
    queries = np.union1d(_spread(np.arange(database), count), _spread(held_out, count))
    usual = set(zip(queries.tolist(), reaches(len(queries), database).tolist(), strict=True))
    near = {(query, 0) for query in queries[len(REACHES) - 1 :: len(REACHES)].tolist()}
    draw = numpy_generator(sampling.seed, "graphs", scene, LEFT_OUT)
    chosen = list(_choose_neighbours(ranking, sorted(usual | near), sampling, draw))
    if usual.isdisjoint(own[:2] for own in chosen):
        raise InputError(
            f"{neighbours_file} ({scene}): no ranking holds enough images outside its query's "
            f"surroundings, expected graphs.neighbours = {sampling.neighbours}; the scene has too "
            "few training frames, or retrieval.candidates is too small"
        )
    query, reach, neighbours, cosine = map(np.array, zip(*chosen, strict=True))
    cosine = cosine if tells_cosines(neighbours_file) else None
    with create_hdf5(graphs_file, "graphs", asdict(sampling) | {"count": count}) as out:
        tell_scene(out, frames)
        write_split(out, LEFT_OUT, query, neighbours, similarity=cosine)
        out[f"{LEFT_OUT}/reach"] = reach.astype(np.int32)


def _spread(frames: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` of some frames (N,), evenly spread; all if there are fewer."""
    return frames[np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int)]


def _choose_neighbours(
    ranking: Ranking,
    frames: Sequence[tuple[int, int]],
    sampling: SamplingSettings,
    draw: np.random.Generator,
) -> Iterator[tuple[int, int, np.ndarray, float]]:
    """Yield graphs of frames and their reaches: these, neighbours, similarity of the best-ranked.

    None of frames with too short rankings.
    """
    for query, reach in frames:
        ranked = ranking.index[query]
        left = rank_outside(ranked, query, reach)
        if len(left) >= sampling.neighbours:
            cosine = ranking.similarity[query, ranked == left[0]].item()
            yield query, reach, left[subsample_ranking(len(left), sampling, draw)[0]], cosine


def read_reaches(graphs_file: str | Path) -> np.ndarray:
    """Return how many frames on either side are left out with each query (G,)."""
    with open_hdf5(graphs_file, "graphs") as file:
        return read_numbers(file, f"{LEFT_OUT}/reach", Numbers("i", (None,)))


def known_frames(graphs_file: str | Path, trained_file: str | Path | None) -> np.ndarray:
    """Return which left-out frames (G,) bool a network was trained on.

    Args:
        graphs_file: of the left-out frames.
        trained_file: graphs of the scene that the network was trained on; None if it was trained on
            other places.

    Raises:
        InputError: a file has no such graphs, or the two are of different scenes.
    """
    query, _ = read_graphs(graphs_file, LEFT_OUT)
    if trained_file is None:
        return np.zeros(len(query), dtype=bool)
    with open_hdf5(graphs_file, "graphs") as left_out, open_hdf5(trained_file, "graphs") as trained:
        if set(ORIGIN) <= set(left_out.attrs):
            told = (str(left_out.attrs[name]) for name in ORIGIN)
            check_scene(trained, Owner(*told, graphs_file))
    return ~np.isin(query, read_graphs(trained_file, VALIDATION)[0])
