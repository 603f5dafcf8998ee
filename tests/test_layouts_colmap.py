"""COLMAP models: queries by name, unregistered images left out, damage is named."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from planted_scenes import (
    SIZE,
    TEST,
    TRAIN,
    colmap_model,
    planted_poses,
    write_colmap,
    write_tables,
)

from relposegnn.layouts.colmap import read_model_poses
from relposegnn.layouts.reading import read_scene
from relposegnn.runtime import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a scene of four training and two test images."""
    return write_colmap(tmp_path / "garage")


def test_model_of_older_versions(folder):
    """Before rigs and frames there were three files."""
    for name in ("rigs", "frames"):
        (folder / f"sparse/0/{name}.bin").unlink()
    poses = planted_poses()
    scene = read_scene(folder)
    assert [frame.name for frame in scene.train] == list(TRAIN)
    for frame in scene.train + scene.test:
        np.testing.assert_allclose(frame.world_from_cam, poses[frame.name], atol=1e-9)


def test_no_queries(folder, caplog):
    (folder / "test.txt").unlink()
    with caplog.at_level(logging.INFO):
        scene = read_scene(folder)
    assert [frame.name for frame in scene.train] == sorted(TRAIN + TEST)
    assert scene.test == []
    assert "no queries" in caplog.text


def test_queries_in_any_order_with_comments(folder):
    lines = ["# held out", "", f"{TEST[1]}.png", f"  {TEST[0]}.png  "]
    (folder / "test.txt").write_text("\r\n".join(lines), newline="")
    assert [frame.name for frame in read_scene(folder).test] == list(TEST)


def test_unregistered_images_are_left_out_and_counted(folder, caplog):
    colmap_model(TRAIN[1:] + TEST[:1]).write_binary(folder / "sparse/0")
    (folder / "test.txt").write_text(f"{TEST[0]}.png\n")
    scene = read_scene(folder)
    assert [frame.name for frame in scene.train] == list(TRAIN[1:])
    assert "images: 2 images have no pose in" in caplog.text


def test_several_models(folder, caplog):
    shutil.copytree(folder / "sparse/0", folder / "sparse/1")
    assert len(read_scene(folder).train) == len(TRAIN)
    assert "2 models; only" in caplog.text


def test_a_pose_table_named_test_is_no_list_of_queries(folder, tmp_path):
    tables = write_tables(tmp_path / "tables", "txt")
    shutil.copy(tables / "test.txt", folder / "test.txt")
    with pytest.raises(InputError, match=r"test\.txt:2: names 'seq3/.*which has no pose"):
        read_scene(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seq9/gone.png", r"test\.txt:1: names 'seq9/gone\.png', which has no pose in .*sparse/0"),
        ("seq3/frame00001", r"test\.txt:1: .*such as 'seq1/frame00001\.png'"),
        (f"{TEST[0]}.png\n{TEST[0]}.png", r"test\.txt:2: names .* again, see .*test\.txt:1"),
        ("\n# none\n", r"test\.txt: names no image"),
        ("\n".join(f"{name}.png" for name in TRAIN + TEST), "its database is empty"),
    ],
)
def test_bad_lists_of_queries(folder, text, message):
    (folder / "test.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_scene(folder)


def test_missing_image(folder):
    (folder / f"images/{TRAIN[2]}.png").unlink()
    with pytest.raises(InputError, match=r"sparse/0: names 'seq2/frame00001\.png', but there is"):
        read_scene(folder)


def test_missing_images_folder(folder):
    (folder / "images").rename(folder / "photos")
    with pytest.raises(InputError, match="images: no such folder"):
        read_scene(folder)


@pytest.mark.parametrize("binary", [True, False])
def test_poses_need_the_images_alone(tmp_path, binary):
    folder = write_colmap(tmp_path / "garage", binary=binary)
    for path in (folder / "sparse/0").iterdir():
        if path.stem not in ("cameras", "images"):
            path.unlink()
    assert len(read_scene(folder).train) == len(TRAIN)
    next((folder / "sparse/0").glob("images.*")).unlink()
    with pytest.raises(InputError, match=r"sparse/0: holds neither images\.bin nor .*export"):
        read_scene(folder)


def test_bad_line_of_a_text_model(tmp_path):
    folder = write_colmap(tmp_path / "garage", binary=False)
    path = folder / "sparse/0/images.txt"
    lines = path.read_text().splitlines()
    (number,) = [i for i, line in enumerate(lines) if line.endswith(f"{TRAIN[0]}.png")]
    whole = lines[number]
    for line, message in (
        ("1 1 0 0 0 0 0 0 1", "says '1 1 0 .*', expected IMAGE_ID"),
        (whole.replace(whole.split()[2], "x", 1), "'x', expected seven numbers"),
        (f"1 2 0 0 0 0 0 0 1 {TRAIN[0]}.png", "length 2, expected 1"),
    ):
        lines[number] = line
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(InputError, match=rf"images\.txt:{number + 1}: .*{message}"):
            read_scene(folder)


@pytest.fixture
def rigged(tmp_path: Path) -> Path:
    """Return a binary model with all that COLMAP writes: points, key points, rigs of cameras."""
    model = colmap_model()
    for image in model.images.values():
        image.points2D = pycolmap.Point2DList([pycolmap.Point2D(np.ones(2)) for _ in range(3)])
    for observations in range(4):
        point = model.add_point3D(np.ones(3), pycolmap.Track(), np.zeros(3, dtype=np.uint8))
        for image in range(1, observations + 1):
            model.add_observation(point, pycolmap.TrackElement(image, observations - 1))
    rig = pycolmap.Rig(rig_id=9)
    for number, pose in ((7, None), (8, pycolmap.Rigid3d()), (9, None)):
        size = {"width": SIZE[0], "height": SIZE[1], "params": [60, 32, 24]}
        model.add_camera(pycolmap.Camera(model="SIMPLE_PINHOLE", camera_id=number, **size))
        sensor = pycolmap.sensor_t(pycolmap.SensorType.CAMERA, number)
        rig.add_ref_sensor(sensor) if number == 7 else rig.add_sensor(sensor, pose)
    model.add_rig(rig)
    model.write_binary(tmp_path)
    return tmp_path


def test_rigs_points_and_key_points_are_passed_over(rigged):
    found = read_model_poses(rigged)
    assert set(found) == {f"{name}.png" for name in TRAIN + TEST}
    for name, pose in planted_poses().items():
        np.testing.assert_allclose(found[f"{name}.png"], pose, atol=1e-9)


def test_models_cut_off_anywhere(rigged):
    """Within a number, a name or between records."""
    whole = (rigged / "images.bin").read_bytes()
    for left in range(len(whole)):
        (rigged / "images.bin").write_bytes(whole[:left])
        with pytest.raises(InputError, match=rf"images\.bin: is .*cut off after {left} bytes"):
            read_model_poses(rigged)


def test_counts_beyond_any_file(rigged):
    """A number of records, and of an image's key points, as large as 64 bits can say."""
    whole = (rigged / "images.bin").read_bytes()
    points = whole.index(b".png\0") + 5
    for start in (0, points):
        (rigged / "images.bin").write_bytes(whole[:start] + b"\xff" * 8 + whole[start + 8 :])
        with pytest.raises(InputError, match=r"images\.bin: is .*cut off"):
            read_model_poses(rigged)


def test_model_without_poses(folder):
    colmap_model(()).write_binary(folder / "sparse/0")
    with pytest.raises(InputError, match="sparse/0: has no image with a pose"):
        read_scene(folder)
