"""MP4 and GIF files hold the frames that they were given."""

import av
import numpy as np
import pytest
from PIL import Image

from relposegnn.runtime import InputError
from relposegnn.videos import files as video_files
from relposegnn.videos.files import create_mp4, shrink, write_gif

COLOURS = np.array([[250, 10, 20], [20, 240, 30], [10, 20, 250], [255, 255, 255]], dtype=np.uint8)


def plain(colour) -> np.ndarray:
    """Return a frame of one colour."""
    return np.broadcast_to(np.asarray(colour, dtype=np.uint8), (48, 64, 3)).copy()


def test_mp4_keeps_colours_order_and_rate(tmp_path):
    with create_mp4(tmp_path / "film.mp4", 64, 48, 12.5) as add:
        for colour in COLOURS:
            add(plain(colour))
    with av.open(tmp_path / "film.mp4") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert float(container.streams.video[0].average_rate) == 12.5
        assert container.streams.video[0].codec_context.colorspace == 1  # BT.709, as players expect
    shown = np.array([frame[24, 32] for frame in frames], dtype=int)
    np.testing.assert_allclose(shown, COLOURS, atol=6)


def test_a_film_that_fails_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError, match="no more"),
        create_mp4(tmp_path / "a.mp4", 64, 48, 10) as add,
    ):
        add(plain(COLOURS[0]))
        raise RuntimeError("no more")
    assert list(tmp_path.iterdir()) == []


def test_an_installation_without_h264_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(video_files.av, "codecs_available", {"mpeg4", "gif"})
    with (
        pytest.raises(InputError, match=r"lacks libx264.*install PyAV's wheel"),
        create_mp4(tmp_path / "film.mp4", 64, 48, 10),
    ):
        pass


def test_gif_keeps_order_size_and_time(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    frames = [shrink(frame, 32) for frame in (*map(plain, COLOURS), noise)]
    write_gif(tmp_path / "film.gif", frames, 20)
    with Image.open(tmp_path / "film.gif") as gif:
        assert (gif.size, gif.n_frames, gif.info["duration"]) == ((32, 24), 5, 50)
        for position, colour in enumerate(COLOURS):
            gif.seek(position)
            shown = np.asarray(gif.convert("RGB")).astype(int)
            np.testing.assert_allclose(shown, np.broadcast_to(colour, shown.shape), atol=2)
        gif.seek(4)
        assert gif.info["duration"] == 1500  # the last one stays a while


def test_gif_of_one_frame(tmp_path):
    write_gif(tmp_path / "film.gif", [shrink(plain(COLOURS[2]), 32)], 5)
    with Image.open(tmp_path / "film.gif") as gif:
        assert gif.n_frames == 1
        shown = np.asarray(gif.convert("RGB")).astype(int)
        np.testing.assert_allclose(shown, np.broadcast_to(COLOURS[2], shown.shape), atol=2)
