"""A graphs file: a query and some database images, its neighbours, in each retrieval graph.

A graph has 1 + k nodes: node 0 is the query, nodes 1..k its neighbours. The file holds frame
indices and nothing else, so that a graph costs some tens of bytes.
"""

from pathlib import Path

import h5py
import numpy as np

from .frames import Frames
from .storage import Numbers, check_scene, open_hdf5, read_numbers

# Parts of the training frames, and groups of a graphs file.
VALIDATION, LEFT_OUT = "validation", "left_out"


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
