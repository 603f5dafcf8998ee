"""Videos, cameras and watched folders give what is in them, and go on after what is not."""

import re
import struct
from itertools import islice

import av
import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image

from relposegnn.data.images import open_image
from relposegnn.photos.sources import (
    camera_frames,
    is_video,
    video_frames,
)
from relposegnn.runtime import InputError


def grey(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, dtype=np.uint8)


@pytest.fixture
def video(tmp_path):
    """Return a video of 10 frames, 5 a second, each brighter than the one before."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 64, 48
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(grey(20 * number), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def test_every_third_frame_of_a_video_has_its_time(video):
    items = list(video_frames(video, 3))
    assert [item.name for item in items] == [f"clip.mp4/frame-{n:06d}" for n in (0, 3, 6, 9)]
    np.testing.assert_allclose([item.seconds for item in items], [0, 0.6, 1.2, 1.8], atol=1e-6)
    levels = [np.array(item.photo).mean() for item in items]
    np.testing.assert_allclose(levels, [0, 60, 120, 180], atol=6)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_of_an_avi_that_are_stored_in_another_order_have_their_times(tmp_path, codec):
    with av.open(str(tmp_path / "clip.avi"), "w") as file:
        stream = file.add_stream(codec, rate=10, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(grey(10 * number), format="rgb24")))
        file.mux(stream.encode(None))
    items = list(video_frames(tmp_path / "clip.avi"))
    levels = [np.array(item.photo).mean() for item in items]
    np.testing.assert_allclose(levels, np.arange(20) * 10, atol=9)
    np.testing.assert_allclose([item.seconds for item in items], np.arange(20) / 10, atol=1e-6)


SEEN = {  # by a, b, c, d of a display matrix: colours of the corners, row by row
    (1, 0, 0, 1): "rgbw",
    (-1, 0, 0, 1): "grwb",
    (-1, 0, 0, -1): "wbgr",
    (1, 0, 0, -1): "bwrg",
    (0, 1, 1, 0): "rbgw",
    (0, 1, -1, 0): "brwg",
    (0, -1, -1, 0): "wgbr",
    (0, -1, 1, 0): "gwrb",
}
COLOURS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}


@pytest.mark.parametrize(("matrix", "seen"), SEEN.items())
def test_frames_are_turned_and_mirrored_as_a_player_shows_them(tmp_path, matrix, seen):
    """As a front camera's video may be: not turned alone, but mirrored."""
    path, pixels = tmp_path / "clip.mp4", np.zeros((48, 64, 3), dtype=np.uint8)
    for corner, colour in enumerate(COLOURS.values()):
        row, column = divmod(corner, 2)
        pixels[24 * row : 24 * row + 24, 32 * column : 32 * column + 32] = colour
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 64, 48
        file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    content = path.read_bytes()
    start = content.index(b"tkhd") + 44  # ISO 14496-12: where a track's matrix is, by rows
    a, b, c, d = (each << 16 for each in matrix)
    told = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:start] + told + content[start + 36 :])
    (item,) = video_frames(path)
    width, height = item.photo.size
    assert (width, height) == ((64, 48) if matrix[0] else (48, 64))
    corners = [(8, 8), (width - 8, 8), (8, height - 8), (width - 8, height - 8)]
    for corner, colour in zip(corners, seen, strict=True):
        np.testing.assert_allclose(item.photo.getpixel(corner), COLOURS[colour], atol=40)


def test_what_is_no_video_is_told(video, tmp_path):
    (tmp_path / "text.mp4").write_text("#EXTM3U\nhttp://localhost/a.ts\n")
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:200])
    with av.open(str(tmp_path / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        sound.rate = 8000
        file.mux(stream.encode(sound))
        file.mux(stream.encode(None))
    for name in ("text.mp4", "cut.mp4", "sound.mp4", "nowhere.mp4"):
        with pytest.raises(InputError, match=rf"{name}: .*expected (MP4|a video)"):
            list(video_frames(tmp_path / name))


def test_a_video_that_was_not_copied_whole_is_told(video, tmp_path, caplog):
    """Those of AVI are read up to where they were cut off."""
    with av.open(str(video)) as source, av.open(str(tmp_path / "clip.avi"), "w") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 64, 48
        for frame in source.decode(video=0):
            file.mux(stream.encode(frame.reformat(format="yuv420p")))
        file.mux(stream.encode(None))
    content = (tmp_path / "clip.avi").read_bytes()
    assert len(list(video_frames(tmp_path / "clip.avi"))) == 10
    assert caplog.records == []
    half = (content.index(b"movi") + content.rindex(b"idx1")) // 2
    (tmp_path / "cut.avi").write_bytes(content[:half])
    read = len(list(video_frames(tmp_path / "cut.avi")))
    assert 0 < read < 10
    assert f"cut.avi: should have 10 frames, but only {read} can be read" in caplog.text


def test_a_video_that_does_not_count_its_frames_and_was_cut_is_told(tmp_path, caplog):
    whole = tmp_path / "clip.mkv"
    with av.open(str(whole), "w") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 64, 48
        for number in range(20):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(grey(10 * number), format="rgb24")))
        file.mux(stream.encode(None))
    assert len(list(video_frames(whole))) == 20
    assert caplog.records == []
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    last = list(video_frames(tmp_path / "cut.mkv"))[-1].seconds
    assert 0 < last < 3
    assert re.search(rf"cut\.mkv: should end after 4\.0 s, .* of {last:.1f} s; was it", caplog.text)


