"""Points from views of known poses: planted ones come back, wrong views are left out."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relposegnn.matching.triangulation import project, triangulate, triangulate_agreeing

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
    np.testing.assert_array_equal(views, [3] * 20 + [4] * 20)
    np.testing.assert_allclose(found, points, atol=1e-6)


def test_points_that_no_two_views_agree_on_are_none(planted):
    cameras, _, places = planted
    places[0, 1:] = np.nan  # one view
    places[1] = np.nan
    places[2, 2:], places[2, 1] = np.nan, places[2, 1] + [0.0, 0.3]  # off the epipolar line
    places[3] = -places[3]  # behind the cameras, for most
    found, views = triangulate_agreeing(cameras, places, TOLERANCE)
    np.testing.assert_array_equal(views[:3], 0)
    assert np.isnan(found[:3]).all()
    assert (views[4:] == 5).all()


def test_views_from_one_place_tell_no_depth(planted):
    cameras, points, _ = planted
    cameras[:, :, 3] = 0
    turned_only = project(cameras, points)[0]
    assert (triangulate_agreeing(cameras, turned_only, TOLERANCE)[1] == 0).all()
