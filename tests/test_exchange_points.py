"""Points of a rendered room lie on what was rendered, and COLMAP reads who sees them where."""

from types import SimpleNamespace

import numpy as np
import pycolmap
import pytest

from generated_rooms.rendering import Camera, render_frame
from generated_rooms.rooms import Room
from relposegnn.exchange.models import View, write_model
from relposegnn.exchange.points import Camera as View3D
from relposegnn.exchange.points import ScenePoints
from relposegnn.exchange.pose_formats import Pinhole, PoseList
from relposegnn.poses import inverse_pose, quaternion_from_matrix

pytestmark = pytest.mark.slow

SIZE, FOCAL_LENGTH = (256, 192), 0.8
QUERY, DATABASE = 9, [*range(9), *range(10, 20)]  # of the room's images
MAP = np.array([4.5e6, 1e6, 300.0])  # the coordinates of a map


def nearest(centres: np.ndarray, own: np.ndarray) -> np.ndarray:
    distances = np.linalg.norm(own[:, None] - centres, axis=2)
    return np.argsort(np.where(distances == 0, np.inf, distances), axis=1)[:, :12]


@pytest.fixture(scope="module")
def found(rendered_room):
    """Return the points of 19 images in the coordinates of a map, and what a query sees."""
    poses = rendered_room.poses.copy()
    poses[:, :3, 3] += MAP
    centres = poses[DATABASE, :3, 3]
    known = [rendered_room.paths[row] for row in DATABASE], poses[DATABASE]
    lengths = np.full(len(DATABASE), FOCAL_LENGTH)
    points = ScenePoints(*known, lengths, nearest(centres, centres))
    (matched,) = points.match([rendered_room.paths[QUERY]], nearest(centres, poses[[QUERY], :3, 3]))
    return SimpleNamespace(points=points, matched=matched, poses=poses)


def camera(pose: np.ndarray, focal_length: float = FOCAL_LENGTH) -> View3D:
    return View3D(inverse_pose(pose)[:3], focal_length)


def assert_rendered_there(room: Room, pose: np.ndarray, view: View, points: np.ndarray) -> None:
    """Compare the depths of points with what was rendered where an image sees them."""
    _, depth = render_frame(room, pose, Camera(*SIZE, FOCAL_LENGTH * SIZE[0]))
    columns, rows = (view.places * SIZE[0] + np.array(SIZE) / 2).astype(int).T
    ahead = (points[view.numbers] - pose[:3, 3]) @ pose[:3, 2]
    off = np.abs(ahead / (depth[rows, columns] / 1000) - 1)
    assert np.median(off) < 0.01
    assert np.mean(off < 0.1) > 0.95  # of the others, some lie at edges


def test_points_are_where_the_room_is(found, room):
    cloud = found.points.cloud()
    assert len(cloud.points) == len(cloud.colours) > 300
    for image in (0, len(DATABASE) - 1):
        pose = found.poses[DATABASE[image]].copy()
        pose[:3, 3] -= MAP
        assert_rendered_there(room, pose, cloud.views[image], cloud.points - MAP)
    numbers = np.concatenate([view.numbers for view in cloud.views])
    assert np.bincount(numbers).min() >= 3
    assert all(len(set(view.numbers)) == len(view.numbers) for view in cloud.views)


def test_a_query_sees_points_of_the_database_from_where_it_was_and_not_from_elsewhere(found, room):
    pose, elsewhere = found.poses[QUERY], found.poses[QUERY].copy()
    view = found.points.view(found.matched, camera(pose))
    assert len(view.numbers) == len(set(view.numbers)) > 100
    local = pose.copy()
    local[:3, 3] -= MAP
    assert_rendered_there(room, local, view, found.points.cloud().points - MAP)
    elsewhere[:3, 3] += 0.5
    assert len(found.points.view(found.matched, camera(elsewhere)).numbers) < 30
    assert len(found.points.view(found.matched, camera(pose, np.nan)).numbers) == 0


def test_colmap_reads_points_tracks_and_errors(found, rendered_room, tmp_path):
    cloud, poses = found.points.cloud(), found.poses[DATABASE]
    names = [rendered_room.paths[row].name for row in DATABASE]
    listed = PoseList(names, poses[:, :3, 3], quaternion_from_matrix(poses[:, :3, :3]), "any")
    pinhole = Pinhole.of_image(SIZE, FOCAL_LENGTH)
    write_model(tmp_path, listed, [pinhole] * len(names), cloud)
    model = pycolmap.Reconstruction(tmp_path)
    assert model.num_points3D() == len(cloud.points)
    assert model.compute_num_observations() == sum(len(view.numbers) for view in cloud.views)
    told = model.compute_mean_reprojection_error()
    model.update_point_3d_errors()
    assert told == pytest.approx(model.compute_mean_reprojection_error(), abs=2e-3)
    assert told < 0.5  # pixels
    for number, point in model.points3D.items():
        np.testing.assert_array_equal(point.color, cloud.colours[number - 1])
        for element in point.track.elements:
            image = model.images[element.image_id]
            assert image.points2D[element.point2D_idx].point3D_id == number
    # COLMAP's camera looks the same way: it sees a point where we say.
    image, view = model.images[1], cloud.views[0]
    seen = image.project_point(cloud.points[view.numbers[0]])
    np.testing.assert_allclose(seen, view.places[0] * SIZE[0] + np.array(SIZE) / 2, atol=1.5)


def test_queries_have_the_points_of_the_database(found, tmp_path):
    pose = found.poses[[QUERY]]
    view = found.points.view(found.matched, camera(pose[0]))
    listed = PoseList(["q.png"], pose[:, :3, 3], quaternion_from_matrix(pose[:, :3, :3]), "any")
    cloud = found.points.cloud([view])
    write_model(tmp_path, listed, [Pinhole.of_image(SIZE, FOCAL_LENGTH)], cloud)
    model = pycolmap.Reconstruction(tmp_path)
    assert sorted(model.points3D) == sorted(view.numbers + 1)
    number = view.numbers[0] + 1
    np.testing.assert_allclose(model.points3D[number].xyz, cloud.points[number - 1], rtol=1e-12)
