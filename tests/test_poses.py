"""Poses: parity with the published conversions, round trips, edge cases."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relposegnn import poses
from relposegnn.runtime import InputError


@pytest.fixture(scope="module")
def published(reference):
    """Return 16 real poses and what the published code makes of them."""
    return np.load(reference / "poses.npz")


def rotations(angles_rad):
    """Return rotation matrices (n, 3, 3) of given angles about fixed random axes."""
    axes = np.random.default_rng(1).standard_normal((len(angles_rad), 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return Rotation.from_rotvec(axes * np.asarray(angles_rad)[:, None]).as_matrix()


def test_conversions_agree_with_the_published_ones(published):
    matrices = published["camera_to_world"]
    np.testing.assert_allclose(
        poses.vector_from_pose(matrices), published["log_quaternion"], atol=1e-9
    )
    quaternions = poses.quaternion_from_matrix(matrices[:, :3, :3])
    np.testing.assert_allclose(quaternions, published["quaternion"], atol=1e-9)


def test_angular_errors_agree_with_the_published_ones(published):
    quaternions = published["quaternion"]
    errors = poses.rotation_error_deg(quaternions[:, None], quaternions[None])
    different = ~np.eye(16, dtype=bool)  # acos, as published, is off by 1e-6 deg at zero
    np.testing.assert_allclose(
        errors[different], published["angular_error_deg"][different], atol=1e-5
    )
    assert np.all(errors[~different] == 0)


@pytest.mark.parametrize("angle", [0, 1e-12, 1e-7, 1e-3, 1.0, 3.0, np.pi - 1e-7, np.pi])
def test_log_and_exp_are_inverse_near_zero_and_pi(angle):
    matrix = rotations([angle])
    quaternion = poses.quaternion_from_matrix(matrix)
    log = poses.quaternion_log(quaternion)
    assert np.linalg.norm(log) == pytest.approx(angle / 2, abs=1e-9)
    assert poses.rotation_error_deg(poses.quaternion_exp(log), quaternion) < 1e-6
    np.testing.assert_allclose(poses.matrix_from_quaternion(quaternion), matrix, atol=1e-7)


def test_vectors_and_poses_round_trip():
    rng = np.random.default_rng(0)
    world_from_cam = np.tile(np.eye(4), (100, 1, 1))
    world_from_cam[:, :3, :3] = Rotation.random(100, rng=rng).as_matrix()
    world_from_cam[:, :3, 3] = rng.standard_normal((100, 3))
    vector = poses.vector_from_pose(world_from_cam)
    back = poses.pose_from_quaternion(vector[:, :3], poses.quaternion_exp(vector[:, 3:]))
    np.testing.assert_allclose(back, world_from_cam, atol=1e-12)


def test_rotation_error_is_the_angle_whatever_the_sign_of_the_quaternion():
    angles = np.array([0, 1e-6, 0.5, 2.0, np.pi])
    quaternions = poses.quaternion_from_matrix(rotations(angles))
    identity = np.array([1.0, 0, 0, 0])
    for sign in (1, -1):
        errors = poses.rotation_error_deg(sign * quaternions, identity)
        np.testing.assert_allclose(errors, np.degrees(angles), atol=1e-6)


def test_distances_between_poses():
    turned = np.tile(np.eye(4), (2, 1, 1))
    turned[:, :3, :3] = Rotation.from_euler("y", [[0], [30]], degrees=True).as_matrix()
    turned[:, :3, 3] = [[3, 4, 0], [0, 0, 2]]
    metres, degrees = poses.pose_distances(turned, np.eye(4))
    np.testing.assert_allclose(metres, [5, 2])
    np.testing.assert_allclose(degrees, [0, 30], atol=1e-9)


def test_translation_error_is_a_distance():
    assert poses.translation_error([[3.0, 4.0, 0.0]], [[0.0, 0.0, 0.0]]).tolist() == [5.0]


def spoiled(**changes):
    """Return a valid pose with some entries replaced."""
    pose = np.eye(4)
    for place, value in changes.items():
        pose[int(place[1]), int(place[2])] = value
    return pose


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (np.eye(3), "holds 3x3 numbers, expected a 4x4"),
        (spoiled(p03=np.nan), "not finite"),
        (spoiled(p00=0.31), "determinant 0.31, expected 1"),
        (spoiled(p01=0.2), "not orthonormal"),
        (spoiled(p30=0.5), "last row"),
    ],
)
def test_bad_poses_are_refused_with_their_file(pose, message):
    with pytest.raises(InputError, match=f"frame-7.pose.txt: .*{message}"):
        poses.check_pose(pose, "frame-7.pose.txt")


def test_real_poses_pass(published):
    for pose in published["camera_to_world"]:
        poses.check_pose(pose, "pose")


def test_nearest_rotation():
    expected = Rotation.random(10, rng=np.random.default_rng(0)).as_matrix()
    for stretch in ([3, 2, 1], [3, 2, 0], [3, 2, -1]):  # a reflection is none
        stretched = expected @ np.diag(stretch)
        np.testing.assert_allclose(poses.nearest_rotation(stretched), expected, atol=1e-12)
