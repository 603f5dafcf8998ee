"""Files of rankings: the database images for every frame of a scene, most similar first.

Groups ``train`` and ``test`` hold ``index`` int32 (N, K) into the training frames and
``similarity`` float32 (N, K), cosines.
"""

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


def write_ranking(file: h5py.File, split: str, ranking: Ranking) -> None:
    """Write the ranking of a split's frames."""
    file[f"{split}/index"] = ranking.index.astype(np.int32)
    file[f"{split}/similarity"] = ranking.similarity.astype(np.float32)


def read_ranking(neighbours_file: str | Path, split: str) -> Ranking:
    """Return the ranking of a split's frames."""
    with open_hdf5(neighbours_file, "neighbours") as file:
        return Ranking(file[f"{split}/index"][:], file[f"{split}/similarity"][:])
