"""Archives of generated scenes: their layout, what is in them, by one process or several."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from generated_rooms import recordings
from generated_rooms.archive import render_archive
from generated_rooms.paths import camera_path
from generated_rooms.recordings import Recording
from generated_rooms.rendering import Camera, render_frame
from generated_rooms.rooms import Room
from relposegnn.poses import check_pose
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow

SMALL = Recording(11, 64, 48, train_sequences=2, test_sequences=1, frames_per_sequence=4)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archives") / "study.zip"
    render_archive(path, "study", SMALL)
    return path


def test_archive_has_the_nested_layout_of_seven_scenes(archive: Path) -> None:
    with zipfile.ZipFile(archive) as outer:
        names = [f"study/seq-0{n}.zip" for n in (1, 2, 3)]
        assert outer.namelist() == ["study/TrainSplit.txt", "study/TestSplit.txt", *names]
        assert outer.read("study/TrainSplit.txt").decode().split() == ["sequence1", "sequence2"]
        assert outer.read("study/TestSplit.txt").decode().split() == ["sequence3"]
        with zipfile.ZipFile(io.BytesIO(outer.read(names[2]))) as inner:
            suffixes = ("color.png", "depth.png", "pose.txt")
            expected = [f"seq-03/frame-{i:06d}.{s}" for i in range(4) for s in suffixes]
            assert inner.namelist() == expected
            contents = {name: inner.read(name) for name in inner.namelist()}
    colour = cv2.imdecode(np.frombuffer(contents[expected[3]], np.uint8), cv2.IMREAD_UNCHANGED)
    depth = cv2.imdecode(np.frombuffer(contents[expected[4]], np.uint8), cv2.IMREAD_UNCHANGED)
    pose = np.loadtxt(io.BytesIO(contents[expected[5]]))
    assert (colour.shape, colour.dtype) == ((48, 64, 3), np.uint8)
    assert (depth.shape, depth.dtype) == ((48, 64), np.uint16)
    check_pose(pose, expected[5])


def test_archived_frames_are_what_is_rendered_at_their_poses(archive: Path, room: Room) -> None:
    with (
        zipfile.ZipFile(archive) as outer,
        zipfile.ZipFile(io.BytesIO(outer.read("study/seq-02.zip"))) as inner,
    ):
        files = [
            inner.read(f"seq-02/frame-000002.{s}") for s in ("color.png", "depth.png", "pose.txt")
        ]
    pose = np.loadtxt(io.BytesIO(files[2]))
    np.testing.assert_allclose(pose, camera_path(room, 11, 2, 4)[2], atol=1e-11)
    colour, depth = render_frame(room, pose, Camera.seven_scenes(64, 48))
    stored = [cv2.imdecode(np.frombuffer(f, np.uint8), cv2.IMREAD_UNCHANGED) for f in files[:2]]
    assert np.abs(stored[0][..., ::-1].astype(int) - colour).mean() < 0.1
    assert (stored[1] == depth).mean() > 0.99


@pytest.mark.parametrize("workers", [1, 2])
def test_queries_by_another_camera(
    archive: Path, room: Room, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "build_room", lambda *_: room)  # that of the seed
    render_archive(tmp_path / "a.zip", "study", replace(SMALL, test_focal_length=1.2), workers)
    found = {}
    for name, path in (("same", archive), ("other", tmp_path / "a.zip")):
        with zipfile.ZipFile(path) as outer:
            for sequence in ("seq-01", "seq-03"):
                with zipfile.ZipFile(io.BytesIO(outer.read(f"study/{sequence}.zip"))) as inner:
                    found[name, sequence] = {each: inner.read(each) for each in inner.namelist()}
    assert found["same", "seq-01"] == found["other", "seq-01"]
    same, other = found["same", "seq-03"], found["other", "seq-03"]
    frame = "seq-03/frame-000001"
    assert same[f"{frame}.pose.txt"] == other[f"{frame}.pose.txt"]
    pose = np.loadtxt(io.BytesIO(other[f"{frame}.pose.txt"]))
    expected = render_frame(room, pose, Camera(64, 48, 1.2 * 64))[1]
    depth = cv2.imdecode(np.frombuffer(other[f"{frame}.depth.png"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert (depth == expected).mean() > 0.99
    assert same[f"{frame}.depth.png"] != other[f"{frame}.depth.png"]


def test_same_seed_same_bytes_whatever_the_workers(archive: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    render_archive(again, "study", SMALL, workers=2)
    assert again.read_bytes() == archive.read_bytes()


def test_nothing_to_render_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"study: got .*'test_sequences': 0, .* at least 1 each"):
        render_archive(tmp_path / "a.zip", "study", replace(SMALL, test_sequences=0))
    assert not list(tmp_path.iterdir())
