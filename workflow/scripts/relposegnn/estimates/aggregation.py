"""From the estimates of several edges to one pose of a query."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..poses import (
    matrix_from_quaternion,
    nearest_rotation,
    quaternion_from_matrix,
    rotation_error_deg,
)
from ..runtime import InputError

MEDIAN_ITERATIONS = 50  # at most
STILL = 1e-11  # metres, or entries of a rotation: a median that moves less has converged
TINY = 1e-9  # smallest divisor
MEDIAN, HUBER = RULES = "median", "huber"  # of aggregation
# In median distances from the median of all edges: beyond it, an edge counts for less. Chosen, like
# the form of the weights, on left-out database frames, see docs/experiments.md.
TRUSTED = 1.5


class Candidates(NamedTuple):
    """Pose estimates of queries, one for each edge into them, in edge order.

    Attributes:
        translation: (G, e, 3) camera centres in metres, world frame.
        quaternion: (G, e, 4) camera-to-world.
        node: (G, e) index of the neighbour in the graph, from 1 on.
        distance: (G, e) of the edges' features from known ones, see ``PoseNetwork.distance``.
        motion: (G, e) metres from the neighbour's camera to the estimated one.
    """

    translation: np.ndarray
    quaternion: np.ndarray
    node: np.ndarray
    distance: np.ndarray
    motion: np.ndarray


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
            section 5; L1 averaging), both by Weiszfeld's iteration. ``huber``: one step of Huber's
            estimator from a weighted median (Huber 1964; Bickel 1975), to a weighted mean of the
            centres and chordal mean of the rotations. An edge's expected error is taken to be in
            proportion to its distance and to its length, see ``_expected_errors``: weights are
            1 / expected error in the median and 1 / its square in the mean.

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
    candidates = Candidates(*(each[found] for each in candidates))
    centres = candidates.translation
    rotations = matrix_from_quaternion(candidates.quaternion).reshape(*centres.shape[:2], 9)
    if rule == MEDIAN:
        translation[found], turns = _weiszfeld(centres), _weiszfeld(rotations, nearest=_nearest)
    else:
        expected, length = _expected_errors(candidates)
        translation[found] = _huber(centres, expected, length)
        turns = _huber(rotations, expected, length, nearest=_nearest)
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


def _expected_errors(candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Return in what proportion edges are expected to err (G, e), and their lengths (G, e).

    Errors grow with the motion along an edge and, where that is small, do not vanish: the median
    motion of the query's edges is added. An edge at no finite distance errs infinitely.
    """
    motion = candidates.motion
    length = np.maximum(motion + np.median(motion, axis=1, keepdims=True), TINY)
    distance = np.nan_to_num(candidates.distance, nan=np.inf, posinf=np.inf)
    return np.maximum(distance, TINY) * length, length


def _huber(
    points: np.ndarray,
    expected: np.ndarray,
    length: np.ndarray,
    nearest: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> np.ndarray:
    """Return the robust means (G, d) of points (G, e, d), see ``aggregate``.

    An edge is farther from the median than others if it is so relative to its ``length`` (G, e).
    Beyond ``TRUSTED`` median distances its weight falls with 1 / distance. ``expected`` (G, e) are
    errors; ``nearest`` maps each mean.
    """
    median = _weiszfeld(points, nearest, 1 / expected)
    distance = _distances(points, median) / length
    trusted = TRUSTED * np.median(distance, axis=1, keepdims=True)
    weight = np.minimum(1, (trusted + TINY) / (distance + TINY)) / expected**2
    return nearest(_weighted_mean(points, weight))


def _weiszfeld(
    points: np.ndarray,
    nearest: Callable[[np.ndarray], np.ndarray] = np.asarray,
    weight: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Return the medians (G, d) of point sets (G, e, d) by weights (G, e).

    ``nearest`` maps each weighted mean.
    """
    weight = np.broadcast_to(weight, points.shape[:2])
    median = nearest(_weighted_mean(points, weight))
    for _ in range(MEDIAN_ITERATIONS):
        # The median may be a point.
        near = weight / np.maximum(_distances(points, median), TINY)
        before, median = median, nearest(_weighted_mean(points, near))
        if np.abs(median - before).max(initial=0) < STILL:
            break
    return median


def _distances(points: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return the distances (G, e) of points (G, e, d) from one point per set (G, d)."""
    return np.linalg.norm(points - middle[:, None], axis=-1)


def _weighted_mean(points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the means (G, d) of points (G, e, d) by weights (G, e)."""
    return np.einsum("ge,gei->gi", weight / weight.sum(axis=1, keepdims=True), points)
