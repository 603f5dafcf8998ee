"""One pose by matches: planted poses found again, the regressed one kept where little matches."""

import numpy as np
import pytest
from planted_matches import PRIOR, SCALE, Scene, errors, turned
from scipy.spatial.transform import Rotation

from relposegnn.matching.most_probable import WEIGHT, Camera, Prior, Solution
from relposegnn.matching.refinement import (
    MAJORITY,
    VIEW_ERROR,
    Refined,
    unrefined,
    without_prior,
)


@pytest.mark.parametrize("wrong", [0, 60])
@pytest.mark.parametrize("seed", range(3))
def test_planted_pose_is_found_in_spite_of_wrong_matches(wrong, seed):
    scene = Scene(seed=seed)
    scene.query[:wrong] = scene.rng.uniform(-0.5, 0.5, (wrong, 2))
    refined = scene.refine()
    metres, degrees = errors(refined.pose, scene.truth)
    assert refined.points >= 80
    assert metres < 4e-3
    assert degrees < 0.08


def test_a_regressed_pose_that_is_off_is_no_trap():
    """Where the start alone would end elsewhere, three points suffice to find the pose."""
    scene = Scene()
    far = turned(scene.rng, 0.4, 0.25, scene.truth)
    refined = scene.refine(Prior(far, 0.5, 0.3))
    assert errors(refined.pose, scene.truth)[0] < 4e-3


def test_points_of_uncertain_depth_do_not_outvote_sure_ones():
    """Points by two cameras that are nearly at one place are off in depth, all of them alike."""
    scene = Scene(count=0, noise=0.0)
    points = scene.rng.uniform([-1.5, -1, 2], [1.5, 1, 3], (130, 3))
    scene.cameras = np.stack([np.eye(4)] * 4)
    scene.cameras[:, 0, 3] = 0, 0.06, 0.8, -0.8
    scene.truth[:3, 3] += [0.6, 0.0, 0.0]  # seen from the side, depth matters
    scene.views = scene.seen(scene.cameras, points)
    scene.views[:100, 2:] = np.nan
    scene.views[:100, 1, 0] += 0.15 * SCALE  # as a camera that is not where its pose says
    scene.query = scene.seen(scene.truth[None], points)[:, 0]
    refined = scene.refine(Prior(turned(scene.rng, 0.05, 0.03, scene.truth), 1.0, 0.5))
    assert errors(refined.pose, scene.truth)[0] < 1e-3


def test_few_matches_leave_the_regressed_pose():
    scene = Scene(count=MAJORITY - 1)
    refined = scene.refine()
    assert refined.points == 0
    assert refined.pose is scene.prior.pose
    np.testing.assert_allclose(refined.centre, PRIOR["metres"] ** 2 * np.eye(3))
    np.testing.assert_allclose(refined.rotation, PRIOR["radians"] ** 2 * np.eye(3))
    blank = Scene(count=0)
    assert blank.refine().points == 0


@pytest.mark.parametrize(("right", "wrong", "points"), [(12, 0, 12), (40, 28, 40), (40, 29, 0)])
def test_points_that_agree_refine_a_pose_where_they_outnumber_the_others(right, wrong, points):
    scene = Scene(count=right + wrong, seed=1, noise=0)
    scene.query[right:] = 2  # further than anything is seen
    assert scene.refine().points == points


def test_wrong_matches_alone_leave_the_regressed_pose():
    scene = Scene()
    scene.query[:] = scene.rng.uniform(-0.5, 0.5, scene.query.shape)
    refined = scene.refine()
    assert refined.points == 0
    assert refined.pose is scene.prior.pose


def test_matches_that_contradict_a_sure_regression_are_not_believed():
    scene = Scene()
    elsewhere = turned(scene.rng, 1.0, 0.5, scene.truth)
    assert scene.refine(Prior(elsewhere, 0.02, 0.01)).points == 0


def test_a_pose_that_matches_tell_little_of_stays_near_the_regressed_one():
    """Thirty points far away: rotation is told, the camera's place by the regression alone."""
    scene = Scene(count=0)
    points = scene.rng.uniform([-30, -20, 80], [30, 20, 120], (30, 3))
    scene.cameras[:, :3, 3] *= 10  # apart enough for a parallax
    scene.views, scene.query = scene.seen(scene.cameras, points), None
    scene.query = scene.seen(scene.truth[None], points)[:, 0]
    refined = scene.refine()
    assert refined.points >= MAJORITY
    assert np.linalg.norm(refined.pose[:3, 3] - scene.prior.pose[:3, 3]) < 3 * PRIOR["metres"]
    assert errors(refined.pose, scene.truth)[1] < errors(scene.prior.pose, scene.truth)[1]


def test_deviations_sum_up_their_axes():
    turn = Rotation.from_rotvec([0.3, -0.2, 0.9]).as_matrix()
    centre, rotation = (turn @ np.diag(s) @ turn.T for s in ([1.0, 4, 4], [0.01, 0.02, 0.06]))
    refined = Refined(np.eye(4), 20, centre, rotation, 0.5, intrinsics=np.array([1, 1, 0, 0]))
    assert refined.metres == pytest.approx(3)
    assert refined.radians == pytest.approx(0.3)
    assert unrefined(Prior(np.eye(4), 0.05, 0.03)).metres == pytest.approx(0.05 * 3**0.5)


