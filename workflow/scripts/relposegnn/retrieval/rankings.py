"""Files of rankings: the database images for every frame of a scene, most similar first.

Groups ``train`` and ``test`` hold ``index`` int32 (N, K) into the training frames and
``similarity`` float32 (N, K), cosines.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from ..storage import open_hdf5


class Ranking(NamedTuple):
    """Database images of N queries, most similar first.

    Attributes:
        index: (N, K) into the training frames.
        similarity: (N, K) cosines.
    """

    index: np.ndarray
    similarity: np.ndarray


def write_ranking(
    file: h5py.File, split: str, blocks: Iterable[Ranking], shape: tuple[int, int]
) -> None:
    """Write a split's ranking of ``shape`` (N, K) as its blocks of queries come."""
    group, start = file.create_group(split), 0
    index = group.create_dataset("index", shape, dtype=np.int32)
    similarity = group.create_dataset("similarity", shape, dtype=np.float32)
    for block in blocks:
        part = slice(start, start + len(block.index))
        index[part], similarity[part] = block
        start = part.stop


def read_ranking(neighbours_file: str | Path, split: str) -> Ranking:
    """Return the ranking of a split's frames."""
    with open_hdf5(neighbours_file, "neighbours") as file:
        return Ranking(file[f"{split}/index"][:], file[f"{split}/similarity"][:])