def test_words_in_a_video_may_be_of_any_encoding(video):
    content = video.read_bytes()
    assert b"iso2" in content
    video.write_bytes(content.replace(b"iso2", b"is\xe42"))
    assert len(list(video_frames(video))) == 10


def test_a_videos_frames_have_the_limits_of_images(video, monkeypatch):
    monkeypatch.setenv("RELPOSEGNN_MAX_PIXELS", str(64 * 48 - 1))
    with pytest.raises(InputError, match=r"clip\.mp4: has 3072 pixels, expected at most 3071"):
        next(video_frames(video))


def test_a_folder_is_no_video_whatever_it_is_called(video, tmp_path):
    (tmp_path / "walk.mp4").mkdir()
    assert [is_video(tmp_path / name) for name in ("walk.mp4", "clip.mp4")] == [False, True]


class FakeCamera:
    """Gives grey pictures, the second one never, and then no more."""

    def __init__(self, number):
        self.opened, self.taken, self.released = number == 0, 0, False

    def isOpened(self):  # noqa: N802  as OpenCV has it
        return self.opened

    def grab(self):
        self.taken += 1
        return self.taken <= 6

    def retrieve(self):
        return self.taken != 3, grey(self.taken)[..., ::-1]

    def release(self):
        self.released = True


def test_a_camera_gives_pictures_until_it_is_gone():
    cameras = []

    def open_camera(number):
        cameras.append(FakeCamera(number))
        return cameras[-1]

    items = list(camera_frames(0, 2, open_camera))
    assert [item.name for item in items] == ["camera-0/frame-000000", "camera-0/frame-000004"]
    assert [np.array(item.photo).mean() for item in items] == [1, 5]
    assert items[0].seconds <= items[1].seconds
    with pytest.raises(InputError, match="--camera 3: cannot be opened, expected the number"):
        list(camera_frames(3, 1, open_camera))
    assert all(camera.released for camera in cameras)


@pytest.mark.parametrize("every", [1, 5])
def test_a_camera_whose_pictures_cannot_be_read_is_gone_too(every, monkeypatch, caplog):
    camera, asked = FakeCamera(0), iter(range(1000))
    monkeypatch.setattr(camera, "grab", lambda: next(asked) >= 0)
    monkeypatch.setattr(camera, "retrieve", lambda: (False, None))
    assert list(camera_frames(0, every, lambda _: camera)) == []
    assert "--camera 0: gives no more pictures" in caplog.text


def test_heic_is_read_as_it_is_seen(tmp_path, monkeypatch):
    picture = np.zeros((64, 96, 3), dtype=np.uint8)
    picture[:32] = 200
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the camera was held upright
    pillow_heif.from_pillow(Image.fromarray(picture)).save(tmp_path / "a.heic", exif=exif.tobytes())
    seen = np.array(open_image(tmp_path / "a.heic", 1)).astype(int)
    assert seen.shape == (96, 64, 3)
    np.testing.assert_allclose(seen[:, 40:].mean(), 200, atol=5)
    np.testing.assert_allclose(seen[:, :24].mean(), 0, atol=5)
    (tmp_path / "cut.heic").write_bytes((tmp_path / "a.heic").read_bytes()[:100])
    with pytest.raises(InputError, match=r"cut\.heic: cannot be read as an image"):
        open_image(tmp_path / "cut.heic")
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"a\.heic: is HEIC.*pillow-heif.*install it, or convert"):
        open_image(tmp_path / "a.heic")


def test_a_videos_frames_come_one_at_a_time(video):
    """Bounded memory: the first is there before the second is decoded."""
    assert [item.seconds for item in islice(video_frames(video), 2)] == [0.0, 0.2]
