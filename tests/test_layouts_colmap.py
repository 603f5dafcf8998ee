"""COLMAP models: queries by name, unregistered images left out, damage is named."""

import builtins
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from planted_scenes import TEST, TRAIN, colmap_model, planted_poses, write_colmap, write_tables

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


@pytest.mark.parametrize("name", ["images.bin", "points3D.bin", "rigs.bin"])
def test_incomplete_model(folder, name):
    (folder / "sparse/0" / name).unlink()
    with pytest.raises(InputError, match=r"sparse/0: cannot be read as a COLMAP model .*export"):
        read_scene(folder)


@pytest.mark.parametrize("left", [0, 5, 8, 50, 72, -200, -1])
def test_truncated_model(folder, left):
    """Cut anywhere, in a number or in a name; pycolmap alone would read on for ever."""
    path = folder / "sparse/0/images.bin"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(InputError, match=r"images\.bin: is cut off after \d+ bytes"):
        read_scene(folder)


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
