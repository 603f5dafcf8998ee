"""Every layout of one scene reads the same, and folders of none or of two are refused."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from planted_scenes import (
    SIZE,
    TEST,
    TRAIN,
    WRITERS,
    planted_poses,
    write_cambridge,
    write_colmap,
    write_seven_scenes,
    write_tables,
    write_twelve_scenes,
)
from project import REPOSITORY

from relposegnn.data.frames import Frames
from relposegnn.data.packing import Packing, pack_frames
from relposegnn.layouts.files import LAYOUTS, frame_lists
from relposegnn.layouts.reading import LEAVE_OUT, READERS, read_scene
from relposegnn.runtime import InputError


@pytest.mark.parametrize("layout", WRITERS)
def test_all_layouts_give_the_planted_poses(tmp_path, layout):
    scene = read_scene(WRITERS[layout](tmp_path / "garage"))
    poses = planted_poses()
    assert scene.name == "garage"
    for split, names in (("train", TRAIN), ("test", TEST)):
        frames = scene.frames(split)
        if layout == "7-Scenes":
            expected = [f"seq-{int(n[3]):02d}/frame-{int(n[-5:]):06d}" for n in names]
        elif layout == "12-Scenes":
            first = "seq-00/frame-{:06}" if split == "test" else "seq-01/frame-{:06}"
            expected = [first.format((TEST + TRAIN).index(name)) for name in names]
        else:
            expected = list(names)
        assert [frame.name for frame in frames] == expected
        for frame, name in zip(frames, names, strict=True):
            np.testing.assert_allclose(frame.world_from_cam, poses[name], atol=1e-9)
            assert frame.image.is_file()


@pytest.mark.parametrize("layout", ["Cambridge Landmarks", "csv", "COLMAP"])
def test_every_layout_packs(tmp_path, layout):
    folder = WRITERS[layout](tmp_path / "garage")
    pack_frames(folder, tmp_path / "garage.h5", "mine", "garage", Packing(24))
    prefix = "images/" if layout == "COLMAP" else ""
    with Frames(tmp_path / "garage.h5") as frames:
        assert frames.sources("test") == [f"{prefix}{name}.png" for name in TEST]
        assert frames.image_shape == (24, 24 * SIZE[0] // SIZE[1])
        np.testing.assert_allclose(frames.poses("train")[2], planted_poses()[TRAIN[2]], atol=1e-9)


def test_every_layout_is_in_every_list_and_the_page_for_a_new_one_names_them_all():
    assert READERS.keys() == LAYOUTS.keys()
    page = (REPOSITORY / "docs/extending.md").read_text()
    named = set(re.findall(r"`([A-Z_]+)`", page.partition("## A descriptor")[0]))
    assert {"READERS", "LAYOUTS", "WRITERS", "LISTS"} <= named


LISTS = {
    "Cambridge Landmarks": {"dataset_train.txt", "dataset_test.txt"},
    "csv": {"train.csv", "test.csv"},
    "txt": {"train.txt", "test.txt"},
    "COLMAP": {"sparse/0/cameras.bin", "sparse/0/images.bin", "test.txt"},
    "COLMAP text": {"sparse/0/cameras.txt", "sparse/0/images.txt", "test.txt"},
    "COLMAP in sparse": {"sparse/cameras.bin", "sparse/images.bin", "test.txt"},
    "COLMAP in the folder": {"cameras.txt", "images.txt", "test.txt"},
    "7-Scenes": {"TrainSplit.txt", "TestSplit.txt", "seq-01", "seq-02", "seq-03"},
    "12-Scenes": {"split.txt", "data"},
    "NeRF's transforms": {"transforms.json"},
    "TUM RGB-D": {"groundtruth.txt", "rgb.txt", "test.txt"},
}


@pytest.mark.parametrize("layout", WRITERS)
def test_what_changes_its_date_when_frames_come(tmp_path, layout):
    folder = WRITERS[layout](tmp_path / "garage")
    (folder / "notes.txt").touch()
    assert {str(path.relative_to(folder)) for path in frame_lists(folder)} == LISTS[layout]


def test_relative_folder(tmp_path, monkeypatch):
    write_tables(tmp_path / "garage", "csv")
    monkeypatch.chdir(tmp_path)
    pack_frames("garage", "garage.h5", "mine", "garage", Packing(24))
    with Frames("garage.h5") as frames:
        assert frames.sources("train") == [f"{name}.png" for name in TRAIN]


@pytest.mark.parametrize("layout", ["csv", "txt", "Cambridge Landmarks", "TUM RGB-D"])
def test_the_order_of_lines_is_that_of_nothing(tmp_path, layout):
    """Frames beside each other in the order are left out and held out together."""
    folder = WRITERS[layout](tmp_path / "garage")
    for path in [*folder.glob("*.csv"), *folder.glob("*.txt")]:
        lines = path.read_text().splitlines()
        start = {"csv": 1, "txt": 0, "Cambridge Landmarks": 3, "TUM RGB-D": 0}[layout]
        path.write_text("\n".join([*lines[:start], *lines[start:][::-1]]) + "\n")
    scene = read_scene(folder)
    assert [frame.name for frame in scene.train] == list(TRAIN)
    assert [frame.name for frame in scene.test] == list(TEST)
    for frame, name in zip(scene.train + scene.test, TRAIN + TEST, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, planted_poses()[name], atol=1e-9)


def test_folder_of_no_layout_says_what_was_looked_for(tmp_path):
    (tmp_path / "garage").mkdir()
    (tmp_path / "garage/poses.json").write_text("{}")
    with pytest.raises(InputError, match="garage: holds no scene, expected") as caught:
        read_scene(tmp_path / "garage")
    for text in (
        "7-Scenes (TrainSplit.txt, TestSplit.txt)",
        "Cambridge Landmarks (dataset_train.txt, dataset_test.txt)",
        "a COLMAP model (sparse/0/cameras.bin, sparse/0/cameras.txt, sparse/cameras.bin",
        "plain tables of poses (train.csv, train.txt)",
    ):
        assert text in str(caught.value)


def test_folder_of_two_layouts(tmp_path):
    write_colmap(tmp_path / "garage")
    write_tables(tmp_path / "garage", "csv")
    with pytest.raises(InputError, match=r"files of 2 layouts, .*COLMAP.*train\.csv.*move"):
        read_scene(tmp_path / "garage")


def test_unknown_scene_lists_the_known(tmp_path):
    write_seven_scenes(tmp_path / "attic")
    write_cambridge(tmp_path / "college")
    write_colmap(tmp_path / "garage", place="sparse")
    (tmp_path / "notes").mkdir()
    with pytest.raises(InputError, match=r"cellar: no such scene; .* has attic, college, garage"):
        read_scene(tmp_path / "cellar")


def test_a_single_sequence_of_12_scenes_is_the_database(tmp_path, caplog):
    folder = write_twelve_scenes(tmp_path / "garage")
    (folder / "split.txt").write_text("sequence1 [frames=4]  [start=2 ; end=5]\n")
    with caplog.at_level(logging.INFO):
        scene = read_scene(folder)
    assert (len(scene.train), scene.test) == (4, [])
    assert "a single sequence in split.txt, so this scene has no queries" in caplog.text


LOST = {  # by layout: the file and line of a frame, here of TRAIN[1] and of TEST[1]
    "csv": ("train.csv:3", "test.csv:3"),
    "txt": ("train.txt:3", "test.txt:3"),
    "Cambridge Landmarks": ("dataset_train.txt:5", "dataset_test.txt:5"),
    "7-Scenes": ("seq-01/frame-000002.pose.txt", "seq-03/frame-000002.pose.txt"),
    "12-Scenes": ("data/frame-000003.pose.txt", "data/frame-000001.pose.txt"),
}


def lose_tracking(folder: Path, place: str, number: str) -> None:
    """Write a number in place of all numbers of a file, or of a line of a list."""
    name, _, line = place.partition(":")
    lines = (folder / name).read_text().splitlines()
    for row in [int(line) - 1] if line else range(len(lines)):
        comma = "," in lines[row]
        fields = lines[row].split("," if comma else None)
        kept = fields[:1] if line else []
        lines[row] = ("," if comma else " ").join([*kept, *[number] * (len(fields) - len(kept))])
    (folder / name).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("number", ["nan", "-inf", "-1.#INF", "1.#QNAN0"])
@pytest.mark.parametrize("layout", LOST)
def test_all_lost_poses_are_told_at_once_or_left_out(tmp_path, caplog, layout, number):
    folder = WRITERS[layout](tmp_path / "garage")
    for place in LOST[layout]:
        lose_tracking(folder, place, number)
    told = f"garage: 2 of 6 poses are not finite: {', '.join(LOST[layout])}"
    with pytest.raises(
        InputError, match=r"leave these frames out: set frames\.lost_poses"
    ) as caught:
        read_scene(folder)
    assert told in str(caught.value)
    with caplog.at_level(logging.WARNING):
        scene = read_scene(folder, LEAVE_OUT)
    assert f"{told}; these frames are left out" in caplog.text
    assert (len(scene.train), len(scene.test)) == (3, 1)
    for frame in scene.train + scene.test:
        assert np.isfinite(frame.world_from_cam).all()


def test_a_database_that_was_lost_altogether(tmp_path):
    folder = write_tables(tmp_path / "garage", "csv")
    for line in range(2, 6):
        lose_tracking(folder, f"train.csv:{line}", "nan")
    with pytest.raises(
        InputError, match=r"4 of 6 poses .* expected some finite poses in the database"
    ):
        read_scene(folder, LEAVE_OUT)


def test_queries_that_were_lost_altogether_are_told(tmp_path, caplog):
    """Who needs the database alone goes on."""
    folder = write_tables(tmp_path / "garage", "csv")
    for line in range(2, 4):
        lose_tracking(folder, f"test.csv:{line}", "nan")
    scene = read_scene(folder, LEAVE_OUT)
    assert (len(scene.train), scene.test) == (4, [])
    assert "no query is left, so nothing can be scored here" in caplog.text


def test_packing_leaves_lost_frames_out_where_it_is_told_to(tmp_path):
    folder = write_tables(tmp_path / "garage", "csv")
    lose_tracking(folder, "train.csv:3", "nan")
    packing = Packing(24, lost_poses=LEAVE_OUT)
    pack_frames(folder, tmp_path / "garage.h5", "mine", "garage", packing)
    with Frames(tmp_path / "garage.h5") as frames:
        assert frames.names("train") == [name for name in TRAIN if name != TRAIN[1]]


def test_a_file_is_not_called_a_missing_scene(tmp_path):
    (tmp_path / "garage.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"garage\.zip: is a file, expected the folder of a scene"):
        read_scene(tmp_path / "garage.zip")
