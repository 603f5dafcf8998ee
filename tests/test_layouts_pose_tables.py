"""The plain layout: columns by name in CSV, TUM's order in text; every bad row is named."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_scenes import TEST, TRAIN, planted_poses, write_tables

from relposegnn.layouts.reading import read_scene
from relposegnn.runtime import InputError

HALF = float(np.sqrt(0.5))


@pytest.fixture(params=["csv", "txt"])
def folder(tmp_path: Path, request) -> Path:
    """Return a scene in either form of table."""
    return write_tables(tmp_path / "garage", request.param)


@pytest.fixture
def csv_folder(tmp_path: Path) -> Path:
    """Return a scene with CSV tables."""
    return write_tables(tmp_path / "garage", "csv")


def table(folder: Path, split: str) -> Path:
    """Return the table of a split."""
    return next(folder.glob(f"{split}.*"))


def set_row(path: Path, image: str, quaternion_wxyz: list, centre: tuple = (1, 2, 3)) -> None:
    """Write the table's third line anew, in its own order."""
    order = quaternion_wxyz if path.suffix == ".csv" else np.roll(quaternion_wxyz, -1).tolist()
    lines = path.read_text().splitlines()
    separator = "," if path.suffix == ".csv" else " "
    lines[2] = separator.join(map(str, [image, *centre, *order]))
    path.write_text("\n".join(lines))


def test_camera_to_world_with_the_real_part_where_the_table_has_it(folder):
    """A quarter turn about z, camera to world: the camera's x axis is the world's y axis."""
    set_row(table(folder, "train"), f"{TRAIN[1]}.png", [HALF, 0, 0, HALF])
    pose = read_scene(folder).train[1].world_from_cam
    np.testing.assert_allclose(pose[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(pose[:3, 3], [1, 2, 3])


def test_no_queries(folder, caplog):
    table(folder, "test").unlink()
    with caplog.at_level(logging.INFO):
        scene = read_scene(folder)
    assert ([frame.name for frame in scene.train], scene.test) == (list(TRAIN), [])
    assert "no queries" in caplog.text


def test_columns_by_name(csv_folder):
    """In any order, more of them than needed, with spaces and blank lines."""
    path = csv_folder / "test.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    order = [7, 3, 0, 5, 1, 6, 2, 4]
    lines = [", ".join([*(row[i] for i in order), "note"]) for row in rows]
    path.write_text("\r\n".join([lines[0], "", *lines[1:], ""]), newline="")
    poses = planted_poses()
    scene = read_scene(csv_folder)
    assert [frame.name for frame in scene.test] == list(TEST)
    for frame in scene.test:
        np.testing.assert_allclose(frame.world_from_cam, poses[frame.name], atol=1e-9)


def test_comments_and_blanks_in_text(tmp_path):
    folder = write_tables(tmp_path / "garage", "txt")
    path = folder / "train.txt"
    path.write_text("# from our tracker\n\n" + path.read_text().replace("\n", "\n  # more\n"))
    assert [frame.name for frame in read_scene(folder).train] == list(TRAIN)


@pytest.mark.parametrize(
    ("image", "quaternion", "message"),
    [
        (f"{TRAIN[1]}.png", [1, 0, 0, 0.1], "has length 1.005, expected 1"),
        (f"{TRAIN[1]}.png", [0, 0, 0, 0], "has length 0, expected 1"),
        (f"{TRAIN[1]}.png", [1, 0, "a", 0], "expected the numbers of a pose"),
        ("seq1/gone.png", [1, 0, 0, 0], "there is no image"),
        ("../garage/seq1/frame00002.png", [1, 0, 0, 0], "expected a path inside"),
        ("/etc/passwd", [1, 0, 0, 0], "expected a path inside"),
        (f"{TRAIN[0]}.png", [1, 0, 0, 0], r"already listed .*train\.(csv|txt):2"),
        (f"./{TRAIN[0]}.png", [1, 0, 0, 0], r"already listed .*train\.(csv|txt):2"),
    ],
)
def test_bad_rows_are_named(folder, image, quaternion, message):
    set_row(table(folder, "train"), image, quaternion)
    with pytest.raises(InputError, match=rf"garage/train\.(csv|txt):3: .*{message}"):
        read_scene(folder)


def test_nearly_unit_quaternions_pass(folder):
    set_row(table(folder, "train"), f"{TRAIN[1]}.png", [1.0005, 0, 0, 0])
    np.testing.assert_allclose(read_scene(folder).train[1].world_from_cam[:3, :3], np.eye(3))


def test_image_in_both_splits(folder):
    set_row(table(folder, "test"), f"{TRAIN[3]}.png", [1, 0, 0, 0])
    with pytest.raises(InputError, match=r"test\.\w+:3: .*already listed .*train\.\w+:5"):
        read_scene(folder)


def test_names_that_differ_in_their_suffix_alone(folder):
    (folder / "seq1/frame00001.jpg").write_bytes(b"image")
    set_row(table(folder, "train"), "seq1/frame00001.jpg", [1, 0, 0, 0])
    with pytest.raises(InputError, match=r"expected every image once.*names that differ before"):
        read_scene(folder)


@pytest.mark.parametrize("split", ["train", "test"])
def test_two_tables_of_a_split(folder, split):
    for suffix in ("csv", "txt"):
        (folder / f"{split}.{suffix}").touch()
    with pytest.raises(InputError, match=rf"holds {split}\.csv and {split}\.txt, expected one"):
        read_scene(folder)


@pytest.mark.parametrize("split", ["train", "test"])
def test_table_without_images(folder, split):
    path = table(folder, split)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match=rf"{split}\.\w+: lists no image"):
        read_scene(folder)


def test_only_queries(folder):
    table(folder, "train").unlink()
    with pytest.raises(InputError, match=r"holds no scene, expected .*train\.csv, train\.txt"):
        read_scene(folder)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("image,tx,ty,tz,qw,qx,qy", "has 0 columns 'qz'"),
        ("image;tx;ty;tz;qw;qx;qy;qz", "has 0 columns 'image' .*separate them by commas"),
        ("image,tx,ty,tz,qw,qx,qy,qz,tx", "has 2 columns 'tx'"),
        ("", "has 0 columns 'image'"),
    ],
)
def test_bad_header(csv_folder, header, message):
    path = csv_folder / "train.csv"
    path.write_text("\n".join([header, *path.read_text().splitlines()[1:]]) if header else "")
    with pytest.raises(InputError, match=rf"train\.csv: {message}"):
        read_scene(csv_folder)


