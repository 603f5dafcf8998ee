"""How far the retrieved training frames are from the query: what the network has to improve on."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from ..data.frames import Frames
from ..files.csv_files import write_errors
from ..poses import pose_distances
from .graphs import read_graphs
from .rankings import read_ranking

logger = logging.getLogger(__name__)


def score_retrieval(
    frames_file: str | Path,
    neighbours_file: str | Path,
    graphs_file: str | Path,
    scores_file: str | Path,
) -> None:
    """Write a CSV with a row for the query of every test graph, see ``retrieval_quality``.

    Args:
        frames_file: poses and names of the scene's frames.
        neighbours_file: the full ranking, whose first entry is "top1".
        graphs_file: graphs sampled from it, whose first neighbour is the reference.
        scores_file: CSV to write.

    Raises:
        InputError: a file cannot be read, or the files do not belong together.
    """
    with Frames(frames_file) as frames:
        query, neighbours = read_graphs(graphs_file, "test", frames)
        ranked = read_ranking(neighbours_file, "test", frames).index
        reference, top1 = neighbours[:, 0], ranked[query, 0]
        queries, database = frames.poses("test")[query], frames.poses("train")
        names = np.asarray(frames.names("test"))[query]
    scores = retrieval_quality(queries, database, top1, reference)
    scores.insert(0, "query", names)
    write_errors(scores_file, scores, frames)
    for kind in ("top1", "reference", "oracle"):
        medians = scores[[f"{kind}_distance_m", f"{kind}_angle_deg"]].median()
        logger.info("%s: median %.3f m, %.2f degrees from the query", kind, *medians)


def retrieval_quality(
    queries: np.ndarray, database: np.ndarray, top1: np.ndarray, reference: np.ndarray
) -> pd.DataFrame:
    """Return each query's distance in metres and angle in degrees to three training frames.

    The columns are ``{kind}_distance_m`` and ``{kind}_angle_deg``, for the kinds ``top1``, the
    best-ranked frame; ``reference``, the graph's first neighbour; and ``oracle``, the frame with
    the nearest camera centre.

    Args:
        queries: (G, 4, 4) poses ``world_from_cam``.
        database: (N, 4, 4) poses of the training frames.
        top1: (G,) index into ``database`` of the best-ranked frame.
        reference: (G,) index of the first neighbour in the graph.
    """
    _, oracle = KDTree(database[:, :3, 3]).query(queries[:, :3, 3])
    columns = {}
    for kind, chosen in (("top1", top1), ("reference", reference), ("oracle", oracle)):
        metres, degrees = pose_distances(database[chosen], queries)
        columns |= {f"{kind}_distance_m": metres, f"{kind}_angle_deg": degrees}
    return pd.DataFrame(columns)
