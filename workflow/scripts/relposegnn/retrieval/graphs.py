"""A graphs file: retrieval graphs, each of a query and its neighbours, some database images.

A graph has 1 + k nodes: node 0 is the query, nodes 1..k its neighbours. The file holds only frame
indices, some tens of bytes per graph.
"""

from pathlib import Path

import h5py
import numpy as np

from ..data.frames import Frames
from ..files.storage import Numbers, check_scene, open_hdf5, read_numbers

# Parts (groups) of a graphs file besides the two splits. Their queries are training frames.
VALIDATION, LEFT_OUT = "validation", "left_out"


def split_of(part: str) -> str:
    """Return the split that the queries of a part belong to."""
    return "test" if part == "test" else "train"


def write_split(
    file: h5py.File,
    part: str,
    query: np.ndarray,
    neighbours: np.ndarray,
    rankings_too_short: int = 0,
    similarity: np.ndarray | None = None,
) -> None:
    """Write one part's graphs: query (G,) and neighbours (G, k), see ``read_graphs``.

    ``rankings_too_short`` is the number of graphs filled up because their ranking was too short,
    ``similarity`` (G,) as of ``read_similarity``.
    """
    group = file.create_group(part)
    group["query"] = query.astype(np.int32)
    group["neighbours"] = neighbours.astype(np.int32)
    group.attrs["rankings_too_short"] = rankings_too_short
    if similarity is not None:
        group["similarity"] = similarity.astype(np.float32)


def read_graphs(
    graphs_file: str | Path, part: str, frames: Frames | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frame indices of a part's graphs: query (G,) and neighbours (G, k).

    Queries are indices of frames of their split, see ``split_of``, neighbours of training frames.
    Without validation graphs in the file, that part has G = 0.

    Raises:
        InputError: the file has no such graphs, or does not belong to the ``frames`` given.
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


def read_similarity(graphs_file: str | Path, part: str) -> np.ndarray | None:
    """Return the cosine (G,) of each query's descriptor and that of the best-ranked image.

    None if the file does not tell it: of training graphs, of the authors' graphs, and where an
    approximate index ranked the images.

    Raises:
        InputError: the file has no such graphs, or not one number for each.
    """
    with open_hdf5(graphs_file, "graphs") as file:
        if f"{part}/similarity" not in file:
            return None
        count = len(read_numbers(file, f"{part}/query", Numbers("i", (None,))))
        cosines = Numbers("f", (count,), least=-np.inf)
        return read_numbers(file, f"{part}/similarity", cosines)
