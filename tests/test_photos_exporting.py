"""Accepted photos in formats of other programs, with the cameras that took them."""

import numpy as np
import pandas as pd
import pytest

from relposegnn.exchange.pose_formats import FORMATS, GUESSED_LENGTH
from relposegnn.layouts.colmap import read_model
from relposegnn.photos.cameras import CAMERA
from relposegnn.photos.exporting import (
    check_output,
    remove_earlier,
    write_formats,
    write_lists,
)
from relposegnn.photos.localising import localise_photos
from relposegnn.photos.table import POSE
from relposegnn.runtime import InputError

CAMERAS = {
    "plain.jpg": (64, 48, 51.2, 51.2, 32.0, 24.0),
    "refused.jpg": (64, 48, 51.2, 51.2, 32.0, 24.0),
    "stretched.png": (48, 64, 50.0, 72.0, 20.0, 32.5),
    "unknown.png": (48, 64, *[np.nan] * 4),
}


@pytest.fixture
def table():
    """Return the table of photos, the second of which is not accepted."""
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 7)), columns=POSE)
    quaternion = table[POSE[3:]].to_numpy()
    table[POSE[3:]] = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
    table.insert(0, "image", list(CAMERAS))
    table = table.assign(accepted=[True, False, True, True], points=[40, 0, 7, 0])
    return table.join(pd.DataFrame(CAMERAS.values(), columns=CAMERA))


def test_accepted_photos_in_every_format(tmp_path, table, caplog):
    write_formats(table, tmp_path, FORMATS)
    assert f"of 1 photos are unknown, and written as {GUESSED_LENGTH} longer sides" in caplog.text
    cameras = (tmp_path / "colmap/cameras.txt").read_text().splitlines()
    guess = repr(GUESSED_LENGTH * 64)
    assert [line.split(" ", 1)[1] for line in cameras if line[0] != "#"] == [
        "SIMPLE_PINHOLE 64 48 51.2 32.0 24.0",
        "PINHOLE 48 64 50.0 72.0 20.0 32.5",
        f"SIMPLE_PINHOLE 48 64 {guess} 24.0 32.0",
    ]
    poses, lengths = read_model(tmp_path / "colmap")
    accepted = table[table["accepted"]]
    assert len(poses) == 3
    centres = [poses[name][:3, 3] for name in accepted["image"]]
    np.testing.assert_allclose(centres, accepted[POSE[:3]], atol=1e-9)
    assert lengths["plain.jpg"] == pytest.approx(0.8)
    ace = [line.split() for line in (tmp_path / "ace.txt").read_text().splitlines()]
    assert [(float(row[-2]), float(row[-1])) for row in ace] == [
        (51.2, 40),
        (pytest.approx(60), 7),
        (pytest.approx(GUESSED_LENGTH * 64), 0),
    ]
    hloc = [line.split() for line in (tmp_path / "hloc.txt").read_text().splitlines()]
    assert [row[:-2] for row in ace] == hloc


def test_only_what_is_asked_for(tmp_path, table):
    write_formats(table, tmp_path / "out", [])
    assert not (tmp_path / "out").exists()
    write_formats(table, tmp_path / "out", ["ace"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ace.txt"]


def test_what_an_earlier_run_left_is_removed_and_nothing_else(tmp_path, table):
    """A model, or a list, of the user's own is told by its first line."""
    (tmp_path / "colmap").mkdir()
    users = [tmp_path / name for name in ("images.txt", "hloc.txt", "colmap/images.txt")]
    for path in users:
        path.write_text("# Image list with two lines of data per image:\n")
    remove_earlier(tmp_path)
    assert all(path.exists() for path in users)
    write_formats(table, tmp_path, FORMATS)
    write_lists(table, tmp_path)
    for name in ("photos.png", "poses.csv", "notes.txt", "colmap/database.db"):
        (tmp_path / name).write_text("")
    remove_earlier(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left == {"poses.csv", "notes.txt", "colmap", "colmap/database.db"}
    (tmp_path / "colmap/database.db").unlink()
    write_formats(table, tmp_path, ["colmap"])
    remove_earlier(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"poses.csv", "notes.txt"}


@pytest.mark.parametrize(("below", "formats"), [("", ()), ("colmap", ("colmap",))])
def test_a_model_of_the_users_own_is_not_replaced(tmp_path, table, below, formats):
    """With the poses of a place, for example, where its folder is given for the results."""
    images = tmp_path / below / "images.txt"
    images.parent.mkdir(exist_ok=True)
    images.write_text("# Image list with two lines of data per image:\n")
    with pytest.raises(InputError, match=r"images\.txt: is of a COLMAP model that no earlier run"):
        check_output(tmp_path, formats)
    with pytest.raises(InputError, match=r"images\.txt: is of a COLMAP model that no earlier run"):
        localise_photos(None, tmp_path / "a.jpg", tmp_path, None, formats=formats)
    images.unlink()
    write_lists(table, tmp_path)
    write_formats(table, tmp_path, formats)
    check_output(tmp_path, FORMATS)
