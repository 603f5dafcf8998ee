"""Queries whose intrinsics are other than told: solved for, taken as free, or left open."""

import numpy as np
import pytest
from planted_matches import PRIOR, Scene, errors
from scipy.spatial.transform import Rotation

from relposegnn.matching.most_probable import Guess, Prior
from relposegnn.matching.refinement import FREE

PART = Guess((0.1, 1e-3, 0.12, 1e-3))  # a middle that lies higher or lower, and nothing else


def test_a_focal_length_that_is_off_is_solved_for():
    scene = Scene()
    scene.query *= 1.04
    exact, loose = (
        scene.refine(scene.prior._replace(intrinsics=deviation)) for deviation in ((), (0.05,))
    )
    assert errors(loose.pose, scene.truth)[0] < 5e-3
    assert errors(exact.pose, scene.truth)[0] > 2 * errors(loose.pose, scene.truth)[0]
    np.testing.assert_array_equal(exact.intrinsics, (1, 1, 0, 0))
    np.testing.assert_allclose(loose.intrinsics, (1.04, 1.04, 0, 0), atol=2e-3)
    assert loose.points > 100


@pytest.mark.parametrize(
    ("lengths", "centre"),
    [
        ((2.0, 2.0), (0.0, 0.0)),  # the middle half
        ((0.7, 0.7), (0.0, 0.0)),
        ((1.2, 1.2), (0.2, -0.15)),  # a corner
        ((1.0, 1.3), (0.0, 0.0)),  # stretched
        ((1.6, 1.3), (-0.1, 0.2)),
    ],
)
@pytest.mark.parametrize("deviation", [0.02, 0.1])
def test_a_picture_that_was_cropped_or_stretched_is_placed(lengths, centre, deviation):
    """From a pose that is regressed as far off as picture and its middle are."""
    scene = Scene()
    scene.query = scene.query * lengths + centre
    off = scene.truth.copy()
    off[:3, 3] += off[:3, 2] * 3.0 * (1 - 1 / np.mean(lengths))
    turn = Rotation.from_rotvec([centre[1], -centre[0], 0])
    off[:3, :3] = off[:3, :3] @ turn.as_matrix()
    told, other = (
        scene.refine(Prior(off, **PRIOR, intrinsics=each, others=others))
        for each, others in (((), ()), ((deviation,), (FREE,)))
    )
    shift, degrees = errors(other.pose, scene.truth)
    assert shift < 0.02
    assert degrees < 0.5
    assert other.points > 140
    np.testing.assert_allclose(other.intrinsics, (*lengths, *centre), atol=0.02)
    assert shift < other.metres < 0.2
    assert np.radians(degrees) < other.radians < 0.1
    if deviation == 0.02:  # in place of a focal length that is off, and nothing else
        np.testing.assert_allclose(other.least, (other.metres, other.radians), rtol=0.01)
    assert told.least == (0, 0)
    assert told.points == 0 or errors(told.pose, scene.truth)[0] > 0.1


@pytest.mark.parametrize("longer", [1, 1.04])
def test_intrinsics_that_may_be_right_are_kept(longer):
    scene = Scene(noise=1.0)
    scene.query *= longer
    refined = scene.refine(scene.prior._replace(intrinsics=(0.1,), others=(FREE,)))
    assert errors(refined.pose, scene.truth)[0] < 0.01
    assert refined.least[0] < 0.1 * refined.metres
    assert refined.least[1] < 0.1 * refined.radians


def test_a_focal_length_that_is_told_in_whole_millimetres_is_let_go_of():
    """As EXIF has it, 1.2 percent too short; matches are exact."""
    scene = Scene(noise=0.05)
    scene.query *= 1.012
    refined = scene.refine(scene.prior._replace(intrinsics=(0.02,), others=(FREE,)))
    np.testing.assert_allclose(refined.intrinsics[:2], 1.012, atol=4e-4)
    assert errors(refined.pose, scene.truth)[0] < 1e-3


@pytest.mark.parametrize("odds", [1e-9, 1e9])
def test_how_probable_other_intrinsics_are_beforehand_counts(odds):
    """Intrinsics are as told: free ones come near, but hardly to the last bit."""
    scene = Scene()
    prior = scene.prior._replace(intrinsics=(0.1,), others=(FREE._replace(odds=odds),))
    fx, fy, *middle = scene.refine(prior).intrinsics
    assert (fx == fy) == (middle == [0, 0]) == (odds < 1)


def test_a_part_of_an_image_is_taken_for_a_tilted_camera_where_no_part_is_guessed():
    """Its middle is higher than is told, and noise is too large to tell it from a tilt at once."""
    found = []
    for seed in range(8):
        scene = Scene(count=60, seed=seed, noise=1.0)
        scene.query += (0, 0.2)
        tilted = scene.truth.copy()
        tilted[:3, :3] = tilted[:3, :3] @ Rotation.from_rotvec([0.2, 0, 0]).as_matrix()
        prior = Prior(tilted, **PRIOR, intrinsics=(0.1,))
        each = [scene.refine(prior._replace(others=others)) for others in ((PART, FREE), (FREE,))]
        fx, fy, *centre = each[0].intrinsics
        assert fx == pytest.approx(fy, abs=2e-3)
        np.testing.assert_allclose(centre, (0, 0.2), atol=0.03)
        found.append([errors(refined.pose, scene.truth) for refined in each])
    part, free = np.sqrt(np.mean(np.square(found), axis=0))
    assert (part < 0.2 * free).all(), (part, free)


def test_errors_say_so_where_two_cameras_fit_a_picture_alike():
    """A wall that is seen straight on is as near by a longer focal length as by a shorter one."""
    scene = Scene(count=0)
    points = scene.rng.uniform([-1.5, -1, 3.0], [1.5, 1, 3.02], (60, 3))
    scene.truth[:3, :3] = np.eye(3)
    scene.views = scene.seen(scene.cameras, points)
    scene.query = 1.3 * scene.seen(scene.truth[None], points)[:, 0]
    refined = scene.refine(Prior(scene.truth, 0.3, 0.1, intrinsics=(0.1,), others=(FREE,)))
    shift = errors(refined.pose, scene.truth)[0]
    assert refined.points == 60
    assert shift > 0.05
    assert refined.least[0] > shift / 2


def test_a_pose_regressed_too_near_by_a_camera_of_longer_focal_length_is_mended():
    scene = Scene()
    scene.query *= 1.3
    near = scene.truth.copy()
    near[:3, 3] += near[:3, 2] * 0.7  # of depths from 2 to 5
    refined = scene.refine(Prior(near, **PRIOR, intrinsics=(0.1,), others=(FREE,)))
    assert errors(refined.pose, scene.truth)[0] < 0.03
    assert refined.metres < 0.06
