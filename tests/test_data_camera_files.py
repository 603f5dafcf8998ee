"""The camera of a scene: what is written is read; other files are refused by name."""

import json
import math

import pytest

from relposegnn.data.camera_files import read_camera, write_camera
from relposegnn.files.owners import Owner
from relposegnn.runtime import InputError

ATTIC = Owner("house", "attic")


@pytest.mark.parametrize("length", [0.8125, math.nan])
def test_a_focal_length_is_read_as_it_was_written(tmp_path, length):
    path = tmp_path / "camera.json"
    write_camera(path, length, "planted", ATTIC)
    assert read_camera(path, ATTIC) == pytest.approx(length, rel=0, abs=0, nan_ok=True)
    known = None if math.isnan(length) else length
    told = {"dataset": "house", "scene": "attic", "origin": "planted"}
    assert json.loads(path.read_text()) == {**told, "focal_length": known}
    for other in (ATTIC._replace(scene="cellar"), ATTIC._replace(dataset="hut")):
        with pytest.raises(InputError, match=r"is of the (scene 'a|dataset 'ho).*give the right"):
            read_camera(path, other)


@pytest.mark.parametrize(
    "text",
    [
        *("{}", "", "[]", "3", '{"focal_length": "long"}', "[" * 100_000),
        *(
            f'{{"dataset": "house", "scene": "attic", "origin": "", "focal_length": {value}}}'
            for value in ("-1", "0", "NaN", "1e999", "true", '"0.8"')
        ),
    ],
)
def test_a_file_that_is_no_camera_is_refused(tmp_path, text):
    (tmp_path / "camera.json").write_text(text)
    with pytest.raises(InputError, match=r"camera\.json: cannot be read as a camera .*make it aga"):
        read_camera(tmp_path / "camera.json", ATTIC)
    with pytest.raises(InputError, match=r"none\.json: cannot be read as a camera"):
        read_camera(tmp_path / "none.json", ATTIC)
