"""Exact search: each query is compared with the whole database, one block of it at a time."""

from collections import deque
from collections.abc import Iterator

import faiss
import h5py
import numpy as np
from faiss.contrib.exhaustive_search import knn_ground_truth

from ..files.storage import mapped
from ..runtime import InputError, gpu_allowed
from .rankings import Ranking, in_order

DATABASE_BYTES = 64 * 2**20  # of a block of the database in memory
HELD_BYTES = 2**30  # of a database that ``Ranker`` holds
MOST_ROWS = 8192  # of a block; a block of queries needs memory for its rankings too
GPU_LONGEST_RANKING = 2048  # faiss's limit


def rank(
    database: h5py.Dataset, queries: np.ndarray, length: int, own: np.ndarray | None = None
) -> Ranking:
    """Return the database images most similar to queries; ties are ordered by index.

    Exact, on a GPU if faiss finds one. One block of the database is in memory at a time.

    Args:
        database: (M, D) unit rows.
        queries: (N, D) float32 unit rows.
        length: K, less than M.
        own: (N,) each query's own index in the database, which its ranking leaves out; None if the
            queries are not in it.

    Raises:
        InputError: a row of the database is not a unit vector.
    """
    inner, blocks = faiss.METRIC_INNER_PRODUCT, read_blocks(database, DATABASE_BYTES)
    if gpus := _usable_gpus(length + 1):
        rows = (rows for _, rows in blocks)
        similarity, found = knn_ground_truth(queries, rows, length + 1, inner, ngpu=gpus)
        return in_order(similarity, found, own, length)
    best = faiss.ResultHeap(len(queries), length + 1, keep_max=True)
    for start, rows in blocks:  # knn_ground_truth would copy each block into an index first
        similarity, found = faiss.knn(queries, rows, min(length + 1, len(rows)), metric=inner)
        best.add_result(similarity, found + start)
    best.finalize()
    return in_order(best.D, best.I, own, length)


class Ranker:
    """Ranks the same database repeatedly; a small one is searched in one piece.

    It is memory-mapped if its file stores it as it would be in memory. Processes then share it, and
    the system can free this memory when others need it.
    """

    def __init__(self, database: h5py.Dataset, most_bytes: int = HELD_BYTES) -> None:
        """Take a database (M, D) of unit rows; InputError if a row is not a unit vector."""
        self._database, self._held = database, None
        if 4 * database.size <= most_bytes:
            stored = mapped(database)
            blocks = (rows for _, rows in read_blocks(database, DATABASE_BYTES))
            if isinstance(stored, np.memmap) and stored.dtype == np.float32:
                deque(blocks, maxlen=0)  # checks each block and keeps none
                self._held = stored
            else:
                self._held = np.concatenate(list(blocks))

    def rank(self, queries: np.ndarray, length: int) -> Ranking:
        """Return the ranking of queries (N, D) that are not in the database, see ``rank``."""
        if self._held is None:
            return rank(self._database, queries, length)
        inner = faiss.METRIC_INNER_PRODUCT
        similarity, found = faiss.knn(queries, self._held, length + 1, metric=inner)
        return in_order(similarity, found, None, length)


def read_blocks(descriptors: h5py.Dataset, most: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index of the first row, rows (n, D) float32) of blocks of at most ``most`` bytes.

    Each block is memory-mapped separately: nothing is copied, and a block that is no longer used
    takes no memory.

    Raises:
        InputError: a row of the descriptors (N, D) is not a unit vector.
    """
    count = min(MOST_ROWS, max(1, most // (4 * descriptors.shape[1])))
    for start in range(0, len(descriptors), count):
        rows = np.ascontiguousarray(mapped(descriptors)[start : start + count], dtype=np.float32)
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))  # no second array of this size
        wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
        if len(wrong):
            length = lengths[wrong[0]]
            raise InputError(
                f"{descriptors.file.filename}: {descriptors.name}, row {start + wrong[0]}, has "
                f"length {length:.4g}, expected 1; describe the frames again"
            )
        yield start, rows


def _usable_gpus(longest_ranking: int) -> int:
    # Some builds of faiss-cpu lack the function.
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    return int(gpus > 0 and gpu_allowed() and longest_ranking <= GPU_LONGEST_RANKING)
