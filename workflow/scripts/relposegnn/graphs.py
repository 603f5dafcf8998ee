"""A graphs file: a query and some database images, its neighbours, in each retrieval graph.

A graph has 1 + k nodes: node 0 is the query, nodes 1..k its neighbours. The file holds frame
indices and nothing else, so that a graph costs some tens of bytes.
"""

from pathlib import Path

import h5py
import numpy as np

from .frames import Frames
from .storage import Numbers, check_scene, open_hdf5, read_numbers

# Groups of a graphs file, or parts, beside those of the splits: their queries are training frames.
VALIDATION, LEFT_OUT = "validation", "left_out"


def split_of(part: str) -> str:
    """Return the split whose frames the queries of a part are."""
    return "test" if part == "test" else "train"


def write_split(
    file: h5py.File,
    part: str,
    query: np.ndarray,
    neighbours: np.ndarray,
    rankings_too_short: int = 0,
) -> None:
    """Write one part's graphs: query (G,) and neighbours (G, k), see ``read_graphs``.

    ``rankings_too_short`` of them were filled up because a ranking ended.
    """
    group = file.create_group(part)
    group["query"] = query.astype(np.int32)
    group["neighbours"] = neighbours.astype(np.int32)
    group.attrs["rankings_too_short"] = rankings_too_short


def read_graphs(
    graphs_file: str | Path, part: str, frames: Frames | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frame indices of a part's graphs: query (G,) and neighbours (G, k).

    Queries count in the frames of their split, see ``split_of``, neighbours in the training frames.
    A file without validation graphs has 0 of them.

    Raises:
        InputError: the file has no such graphs, or, where ``frames`` are given, is of another scene
            or of other frames.
    """
    with open_hdf5(graphs_file, "graphs") as file:
        last = [np.inf, np.inf]
        if frames is not None:
            check_scene(file, frames)
            last = [frames.count(split) - 1 for split in (split_of(part), "train")]
        if part == VALIDATION and part not in file:
            other = next(iter(file), "train")  # any part: all graphs are as wide
            width = read_numbers(file, f"{other}/neighbours", Numbers("i", (None, None))).shape[1]
            return np.zeros(0, np.int32), np.zeros((0, width), np.int32)
        query = read_numbers(file, f"{part}/query", Numbers("i", (None,), most=last[0]))
        among = Numbers("i", (len(query), None), most=last[1])
        return query, read_numbers(file, f"{part}/neighbours", among)