@pytest.mark.parametrize("row", ["a.png,1,2,3,1,0,0", "a.png,1,2,3,1,0,0,0,9"])
def test_rows_of_other_lengths(csv_folder, row):
    path = csv_folder / "train.csv"
    path.write_text(path.read_text() + row)
    with pytest.raises(InputError, match=r"train\.csv:6: has [79] fields, expected 8"):
        read_scene(csv_folder)


@pytest.mark.parametrize("trailing", [False, True])
def test_a_column_without_a_name(csv_folder, trailing):
    """Pandas writes its index as one at the start; a comma at every line's end makes another."""
    path = csv_folder / "train.csv"
    if trailing:
        path.write_text(path.read_text().replace("\n", ",\n"))
    else:
        pd.read_csv(path).to_csv(path)
        assert path.read_text().startswith(",image,tx")
    poses = planted_poses()
    scene = read_scene(csv_folder)
    assert [frame.name for frame in scene.train] == list(TRAIN)
    for frame in scene.train:
        np.testing.assert_allclose(frame.world_from_cam, poses[frame.name], atol=1e-9)
    path.write_text(path.read_text() + "0,a.png,1,2,3,1,0,0,0,9")
    with pytest.raises(InputError, match=r"train\.csv:6: has 10 fields, expected 9"):
        read_scene(csv_folder)


@pytest.mark.parametrize("line", [0, 1])
def test_fields_that_csv_refuses(csv_folder, line):
    path = csv_folder / "train.csv"
    lines = path.read_text().splitlines()
    lines[line] += "," + "x" * 200_000
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=rf"train\.csv:{line + 1}: .*larger than field limit"):
        read_scene(csv_folder)


def test_image_names_that_no_file_can_have(folder):
    set_row(table(folder, "train"), "x" * 5000 + ".png", [1, 0, 0, 0])
    with pytest.raises(InputError, match=r"train\.\w+:3: names 'x{40}'\.\.\., 5004 ") as caught:
        read_scene(folder)
    assert len(str(caught.value)) < 500


def test_short_line_of_text(tmp_path):
    folder = write_tables(tmp_path / "garage", "txt")
    (folder / "train.txt").write_text("a.png 1 2 3 0 0 0")
    with pytest.raises(InputError, match=r"train\.txt:1: says .*expected image tx ty tz qx qy qz"):
        read_scene(folder)