@pytest.mark.parametrize("worse", [{"count": 30}, {"noise": 3.0}])
def test_what_fewer_and_noisier_points_tell_is_less_sure(worse):
    fine, poor = Scene().refine(), Scene(**worse).refine()
    assert fine.points > poor.points >= MAJORITY
    assert poor.misfit > (2 if "noise" in worse else 0.7) * fine.misfit
    assert poor.metres > 1.5 * fine.metres
    assert poor.radians > 1.5 * fine.radians
    for refined in (fine, poor):  # the regressed pose alone tells as much
        assert refined.metres < 3**0.5 * PRIOR["metres"]
        assert refined.radians < 3**0.5 * PRIOR["radians"]
        for covariance in (refined.centre, refined.rotation):
            np.testing.assert_allclose(covariance, covariance.T, rtol=1e-6)
            assert np.linalg.eigvalsh(covariance).min() > 0


def test_errors_over_repeated_noise_are_as_large_as_the_covariance_says():
    """Errors that matches have in common, and of the database's poses, are not planted here."""
    found, told = [], []
    for seed in range(40):
        scene = Scene(count=60, seed=seed, noise=1.0)
        refined = scene.refine()
        turn = Rotation.from_matrix(scene.truth[:3, :3].T @ refined.pose[:3, :3]).magnitude()
        shift = np.linalg.norm(refined.pose[:3, 3] - scene.truth[:3, 3])
        found.append([shift, turn])
        told.append([refined.metres, refined.radians])
    ratio = np.sqrt(np.mean(np.square(found), axis=0) / np.mean(np.square(told), axis=0))
    assert (ratio > WEIGHT**0.5 / VIEW_ERROR).all(), ratio
    assert (ratio < 2).all(), ratio


def test_covariances_know_what_is_told_least_and_have_their_own_axes():
    """Of a camera that looks at a distant wall: its depth, in the world; its roll, in the camera.

    The world's x axis is the camera's optical one here.
    """
    scene, world = Scene(count=0), np.eye(4)
    world[:3, :3] = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    points = scene.rng.uniform([-1, -1, 8], [1, 1, 12], (150, 3)) @ world[:3, :3].T
    scene.cameras[:, :3, 3] *= 4
    scene.cameras, scene.truth = world @ scene.cameras, world @ scene.truth
    scene.views = scene.seen(scene.cameras, points)
    scene.query = scene.seen(scene.truth[None], points)[:, 0]
    refined = scene.refine(Prior(world @ scene.prior.pose, 1.0, 0.5))
    assert refined.points >= MAJORITY
    for covariance, axis in ((refined.centre, [1, 0, 0]), (refined.rotation, [0, 0, 1])):
        squares, directions = np.linalg.eigh(covariance)
        assert squares[2] > 1.5 * squares[1]
        assert abs(directions[:, 2] @ axis) > 0.95


def test_where_matches_fix_a_pose_the_regressed_one_says_nothing():
    """Two regressed poses, on either side of the truth, end at the same; exact matches, at it."""
    scene = Scene(noise=0)
    offset = np.array([0.04, -0.03, 0.05])
    found = []
    for sign in (1, -1):
        off = scene.truth.copy()
        off[:3, 3] += sign * offset
        found.append(scene.refine(Prior(off, **PRIOR)).pose)
    assert np.linalg.norm(found[0][:3, 3] - found[1][:3, 3]) < 1e-4
    assert max(errors(pose, scene.truth)[0] for pose in found) < 1e-4


def test_a_pose_is_let_go_by_the_share_of_what_others_know():
    """Of a cost of two parts in each direction, the regressed pose's being the first."""
    told = np.array([0.0, 1, 24, 1e8, 0, 3])  # by matches, in what the regressed pose tells
    deviation = np.repeat([PRIOR["metres"], PRIOR["radians"]], 3)
    target = np.array([1.0, 1, 1, 1, 0, 0])  # where matches say, in its deviations
    prior, pose = Prior(np.eye(4), **PRIOR), np.eye(4)
    most_probable = target * told / (told + 1) * deviation
    pose[:3, 3] = most_probable[:3]
    pose[:3, :3] = Rotation.from_rotvec(most_probable[3:]).as_matrix()
    rows = np.vstack([np.diag(np.sqrt(told) / deviation), np.diag(1 / deviation)])
    solution = Solution(Camera(pose, np.zeros(0)), 0.0, rows.T @ rows)
    (moved, _), covariance = without_prior(solution, prior)
    share = 1 / (told + 1)
    expected = target * told / (told + share) * deviation
    turn = Rotation.from_matrix(moved[:3, :3]).as_rotvec()
    np.testing.assert_allclose(moved[:3, 3], expected[:3], atol=1e-9)
    np.testing.assert_allclose(turn, expected[3:], atol=1e-9)
    np.testing.assert_allclose(np.diag(covariance), deviation**2 / (told + share), rtol=1e-6)
