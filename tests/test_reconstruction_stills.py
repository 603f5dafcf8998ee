"""Stills of videos: the sharpest frames, evenly spread, whole or not at all."""

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from relposegnn.commands.find_poses import main
from relposegnn.reconstruction.stills import LONGEST_SIDE, take_stills
from relposegnn.runtime import InputError

RATE = 10  # frames a second


@pytest.fixture
def video(tmp_path):
    """Return a video of three seconds; of each half one frame is sharp, told by its grey level."""
    noise = np.random.default_rng(0).integers(-40, 40, (48, 64, 1))
    path = tmp_path / "walk.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(30):
            level = 60 + 4 * number
            image = np.clip(level + noise, 0, 255).astype(np.uint8).repeat(3, axis=2)
            if number % 5 != 3:
                image = cv2.GaussianBlur(image, (0, 0), 3)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    return path


def test_of_each_part_of_a_second_the_sharpest_frame_is_taken(video, tmp_path):
    assert take_stills(video, tmp_path / "images", 2) == 6
    stills = sorted((tmp_path / "images/walk").iterdir())
    assert [path.name for path in stills] == [f"{number:06}.jpg" for number in range(1, 7)]
    levels = [np.asarray(Image.open(path)).mean() for path in stills]
    assert (np.array(levels) - 60) / 4 == pytest.approx([3, 8, 13, 18, 23, 28], abs=0.6)


def test_stills_that_are_there_stay(video, tmp_path, caplog):
    take_stills(video, tmp_path, 1)
    (tmp_path / "walk/000002.jpg").unlink()
    assert take_stills(video, tmp_path, 2) == 2
    assert "walk: is kept, with its 2 files; --force takes" in caplog.text
    assert take_stills(video, tmp_path, 2, force=True) == 6
    assert len(list((tmp_path / "walk").iterdir())) == 6


def test_large_pictures_are_made_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr("relposegnn.reconstruction.stills.LONGEST_SIDE", 32)
    assert LONGEST_SIDE >= 640
    path = tmp_path / "walk.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert take_stills(path, tmp_path, 2) == 1
    assert Image.open(tmp_path / "walk/000001.jpg").size == (32, 24)


def test_a_video_that_is_none_leaves_nothing(tmp_path, capsys):
    folder, video = tmp_path / "garage", tmp_path / "walk.mp4"
    folder.mkdir()
    video.write_bytes(b"no video")
    with pytest.raises(InputError, match=r"walk\.mp4: cannot be read as a video"):
        take_stills(video, folder / "images", 2)
    (folder / "images").rmdir()  # nothing is in it
    (tmp_path / "other").mkdir()
    (tmp_path / "other/walk.mp4").touch()
    (tmp_path / "walk.mpg").touch()
    for videos, told in (
        (["walk.mp4", "other/walk.mp4"], "--video: walk more than once, expected different"),
        (["walk.mp4", "walk.mpg"], "walk.mpg: is no video, expected one of .mp4"),
        (["nowhere.mp4"], "nowhere.mp4: no such file, expected one of .mp4"),
    ):
        assert main([str(folder), "--video", *(str(tmp_path / name) for name in videos)]) == 1
        assert told in capsys.readouterr().err
    assert not (folder / "images").exists()
    with pytest.raises(SystemExit):
        main([str(folder), "--per-second", "0"])
    assert "got 0, expected a number above 0" in capsys.readouterr().err
