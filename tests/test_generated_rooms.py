"""Generated rooms: what a frame shows agrees with its depth and pose; light; camera paths."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from generated_rooms.geometry import Solid, Surface, distance_to_solids
from generated_rooms.light import Light, bake
from generated_rooms.paths import CLEARANCE, camera_path, look
from generated_rooms.rendering import INVALID_DEPTH, Camera, render_frame
from generated_rooms.rooms import Room, build_room
from generated_rooms.textures import paint
from relposegnn.poses import check_pose, quaternion_from_matrix, rotation_error_deg
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow

CAMERA = Camera.seven_scenes(320, 240)


@pytest.fixture(scope="module")
def paths(room: Room) -> list[np.ndarray]:
    return [camera_path(room, 11, sequence, 80) for sequence in range(1, 6)]


def plain_room(*, distance: float, image: np.ndarray) -> Room:
    """Return a room that is one 4 m x 3 m wall at y = distance, around the world's y axis."""
    frame = np.array([[4.0, 0.0, -2.0], [0.0, 0.0, distance], [0.0, -3.0, 1.5]])
    return Room(
        size=(4.0, distance, 3.0),
        region=np.zeros((2, 3)),
        frames=frame[None],
        normals=np.array([[0.0, -1.0, 0.0]]),
        two_sided=np.array([False]),
        textures=[[image]],
    )


