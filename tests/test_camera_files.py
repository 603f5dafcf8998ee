"""The camera of a scene: what is written is read; other files are refused by name."""

import json
import math

import pytest

from relposegnn.camera_files import read_camera, write_camera
from relposegnn.runtime import InputError


@pytest.mark.parametrize("length", [0.8125, math.nan])
def test_a_focal_length_is_read_as_it_was_written(tmp_path, length):
    write_camera(tmp_path / "camera.json", length, "planted")
    assert read_camera(tmp_path / "camera.json") == pytest.approx(length, rel=0, abs=0, nan_ok=True)
    contents = json.loads((tmp_path / "camera.json").read_text())
    assert contents == {"focal_length": None if math.isnan(length) else length, "origin": "planted"}


@pytest.mark.parametrize("text", ["{}", "", "[]", "3", '{"focal_length": "long"}'])
def test_a_file_that_is_no_camera_is_refused(tmp_path, text):
    (tmp_path / "camera.json").write_text(text)
    with pytest.raises(InputError, match=r"camera\.json: cannot be read as a camera .*make it aga"):
        read_camera(tmp_path / "camera.json")
    with pytest.raises(InputError, match=r"none\.json: cannot be read as a camera"):
        read_camera(tmp_path / "none.json")
