"""From the estimates by several edges to one pose of a query."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .poses import (
    matrix_from_quaternion,
    nearest_rotation,
    quaternion_from_matrix,
    rotation_error_deg,
)
from .runtime import InputError

MEDIAN_ITERATIONS = 50  # at most
STILL = 1e-11  # metres, or entries of a rotation, that no median moves any more
TINY = 1e-9  # the least distance that is divided by
MEDIAN, HUBER = RULES = "median", "huber"  # of aggregation
# Median distances from the median of all edges, beyond which an edge counts for less. Twice as far
# is as good where no edge is far off, and worse where one is: see docs/experiments.md.
TRUSTED = 1.5


class Candidates(NamedTuple):
    """Pose estimates of queries, one for each edge into them, in edge order.

    Attributes:
        translation: (G, e, 3) camera centres in metres, world frame.
        quaternion: (G, e, 4) camera-to-world.
        node: (G, e) of the neighbour in the graph, from 1 on.
        distance: (G, e) of the edges from what the network knows, see ``PoseNetwork.distance``.
    """

    translation: np.ndarray
    quaternion: np.ndarray
    node: np.ndarray
    distance: np.ndarray


class LocalizationSettings(NamedTuple):
    """How poses follow from what the network regresses.

    Attributes:
        both_directions: average what an edge into the query and the one back say, where both are.
        aggregation: of all edges into the query, see ``aggregate``.
    """

    both_directions: bool
    aggregation: str


def aggregate(candidates: Candidates, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one pose per query from all its edges: t (G, 3), q (G, 4).

    NaN for a query with a candidate that is not finite; by ``huber`` also for one whose candidates
    all are at no finite distance. One of several that is so counts for nothing.

    Args:
        candidates: one or more a query.
        rule: ``median``, which outlying edges move little: the geometric median of the camera
            centres, and the rotation of least summed chordal distance (Hartley et al. 2013,
            section 5; L1 averaging), both by Weiszfeld's iteration. ``huber``: the mean of the
            centres and the chordal mean of the rotations, in which edges that are like those that
            the network knows count for more, by 1 / distance, and those far from the median for
            less: one step of Huber's estimator from there (Huber 1964; Bickel 1975).

    Raises:
        InputError: the rule is unknown.
    """
    if rule not in RULES:
        raise InputError(f"localization.aggregation is {rule!r}, expected {' or '.join(RULES)}")
    found = np.isfinite(candidates.translation).all((1, 2))
    found &= np.isfinite(candidates.quaternion).all((1, 2))
    if rule == HUBER:
        found &= np.isfinite(candidates.distance).any(1)
    translation, quaternion = np.full((len(found), 3), np.nan), np.full((len(found), 4), np.nan)
    centres = candidates.translation[found]
    rotations = matrix_from_quaternion(candidates.quaternion[found]).reshape(*centres.shape[:2], 9)
    translation[found], turns = _weiszfeld(centres), _weiszfeld(rotations, nearest=_nearest)
    if rule == HUBER:
        distance = np.nan_to_num(candidates.distance[found], nan=np.inf, posinf=np.inf)
        weight = 1 / np.maximum(distance, TINY)
        translation[found] = _mean_about(translation[found], centres, weight)
        turns = _nearest(_mean_about(turns, rotations, weight))
    quaternion[found] = quaternion_from_matrix(turns.reshape(-1, 3, 3))
    return translation, quaternion


def pair_spread(translation: np.ndarray, quaternion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far poses lie apart: medians over all pairs, metres (G,) and degrees (G,).

    A single pose lies 0 apart from itself; not finite where a pose is not.

    Args:
        translation: (G, e, 3) camera centres in metres.
        quaternion: (G, e, 4) camera-to-world.
    """
    first, second = np.triu_indices(translation.shape[1], k=1)
    if len(first) == 0:
        return np.zeros(len(translation)), np.zeros(len(translation))
    distance = np.linalg.norm(translation[:, first] - translation[:, second], axis=-1)
    angle = rotation_error_deg(quaternion[:, first], quaternion[:, second])
    return np.median(distance, axis=1), np.median(angle, axis=1)


def _nearest(flat: np.ndarray) -> np.ndarray:
    """Return the rotations (G, 9), row by row, nearest to such matrices (G, 9)."""
    return nearest_rotation(flat.reshape(-1, 3, 3)).reshape(-1, 9)


def _weiszfeld(
    points: np.ndarray, nearest: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> np.ndarray:
    """Return the medians (G, d) of point sets (G, e, d), each weighted mean mapped by nearest."""
    median = nearest(points.mean(axis=1))
    for _ in range(MEDIAN_ITERATIONS):
        weight = 1 / np.maximum(_distances(points, median), TINY)  # a median may fall on a point
        before, median = median, nearest(_weighted_mean(points, weight))
        if np.abs(median - before).max(initial=0) < STILL:
            break
    return median


def _mean_about(middle: np.ndarray, points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return means (G, d) of points (G, e, d); those far from a middle (G, d) count for less.

    In proportion, beyond ``TRUSTED`` median distances; the weights are (G, e).
    """
    distance = _distances(points, middle)
    trusted = TRUSTED * np.median(distance, axis=1, keepdims=True)
    return _weighted_mean(points, weight * np.minimum(1, (trusted + TINY) / (distance + TINY)))


def _distances(points: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return the distances (G, e) of points (G, e, d) from one of each set (G, d)."""
    return np.linalg.norm(points - middle[:, None], axis=-1)


def _weighted_mean(points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the means (G, d) of points (G, e, d) by weights (G, e)."""
    return np.einsum("ge,gei->gi", weight / weight.sum(axis=1, keepdims=True), points)