def pose_at(x: float, y: float, z: float, yaw: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    angles = (np.array([value]) for value in (yaw, pitch, 0.0))
    return look(np.array([[x, y, z]]), *angles)[0]


def warp_error(
    frames: list[tuple[np.ndarray, np.ndarray]], poses: list[np.ndarray]
) -> tuple[float, float]:
    """Warp frame 1 into frame 0; return the median colour difference and the share compared.

    Compared are pixels that frame 1 sees at the depth expected from frame 0.
    """
    (colour_0, depth_0), (colour_1, depth_1) = frames
    y, x = np.mgrid[: CAMERA.height, : CAMERA.width]
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(CAMERA.matrix).T
    points = rays * (depth_0[..., None] / 1000)
    one_from_zero = np.linalg.inv(poses[1]) @ poses[0]
    points = points @ one_from_zero[:3, :3].T + one_from_zero[:3, 3]
    pixels = points @ CAMERA.matrix.T
    maps = (pixels[..., :2] / np.maximum(pixels[..., 2:], 1e-6)).astype(np.float32)
    warped = cv2.remap(colour_1, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR)
    seen = cv2.remap(depth_1.astype(np.float32), maps[..., 0], maps[..., 1], cv2.INTER_NEAREST)
    inside = (maps > 0).all(-1) & (maps < (CAMERA.width - 1, CAMERA.height - 1)).all(-1)
    valid = inside & (points[..., 2] > 0.1) & (depth_0 != INVALID_DEPTH)
    valid &= np.abs(seen / 1000 - points[..., 2]) < 0.03
    difference = np.abs(warped.astype(float) - colour_0).mean(-1)
    return float(np.median(difference[valid])), float(valid.mean())


def test_a_frame_warped_by_depth_and_poses_is_the_other_frame(
    room: Room, paths: list[np.ndarray]
) -> None:
    poses = [paths[0][10], paths[0][16]]
    frames = [render_frame(room, pose, CAMERA) for pose in poses]
    error, share = warp_error(frames, poses)
    assert error < 3.0
    assert share > 0.5
    shifted, turned = poses[1].copy(), poses[1].copy()
    shifted[:3, 3] += 0.08 * poses[1][:3, 0]
    turned[:3, :3] = poses[1][:3, :3] @ Rotation.from_euler("y", 2, degrees=True).as_matrix()
    for wrong in (shifted, turned):
        assert warp_error(frames, [poses[0], wrong])[0] > 2.5 * error


def test_depth_of_a_wall_is_its_distance_along_the_optical_axis() -> None:
    room = plain_room(distance=2.5, image=np.full((30, 40, 3), 90, np.uint8))
    colour, depth = render_frame(room, pose_at(0.2, 0.5, 0.1), CAMERA)
    assert (depth == 2000).all()
    assert (colour == 90).all()
    turned = render_frame(room, pose_at(0.0, 0.5, 0.0, yaw=np.radians(20)), CAMERA)[1]
    # The ray of column x meets the plane y = 2 at z-depth 2 / (cos yaw - x sin yaw).
    columns = (np.arange(CAMERA.width) - (CAMERA.width - 1) / 2) / CAMERA.focal
    expected = 2000 / (np.cos(np.radians(20)) - columns * np.sin(np.radians(20)))
    on_wall = turned[120] != INVALID_DEPTH
    assert on_wall.mean() > 0.6
    np.testing.assert_allclose(turned[120][on_wall], expected[on_wall], atol=1.0)


def test_texture_lands_where_the_pinhole_model_projects_it() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    image[90:110, 240:260] = 255  # centred 0.5 m right of and 0.5 m above the wall's middle
    colour, _ = render_frame(plain_room(distance=2.0, image=image), pose_at(0, 0, 0), CAMERA)
    weights = colour[..., 0].astype(float)
    rows, columns = np.mgrid[: CAMERA.height, : CAMERA.width]
    middle = (CAMERA.width - 1) / 2, (CAMERA.height - 1) / 2
    shift = 0.5 / 2.0 * CAMERA.focal
    assert (weights * columns).sum() / weights.sum() == pytest.approx(middle[0] + shift, abs=0.3)
    assert (weights * rows).sum() / weights.sum() == pytest.approx(middle[1] - shift, abs=0.3)


def test_nearer_surfaces_hide_farther_ones_in_any_order() -> None:
    far = plain_room(distance=3.0, image=np.full((8, 8, 3), 40, np.uint8))
    near = plain_room(distance=1.0, image=np.full((8, 8, 3), 200, np.uint8))
    for first, second in ((far, near), (near, far)):
        both = replace(
            first,
            frames=np.concatenate([first.frames, second.frames]),
            normals=np.concatenate([first.normals, second.normals]),
            two_sided=np.array([False, False]),
            textures=first.textures + second.textures,
        )
        colour, depth = render_frame(both, pose_at(0, 0, 0), CAMERA)
        assert (depth == 1000).all()
        assert (colour == 200).all()


def test_a_room_has_no_holes_and_rich_texture(room: Room, paths: list[np.ndarray]) -> None:
    for pose in (paths[0][0], paths[1][40], paths[4][60]):
        colour, depth = render_frame(room, pose, CAMERA)
        assert (depth == INVALID_DEPTH).mean() < 0.06
        farthest = np.linalg.norm(room.size) * 1000
        assert depth[depth != INVALID_DEPTH].max() < farthest
        keypoints = cv2.SIFT_create().detect(colour)
        assert len(keypoints) > 300


def test_light_falls_off_with_distance_and_solids_cast_shadows() -> None:
    floor = Surface(np.array([0.0, 4, 0]), np.array([4.0, 0, 0]), np.array([0, -4.0, 0]), paint)
    lamp = Light(np.array([[0.5, 2.0, 1.0]]), np.ones(3))
    board = Solid(np.array([2.0, 2.0, 0.5]), np.array([0.02, 0.3, 0.3]), 0.0)
    grey, dark = np.full((80, 80, 3), 0.5, np.float32), np.zeros(3)

    def lit(solids: list[Solid]) -> np.ndarray:
        return bake([floor], [grey], solids, (4.0, 4.0, 2.5), [lamp], dark)[0][..., 0].astype(int)

    free, shaded = lit([]), lit([board])
    along = free[40, 10::10]  # away from the lamp
    assert (np.diff(along) < 0).all()
    assert along[0] > 2 * along[-1]
    assert shaded[40, 55] == 0 < free[40, 55]  # behind the board
    np.testing.assert_array_equal(shaded[:, :30], free[:, :30])  # between lamp and board


def test_corners_and_contacts_receive_less_ambient_light() -> None:
    floor = Surface(np.array([0.0, 4, 0]), np.array([4.0, 0, 0]), np.array([0, -4.0, 0]), paint)
    grey = np.full((80, 80, 3), 0.5, np.float32)
    crate = Solid(np.array([2.0, 2.0, 0.25]), np.full(3, 0.25), np.radians(30))
    image = bake([floor], [grey], [crate], (4.0, 4.0, 2.5), [], np.ones(3))[0][..., 0].astype(int)
    assert image[0, 0] < image[0, 40] < image[20, 20]  # corner, edge, open floor
    assert image[40, 40] < image[40, 33] < image[20, 20]  # under the crate, beside it


def test_distance_to_solids() -> None:
    box = Solid(np.array([1.0, 0, 0]), np.array([0.5, 1.0, 0.2]), np.radians(90))
    points = np.array([[1.0, 0.9, 0], [3.0, 0.5, 0], [1, 0, 0], [1, 0.8, 0.6]])
    np.testing.assert_allclose(distance_to_solids(points, [box]), [0.4, 1, 0, 0.5], atol=1e-12)
    assert np.isinf(distance_to_solids(points, [])).all()


def test_look_turns_right_by_yaw_up_by_pitch_clockwise_by_roll() -> None:
    ahead = pose_at(1, 2, 3)
    np.testing.assert_allclose(ahead[:3, 2], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(ahead[:3, 1], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(ahead[:3, 3], [1, 2, 3])
    assert pose_at(0, 0, 0, yaw=0.3)[0, 2] == pytest.approx(np.sin(0.3))
    assert pose_at(0, 0, 0, pitch=0.3)[2, 2] == pytest.approx(np.sin(0.3))
    rolled = look(np.zeros((1, 3)), *np.array([[0.0], [0.0], [0.3]]))[0]
    assert rolled[2, 0] == pytest.approx(-np.sin(0.3))  # the right hand side goes down


def test_paths_keep_clear_of_furniture_and_inside_the_room(
    room: Room, paths: list[np.ndarray]
) -> None:
    centres = np.concatenate(paths)[:, :3, 3]
    assert distance_to_solids(centres, room.solids).min() > CLEARANCE
    assert (centres > 0.2).all()
    assert (centres < np.array(room.size) - 0.2).all()


def test_paths_are_smooth_and_hold_poses(paths: list[np.ndarray]) -> None:
    for path in paths:
        for index, pose in enumerate(path):
            check_pose(pose, f"frame {index}")
        steps = np.diff(path[:, :3, 3], axis=0)
        lengths = np.linalg.norm(steps, axis=1)
        assert 0.04 < lengths.mean() < 0.1
        assert lengths.max() < 0.14
        assert np.linalg.norm(np.diff(steps, axis=0), axis=1).max() < 0.08
        quaternions = quaternion_from_matrix(path[:, :3, :3])
        turns = rotation_error_deg(quaternions[1:], quaternions[:-1])
        assert 1.0 < turns.mean() < 4.5
        assert turns.max() < 8.0


def test_test_paths_pass_near_training_frames_but_never_through_them(
    paths: list[np.ndarray],
) -> None:
    train, test = np.concatenate(paths[:3]), np.concatenate(paths[3:])
    metres = np.linalg.norm(test[:, None, :3, 3] - train[None, :, :3, 3], axis=-1)
    turned = rotation_error_deg(
        quaternion_from_matrix(test[:, :3, :3])[:, None], quaternion_from_matrix(train[:, :3, :3])
    )
    together = np.hypot(metres / 0.3, turned / 15)
    nearest = together.argmin(1), np.arange(len(test))
    assert 0.05 < np.median(metres.T[nearest]) < 0.16
    assert 3 < np.median(turned.T[nearest]) < 9
    assert together.min() > 0.01


def test_another_seed_is_another_room(room: Room, paths: list[np.ndarray]) -> None:
    other = build_room(23)
    assert np.abs(np.subtract(other.size, room.size)).max() > 0.05
    assert len(other.solids) != len(room.solids)
    path = camera_path(other, 23, 1, 80)
    views = [render_frame(r, p[0], CAMERA)[0] for r, p in ((room, paths[0]), (other, path))]
    assert np.abs(views[0].astype(int) - views[1]).mean() > 20
    assert not np.allclose(path, paths[0], atol=0.05)


def test_sequences_differ_from_one_another(paths: list[np.ndarray]) -> None:
    for i, path in enumerate(paths):
        for other in paths[:i]:
            assert np.linalg.norm(path[:, :3, 3] - other[:, :3, 3], axis=1).mean() > 0.15


def test_a_room_full_of_furniture_is_refused(room: Room) -> None:
    crowded = replace(room, solids=[Solid(room.region.mean(0), np.full(3, 2.0), 0.0)])
    with pytest.raises(InputError, match="seed 7: its furniture leaves no free path"):
        camera_path(crowded, 7, 1, 10)
