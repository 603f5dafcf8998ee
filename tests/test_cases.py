"""Small inputs after public problems of people who do this work, where that folder is present."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from project import REPOSITORY

from relposegnn.data.frames import Frames
from relposegnn.data.packing import Packing, pack_frames
from relposegnn.files.weights import read_checkpoint
from relposegnn.layouts.reading import LEAVE_OUT, read_scene
from relposegnn.photos.files import find_photos, read_photo
from relposegnn.runtime import InputError

CASES = REPOSITORY.parent / "shared/cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is not there")


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("02-utm-coordinates", 16, 4),
        ("02b-same-room-local", 16, 4),
        ("03-colmap-name-with-blank", 16, 0),
        ("04b-colmap-no-points", 16, 0),
        ("05c-colmap-rig", 16, 0),
        ("06-exif-portrait-database", 16, 4),
        ("28-transforms-json", 16, 0),
        ("30-twelve-scenes", 12, 4),
        ("45-y-up-world", 16, 4),
    ],
)
def test_what_is_read(name, train, test):
    scene = read_scene(CASES / name)
    assert (len(scene.train), len(scene.test)) == (train, test)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("01-lost-tracking-inf", r"1 of 10 poses are not finite: seq-03/frame-000005\.pose\.txt;"),
        ("04-colmap-blank-lines-stripped", r"images\.txt:5: .*were the empty lines between"),
        ("10-tum-trajectory", r"train\.txt:4: .*this is a time, .*such as rgb/0001\.png"),
        ("10b-tum-with-images", r"1 of 16 poses are not finite: train\.txt:8;"),
    ],
)
def test_what_is_refused_by_name(name, message):
    with pytest.raises(InputError, match=message):
        read_scene(CASES / name)


@pytest.mark.parametrize(
    ("name", "left"), [("01-lost-tracking-inf", 9), ("10b-tum-with-images", 15)]
)
def test_what_is_left_out_by_a_setting(name, left, caplog):
    scene = read_scene(CASES / name, LEAVE_OUT)
    assert len(scene.train) + len(scene.test) == left
    assert "these frames are left out" in caplog.text


def test_the_same_cameras_in_other_worlds_and_layouts():
    """Distances between cameras tell: the world's origin and axes do not matter to them."""
    spans = {}
    for name in ("02-utm-coordinates", "02b-same-room-local", "45-y-up-world"):
        frames = read_scene(CASES / name).train
        centres = np.array([frame.world_from_cam[:3, 3] for frame in frames])
        spans[name] = np.linalg.norm(centres - centres[0], axis=1)
    np.testing.assert_allclose(spans["02-utm-coordinates"], spans["02b-same-room-local"], atol=1e-6)
    np.testing.assert_allclose(spans["45-y-up-world"], spans["02b-same-room-local"], atol=1e-6)
    transforms = read_scene(CASES / "28-transforms-json").train[0].world_from_cam
    recorded = read_scene(CASES / "30-twelve-scenes").test[0].world_from_cam
    turn = transforms[:3, :3].T @ recorded[:3, :3]  # of one world to the other, z up to y down
    assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) == pytest.approx(90, abs=0.1)


def test_a_trajectory_beside_the_times_of_its_images(tmp_path):
    """Poses are 4 ms older than images; one of a lost tracker stands at the wrong place."""
    folder = shutil.copytree(CASES / "10-tum-trajectory", tmp_path / "room")
    (folder / "train.txt").rename(folder / "groundtruth.txt")
    listed = (folder / "rgb.txt").read_text().replace(".png", ".jpg")
    (folder / "rgb.txt").write_text(listed)
    centres = np.array([frame.world_from_cam[:3, 3] for frame in read_scene(folder).train])
    first, second = np.loadtxt(folder / "groundtruth.txt")[:2, 1:4]
    assert len(centres) == 16
    np.testing.assert_allclose(centres[0], first + 40 / 333 * (second - first), atol=1e-6)


def test_photos_of_a_phone_are_stored_as_its_database(tmp_path):
    folder = CASES / "06-exif-portrait-database"
    pack_frames(folder, tmp_path / "room.h5", "mine", "room", Packing(48))
    with Frames(tmp_path / "room.h5") as frames:
        assert frames.orientation == 6
        stored = frames.images("train", [0])[0]
        sizes = (160, 120), stored.shape[1::-1], stored.shape[1::-1]
        for name in find_photos(folder / "photos"):
            photo = read_photo(folder / "photos" / name, *sizes, orientation=frames.orientation)
            assert photo.frame == photo.size


def test_photo_file_and_links(tmp_path):
    case = shutil.copytree(CASES / "07-photo-file-and-links", tmp_path / "case")
    (case / "album/from-phone").symlink_to(Path("../elsewhere"))
    assert find_photos(case / "album") == ["a.jpg", "from-phone/b.jpg"]
    assert find_photos(case / "photo.jpg") == ["photo.jpg"]


def test_checkpoints_with_more_than_weights():
    folder = CASES / "24-checkpoint-with-namespace"
    with pytest.raises(InputError, match=r"args\.pth: .*it holds argparse\.Namespace"):
        read_checkpoint(folder / "args.pth")
    assert isinstance(read_checkpoint(folder / "array.pth")["recall"], np.ndarray)
