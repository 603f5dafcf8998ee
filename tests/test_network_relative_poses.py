"""Relative poses: planted values, round trips, and what turning the world does to them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relposegnn import poses
from relposegnn.network.relative_poses import KINDS, compose, from_other_direction, relative_pose
from relposegnn.runtime import InputError

FAR = 5_572_094.0  # a northing in UTM coordinates
ANGLES = [0, 1e-12, 1e-7, 1e-3, 1.0, 3.0, np.pi - 1e-7, np.pi]
QUARTER_TURN = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]  # about z
# From a camera at (1, 2, 3), a quarter turn about z, to one at (4, 5, 6) with the world's axes.
PLANTED = {
    "world_difference": [-3, -3, -3, 0, 0, np.pi / 4],
    "scene_difference": [-3, -3, -3, 0, 0, np.pi / 4],  # of poses that have been turned
    "relative": [3, -3, 3, 0, 0, -np.pi / 4],
    # (-2, 1, -3) - (-4, -5, -6), and the logarithm of the opposite turn
    "world_to_camera": [2, 6, 3, 0, 0, -np.pi / 4],
}


def pose(centre, rotation) -> np.ndarray:
    world_from_cam = np.eye(4)
    world_from_cam[:3, 3], world_from_cam[:3, :3] = centre, rotation
    return world_from_cam


SOURCE, TARGET = pose([1, 2, 3], QUARTER_TURN), pose([4, 5, 6], np.eye(3))


def unit_axes(count, seed=1) -> np.ndarray:
    axes = np.random.default_rng(seed).standard_normal((count, 3))
    return axes / np.linalg.norm(axes, axis=1, keepdims=True)


def random_poses(count, seed) -> np.ndarray:
    """Return poses in a room of some metres; centres have few digits, so that shifts are exact."""
    rng = np.random.default_rng(seed)
    rotations = Rotation.random(count, rng=rng).as_matrix()
    centres = rng.integers(-300, 300, (count, 3)) / 64
    return np.stack([pose(*pair) for pair in zip(centres, rotations, strict=True)])


def assert_same_poses(found, expected, metres=1e-12, degrees=1e-6):
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found[..., 3, :], expected[..., 3, :])
    np.testing.assert_allclose(found[..., :3, 3], expected[..., :3, 3], rtol=0, atol=metres)
    quaternions = (poses.quaternion_from_matrix(p[..., :3, :3]) for p in (found, expected))
    assert poses.rotation_error_deg(*quaternions).max() < degrees


@pytest.mark.parametrize("kind", KINDS)
def test_planted_edge(kind):
    planted = np.array(PLANTED[kind])
    np.testing.assert_allclose(relative_pose(kind, SOURCE, TARGET), planted, atol=1e-15)
    assert_same_poses(compose(kind, planted, SOURCE), TARGET)
    opposite = relative_pose(kind, TARGET, SOURCE)
    np.testing.assert_allclose(from_other_direction(kind, opposite), planted, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("angle", ANGLES)
def test_composing_undoes_relating_near_zero_and_pi(kind, angle):
    """Turned by the angle in the world, and from the source to the target."""
    source, target = random_poses(20, 2), random_poses(20, 3)
    turn = Rotation.from_rotvec(unit_axes(20) * angle).as_matrix()
    for base in (np.eye(3), source[:, :3, :3]):
        target[:, :3, :3] = base @ turn
        relative = relative_pose(kind, source, target)
        assert_same_poses(compose(kind, relative, source), target)
        back = from_other_direction(kind, relative_pose(kind, target, source))
        assert_same_poses(compose(kind, back, source), target)


@pytest.mark.parametrize("kind", KINDS)
def test_leading_axes_broadcast(kind):
    source, target = random_poses(5, 2), random_poses(3, 3)
    relative = relative_pose(kind, source[:, None], target)
    assert relative.shape == (5, 3, 6)
    np.testing.assert_array_equal(relative[4, 1], relative_pose(kind, source[4], target[1]))
    composed = compose(kind, relative, source[:, None])
    assert_same_poses(composed, np.broadcast_to(target, composed.shape))
    back = from_other_direction(kind, relative_pose(kind, target, source[:, None]))
    np.testing.assert_allclose(back, relative, atol=1e-12)


def test_the_published_difference(reference):
    published = np.load(reference / "poses.npz")
    source, target = published["edge_index_full8"]
    vectors, matrices = published["log_quaternion"], published["camera_to_world"]
    found = relative_pose("world_difference", matrices[source], matrices[target])
    # The published vectors have passed through float32.
    np.testing.assert_allclose(found, vectors[source] - vectors[target], rtol=0, atol=1e-7)
    vectors = poses.vector_from_pose(matrices)
    np.testing.assert_allclose(found, vectors[source] - vectors[target], rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_recorded_rotations_are_not_quite_orthonormal(kind, reference):
    """The centre comes back exactly, and the nearest rotation."""
    recorded = np.load(reference / "poses.npz")["camera_to_world"]
    recorded[:, :3, :3] *= 1 + 1e-4
    source, target = recorded[:8], recorded[8:]
    assert_same_poses(compose(kind, relative_pose(kind, source, target), source), target)


@pytest.mark.parametrize("axis", [*np.eye(3), *unit_axes(5)])
def test_only_the_relative_kind_is_the_same_in_a_turned_and_shifted_world(axis):
    source, target = random_poses(50, 2), random_poses(50, 3)
    b_from_a = pose([FAR, -FAR, FAR], Rotation.from_rotvec(axis * np.radians(120)).as_matrix())
    there = b_from_a @ source, b_from_a @ target
    rounding = 4 * np.spacing(FAR)  # of two centres, on three axes
    here, moved = (relative_pose("relative", *edge) for edge in ((source, target), there))
    np.testing.assert_allclose(moved, here, rtol=0, atol=rounding)
    assert_same_poses(compose("relative", here, there[0]), there[1], metres=rounding)
    for kind in set(KINDS) - {"relative"}:
        changed = np.abs(relative_pose(kind, *there) - relative_pose(kind, source, target))
        assert changed[:, 3:].max() > 0.1
        assert changed[:, :3].max() > 1


@pytest.mark.parametrize("origin", [1e6, FAR])
def test_offsets_of_far_centres_are_exact(origin):
    source, target = random_poses(50, 2), random_poses(50, 3)
    expected = {kind: relative_pose(kind, source, target) for kind in KINDS[:2]}
    offset = (target - source)[:, :3, 3]
    source[:, :3, 3] += origin
    target[:, :3, 3] += origin
    for kind, near in expected.items():
        far = relative_pose(kind, source, target)
        np.testing.assert_array_equal(far, near)
        np.testing.assert_allclose(
            np.linalg.norm(far[:, :3], axis=1), np.linalg.norm(offset, axis=1), rtol=1e-14
        )
    for kind in KINDS:
        composed = compose(kind, relative_pose(kind, source, target), source)
        assert_same_poses(composed, target, metres=16 * np.spacing(origin))


def test_an_unknown_kind_is_refused():
    message = "model.pose: got 'absolute', expected one of world_difference, relative, world_to"
    edge = np.zeros(6)
    for use in (
        lambda: relative_pose("absolute", SOURCE, TARGET),
        lambda: compose("absolute", edge, SOURCE),
        lambda: from_other_direction("absolute", edge),
    ):
        with pytest.raises(InputError, match=message):
            use()
