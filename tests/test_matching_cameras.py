"""Focal lengths: planted cameras found again, by points and by rendered rooms; what is refused."""

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from relposegnn.layouts.reading import read_scene
from relposegnn.matching.cameras import (
    ANGLES,
    Matches,
    best_focal_length,
    choose_pairs,
    essential_matrix,
    estimate_focal_length,
    sampson_distances,
)
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow

FOCAL_LENGTH = 0.75


def planted_matches(focal_length: float = FOCAL_LENGTH, seed: int = 0) -> Matches:
    """Return 200 points seen by two cameras, apart and turned."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-2, -2, 3], [2, 2, 6], (200, 3))
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, :3, :3] = Rotation.from_rotvec(rng.uniform(-0.2, 0.2, 3)).as_matrix()
    poses[1, :3, 3] = rng.uniform(-0.5, 0.5, 3)
    places = []
    for pose in poses:
        x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
        places.append(focal_length * np.stack([x / z, y / z], axis=1))
    return Matches(*places, essential_matrix(*poses))


@pytest.mark.parametrize("focal_length", [0.4, 0.75, 2.5])
def test_planted_focal_length_in_spite_of_wrong_matches(focal_length):
    pairs = [planted_matches(focal_length, seed) for seed in range(5)]
    assert best_focal_length(pairs) == pytest.approx(focal_length, rel=1e-3)
    rng = np.random.default_rng(1)
    for pair in pairs:
        pair.second[:60] = rng.uniform(-0.4, 0.4, (60, 2))
    assert best_focal_length(pairs) == pytest.approx(focal_length, rel=5e-3)


def test_sampson_distance_is_that_of_a_moved_point():
    """A point moved off its epipolar line: both images share the correction, half each."""
    pair = planted_matches()
    np.testing.assert_allclose(sampson_distances(pair, FOCAL_LENGTH), 0, atol=1e-12)
    ones = np.ones((len(pair.first), 1))
    lines = np.hstack([pair.first / FOCAL_LENGTH, ones]) @ pair.essential.T
    across = lines[:, :2] / np.linalg.norm(lines[:, :2], axis=1, keepdims=True)
    moved = pair._replace(second=pair.second + 1e-3 * across)
    back = np.hstack([moved.second / FOCAL_LENGTH, ones]) @ pair.essential
    ratio = np.linalg.norm(back[:, :2], axis=1) / np.linalg.norm(lines[:, :2], axis=1)
    expected = 1e-3 / np.sqrt(1 + ratio**2)
    np.testing.assert_allclose(sampson_distances(moved, FOCAL_LENGTH), expected, rtol=1e-6)


def test_pairs_are_near_but_apart_and_turned():
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (400, 1, 1))
    poses[:, :3, 3] = 30 * rng.standard_normal((400, 3))  # any unit of length
    poses[:, :3, :3] = Rotation.from_rotvec(0.3 * rng.standard_normal((400, 3))).as_matrix()
    pairs = choose_pairs(poses, np.random.default_rng(1))
    assert pairs.shape == (60, 2)
    first, second = poses[pairs[:, 0]], poses[pairs[:, 1]]
    distance = np.linalg.norm(first[:, :3, 3] - second[:, :3, 3], axis=1)
    assert 0.05 * 30 < distance.min() < distance.max() < 0.4 * 30 * 2
    turned = np.linalg.inv(first[:, :3, :3]) @ second[:, :3, :3]
    angle = np.degrees(Rotation.from_matrix(turned).magnitude())
    assert ANGLES[0] < angle.min() < angle.max() < ANGLES[1]
    np.testing.assert_array_equal(pairs, choose_pairs(poses, np.random.default_rng(1)))
    # A camera on rails, which never turns.
    poses[:, :3, :3] = np.eye(3)
    assert choose_pairs(poses, np.random.default_rng(1)).shape == (0, 2)


def test_a_pose_far_away_leaves_pairs_of_the_others():
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (100, 1, 1))
    poses[:, :3, 3] = rng.standard_normal((100, 3))
    poses[:, :3, :3] = Rotation.from_rotvec(0.3 * rng.standard_normal((100, 3))).as_matrix()
    poses[7, :3, 3] += 1000
    pairs = choose_pairs(poses, np.random.default_rng(1))
    assert len(pairs) > 50
    assert 7 not in pairs


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_camera_of_a_rendered_room(rendered_room, unit, caplog):
    """Whatever the unit of length, and the world's axes."""
    paths, poses = rendered_room.paths, rendered_room.poses.copy()
    world = np.eye(4)
    world[:3, :3] = Rotation.from_rotvec([1, 2, 0.5]).as_matrix()
    poses[:, :3, 3] *= unit
    with caplog.at_level("INFO"):
        assert estimate_focal_length(paths, world @ poses) == pytest.approx(0.8, rel=0.01)
    assert "pairs; each alone: 0.8" in caplog.text or "pairs; each alone: 0.7" in caplog.text


def test_wrong_poses_are_refused(rendered_room):
    """World-to-camera instead of camera-to-world; those of other images."""
    paths, poses = rendered_room
    for wrong in (np.linalg.inv(poses), np.random.default_rng(0).permutation(poses)):
        with pytest.raises(InputError, match=r"cannot be estimated.*frames\.focal_lengths"):
            estimate_focal_length(paths, wrong)


def test_images_without_texture_are_refused(rendered_room, tmp_path):
    Image.new("RGB", (256, 192), (90, 80, 70)).save(tmp_path / "wall.png")
    paths = [tmp_path / "wall.png"] * len(rendered_room.poses)
    with pytest.raises(InputError, match=r"of 60 pairs .* 0 have 20 matches, expected 10"):
        estimate_focal_length(paths, rendered_room.poses)


def test_camera_of_real_frames(shared):
    """Their nominal 525 pixels to 6 %: their poses agree best with some 500."""
    scene = read_scene(shared / "data/7scenes/redkitchen")
    paths = [frame.image for frame in scene.train]
    poses = np.stack([frame.world_from_cam for frame in scene.train])
    assert estimate_focal_length(paths, poses) == pytest.approx(525 / 640, rel=0.06)
