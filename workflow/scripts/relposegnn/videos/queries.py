"""What a film shows: the test queries of a scene, their neighbours, poses and errors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.frames import Frames
from ..estimates.predictions import (
    FIRST_EDGE,
    NAMES,
    PREFIXES,
    TRUTH,
    copied_image,
    pose_arrays,
    present_estimators,
    read_predictions,
    shown_estimator,
)
from ..figures.maps import sequences_of
from ..poses import pose_from_quaternion
from ..retrieval.graphs import read_graphs
from ..runtime import InputError
from ..scores.metrics import ROTATION, TRANSLATION, score_estimator


@dataclass(frozen=True)
class Localized:
    """N test queries in recorded order, and what is known about them.

    ``query`` (N) and ``neighbours`` (N, k) index the frames of the test and training split.
    ``database`` (M, 4, 4), ``truth`` (N, 4, 4) and ``estimates`` (N, 4, 4) are poses
    ``world_from_cam``; estimates are NaN for failed queries. ``metres`` and ``degrees`` (N) are the
    errors, infinite for failed queries. ``estimator`` is the name of the ``shown_estimator``.
    ``copied`` is the name of the ``copied_image`` and its errors (2, N) in metres and degrees, if
    known.
    """

    names: list[str]
    query: np.ndarray
    neighbours: np.ndarray
    database: np.ndarray
    truth: np.ndarray
    estimates: np.ndarray
    metres: np.ndarray
    degrees: np.ndarray
    estimator: str = FIRST_EDGE
    copied: tuple[str, np.ndarray] | None = None


def read_localized(
    frames: Frames, graphs_file: str | Path, predictions_file: str | Path
) -> Localized:
    """Return the test queries of a scene in recorded order with their estimates.

    Raises:
        InputError: the files do not belong together.
    """
    query, neighbours = read_graphs(graphs_file, "test", frames)
    arrays = read_predictions(predictions_file, owner=frames)
    names, predicted = np.array(frames.names("test")), arrays[NAMES]
    different = np.setxor1d(names[query], predicted)
    if different.size:
        raise InputError(
            f"{predictions_file}: names {len(predicted)} queries, {graphs_file} {len(query)}, and "
            f"{len(different)} are in only one of them, such as {different[0]}; expected the same "
            "queries in both; predict again with these graphs"
        )
    order = np.argsort(query, kind="stable")
    query, neighbours = query[order], neighbours[order]
    rows = pd.Index(predicted).get_indexer(names[query])
    known = present_estimators(arrays)
    shown, copied = shown_estimator(known), copied_image(known)
    metres, degrees = _errors(arrays, shown)[:, rows]
    found = np.isfinite(metres)
    estimates = np.full((len(rows), 4, 4), np.nan)
    centres, quaternions = (part[rows] for part in pose_arrays(arrays, PREFIXES[shown]))
    estimates[found] = pose_from_quaternion(centres[found], quaternions[found])
    truth = pose_from_quaternion(*pose_arrays(arrays, TRUTH))[rows]
    database = frames.poses("train")
    return Localized(
        names[query].tolist(),
        query,
        neighbours,
        database,
        truth,
        estimates,
        metres,
        degrees,
        shown,
        (copied, _errors(arrays, copied)[:, rows]) if copied else None,
    )


def _errors(arrays: dict[str, np.ndarray], estimator: str) -> np.ndarray:
    """Return the errors (2, N) of an estimator, metres and degrees, in the predictions' order."""
    return score_estimator(arrays, estimator)[[TRANSLATION, ROTATION]].to_numpy().T


def choose_queries(names: list[str], limit: int) -> np.ndarray:
    """Return which of N queries to show: every n-th of each sequence, including its last one.

    Args:
        names: of the queries, in recorded order.
        limit: on the number shown; n is the smallest that respects it. No sequence is left out,
            even if that exceeds the limit.
    """
    sequences = sequences_of(names)
    lengths = np.unique(sequences, return_counts=True)[1]
    stride = 1
    while stride < lengths.max() and np.ceil(lengths / stride).sum() > limit:
        stride += 1
    members = (np.flatnonzero(sequences == sequence) for sequence in np.unique(sequences))
    return np.sort(np.concatenate([own[::-stride] for own in members]))
