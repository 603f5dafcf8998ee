"""Aggregation: outliers, nearness, failed edges."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relposegnn.aggregation import MEDIAN, NEAR, NEARNESS, Candidates, aggregate
from relposegnn.poses import quaternion_from_matrix, rotation_error_deg
from relposegnn.runtime import InputError


def candidates(translation, quaternion, length=1.0) -> Candidates:
    """Return candidates whose edges have some length."""
    shape = translation.shape[:2]
    return Candidates(
        translation,
        quaternion,
        np.broadcast_to(length, shape),
        np.broadcast_to(np.arange(1, 1 + shape[1]), shape),
        np.ones(shape),
    )


def planted_candidates(outliers):
    """Return 3 queries of 7 candidates within 1 cm and 0.5 deg, some far off, and the truth."""
    rng = np.random.default_rng(0)
    truth_t, truth_q = rng.standard_normal((3, 3)), Rotation.random(3, rng=rng)
    translation = truth_t[:, None] + rng.uniform(-0.005, 0.005, (3, 7, 3))
    quaternion = np.empty((3, 7, 4))
    for query in range(3):
        noise = Rotation.from_rotvec(rng.uniform(-0.005, 0.005, (7, 3)))
        quaternion[query] = quaternion_from_matrix((noise * truth_q[query]).as_matrix())
    translation[:, :outliers] += 50.0
    quaternion[:, :outliers] = quaternion_from_matrix(Rotation.random(1, rng=rng).as_matrix())
    quaternion[:, 1::2] *= -1  # the same rotations
    return candidates(translation, quaternion), truth_t, quaternion_from_matrix(truth_q.as_matrix())


@pytest.mark.parametrize("outliers", [0, 1, 2])
def test_outlying_edges_hardly_move_the_aggregate(outliers):
    planted, truth_t, truth_q = planted_candidates(outliers)
    translation, quaternion = aggregate(planted, MEDIAN)
    assert np.linalg.norm(translation - truth_t, axis=1).max() < 0.015
    assert rotation_error_deg(quaternion, truth_q).max() < 1.0
    if outliers:
        mean = planted.translation.mean(axis=1)
        assert np.linalg.norm(mean - truth_t, axis=1).min() > 1.0


def test_the_aggregate_of_equal_candidates_is_that_candidate():
    translation = np.tile([[[1.0, 2.0, 3.0]]], (2, 7, 1))
    quaternion = np.tile([[[0.5, -0.5, 0.5, 0.5]]], (2, 7, 1))
    t, q = aggregate(candidates(translation, quaternion), MEDIAN)
    np.testing.assert_allclose(t, translation[:, 0])
    np.testing.assert_allclose(q, quaternion[:, 0], atol=1e-12)


def test_a_query_without_finite_candidates_fails_alone():
    planted, truth_t, truth_q = planted_candidates(outliers=0)
    planted.translation[1, 3, 0] = np.nan
    translation, quaternion = aggregate(planted, MEDIAN)
    assert np.isnan(translation[1]).all()
    assert np.isnan(quaternion[1]).all()
    np.testing.assert_allclose(translation[[0, 2]], truth_t[[0, 2]], atol=0.015)
    assert rotation_error_deg(quaternion[[0, 2]], truth_q[[0, 2]]).max() < 1.0


def test_geometric_median_lies_where_the_unit_vectors_cancel():
    points = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]]])
    identity = np.tile([1.0, 0, 0, 0], (1, 4, 1))
    median, _ = aggregate(candidates(points, identity), MEDIAN)
    directions = points[0] - median
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert np.linalg.norm(directions.sum(axis=0)) < 1e-3


def test_near_edges_weigh_more_in_the_mean_by_nearness():
    centres = np.array([[[0.0, 0, 0], [1, 0, 0]]])
    angles = np.radians([0.0, 8.0])
    turned = Rotation.from_rotvec([[0, angle, 0] for angle in angles]).as_matrix()
    quaternion = quaternion_from_matrix(turned)[None]
    length = np.array([[0.05, 0.25]])  # weights 100 and 11.1: nine to one
    t, q = aggregate(candidates(centres, quaternion, length), NEARNESS)
    assert NEAR == 0.05
    np.testing.assert_allclose(t[0], [0.1, 0, 0])
    first = rotation_error_deg(q[0], quaternion[0, 0])
    assert first == pytest.approx(0.8, abs=0.01)
    equal, _ = aggregate(candidates(centres, quaternion), NEARNESS)
    np.testing.assert_allclose(equal[0], [0.5, 0, 0])


def test_a_failed_edge_fails_its_query_under_either_rule():
    planted, _, _ = planted_candidates(outliers=0)
    planted.translation[1, 3, 0] = np.nan
    for rule in (MEDIAN, NEARNESS):
        translation, quaternion = aggregate(planted, rule)
        failed = np.isnan(translation).any(axis=1), np.isnan(quaternion).any(axis=1)
        assert [each.tolist() for each in failed] == [[False, True, False]] * 2


def test_an_unknown_rule_is_named():
    planted, _, _ = planted_candidates(outliers=0)
    with pytest.raises(InputError, match="'mean', expected median or nearness"):
        aggregate(planted, "mean")
