"""Points from views of known poses: planted ones come back, wrong views are left out."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relposegnn.matching.triangulation import (
    project,
    slopes,
    triangulate,
    triangulate_agreeing,
    uncertainty,
)

TOLERANCE = 3e-3


@pytest.fixture
def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cam_from_world (5, 3, 4), points (40, 3) and their places (40, 5, 2)."""
    rng = np.random.default_rng(0)
    cameras = np.zeros((5, 3, 4))
    for camera in cameras:
        camera[:, :3] = Rotation.from_rotvec(rng.uniform(-0.1, 0.1, 3)).as_matrix()
        camera[:, 3] = rng.uniform(-0.4, 0.4, 3)
    points = rng.uniform([-1, -1, 2], [1, 1, 5], (40, 3))
    return cameras, points, project(cameras, points)[0]


def test_projection_is_what_a_camera_sees(planted):
    cameras, points, places = planted
    x, y, z = cameras[2] @ np.append(points[7], 1)
    np.testing.assert_allclose(places[7, 2], [x / z, y / z])
    assert project(cameras, points)[1][7, 2] == pytest.approx(z)


def test_planted_points_come_back_from_the_views_that_see_them(planted):
    cameras, points, places = planted
    seen = np.random.default_rng(1).random(places.shape[:2]) < 0.6
    seen[:, :2] = True
    found = triangulate(cameras, np.where(seen[..., None], places, 9.0), seen)
    np.testing.assert_allclose(found, points, atol=1e-9)


def test_wrong_views_are_left_out(planted):
    cameras, points, places = planted
    rng = np.random.default_rng(2)
    places[:, 1] += rng.uniform(0.05, 0.2, (40, 2))  # a wrong match in the second view
    places[:20, 4] = np.nan
    found, views = triangulate_agreeing(cameras, places, TOLERANCE)
    np.testing.assert_array_equal(views.sum(axis=1), [3] * 20 + [4] * 20)
    assert not views[:, 1].any()
    np.testing.assert_allclose(found, points, atol=1e-6)


def test_points_that_no_two_views_agree_on_are_none(planted):
    cameras, _, places = planted
    places[0, 1:] = np.nan  # one view
    places[1] = np.nan
    places[2, 2:], places[2, 1] = np.nan, places[2, 1] + [0.0, 0.3]  # off the epipolar line
    places[3] = -places[3]  # behind the cameras, for most
    found, views = triangulate_agreeing(cameras, places, TOLERANCE)
    assert not views[:3].any()
    assert np.isnan(found[:3]).all()
    assert views[4:].all()


def test_views_from_one_place_tell_no_depth(planted):
    cameras, points, _ = planted
    cameras[:, :, 3] = 0
    turned_only = project(cameras, points)[0]
    assert not triangulate_agreeing(cameras, turned_only, TOLERANCE)[1].any()


def test_slopes_are_differences_of_projections(planted):
    cameras, points, places = planted
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 1e-6
        change = (project(cameras, points + step)[0] - places) / 1e-6
        np.testing.assert_allclose(slopes(cameras, points)[..., axis], change, atol=1e-4)
    assert (slopes(cameras, -points)[:, :1] == 0).all()  # behind


def test_uncertainty_is_the_spread_of_points_by_noisy_places(planted):
    cameras, points, places = planted
    cameras, points, places = cameras[:3], points[:5], places[:5, :3]
    seen, error = np.ones((5, 3), dtype=bool), 1e-4
    seen[0, 2] = False
    rng = np.random.default_rng(3)
    tries = [places + rng.normal(0, error, places.shape) for _ in range(2000)]
    found = np.stack([triangulate(cameras, noisy, seen) for noisy in tries])
    told = uncertainty(cameras, points, seen, error)
    for point, covariance in enumerate(told):
        spread = np.sqrt(np.diag(np.cov(found[:, point].T)))
        np.testing.assert_allclose(np.sqrt(np.diag(covariance)), spread, rtol=0.15)
    assert np.trace(told[0]) > np.trace(uncertainty(cameras, points, seen | True, error)[0])
