"""Moving pictures as files: MP4 (H.264, as browsers play it) and GIF, written frame by frame."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image

from ..runtime import InputError, atomic_path

ENCODER = "libx264"
QUALITY = {"crf": "20", "preset": "veryfast"}  # at one quality, fast rather than smallest
GIF_COLOURS = 128  # of the pictures
GIF_HOLD = 1500  # milliseconds that a GIF rests on its last frame before it starts again


@contextmanager
def create_mp4(
    path: str | Path, width: int, height: int, frames_per_second: float
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield what takes the frames, uint8 (height, width, 3); the file is there after the block.

    Raises:
        InputError: the sides are odd or not positive, as is the rate, or FFmpeg lacks H.264.
    """
    _check_mp4(path, width, height, frames_per_second)
    with (
        atomic_path(path) as partial,
        av.open(partial, "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        rate = Fraction(frames_per_second).limit_denominator(1000)
        stream = container.add_stream(ENCODER, rate=rate, options=QUALITY)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        _label_colours(stream.codec_context)
        stream.codec_context.thread_count = 1  # a job of one core

        def add(frame: np.ndarray) -> None:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
            container.mux(stream.encode(picture))

        yield add
        container.mux(stream.encode(None))


def _label_colours(codec: av.VideoCodecContext) -> None:
    """Say that colours are those of high definition; players guess where a file does not say."""
    codec.colorspace = Colorspace.ITU709
    codec.color_range = ColorRange.MPEG
    codec.color_primaries = ColorPrimaries.BT709
    codec.color_trc = ColorTrc.BT709


def _check_mp4(path: str | Path, width: int, height: int, frames_per_second: float) -> None:
    """Raise an InputError where no film can be written."""
    if ENCODER not in av.codecs_available:
        raise InputError(
            f"{path}: this installation of PyAV ({av.__version__}) comes without {ENCODER}, "
            "expected one with it, to write H.264; install PyAV's wheel with pip, or an FFmpeg "
            "under the GPL with conda (ffmpeg=*=gpl*)"
        )
    if width < 2 or height < 2 or width % 2 or height % 2:
        raise InputError(f"{path}: {width}x{height} pixels, expected even sides for H.264")
    if not frames_per_second > 0:
        raise InputError(
            f"{path}: {frames_per_second} frames per second, expected a number above 0"
        )


@contextmanager
def create_gif(
    path: str | Path,
    samples: Sequence[np.ndarray],
    colours: np.ndarray,
    width: int,
    frames_per_second: float,
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield what takes the frames, uint8 (H, W, 3); the file, a loop, is there after the block.

    All frames share one palette, so that what stands still costs nothing; frames wait in memory as
    palette indices, one byte a pixel. GIF counts time in hundredths of a second.

    Args:
        path: file to write.
        samples: some of the frames, for the palette.
        colours: uint8 (n, 3) that have to be exact, at most 128.
        width: in pixels; the height follows.
        frames_per_second: of the GIF.
    """
    height = round(width * samples[0].shape[0] / samples[0].shape[1])
    palette = _palette([_shrink(frame, width, height) for frame in samples], colours)
    frames: list[Image.Image] = []

    def add(frame: np.ndarray) -> None:
        small = Image.fromarray(_shrink(frame, width, height))
        frames.append(small.quantize(palette=palette, dither=Image.Dither.NONE))

    yield add
    duration = max(2, round(100 / frames_per_second)) * 10
    with atomic_path(path) as partial:
        frames[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=[duration] * (len(frames) - 1) + [max(duration, GIF_HOLD)],
            loop=0,
            optimize=False,
        )


def _palette(samples: Sequence[np.ndarray], colours: np.ndarray) -> Image.Image:
    """Return an image with a palette of ``colours`` and of what the samples hold.

    Pillow looks colours up with their two lowest bits cleared, and so takes a near one for an exact
    one: what the samples hold is left out within 8 of ``colours``, which makes these exact.
    """
    sample = Image.fromarray(np.concatenate(samples))
    quantized = sample.quantize(GIF_COLOURS, method=Image.Quantize.MEDIANCUT)
    found = np.array(quantized.getpalette()).reshape(-1, 3)
    colours = colours.astype(int)
    apart = np.abs(found[:, None] - colours).max(axis=2).min(axis=1) > 8
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([colours, found[apart]]).ravel().tolist())
    return palette


def _shrink(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a frame (height, width, 3)."""
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.HAMMING))
