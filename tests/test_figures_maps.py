"""Maps show a planted scene from above, whatever the axes of its world: never from the side,
never as a mirror image, and the same in every picture and film."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.spatial.transform import Rotation

from relposegnn.figures.maps import Map, look_from_above, surround, tell_unseen
from relposegnn.figures.trajectories import draw_trajectories
from relposegnn.photos.picture import draw_photos
from relposegnn.poses import quaternion_from_matrix
from relposegnn.videos.panels import FilmMap
from relposegnn.videos.queries import Localized

# Cameras that look along y of a world with z up: image x is x, image y is -z.
LEVEL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
WORLDS = {  # from one with z up
    "z up": np.eye(3),
    "y down, as 7-Scenes": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "y up": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "x down": np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    "turned": Rotation.from_euler("xyz", [40, 25, 70], degrees=True).as_matrix(),
}
SCENES = {"room": (5.0, 2.0, 0.5), "long room": (2.0, 5.0, 0.5), "staircase": (2.0, 1.0, 6.0)}


def cameras(extent, world: np.ndarray) -> np.ndarray:
    """Return poses (60, 4, 4) within a box, of which pairs look as far up as down."""
    rng = np.random.default_rng(0)
    turn, pitch = rng.uniform(-90, 90, 30), rng.uniform(0, 40, 30)
    angles = np.concatenate([np.stack([turn, sign * pitch], axis=1) for sign in (1, -1)])
    poses = np.tile(np.eye(4), (60, 1, 1))
    poses[:, :3, :3] = Rotation.from_euler("ZX", angles, degrees=True).as_matrix() @ LEVEL
    poses[:, :3, 3] = rng.uniform(-0.5, 0.5, (60, 3)) * extent
    poses[:, :3] = world @ poses[:, :3]
    return poses


def misfit(points: np.ndarray, others: np.ndarray) -> float:
    """Return how badly points (N, 2) fit others when moved, turned and scaled, not mirrored."""
    a, b = ((p - p.mean(axis=0)) @ [1, 1j] for p in (points, others))
    return np.abs(b - a * np.vdot(a, b) / np.vdot(a, a)).max() / np.abs(b).max()


def on_paper(axes, poses: np.ndarray) -> np.ndarray:
    """Return where on the page (N, 2) the dots of the database are."""
    (dots,) = [c.get_offsets() for c in axes.collections if len(c.get_offsets()) == len(poses)]
    return axes.transData.transform(dots)


def trajectories(poses: np.ndarray):
    names = np.array([f"seq-01/{i}" for i in range(7)])
    truth = poses[:7, :3, 3]
    return draw_trajectories(names, poses, truth, truth + 0.01, "a scene").axes[:2]


def photos(poses: np.ndarray):
    table = pd.DataFrame({"image": ["a.jpg"], "confidence": 0.5, "accepted": True})
    table["sigma95_m"] = 0.1
    table[["tx", "ty", "tz"]] = poses[:1, :3, 3]
    table[["qw", "qx", "qy", "qz"]] = quaternion_from_matrix(poses[:1, :3, :3])
    how = poses, "a scene", 0.0, np.eye(3)[None]
    return draw_photos(table, [0], [np.zeros((3, 4, 3), np.uint8)], *how).axes[1:]


def film(poses: np.ndarray):
    own, errors = np.arange(7), np.zeros(7)
    names = [f"seq-01/{i}" for i in own]
    data = Localized(names, own, own[:, None], poses, poses[:7], poses[:7], errors, errors)
    axes = Figure().add_subplot()
    FilmMap(axes, data, own, np.zeros((7, 4)))
    return [axes]


def test_a_path_ends_where_its_sequence_goes_on_elsewhere():
    """As of held-out stretches; where the camera stands still it is no end."""
    axes, poses = Figure().add_subplot(), np.tile(np.eye(4), (40, 1, 1))
    stretches = [0.1 * np.arange(20), 5 + 0.1 * np.arange(19)]
    poses[:39, 0, 3] = np.concatenate(stretches)
    poses[5:9, 0, 3] = 0.5
    names = [f"seq-01/{row}" for row in range(39)] + ["seq-02/0"]
    view = look_from_above(poses)
    Map(axes, view, np.zeros(3), np.ones(3), 1).draw_paths(names, poses[:, :3, 3], "black")
    path, alone = (line.get_xydata() for line in axes.lines)
    assert np.flatnonzero(np.isnan(path[:, 0])).tolist() == [20]
    np.testing.assert_allclose(np.delete(path, 20, axis=0), view.place(poses[:39, :3, 3])[:, :2])
    assert len(alone) == 1
    axes = Figure().add_subplot()
    poses[:39, 0, 3] = np.arange(39) > 37  # the camera moves once
    Map(axes, view, np.zeros(3), np.ones(3), 1).draw_paths(names[:39], poses[:39, :3, 3], "black")
    assert np.isfinite(axes.lines[0].get_xydata()).all()


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("picture", [trajectories, film, photos])
def test_every_picture_shows_the_floor_plan(picture, scene, world):
    plan = cameras(SCENES[scene], np.eye(3))[:, :3, 3]
    poses = cameras(SCENES[scene], WORLDS[world])
    page = on_paper(picture(poses)[0], poses)
    assert misfit(plan[:, :2], page) < 1e-6
    assert np.ptp(page[:, 0]) > np.ptp(page[:, 1])  # the longer side lies across


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("scene", SCENES)
def test_the_view_from_the_side_shows_heights(scene, world):
    height = cameras(SCENES[scene], np.eye(3))[:, 2, 3]
    poses = cameras(SCENES[scene], WORLDS[world])
    page = on_paper(trajectories(poses)[1], poses)[:, 1]
    slope, start = np.polyfit(height, page, 1)
    assert slope > 0
    np.testing.assert_allclose(slope * height + start, page, atol=1e-6)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_view_is_a_rotation_that_turns_up_towards_the_viewer(scene, world):
    view = look_from_above(cameras(SCENES[scene], WORLDS[world]))
    np.testing.assert_allclose(view.map_from_world @ view.map_from_world.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view.map_from_world) == pytest.approx(1)
    np.testing.assert_allclose(view.map_from_world[2], WORLDS[world][:, 2], atol=1e-12)
    assert view.title == "seen from above, as a floor plan"


@pytest.mark.parametrize(
    ("scene", "world", "labels"),
    [
        ("room", "z up", ["x [m]", "y [m]", "z [m]"]),
        ("long room", "z up", ["y [m]", "−x [m]", "z [m]"]),
        ("staircase", "z up", ["x [m]", "y [m]", "z [m]"]),
        ("room", "y down, as 7-Scenes", ["x [m]", "z [m]", "−y [m]"]),
        ("room", "y up", ["x [m]", "−z [m]", "y [m]"]),
        ("room", "turned", ["across [m]", "ahead [m]", "height [m]"]),
    ],
)
def test_axes_of_the_world_are_named_where_they_are_the_maps(scene, world, labels):
    assert look_from_above(cameras(SCENES[scene], WORLDS[world])).labels == labels


def test_an_axis_of_the_world_near_the_mean_is_up():
    tilt = Rotation.from_euler("x", 12, degrees=True).as_matrix()
    view = look_from_above(cameras(SCENES["room"], tilt))
    np.testing.assert_array_equal(np.abs(view.map_from_world), np.eye(3))


def test_where_up_and_down_cancel_out_the_scene_is_seen_along_its_flattest_axis():
    poses = cameras((5.0, 0.5, 2.0), np.eye(3))
    poses[::2, :3, :2] *= -1  # every other camera upside down
    view = look_from_above(poses)
    np.testing.assert_array_equal(view.map_from_world, [[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    assert view.title == "seen along y"


def test_limits_hold_what_is_near_in_the_proportions_asked_for():
    points = np.random.default_rng(1).uniform([0, 10], [6, 11], (40, 2))
    estimates = np.array([[6.5, 11.5], [100, 0], [np.nan, np.nan]])
    for aspect in (0.1, 1.0, 2.0):
        low, high = surround(points, estimates, aspect, aspect)
        assert (points > low).all()
        assert (points < high).all()
        assert (high - low)[1] / (high - low)[0] == pytest.approx(aspect)
        assert low[0] < 6.5 < high[0] < 40
        assert tell_unseen(estimates, low, high) == "1 outside the map, 1 failed"
    assert tell_unseen(points, *surround(points, points, 0.1, 1)) == ""
    low, high = surround(points, estimates, 0.1, 1)
    assert 0.1 < (high - low)[1] / (high - low)[0] < 1  # not widened without need


def test_cameras_open_along_their_views():
    for world in WORLDS.values():
        poses = cameras(SCENES["room"], world)
        view = look_from_above(poses)
        panel = Map(Figure().add_subplot(), view, np.full(2, -3.0), np.full(2, 3.0))
        wedges = panel.draw_cameras(poses, np.zeros((60, 4)))
        corners = np.stack([path.vertices[:3] for path in wedges.get_paths()])
        ahead = corners[:, 1:].mean(axis=1) - corners[:, 0]
        expected = view.place(poses[:, :3, 2])[:, :2]
        np.testing.assert_allclose(corners[:, 0], panel.place(poses[:, :3, 3]), atol=1e-9)
        np.testing.assert_allclose(ahead, panel.symbol * expected, atol=1e-9)


@pytest.mark.parametrize("upwards", [1, 2])
@pytest.mark.parametrize("world", WORLDS)
def test_an_ellipse_is_one_deviation_of_a_point_seen_from_any_side(world, upwards):
    """Drawn points of that covariance have a distance of 1 from it, in its own deviations."""
    view = look_from_above(cameras(SCENES["room"], WORLDS[world]))
    low, high = np.full(3, -3.0), np.full(3, 3.0)
    axes = Figure().add_subplot()
    turn = Rotation.from_rotvec([0.4, -0.3, 0.8]).as_matrix()
    covariance = turn @ np.diag([0.5, 0.1, 0.02]) @ turn.T
    centre = np.array([0.3, -0.2, 0.7])
    Map(axes, view, low, high, upwards).draw_ellipse(centre, covariance, np.zeros(4))
    (ellipse,) = axes.patches
    rows = view.map_from_world[[0, upwards]]
    np.testing.assert_allclose(ellipse.center, view.place(centre)[[0, upwards]], atol=1e-12)
    offset = axes.transData.inverted().transform(ellipse.get_verts()) - ellipse.center
    seen = rows @ covariance @ rows.T
    distance = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(seen), offset)
    np.testing.assert_allclose(distance, 1, atol=1e-2)
