"""Photos of a video: of each part of a second the sharpest frame.

Who walks with a camera shakes it, and a blurred frame has few key points and bad ones. Sharpness is
the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000).
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..photos.sources import Item, video_frames
from ..runtime import InputError, atomic_path

logger = logging.getLogger(__name__)

LONGEST_SIDE = 1600  # pixels of a still
JUDGED_SIDE = 480  # of what sharpness is told by
QUALITY = {"quality": 95, "subsampling": 0}


def take_stills(
    video: str | Path, images: str | Path, per_second: float, force: bool = False
) -> int:
    """Write stills of a video as JPEG files in a folder of its name, and return their number.

    A folder that is there stays as it is, which the log tells.

    Args:
        video: a file.
        images: the folder of a place's images, in which that folder lies.
        per_second: how many stills a second of video has.
        force: take them anew where there is such a folder.

    Raises:
        InputError: the video cannot be read.
    """
    folder = Path(images) / Path(video).stem
    if folder.is_dir() and not force:
        count = len(list(folder.iterdir()))
        logger.warning(
            "%s: is kept, with its %d files; --force takes photos from the video again",
            *(folder, count),
        )
        return count
    count = 0
    with atomic_path(folder) as partial:
        partial.mkdir()
        for count, still in enumerate(_sharpest(video_frames(video), per_second), start=1):
            still.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
            still.save(partial / f"{count:06}.jpg", **QUALITY)
    return count


def _sharpest(frames: Iterator[Item], per_second: float) -> Iterator[Image.Image]:
    """Yield the sharpest frame of each part of a second that has one."""
    best: tuple[float, Image.Image] | None = None
    part = -1
    for item in frames:
        if isinstance(item.photo, InputError):
            continue
        now = int(item.seconds * per_second)
        if best is not None and now != part:
            yield best[1]
            best = None
        part, sharpness = now, _sharpness(item.photo)
        if best is None or sharpness > best[0]:
            best = sharpness, item.photo
    if best is not None:
        yield best[1]


def _sharpness(image: Image.Image) -> float:
    grey = image.convert("L")
    grey.thumbnail((JUDGED_SIDE, JUDGED_SIDE), Image.Resampling.BILINEAR)
    return float(cv2.Laplacian(np.asarray(grey), cv2.CV_64F).var())
