"""Writing films: MP4 (H.264, which browsers play) and GIF."""

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
QUALITY = {"crf": "20", "preset": "veryfast"}  # constant quality; fast rather than small
PALETTE_FRAMES = 5  # frames that the colours of a GIF are chosen from, about
GIF_HOLD = 1500  # milliseconds that a GIF rests on its last frame before it starts again


@contextmanager
def create_mp4(
    path: str | Path, width: int, height: int, frames_per_second: float
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that adds a frame, uint8 (height, width, 3), to a file made by the block.

    Width and height must be even.

    Raises:
        InputError: FFmpeg lacks H.264.
    """
    if ENCODER not in av.codecs_available:
        raise InputError(
            f"{path}: this installation of PyAV ({av.__version__}) lacks {ENCODER}, expected one "
            "with it, to write H.264; install PyAV's wheel with pip, or an FFmpeg under the GPL "
            "with conda (ffmpeg=*=gpl*)"
        )
    with (
        atomic_path(path) as partial,
        av.open(partial, "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        rate = Fraction(frames_per_second).limit_denominator(1000)
        stream = container.add_stream(ENCODER, rate=rate, options=QUALITY)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        codec = stream.codec_context
        codec.thread_count = 1  # the job has one core
        # The colour space of HD video, given explicitly because players would guess.
        codec.colorspace, codec.color_range = Colorspace.ITU709, ColorRange.MPEG
        codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709

        def add(frame: np.ndarray) -> None:
            """Write the next frame, (H, W, 3) uint8."""
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=codec.colorspace, dst_color_range=codec.color_range
            )
            container.mux(stream.encode(picture))

        yield add
        container.mux(stream.encode(None))


def shrink(frame: np.ndarray, width: int) -> Image.Image:
    """Return a frame (H, W, 3) scaled to this width, with its aspect ratio kept."""
    size = width, round(width * frame.shape[0] / frame.shape[1])
    return Image.fromarray(frame).resize(size, Image.Resampling.HAMMING)


def write_gif(path: str | Path, frames: Sequence[Image.Image], frames_per_second: float) -> None:
    """Write frames as a loop that pauses on the last one.

    All frames share one palette, so that areas that do not change take no space. GIF measures time
    in hundredths of a second.
    """
    samples = frames[:: max(1, len(frames) // PALETTE_FRAMES)]
    palette = Image.fromarray(np.concatenate(samples)).quantize(method=Image.Quantize.FASTOCTREE)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    duration = max(2, round(100 / frames_per_second)) * 10
    with atomic_path(path) as partial:
        first.save(
            partial,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=[duration] * len(rest) + [max(duration, GIF_HOLD)],
            loop=0,
            optimize=False,
        )
