import logging

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relposegnn.photos.pose_formats import write_colmap, write_tum
from relposegnn.poses import canonical_quaternion, pose_from_quaternion

NAMES = ["a.jpg", "Walk/b.PNG", "été.jpeg"]


@pytest.fixture
def poses():
    random = np.random.default_rng(0)
    quaternion = canonical_quaternion(Rotation.random(3, rng=random).as_quat())
    return 5 * random.standard_normal((3, 3)), quaternion


def test_tum_reads_back(tmp_path, poses):
    path = tmp_path / "poses.txt"
    write_tum(path, NAMES, *poses)
    found = np.loadtxt(path)
    np.testing.assert_array_equal(found[:, 0], [0, 1, 2])
    np.testing.assert_allclose(found[:, 1:4], poses[0], atol=1e-8)
    np.testing.assert_allclose(found[:, [7, 4, 5, 6]], poses[1], atol=1e-8)
    lines = path.read_text(encoding="utf-8").splitlines()
    for index, name in enumerate(NAMES):
        assert lines[lines.index(f"# {name}") + 1].startswith(f"{index} ")


def test_colmap_is_the_inverse(tmp_path, poses):
    path = tmp_path / "images.txt"
    write_colmap(path, NAMES, *poses)
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line[:1] != "#"]
    assert lines[1::2] == [""] * 3
    for index, line in enumerate(lines[0:6:2]):
        fields = line.split(" ")
        assert (fields[0], fields[8], fields[9]) == (str(index + 1), "1", NAMES[index])
        numbers = np.array(fields[1:8], dtype=float)
        cam_from_world = pose_from_quaternion(numbers[4:], numbers[:4])
        world_from_cam = pose_from_quaternion(poses[0][index], poses[1][index])
        np.testing.assert_allclose(cam_from_world @ world_from_cam, np.eye(4), atol=1e-7)


def test_colmap_itself_reads_them(tmp_path, poses):
    pycolmap = pytest.importorskip("pycolmap")
    write_colmap(tmp_path / "images.txt", NAMES, *poses)
    (tmp_path / "cameras.txt").write_text("1 SIMPLE_PINHOLE 320 240 300 160 120\n")
    (tmp_path / "points3D.txt").write_text("")
    images = pycolmap.Reconstruction(str(tmp_path)).images
    assert [images[index].name for index in (1, 2, 3)] == NAMES
    for index in range(3):
        centre = images[index + 1].projection_center()
        np.testing.assert_allclose(centre, poses[0][index], atol=1e-7)


def test_no_photos_leave_readable_files(tmp_path):
    nothing = np.empty((0, 3)), np.empty((0, 4))
    write_tum(tmp_path / "poses.txt", [], *nothing)
    write_colmap(tmp_path / "images.txt", [], *nothing)
    for name in ("poses.txt", "images.txt"):
        assert all(line[0] == "#" for line in (tmp_path / name).read_text().splitlines())


def test_names_with_spaces_are_told(tmp_path, poses, caplog):
    with caplog.at_level(logging.WARNING):
        write_colmap(tmp_path / "images.txt", ["a b.jpg", "c.jpg", "d\ne.jpg"], *poses)
    assert "names with one: 2" in caplog.text
    assert "c.jpg\n" in (tmp_path / "images.txt").read_text()
