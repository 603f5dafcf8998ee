"""Ranking the training frames of a scene by the similarity of their descriptors to a query's."""

import logging
from collections.abc import Iterator
from pathlib import Path

import faiss
import h5py
import numpy as np
from tqdm import tqdm

from ..runtime import InputError, gpu_allowed
from ..storage import SPLITS, create_hdf5, open_hdf5, read_settings
from .rankings import Ranking, write_ranking

logger = logging.getLogger(__name__)

ROWS = 512  # descriptors read and searched at once
GPU_LONGEST_RANKING = 2048  # faiss's limit


def rank_neighbours(
    descriptors_file: str | Path, neighbours_file: str | Path, candidates: int
) -> None:
    """Rank the training frames for every frame of a scene and write the file of ``rankings``.

    A ranking has ``candidates`` entries, or all training frames but one where these are fewer. A
    training frame is no neighbour of itself.

    Raises:
        InputError: there are fewer than two training frames, or a descriptor is no unit vector.
    """
    with open_hdf5(descriptors_file, "descriptors") as file:
        database = file["train/descriptor"]
        if len(database) < 2:
            raise InputError(
                f"{descriptors_file}: has {len(database)} training frames, expected at least 2; "
                "a frame is not its own neighbour"
            )
        length = min(candidates, len(database) - 1)
        settings = {"candidates": candidates, "descriptors": read_settings(file)}
        index = build_index(database, length + 1)
        with create_hdf5(neighbours_file, "neighbours", settings) as output:
            for split in SPLITS:
                ranking = _rank_frames(index, file[f"{split}/descriptor"], length)
                write_ranking(output, split, ranking)
    logger.info("ranked %d of %d training frames per query", length, index.ntotal)


def build_index(database: h5py.Dataset, longest_ranking: int) -> faiss.Index:
    """Return an exact index over descriptors (N, D), on a GPU where faiss finds one."""
    index = faiss.IndexFlatIP(database.shape[1])
    # faiss-cpu of some channels lacks the function.
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    if gpus > 0 and gpu_allowed() and longest_ranking <= GPU_LONGEST_RANKING:
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    for _, rows in _blocks(database):
        index.add(rows)
    return index


def rank(
    index: faiss.Index, queries: np.ndarray, length: int, own: np.ndarray | None = None
) -> Ranking:
    """Return the database images most similar to queries; equal similarities by their index.

    Args:
        index: of the database.
        queries: (N, D) float32 unit rows.
        length: K, less than the size of the database.
        own: (N,) each query's own index in the database, which its ranking leaves out; None where
            the queries are not in it.
    """
    similarity, found = index.search(queries, length + 1)
    # Exact copies of a query are as similar as itself: it is told by its index. Among more copies
    # than a ranking holds it may be missing, then the last entry is one too many.
    itself = np.zeros_like(found) if own is None else (found == own[:, None]).astype(found.dtype)
    order = np.lexsort((found, -similarity, itself), axis=1)[:, :length]
    return Ranking(
        np.take_along_axis(found, order, axis=1).astype(np.int32),
        np.take_along_axis(similarity, order, axis=1),
    )


def _rank_frames(index: faiss.Index, queries: h5py.Dataset, length: int) -> Ranking:
    """Return the ranking of a split's frames; those of train are the database itself."""
    name, shape = Path(queries.parent.name).name, (len(queries), length)
    ranking = Ranking(np.empty(shape, np.int32), np.empty(shape, np.float32))
    with tqdm(desc=f"rank {name}", total=len(queries), unit="img", disable=None) as progress:
        for start, rows in _blocks(queries):
            part = slice(start, start + len(rows))
            own = np.arange(start, part.stop) if name == "train" else None
            ranking.index[part], ranking.similarity[part] = rank(index, rows, length, own)
            progress.update(len(rows))
    return ranking


def _blocks(descriptors: h5py.Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, rows (n, D)) of descriptors (N, D).

    Raises:
        InputError: a row is no unit vector.
    """
    for start in range(0, len(descriptors), ROWS):
        rows = np.ascontiguousarray(descriptors[start : start + ROWS], dtype=np.float32)
        wrong = np.flatnonzero(~(np.abs(np.linalg.norm(rows, axis=1) - 1) < 1e-3))
        if len(wrong):
            length = np.linalg.norm(rows[wrong[0]])
            raise InputError(
                f"{descriptors.file.filename}: {descriptors.name}, row {start + wrong[0]}, has "
                f"length {length:.4g}, expected 1; describe the frames again"
            )
        yield start, rows
