"""Every layout of one scene reads the same, and folders of none or of two are refused."""

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
)

from relposegnn.frames import Frames
from relposegnn.layouts.reading import read_scene
from relposegnn.packing import Packing, pack_frames
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


def test_relative_folder(tmp_path, monkeypatch):
    write_tables(tmp_path / "garage", "csv")
    monkeypatch.chdir(tmp_path)
    pack_frames("garage", "garage.h5", "mine", "garage", Packing(24))
    with Frames("garage.h5") as frames:
        assert frames.sources("train") == [f"{name}.png" for name in TRAIN]


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
    with pytest.raises(InputError, match=r"cellar: no such scene; .* holds attic, college, garage"):
        read_scene(tmp_path / "cellar")
