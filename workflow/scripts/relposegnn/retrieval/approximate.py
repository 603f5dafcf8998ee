"""Approximate rankings of large databases, with any index of faiss's index factory.

The factory makes an index from a text: ``IVF1024,Flat`` visits a part of the database, ``HNSW32``
walks along a graph, ``PCAW256,L2norm,Flat`` compares whitened principal components,
``OPQ64,IVF1024,PQ64`` keeps 64 bytes per image. The recall of such rankings, the share of the
exactly ranked images that they contain, is measured.
"""

import logging
import re

import faiss
import h5py
import numpy as np

from ..files.storage import mapped
from ..runtime import InputError, derive_seed
from .exact import DATABASE_BYTES, rank, read_blocks
from .rankings import Ranking, in_order

logger = logging.getLogger(__name__)

TRAINING_BYTES = 2**28  # of descriptors that an index is trained on, at most
PROBED, LEAST_PROBED = 1 / 8, 8  # lists of an inverted file to visit: their share, and at least
MEASURED = 100  # queries that the recall is measured on, at most
NO_GRAPH = re.compile(r"(?:HNSW|NSG)[01](?!\d)")  # ends or hangs the process


class ApproximateRanker:
    """An index in memory over a database on disk; a ranking that it does not fill is made exact.

    Attributes:
        index: of faiss.
    """

    def __init__(self, database: h5py.Dataset, factory: str, longest: int, seed: int) -> None:
        """Train an index on a sample of a database (M, D) of unit rows, and add all of it.

        Args:
            database: of unit rows.
            factory: text for faiss's index factory.
            longest: length of the longest ranking.
            seed: of the sample.

        Raises:
            InputError: faiss cannot make such an index, train it on so few images, or compare by
                cosines with it.
        """
        self._database = database
        try:
            self.index = _empty_index(database, factory, longest)
            self.index.train(_sample(database, seed))
            for _, rows in read_blocks(database, DATABASE_BYTES):
                self.index.add(rows)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(
                f"retrieval.index: got {factory!r}, which faiss cannot make for {len(database)} "
                f"images with descriptors of length {database.shape[1]} ({reason}), expected Flat, "
                "or an index with fewer parts"
            ) from error

    def rank(self, queries: np.ndarray, length: int, own: np.ndarray | None = None) -> Ranking:
        """Return rankings like ``exact.rank``, with the similarities of the index."""
        similarity, found = self.index.search(queries, length + 1)
        ranking = in_order(similarity, found, own, length)
        lacking = (ranking.index < 0).any(axis=1)
        if lacking.any():
            others = None if own is None else own[lacking]
            exact = rank(self._database, queries[lacking], length, others)
            ranking.index[lacking], ranking.similarity[lacking] = exact
        return ranking

    def recall(self, queries: h5py.Dataset, length: int, of_database: bool) -> float:
        """Return the share of the exactly ranked images that the rankings of some queries contain.

        Args:
            queries: (N, D), of which an evenly spread sample is taken.
            length: of the rankings.
            of_database: whether the queries are the database itself.
        """
        rows = np.unique(np.linspace(0, len(queries) - 1, min(MEASURED, len(queries))).astype(int))
        chosen, own = queries[rows].astype(np.float32), rows if of_database else None
        exact = rank(self._database, chosen, length, own).index
        found = self.rank(chosen, length, own).index
        return float(np.mean([np.isin(*pair).mean() for pair in zip(exact, found, strict=True)]))


def _empty_index(database: h5py.Dataset, factory: str, longest: int) -> faiss.Index:
    """Return an untrained index that searches thoroughly enough for rankings of this length."""
    if NO_GRAPH.search(factory):
        raise InputError(
            f"retrieval.index: got {factory!r}, a graph with so few links that faiss crashes, "
            "expected at least 2 links, such as HNSW32"
        )
    index = faiss.index_factory(database.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:  # its nearest images would rank last
        raise InputError(
            f"retrieval.index: got {factory!r}, which faiss makes only for distances, expected an "
            "index that compares by inner products; take another one, such as HNSW32,SQ8"
        )
    inner = index
    while isinstance(inner, faiss.IndexPreTransform):
        inner = faiss.downcast_index(inner.index)
    if isinstance(inner, faiss.IndexIVF):
        inner.nprobe = min(inner.nlist, max(LEAST_PROBED, int(PROBED * inner.nlist)))
    if isinstance(inner, faiss.IndexHNSW):
        inner.hnsw.efSearch = 2 * longest
    return index


def _sample(database: h5py.Dataset, seed: int) -> np.ndarray:
    """Return the descriptors that an index is trained on: a sample, or all of a small database."""
    count = min(len(database), max(1, TRAINING_BYTES // (4 * database.shape[1])))
    draw = np.random.default_rng(derive_seed(seed, "index"))
    rows = np.sort(draw.choice(len(database), count, replace=False))
    # Mapped, because h5py reads single rows one by one, slowly. In parts, because whatever was read
    # of a mapping counts as memory until it is closed.
    parts = np.array_split(rows, -(-4 * database.size // DATABASE_BYTES))
    return np.concatenate([mapped(database)[part].astype(np.float32) for part in parts])
