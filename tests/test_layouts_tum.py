"""TUM RGB-D's layout: poses of the times of images, and images that no pose is near to."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted_scenes import TEST, TRAIN, planted_poses, write_tum_rgbd
from scipy.spatial.transform import Rotation

from relposegnn.layouts.reading import LEAVE_OUT, read_scene
from relposegnn.layouts.tum import Trajectory, poses_at
from relposegnn.poses import pose_distances
from relposegnn.runtime import InputError

VELOCITY, TURNING = np.array([0.4, -0.2, 0.7]), np.array([0.3, 0.9, -0.5])  # of a second
START = 1305031102.0


def moving(times: np.ndarray) -> np.ndarray:
    """Return the poses (N, 4, 4) of a camera that moves and turns evenly, in UTM coordinates."""
    poses = np.tile(np.eye(4), (len(times), 1, 1))
    since = (times - START)[:, None]
    poses[:, :3, :3] = Rotation.from_rotvec(since * TURNING).as_matrix()
    poses[:, :3, 3] = [4.5e5, 5.4e6, 100] + since * VELOCITY
    return poses


def test_poses_of_the_images_times():
    known = START + np.sort(np.random.default_rng(0).uniform(0, 2, 200))
    trajectory = Trajectory(known, moving(known))
    times = START + np.arange(-0.004, 2.1, 1 / 30)
    poses, away = poses_at(trajectory, times)
    np.testing.assert_allclose(away, np.abs(times[:, None] - known).min(axis=1))
    lost = np.isnan(poses).all(axis=(1, 2))
    np.testing.assert_array_equal(lost, away > 0.02)
    assert 2 < lost.sum() < 10
    inside = ~lost & (times > known[0]) & (times < known[-1])
    metres, degrees = pose_distances(poses[inside], moving(times[inside]))
    assert metres.max() < 1e-6
    assert degrees.max() < 1e-5
    nearest = known[np.abs(times[:, None] - known).argmin(axis=1)][inside]
    metres, degrees = pose_distances(moving(nearest), moving(times[inside]))
    assert (metres.max(), degrees.max()) > (0.005, 0.5)  # what is gained


def test_before_the_first_pose_and_behind_the_last_are_these():
    known = START + np.array([0.0, 0.5])
    poses, _ = poses_at(Trajectory(known, moving(known)), START + np.array([-0.01, 0.51]))
    np.testing.assert_allclose(poses, moving(known), atol=1e-9)
    alone, _ = poses_at(Trajectory(known[:1], moving(known[:1])), START + np.array([0.01, 0.03]))
    np.testing.assert_array_equal(alone[0], moving(known[:1])[0])
    assert np.isnan(alone[1]).all()


def lose(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def test_images_without_a_near_pose_are_refused_or_left_out(tmp_path, caplog):
    folder = write_tum_rgbd(tmp_path / "garage")
    times = [line.split()[0] for line in (folder / "rgb.txt").read_text().splitlines()[1:]]
    # The tracker was lost at the second image; the trajectory ends before the last.
    lines = (folder / "groundtruth.txt").read_text().splitlines()
    kept = [line for line in lines if not line.startswith((times[1], times[5]))]
    (folder / "groundtruth.txt").write_text("\n".join([*kept, f"{times[1]} {'nan ' * 7}"]))
    told = (
        "2 of 6 poses are not finite: rgb.txt:3 (nearest pose 0.0333 s away), "
        "rgb.txt:7 (nearest pose 0.0333 s away)"
    )
    with pytest.raises(InputError, match="leave these frames out") as caught:
        read_scene(folder)
    assert told in str(caught.value)
    with caplog.at_level(logging.WARNING):
        scene = read_scene(folder, LEAVE_OUT)
    assert f"{told}; these frames are left out" in caplog.text
    assert [frame.name for frame in scene.train] == [TRAIN[0], *TRAIN[2:]]
    assert [frame.name for frame in scene.test] == [TEST[0]]


def test_windows_line_ends_and_names_with_blanks(tmp_path):
    folder = write_tum_rgbd(tmp_path / "garage")
    (folder / f"{TRAIN[0]}.png").rename(folder / "seq1/a b.png")
    lose(folder, "rgb.txt", f"{TRAIN[0]}.png", "seq1/a b.png")
    for name in ("rgb.txt", "groundtruth.txt", "test.txt"):
        text = (folder / name).read_text()
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    scene = read_scene(folder)
    assert [frame.name for frame in scene.train] == ["seq1/a b", *TRAIN[1:]]
    for frame, name in zip(scene.train + scene.test, TRAIN + TEST, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, planted_poses()[name], atol=1e-9)
    assert Image.open(scene.train[0].image).size == (64, 48)


def test_a_pose_told_twice_the_same_way_is_still_refused(tmp_path):
    folder = write_tum_rgbd(tmp_path / "garage")
    last = (folder / "groundtruth.txt").read_text().splitlines()[-1]
    with (folder / "groundtruth.txt").open("a") as file:
        file.write(last)
    with pytest.raises(InputError, match=r"groundtruth\.txt:9: has the same time as .*:8, .*once"):
        read_scene(folder)
