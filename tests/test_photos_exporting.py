"""Accepted photos in formats of other programs, with the cameras that took them."""

import numpy as np
import pandas as pd
import pytest
from PIL import ExifTags, Image
from planted_scenes import write_noise

from relposegnn.camera_files import write_camera
from relposegnn.exchange.pose_formats import FORMATS
from relposegnn.frames import Frames
from relposegnn.layouts.colmap import read_model
from relposegnn.owners import Owner
from relposegnn.packing import Packing, pack_frames
from relposegnn.photos.exporting import write_formats
from relposegnn.photos.localiser import POSE

TOLD = 30 / np.hypot(36, 24) * np.hypot(64, 48) / 64  # 30 mm of 36 x 24
EXPECTED = {"told.jpg": (64, 48, 64 * TOLD), "silent.png": (48, 64, 0.8 * 64)}


@pytest.fixture
def frames(tmp_path):
    write_noise(tmp_path / "room")
    pack_frames(tmp_path / "room", tmp_path / "frames.h5", "d", "room", Packing(24))
    write_camera(tmp_path / "camera.json", 0.8, "planted", Owner("d", "room"))
    with Frames(tmp_path / "frames.h5", tmp_path / "camera.json") as frames:
        yield frames


@pytest.fixture
def table(tmp_path):
    """Return the table of three photos, the second of which is not accepted."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 30
    Image.new("RGB", (64, 48)).save(tmp_path / "told.jpg", exif=exif)
    Image.new("RGB", (48, 64)).save(tmp_path / "silent.png")
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(3, 7)), columns=POSE)
    quaternion = table[POSE[3:]].to_numpy()
    table[POSE[3:]] = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
    table.insert(0, "image", ["told.jpg", "refused.jpg", "silent.png"])
    return table.assign(accepted=[True, False, True], points=[40, 0, 7])


def test_accepted_photos_in_every_format(tmp_path, frames, table):
    write_formats(table, tmp_path, frames, tmp_path / "out", FORMATS)
    poses, lengths = read_model(tmp_path / "out/colmap")
    assert {*poses} == {*EXPECTED}
    for row in (0, 2):
        name = table["image"][row]
        np.testing.assert_allclose(poses[name][:3, 3], table[POSE[:3]].to_numpy()[row], atol=1e-9)
        assert lengths[name] == pytest.approx(EXPECTED[name][2] / 64)
    cameras = (tmp_path / "out/colmap/cameras.txt").read_text()
    assert "SIMPLE_PINHOLE 48 64 51.2 24.0 32.0" in cameras
    ace = [line.split() for line in (tmp_path / "out/ace.txt").read_text().splitlines()]
    assert [(row[0], float(row[8]), float(row[9])) for row in ace] == [
        ("told.jpg", pytest.approx(EXPECTED["told.jpg"][2]), 40),
        ("silent.png", pytest.approx(EXPECTED["silent.png"][2]), 7),
    ]
    hloc = [line.split() for line in (tmp_path / "out/hloc.txt").read_text().splitlines()]
    assert [row[:8] for row in ace] == hloc


def test_only_what_is_asked_for_by_the_focal_length_that_is_given(tmp_path, frames, table):
    write_formats(table, tmp_path, frames, tmp_path / "out", [])
    assert not (tmp_path / "out").exists()
    write_formats(table, tmp_path, frames, tmp_path / "out", ["ace"], focal_length=2.0)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ace.txt"]
    lines = (tmp_path / "out/ace.txt").read_text().splitlines()
    assert [float(line.split()[8]) for line in lines] == [128, 128]
