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
MEDIAN, NEARNESS = "median", "nearness"  # rules of aggregation
# Added to the length of an edge, in metres, before it weighs: shorter edges weigh much alike. Good
# on a dense and on sparse databases in short experiments.
NEAR = 0.05


class Candidates(NamedTuple):
    """Pose estimates of queries, one for each edge into them, in edge order.

    Attributes:
        translation: (G, e, 3) camera centres in metres, world frame.
        quaternion: (G, e, 4) camera-to-world.
        length: (G, e) of the edges as estimated: metres from the neighbour's camera centre.
        node: (G, e) of the neighbour in the graph, from 1 on.
        distance: (G, e) of the edges from what the network knows, see ``PoseNetwork.distance``.
    """

    translation: np.ndarray
    quaternion: np.ndarray
    length: np.ndarray
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

    NaN for a query with a candidate that is not finite.

    Args:
        candidates: one or more a query.
        rule: ``median``, which outlying edges move little: the geometric median of the camera
            centres, and the rotation of least summed chordal distance (Hartley et al. 2013,
            section 5; L1 averaging), both by Weiszfeld's iteration. ``nearness``: the mean of the
            centres and the chordal mean of the rotations, with ``nearness_weights``.

    Raises:
        InputError: the rule is unknown.
    """
    if rule not in (MEDIAN, NEARNESS):
        raise InputError(f"localization.aggregation is {rule!r}, expected {MEDIAN} or {NEARNESS}")
    found = np.isfinite(candidates.translation).all((1, 2))
    found &= np.isfinite(candidates.quaternion).all((1, 2))
    translation, quaternion = np.full((len(found), 3), np.nan), np.full((len(found), 4), np.nan)
    centres = candidates.translation[found]
    rotations = matrix_from_quaternion(candidates.quaternion[found]).reshape(*centres.shape[:2], 9)
    if rule == MEDIAN:
        translation[found] = _weiszfeld(centres, lambda mean: mean)
        turns = _weiszfeld(rotations, _project_rotations)
    else:
        weight = nearness_weights(candidates.length[found])
        weight /= weight.sum(axis=1, keepdims=True)
        translation[found] = np.einsum("ge,gei->gi", weight, centres)
        turns = _project_rotations(np.einsum("ge,gei->gi", weight, rotations))
    quaternion[found] = quaternion_from_matrix(turns.reshape(-1, 3, 3))
    return translation, quaternion


def nearness_weights(length: np.ndarray) -> np.ndarray:
    """Return 1 / (``NEAR`` + length)^2 of edges' lengths in metres: errors grow with the length."""
    return 1 / (NEAR + length) ** 2


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


def _project_rotations(flat: np.ndarray) -> np.ndarray:
    """Return the rotations (G, 9), row by row, nearest to such matrices (G, 9)."""
    return nearest_rotation(flat.reshape(-1, 3, 3)).reshape(-1, 9)


def _weiszfeld(points: np.ndarray, project: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the medians (G, d) of point sets (G, e, d), each weighted mean mapped by project."""
    median = project(points.mean(axis=1))
    for _ in range(MEDIAN_ITERATIONS):
        distance = np.linalg.norm(points - median[:, None], axis=-1, keepdims=True)
        weight = 1 / np.maximum(distance, 1e-9)  # a median may fall on a point
        before, median = median, project((weight * points).sum(axis=1) / weight.sum(axis=1))
        if np.abs(median - before).max(initial=0) < STILL:
            break
    return median
