"""The camera of a scene: from its frames file, or estimated from poses and matches."""

import logging
import math
from pathlib import Path

import numpy as np

from ..camera_files import SAME_LENS, write_camera
from ..frames import Frames
from .cameras import DisagreeingPairsError, UnknownCameraError, estimate_focal_length

logger = logging.getLogger(__name__)

MOST_DIFFERENT = 0.1  # share by which a given focal length may differ from the estimate


def measure_camera(
    frames_file: str | Path, scene_folder: str | Path, camera_file: str | Path, workers: int = 1
) -> None:
    """Write the focal length of a scene's camera, see ``camera_files``.

    It is the median of the database's focal lengths in the frames file, else an estimate from
    poses and matches. A focal length in the frames file is compared with the estimate, and a
    warning says if they do not agree. If it cannot be estimated, it is unknown, with a warning:
    poses of this scene will not be refined, and networks that see rays refuse it.

    Raises:
        InputError: an image cannot be read.
    """
    with Frames(frames_file) as frames:
        known = frames.focal_lengths("train")
        images = [Path(scene_folder) / source for source in frames.sources("train")]
        if np.isfinite(known).any():
            length, origin = float(np.nanmedian(known)), "given"
            if np.nanmax(known) < (1 + SAME_LENS) * np.nanmin(known):
                _check_agreement(images, frames.poses("train"), length, workers)
        else:
            try:
                length = estimate_focal_length(images, frames.poses("train"), workers=workers)
                origin = "estimated"
            except UnknownCameraError as error:
                logger.warning("no pose of this scene will be refined: %s", error)
                length, origin = math.nan, f"unknown: {error}"
    write_camera(camera_file, length, origin, frames)


def _check_agreement(
    images: list[Path], world_from_cam: np.ndarray, given: float, workers: int
) -> None:
    """Warn if matches do not fit known poses (N, 4, 4) with the given focal length."""
    try:
        estimate = estimate_focal_length(images, world_from_cam, workers=workers)
    except DisagreeingPairsError as error:
        logger.warning(
            "poses and images agree with no focal length, neither with the given one, %.4f longer "
            "sides, nor with another: %s",
            *(given, error),
        )
    except UnknownCameraError as error:
        logger.info("whether poses agree with images cannot be checked: %s", error)
    else:
        if abs(np.log(estimate / given)) > MOST_DIFFERENT:
            logger.warning(
                "the given focal length is %.4f longer sides, but poses and images agree best with "
                "%.4f; is it that of these images, or of images before they were cropped?",
                *(given, estimate),
            )
