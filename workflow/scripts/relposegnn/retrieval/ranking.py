"""Ranking the training frames of a scene by how similar their descriptors are to a query's."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from ..files.storage import ORIGIN, SPLITS, create_hdf5, open_hdf5, read_settings
from ..runtime import InputError
from .approximate import ApproximateRanker
from .exact import rank, read_blocks
from .rankings import Ranking, create_ranking

logger = logging.getLogger(__name__)

QUERY_BYTES = 256 * 2**20  # of a block of queries; the whole database is read for each block
EXACT = "Flat"  # faiss's name for the index that compares each query with the whole database


def rank_neighbours(
    descriptors_file: str | Path,
    neighbours_file: str | Path,
    candidates: int,
    factory: str = EXACT,
    seed: int = 0,
) -> None:
    """Rank the training frames for every frame of a scene and write a file of ``rankings``.

    A ranking has ``candidates`` entries, or one less than there are training frames if that is
    fewer. A training frame is not its own neighbour.

    Args:
        descriptors_file: of the scene.
        neighbours_file: to write.
        candidates: length of a ranking.
        factory: text for faiss's index factory: ``EXACT``, or see ``approximate``.
        seed: of the sample that an index is trained on.

    Raises:
        InputError: there are fewer than two training frames, a descriptor is not a unit vector, or
            faiss cannot make the index.
    """
    with open_hdf5(descriptors_file, "descriptors") as file:
        database = file["train/descriptor"]
        if len(database) < 2:
            raise InputError(
                f"{descriptors_file}: has {len(database)} training frames, expected at least 2, "
                "because a frame is not its own neighbour; add images to the database"
            )
        total = len(database)
        length = min(candidates, total - 1)
        settings = {"candidates": candidates, "descriptors": read_settings(file)}
        search = partial(rank, database)
        if factory != EXACT:
            settings["index"] = factory
            ranker = ApproximateRanker(database, factory, length + 1, seed)
            search = ranker.rank
        with create_hdf5(neighbours_file, "neighbours", settings) as output:
            output.attrs.update({key: file.attrs[key] for key in ORIGIN if key in file.attrs})
            for split in SPLITS:
                queries = file[f"{split}/descriptor"]
                _write_rankings(output, search, queries, length)
                if factory != EXACT and len(queries):
                    recall = ranker.recall(queries, length, split == "train")
                    output[split].attrs["recall"] = recall
                    logger.info("%s, %s: recall of the exact ranking %.3f", factory, split, recall)
    logger.info("ranked %d of %d training frames per query", length, total)


def _write_rankings(
    output: h5py.File, search: Callable[..., Ranking], queries: h5py.Dataset, length: int
) -> None:
    """Rank for a split's frames, a block at a time; the frames of train are the database."""
    name = Path(queries.parent.name).name
    ranking = create_ranking(output, name, (len(queries), length))
    with tqdm(desc=f"rank {name}", total=len(queries), unit="img", disable=None) as progress:
        for start, rows in read_blocks(queries, QUERY_BYTES):
            part = slice(start, start + len(rows))
            own = np.arange(start, part.stop) if name == "train" else None
            ranking.index[part], ranking.similarity[part] = search(rows, length, own)
            progress.update(len(rows))
