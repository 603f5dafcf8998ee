"""From the estimates of several edges to one pose of a query."""

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
STILL = 1e-11  # metres, or entries of a rotation: a median that moves less has converged
TINY = 1e-9  # smallest divisor
MEDIAN, HUBER = RULES = "median", "huber"  # of aggregation
# In median distances from the median of all edges: beyond it, an edge counts for less. Twice as
# much is as good if no edge is far off, and worse if one is, see docs/experiments.md.
TRUSTED = 1.5


class Candidates(NamedTuple):
    """Pose estimates of queries, one for each edge into them, in edge order.

    Attributes:
        translation: (G, e, 3) camera centres in metres, world frame.
        quaternion: (G, e, 4) camera-to-world.
        node: (G, e) index of the neighbour in the graph, from 1 on.
        distance: (G, e) of the edges' features from known ones, see ``PoseNetwork.distance``.
    """

    translation: np.ndarray
    quaternion: np.ndarray
    node: np.ndarray
    distance: np.ndarray


class LocalizationSettings(NamedTuple):
    """How poses follow from what the network regresses.

    Attributes:
        both_directions: average an edge into the query with the opposite edge, if there is one.
        aggregation: rule for all edges into the query, see ``aggregate``.
    """

    both_directions: bool
    aggregation: str


def aggregate(candidates: Candidates, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one pose per query from all its edges: t (G, 3), q (G, 4).

    NaN for a query with a candidate that is not finite. With ``huber``, candidates whose distance
    is not finite have no weight, and a query without any other is NaN.

    Args:
        candidates: one or more per query.
        rule: ``median``, which is robust against outliers: the geometric median of the camera
            centres, and the rotation of least summed chordal distance (Hartley et al. 2013,
            section 5; L1 averaging), both by Weiszfeld's iteration. ``huber``: a weighted mean of
            the centres and chordal mean of the rotations. An edge is weighted by 1 / distance, and
            less if it is far from the median: one step of Huber's estimator from the median (Huber
            1964; Bickel 1975).

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

    0 for a single pose; not finite if a pose is not.

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
    """Return the rotations nearest to matrices; both are (G, 9), flattened row by row."""
    return nearest_rotation(flat.reshape(-1, 3, 3)).reshape(-1, 9)


def _weiszfeld(
    points: np.ndarray, nearest: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> np.ndarray:
    """Return the medians (G, d) of point sets (G, e, d); ``nearest`` maps each weighted mean."""
    median = nearest(points.mean(axis=1))
    for _ in range(MEDIAN_ITERATIONS):
        weight = 1 / np.maximum(_distances(points, median), TINY)  # the median may be a point
        before, median = median, nearest(_weighted_mean(points, weight))
        if np.abs(median - before).max(initial=0) < STILL:
            break
    return median


def _mean_about(middle: np.ndarray, points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the means (G, d) of points (G, e, d) by weights (G, e), reduced far from a middle.

    Beyond ``TRUSTED`` median distances from the middle (G, d), weights fall with 1 / distance.
    """
    distance = _distances(points, middle)
    trusted = TRUSTED * np.median(distance, axis=1, keepdims=True)
    return _weighted_mean(points, weight * np.minimum(1, (trusted + TINY) / (distance + TINY)))


def _distances(points: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return the distances (G, e) of points (G, e, d) from one point per set (G, d)."""
    return np.linalg.norm(points - middle[:, None], axis=-1)


def _weighted_mean(points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the means (G, d) of points (G, e, d) by weights (G, e)."""
    return np.einsum("ge,gei->gi", weight / weight.sum(axis=1, keepdims=True), points)
