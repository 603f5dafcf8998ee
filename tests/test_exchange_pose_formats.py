"""Poses that are written are read back the same: by the other programs' readers, or by ours."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from relposegnn.exchange.models import write_model
from relposegnn.exchange.pose_formats import (
    GUESSED_LENGTH,
    Pinhole,
    PoseList,
    write_ace,
    write_hloc,
    write_images,
    write_pairs,
    write_query_list,
    write_tum,
)
from relposegnn.layouts.colmap import read_model
from relposegnn.poses import canonical_quaternion, pose_from_quaternion

NAMES = ["a.jpg", "Walk/b.PNG", "été.jpeg"]
CAMERAS = [
    Pinhole.of_image(size, length / 64)
    for size, length in (((64, 48), 60.0), ((48, 64), 55.5), ((64, 48), 60.0))
]
ROTATIONS = st.integers(0, 2**32 - 1)
ORIGINS = st.sampled_from([0.0, 30.0, 5e6])  # a room; a hall; map coordinates


def random_poses(seed: int, origin: float = 0.0, names: list[str] = NAMES) -> PoseList:
    random = np.random.default_rng(seed)
    quaternion = canonical_quaternion(Rotation.random(len(names), rng=random).as_quat())
    return PoseList(names, origin + 5 * random.standard_normal((len(names), 3)), quaternion, "any")


def assert_same(world_from_cam: np.ndarray, poses: PoseList, origin: float) -> None:
    expected = pose_from_quaternion(poses.translation, poses.quaternion)
    np.testing.assert_allclose(world_from_cam[:, :3, :3], expected[:, :3, :3], atol=1e-12)
    centres = world_from_cam[:, :3, 3], expected[:, :3, 3]
    np.testing.assert_allclose(*centres, rtol=0, atol=1e-12 + 1e-14 * origin)


def pose_of_line(fields: list[str]) -> np.ndarray:
    """Return the camera-to-world pose of ``qw qx qy qz tx ty tz``, world-to-camera."""
    w, x, y, z, *translation = map(float, fields)
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
    cam_from_world[:3, 3] = translation
    return np.linalg.inv(cam_from_world)


@settings(deadline=None, max_examples=20)
@given(ROTATIONS, ORIGINS)
def test_evo_reads_tum(tmp_path_factory, seed, origin):
    tools = pytest.importorskip("evo.tools.file_interface")
    poses, path = random_poses(seed, origin), tmp_path_factory.mktemp("tum") / "poses.txt"
    write_tum(path, poses, [1, 5, 7])
    found = tools.read_tum_trajectory_file(path)
    np.testing.assert_array_equal(found.timestamps, [1, 5, 7])
    assert_same(np.array(found.poses_se3), poses, origin)
    lines = path.read_text(encoding="utf-8").splitlines()
    for name, time in zip(NAMES, (1, 5, 7), strict=True):
        assert lines[lines.index(f"# {name}") + 1].startswith(f"{time} ")


@settings(deadline=None, max_examples=20)
@given(ROTATIONS, ORIGINS)
def test_colmap_reads_a_model(tmp_path_factory, seed, origin):
    pycolmap = pytest.importorskip("pycolmap")
    poses, folder = random_poses(seed, origin), tmp_path_factory.mktemp("model")
    write_model(folder, poses, CAMERAS)
    model = pycolmap.Reconstruction(folder)
    assert (len(model.cameras), len(model.points3D)) == (2, 0)
    images = [model.images[number] for number in (1, 2, 3)]
    assert [image.name for image in images] == NAMES
    for image, camera in zip(images, CAMERAS, strict=True):
        found = image.camera
        assert (found.width, found.height) == camera[:2]
        np.testing.assert_array_equal(found.params, [camera[2], camera[0] / 2, camera[1] / 2])
    inverses = [image.cam_from_world().inverse().matrix() for image in images]
    assert_same(np.array(inverses), poses, 10 * origin)
    ours, lengths = read_model(folder)
    assert_same(np.array([ours[name] for name in NAMES]), poses, 10 * origin)
    assert list(lengths.values()) == [60 / 64, 55.5 / 64, 60 / 64]


@settings(deadline=None, max_examples=20)
@given(ROTATIONS, ORIGINS)
def test_lines_of_hloc_and_ace(tmp_path_factory, seed, origin):
    poses, folder = random_poses(seed, origin), tmp_path_factory.mktemp("lists")
    write_hloc(folder / "hloc.txt", poses)
    write_ace(folder / "ace.txt", poses, CAMERAS, np.array([31, 0, 10_000]))
    for name in ("hloc.txt", "ace.txt"):
        rows = [line.split() for line in (folder / name).read_text("utf-8").splitlines()]
        assert [row[0] for row in rows] == NAMES
        assert_same(np.array([pose_of_line(row[1:8]) for row in rows]), poses, 10 * origin)
    assert {len(row) for row in rows} == {10}  # what ACE0's reader insists on
    assert [float(row[8]) for row in rows] == [60, 55.5, 60]
    assert [float(row[9]) for row in rows] == [31, 0, 10_000]


def test_lists_of_queries_and_pairs(tmp_path):
    write_query_list(tmp_path / "queries.txt", NAMES[:2], CAMERAS[:2])
    assert (tmp_path / "queries.txt").read_text() == (
        "a.jpg SIMPLE_PINHOLE 64 48 60.0 32.0 24.0\n"
        "Walk/b.PNG SIMPLE_PINHOLE 48 64 55.5 24.0 32.0\n"
    )
    write_pairs(tmp_path / "pairs.txt", [("q.png", "b.png"), ("q.png", "a.png")])
    assert (tmp_path / "pairs.txt").read_text() == "q.png b.png\nq.png a.png\n"


def test_cameras_of_images():
    assert Pinhole.of_image((48, 64), 0.5).focal_length == 32
    assert Pinhole.of_image((48, 64), np.nan).focal_length == GUESSED_LENGTH * 64


def test_images_alone_have_one_camera(tmp_path):
    poses = random_poses(2)
    write_images(tmp_path / "images.txt", poses)
    text = (tmp_path / "images.txt").read_text("utf-8")
    assert "its intrinsics are not known" in text
    lines = [line for line in text.split("\n") if line[:1] != "#"]
    assert lines[1::2] == [""] * 3
    assert [line.split(" ")[8:] for line in lines[0:6:2]] == [["1", name] for name in NAMES]


def test_no_photos_leave_readable_files(tmp_path):
    nothing = PoseList([], np.empty((0, 3)), np.empty((0, 4)), "none")
    write_tum(tmp_path / "poses.txt", nothing)
    write_images(tmp_path / "images.txt", nothing)
    for name in ("poses.txt", "images.txt"):
        assert all(line[0] == "#" for line in (tmp_path / name).read_text().splitlines())


def test_names_with_spaces_are_told(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        write_images(
            tmp_path / "images.txt", random_poses(3, names=["a b.jpg", "c.jpg", "d\ne.jpg"])
        )
    assert "2 names have one" in caplog.text
    assert "c.jpg\n" in (tmp_path / "images.txt").read_text()
