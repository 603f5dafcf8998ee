"""COLMAP models: queries by name, unregistered images left out, damage is named."""

import builtins
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

from relposegnn.layouts.colmap import read_model
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
    poses, scene = planted_poses(), read_scene(folder)
    assert [frame.name for frame in scene.train] == list(TRAIN)
    for frame in scene.train + scene.test:
        np.testing.assert_allclose(frame.world_from_cam, poses[frame.name], atol=1e-9)


def test_no_queries(folder, caplog):
    (folder / "test.txt").unlink()
    with caplog.at_level(logging.INFO):
        scene = read_scene(folder)
    assert [frame.name for frame in scene.train] == sorted(TRAIN + TEST)
    assert scene.test == []
    assert "6 database images, 0 queries" in caplog.text


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
        (f"{TEST[0]}.png\n{TEST[0]}.png", r"test\.txt:2: names .* again, as .*test\.txt:1"),
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


@pytest.mark.parametrize("name", ["images.bin", "points3D.bin", "rigs.bin"])
def test_incomplete_model(folder, name):
    (folder / "sparse/0" / name).unlink()
    with pytest.raises(InputError, match=r"sparse/0: cannot be read as a COLMAP model .*export"):
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


@pytest.mark.parametrize(
    "name", ["cameras.bin", "images.bin", "points3D.bin", "frames.bin", "rigs.bin"]
)
def test_models_cut_off_anywhere(rigged, name):
    """Within a number, a name or between records; pycolmap alone would read on for ever."""
    assert len(read_model(rigged)[0]) == len(TRAIN + TEST)
    whole = (rigged / name).read_bytes()
    for left in range(len(whole)):
        (rigged / name).write_bytes(whole[:left])
        with pytest.raises(InputError, match=rf"{name}: is cut off after {left} bytes"):
            read_model(rigged)


def test_counts_beyond_any_file(rigged):
    """A number of records, and of a point's observations, as large as 64 bits can say."""
    (rigged / "points3D.bin").write_bytes(b"\xff" * 59)
    with pytest.raises(InputError, match=r"points3D\.bin: is cut off after 59 bytes"):
        read_model(rigged)


def test_model_without_poses(folder):
    colmap_model(()).write_binary(folder / "sparse/0")
    with pytest.raises(InputError, match="sparse/0: has no image with a pose"):
        read_scene(folder)


def test_other_layouts_do_without_pycolmap(folder, tmp_path, monkeypatch):
    original = builtins.__import__

    def without_pycolmap(name, *args, **kwargs):
        if name == "pycolmap":
            raise ImportError("no pycolmap here")
        return original(name, *args, **kwargs)

    write_tables(tmp_path / "tables", "csv")
    monkeypatch.setattr(builtins, "__import__", without_pycolmap)
    assert len(read_scene(tmp_path / "tables").train) == len(TRAIN)
    with pytest.raises(InputError, match=r"no pycolmap here.*pip install pycolmap"):
        read_scene(folder)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Return a scene of a text model with key points in every other image."""
    folder = write_colmap(tmp_path / "garage", binary=False)
    path = folder / "sparse/0/images.txt"
    lines = path.read_text().split("\n")
    for row in range(5, len(lines), 4):
        lines[row] = "1.5 2 -1 3 4.5 -1"
    path.write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("name", ["cameras", "images", "points3D", "frames", "rigs"])
def test_text_models_cut_off_anywhere(text, name):
    """Either nothing that counts was lost, or the model is refused."""
    path, whole = text / f"sparse/0/{name}.txt", read_scene(text)
    content, read = path.read_bytes(), 0
    for left in range(0, len(content), 5):
        path.write_bytes(content[:left])
        try:
            scene = read_scene(text)
        except InputError:
            continue
        read += 1
        for kept, frame in zip(scene.train + scene.test, whole.train + whole.test, strict=True):
            assert kept.name == frame.name
            np.testing.assert_allclose(kept.world_from_cam, frame.world_from_cam, atol=1e-9)
            np.testing.assert_allclose(kept.focal_length, frame.focal_length)
    assert read < len(content) / 15 or name == "points3D"  # of which there are none here


def test_removed_empty_lines_are_told_by_line(text):
    path = text / "sparse/0/images.txt"
    path.write_text("\n".join(line for line in path.read_text().split("\n") if line))
    with pytest.raises(InputError, match=r"images\.txt:8: says '4 .*were the empty lines between"):
        read_scene(text)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", ["seq 1 (phone)", "seq\u202f1", "連\u3000続", "./seq1"])
def test_names_with_blanks(tmp_path, caplog, binary, name):
    folder = write_colmap(tmp_path / "garage", binary=binary)
    (folder / "images/seq1").rename(folder / "images" / name)
    model = colmap_model()
    for image in model.images.values():
        image.name = image.name.replace("seq1", name)
    (model.write_binary if binary else model.write_text)(folder / "sparse/0")
    found = {frame.name for frame in read_scene(folder).train}
    assert found == {each.replace("seq1", name.removeprefix("./")) for each in TRAIN}
    assert "have no pose" not in caplog.text


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("quaternion", ["0 0 0 0", "nan 0 0 0", "1e200 1e200 0 0", "2 0 0 0"])
@pytest.mark.parametrize("file", ["images", "frames"])
def test_what_is_no_rotation_is_refused(folder, binary, quaternion, file):
    model, row = folder / "sparse/0", {"images": 4, "frames": 3}[file]
    if binary:
        path, start = model / f"{file}.bin", {"images": 12, "frames": 16}[file]
        content = path.read_bytes()
        changed = np.array(quaternion.split(), dtype=np.float64).tobytes()
        path.write_bytes(content[:start] + changed + content[start + 32 :])
    else:
        for path in model.iterdir():
            path.unlink()
        colmap_model().write_text(model)
        path, first = model / f"{file}.txt", {"images": 1, "frames": 2}[file]
        lines = path.read_text().split("\n")
        fields = lines[row].split(" ")
        lines[row] = " ".join([*fields[:first], *quaternion.split(), *fields[first + 4 :]])
        path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=rf"{file}\.(bin|txt):.* has length .*, expected 1"):
        read_scene(folder)


def test_two_images_of_one_name(folder):
    model = colmap_model()
    for number in (1, 2):
        model.images[number].name = f"{TRAIN[0]}.png"
    model.write_binary(folder / "sparse/0")
    with pytest.raises(InputError, match=r"sparse/0: has two images 'seq1/frame00001\.png'"):
        read_scene(folder)


def test_bytes_behind_the_records(rigged):
    """A count that is too small loses images."""
    path = rigged / "images.bin"
    content = path.read_bytes()
    path.write_bytes(
        (int.from_bytes(content[:8], "little") - 1).to_bytes(8, "little") + content[8:]
    )
    with pytest.raises(InputError, match=r"images\.bin: has \d+ bytes after as many records"):
        read_model(rigged)


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ("SIMPLE_PINHOLE 0 0 60 0 0", "images of 0 x 0"),
        ("PINHOLE 64 48 -6 -6 3 2", "of -6 pixels"),
        ("PINHOLE 64 48 5e-324 5e-324 3 2", "pixels in images of 64 x 48"),
    ],
)
def test_cameras_that_cannot_be(text, camera, message):
    (text / "sparse/0/cameras.txt").write_text(f"1 {camera}\n")
    with pytest.raises(InputError, match=rf"camera 1 has .*{message}.*, expected 0.1 to 10 longer"):
        read_scene(text)
