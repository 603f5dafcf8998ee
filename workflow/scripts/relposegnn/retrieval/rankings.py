"""Files of rankings: the database images for every frame of a scene, most similar first.

Groups ``train`` and ``test`` hold ``index`` int32 (N, K) into the training frames and
``similarity`` float32 (N, K), cosines; those of an approximate index are what it compares by.
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from ..data.frames import Frames
from ..files.storage import Numbers, check_scene, open_hdf5, read_numbers, read_settings
from ..runtime import InputError


class Ranking(NamedTuple):
    """Database images of N queries, most similar first.

    Attributes:
        index: (N, K) into the training frames.
        similarity: (N, K) cosines.
    """

    index: np.ndarray
    similarity: np.ndarray


def in_order(
    similarity: np.ndarray, found: np.ndarray, own: np.ndarray | None, length: int
) -> Ranking:
    """Return sorted rankings from a search for K + 1 images; ties are ordered by index.

    Args:
        similarity: (N, K + 1).
        found: (N, K + 1) indices, -1 for none.
        own: (N,) each query's own index, which its ranking leaves out; None: they have none.
        length: K.
    """
    # A query is recognised by its index, because exact copies of it are just as similar. With more
    # copies than a ranking holds, the query may be missing; the last entry is then surplus.
    itself = np.zeros_like(found) if own is None else (found == own[:, None]).astype(found.dtype)
    order = np.lexsort((found, -similarity, itself), axis=1)[:, :length]
    return Ranking(
        np.take_along_axis(found, order, axis=1).astype(np.int32),
        np.take_along_axis(similarity, order, axis=1),
    )


def create_ranking(file: h5py.File, split: str, shape: tuple[int, int]) -> Ranking:
    """Create the arrays (N, K) of a split's ranking in a file, to be filled by the caller."""
    index = file.create_dataset(f"{split}/index", shape, np.int32)
    return Ranking(index, file.create_dataset(f"{split}/similarity", shape, np.float32))


def read_ranking(neighbours_file: str | Path, split: str, frames: Frames | None = None) -> Ranking:
    """Return the ranking of a split's frames.

    Raises:
        InputError: the file has no such ranking; or, if ``frames`` are given, it is of another
            scene or of other frames.
    """
    with open_hdf5(neighbours_file, "neighbours") as file:
        last = np.inf
        if frames is not None:
            check_scene(file, frames)
            last = frames.count("train") - 1
        index = read_numbers(file, f"{split}/index", Numbers("i", (None, None), most=last))
        cosines = Numbers("f", index.shape, least=-np.inf)
        ranking = Ranking(index, read_numbers(file, f"{split}/similarity", cosines))
    if frames is not None and len(index) != frames.count(split):
        raise InputError(
            f"{neighbours_file} ({frames.scene}, {split}): has rankings for {len(index)} frames, "
            f"expected the {frames.count(split)} of {frames.path}; rank the neighbours again"
        )
    return ranking


def tells_cosines(neighbours_file: str | Path) -> bool:
    """Return whether similarities are cosines of descriptors; an approximate index has its own."""
    with open_hdf5(neighbours_file, "neighbours") as file:
        return "index" not in read_settings(file)
