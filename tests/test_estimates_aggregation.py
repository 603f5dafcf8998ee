"""Aggregation: outliers, what the network knows, failed edges."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relposegnn.estimates.aggregation import HUBER, MEDIAN, RULES, TRUSTED, Candidates, aggregate
from relposegnn.poses import quaternion_from_matrix, rotation_error_deg
from relposegnn.runtime import InputError


def candidates(translation, quaternion, distance=1.0, motion=1.0) -> Candidates:
    """Return candidates of edges so long, at some distance from what the network knows."""
    shape = translation.shape[:2]
    return Candidates(
        translation,
        quaternion,
        np.broadcast_to(np.arange(1, 1 + shape[1]), shape),
        np.broadcast_to(distance, shape),
        np.broadcast_to(motion, shape),
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


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("outliers", [0, 1, 2])
def test_outlying_edges_hardly_move_the_aggregate(outliers, rule):
    planted, truth_t, truth_q = planted_candidates(outliers)
    translation, quaternion = aggregate(planted, rule)
    assert np.linalg.norm(translation - truth_t, axis=1).max() < 0.015
    assert rotation_error_deg(quaternion, truth_q).max() < 1.0
    if outliers:
        mean = planted.translation.mean(axis=1)
        assert np.linalg.norm(mean - truth_t, axis=1).min() > 1.0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("edges", [1, 2, 7])
def test_the_aggregate_of_equal_candidates_is_that_candidate(edges, rule):
    translation = np.tile([[[1.0, 2.0, 3.0]]], (2, edges, 1))
    quaternion = np.tile([[[0.5, -0.5, 0.5, 0.5]]], (2, edges, 1))
    t, q = aggregate(candidates(translation, quaternion), rule)
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


@pytest.mark.parametrize("distance", [np.inf, np.nan])
def test_a_query_whose_edges_lie_at_no_finite_distance_fails_alone(distance):
    """Where distances count."""
    planted, _, _ = planted_candidates(outliers=0)
    expected = aggregate(planted, HUBER)
    distances = np.ones((3, 7))
    distances[1] = distance
    planted = planted._replace(distance=distances)
    for found, own in zip(aggregate(planted, HUBER), expected, strict=True):
        assert np.isnan(found[1]).all()
        np.testing.assert_allclose(found[[0, 2]], own[[0, 2]], atol=1e-9)
    assert np.isfinite(aggregate(planted, MEDIAN)[0]).all()


@pytest.mark.parametrize("distance", [np.inf, np.nan])
def test_an_edge_at_no_finite_distance_counts_for_nothing(distance):
    planted, _, _ = planted_candidates(outliers=0)
    distances = np.ones((3, 7))
    distances[1, 4] = 1e30
    expected = aggregate(planted._replace(distance=distances.copy()), HUBER)
    distances[1, 4] = distance
    aggregated = aggregate(planted._replace(distance=distances), HUBER)
    for found, own in zip(aggregated, expected, strict=True):
        np.testing.assert_allclose(found, own, atol=1e-12)


def test_geometric_median_lies_where_the_unit_vectors_cancel():
    points = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]]])
    identity = np.tile([1.0, 0, 0, 0], (1, 4, 1))
    median, _ = aggregate(candidates(points, identity), MEDIAN)
    directions = points[0] - median
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert np.linalg.norm(directions.sum(axis=0)) < 1e-3


def turned(degrees):
    """Return quaternions (1, e, 4) of turns about the y axis."""
    return quaternion_from_matrix(
        Rotation.from_rotvec([[0, each, 0] for each in degrees], degrees=True).as_matrix()
    )[None]


@pytest.mark.parametrize(
    ("distance", "motion", "second"),
    [
        # The median is the first edge's. The second one's distance from it is twice the median of
        # both, so its weight is TRUSTED / 2 of 1 / expected error squared.
        ([[1.0, 4.0]], 1.0, TRUSTED / 2 / 4**2),
        ([[1.0, 1.0]], [[1.0, 4.0]], TRUSTED / 2 * (3.5 / 6.5) ** 2),  # median motion 2.5
        ([[1.0, 2.0]], [[1.0, 4.0]], TRUSTED / 2 * (3.5 / 6.5 / 2) ** 2),
        ([[1.0, 1.0]], [[0.0, 0.0]], 1.0),
        ([[0.5, 0.5]], [[1e6, 1e6]], 1.0),
    ],
)
def test_edges_expected_to_err_less_count_for_more(distance, motion, second):
    """Those whose features the network knows, and short ones."""
    centres = np.array([[[0.0, 0, 0], [1, 0, 0]]])
    quaternion = turned([0.0, 8.0])
    t, q = aggregate(candidates(centres, quaternion, distance, motion), HUBER)
    share = second / (1 + second)
    np.testing.assert_allclose(t[0], [share, 0, 0], atol=1e-6)
    assert rotation_error_deg(q[0], quaternion[0, 0]) == pytest.approx(8 * share, abs=0.01)


def test_a_long_edge_may_lie_farther_from_the_median():
    centres = np.zeros((1, 7, 3))
    centres[0, :, 0] = [-1, 1, -1, 1, 0, 0, 8]
    identity = np.tile([1.0, 0, 0, 0], (1, 7, 1))
    shares = []
    for motion in (1.0, 9.0):
        lengths = np.array([[*[1.0] * 6, motion]])
        t, _ = aggregate(candidates(centres, identity, motion=lengths), HUBER)
        weight = TRUSTED / 8 if motion == 1 else TRUSTED * (10 / 2) / 8 / (10 / 2) ** 2
        shares.append(8 * weight / (6 + weight))
        np.testing.assert_allclose(t[0], [shares[-1], 0, 0], atol=1e-6)
    assert shares[1] < shares[0]


def test_edges_far_from_the_median_count_for_less():
    # The median is at 0; distances 1, 1, 0, 2, 10, their median 1.
    centres = np.zeros((1, 5, 3))
    centres[0, :, 0] = [-1, 1, 0, -2, 10]
    t, q = aggregate(candidates(centres, turned(centres[0, :, 0])), HUBER)
    least = TRUSTED / 2, TRUSTED / 10
    expected = (-2 * least[0] + 10 * least[1]) / (3 + sum(least))
    np.testing.assert_allclose(t[0], [expected, 0, 0], atol=1e-6)
    assert rotation_error_deg(q[0], turned([expected])[0, 0]) < 0.01


def test_a_failed_edge_fails_its_query_under_either_rule():
    planted, _, _ = planted_candidates(outliers=0)
    planted.translation[1, 3, 0] = np.nan
    for rule in RULES:
        translation, quaternion = aggregate(planted, rule)
        failed = np.isnan(translation).any(axis=1), np.isnan(quaternion).any(axis=1)
        assert [each.tolist() for each in failed] == [[False, True, False]] * 2


def test_an_unknown_rule_is_named():
    planted, _, _ = planted_candidates(outliers=0)
    with pytest.raises(InputError, match="'mean', expected median or huber"):
        aggregate(planted, "mean")
