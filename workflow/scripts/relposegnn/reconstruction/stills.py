"""Take stills from a video: the sharpest frame of each interval.

A camera shakes while one walks, and blurred frames have few and inexact key points. Sharpness is
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
JUDGED_SIDE = 480  # pixels of the longer side, at which sharpness is measured
QUALITY = {"quality": 95, "subsampling": 0}


def take_stills(
    video: str | Path, images: str | Path, per_second: float, force: bool = False
) -> int:
    """Write stills of a video as JPEG files to a folder of the video's name; return their number.

    An existing folder is kept, with a warning in the log.

    Args:
        video: a file.
        images: the folder of a place's images, in which the folder of stills is made.
        per_second: stills per second of video.
        force: replace an existing folder.

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
    """Yield the sharpest frame of each interval that has frames."""
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
