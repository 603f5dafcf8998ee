"""Focal lengths of packed frames: told by a layout, given, or unknown."""

import logging

import h5py
import numpy as np
import pytest
from planted_scenes import TEST, TRAIN, write_colmap, write_tables, write_transforms
from test_data_packing import pack

from relposegnn.data.frames import Frames


@pytest.mark.parametrize(
    ("given", "train", "test"),
    [
        (None, np.nan, np.nan),
        ((0.8, None), 0.8, 0.8),
        ((0.8, 1.1), 0.8, 1.1),
    ],
)
def test_focal_lengths_are_recorded(tmp_path, given, train, test):
    path = pack(write_tables(tmp_path / "garage", "csv"), focal_lengths=given)
    with Frames(path) as frames:
        np.testing.assert_array_equal(frames.focal_lengths("train"), np.full(len(TRAIN), train))
        np.testing.assert_array_equal(frames.focal_lengths("test"), np.full(len(TEST), test))
    with h5py.File(path) as file:
        assert ("focal_length" in file["train"]) == (given is not None)


@pytest.mark.parametrize(
    ("given", "train", "test"),
    [
        (None, 60 / 64, 60 / 64),
        ((None, None), 60 / 64, 60 / 64),
        ((None, 1.1), 60 / 64, 1.1),
        ((0.8, None), 0.8, 0.8),
    ],
)
def test_focal_lengths_of_a_colmap_model(tmp_path, given, train, test):
    """Taken where no others are given; nothing is estimated."""
    path = pack(write_colmap(tmp_path / "garage"), focal_lengths=given)
    with Frames(path) as frames:
        np.testing.assert_allclose(frames.focal_lengths("train"), train)
        np.testing.assert_allclose(frames.focal_lengths("test"), test)


def test_focal_lengths_that_are_unknown_stay_unknown(tmp_path):
    """No poses tell them here: that is the camera file's, where one is needed."""
    path = pack(write_tables(tmp_path / "garage", "csv"), focal_lengths=(None, 1.1))
    with Frames(path) as frames:
        assert np.isnan(frames.focal_lengths("train")).all()
        np.testing.assert_array_equal(frames.focal_lengths("test"), np.full(len(TEST), 1.1))


def test_given_ones_are_told_to_replace_those_of_a_list_of_queries(tmp_path, caplog):
    folder = write_colmap(tmp_path / "garage")
    (folder / "test.txt").write_text(f"{TEST[0]}.png SIMPLE_PINHOLE 64 48 48 32 24\n")
    with caplog.at_level(logging.INFO), Frames(pack(folder, focal_lengths=(0.8, None))) as frames:
        np.testing.assert_array_equal(frames.focal_lengths("test"), [0.8])
    assert "of 5 images of train are replaced by the given one, 0.8" in caplog.text
    assert "of 1 images of test are replaced by the given one, 0.8" in caplog.text


def test_images_that_tell_none_beside_others_are_told(tmp_path, caplog):
    folder = write_transforms(tmp_path / "garage")
    path = folder / "transforms.json"
    first = '"file_path": "./seq1/frame00001.png"'
    told = path.read_text().replace(first, f'"is_fisheye": true, {first}')
    path.write_text(told)
    with Frames(pack(folder)) as frames:
        assert np.isnan(frames.focal_lengths("train")).tolist() == [True, False, False, False]
    assert "1 of 4 database images have no focal length, or a fisheye lens" in caplog.text
