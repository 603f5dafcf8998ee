"""Which camera took a scene: told by its frames, or by what their poses and matches agree on."""

import logging
import math
from pathlib import Path

import numpy as np

from ..camera_files import write_camera
from ..frames import Frames
from .cameras import UnknownCameraError, estimate_focal_length

logger = logging.getLogger(__name__)


def measure_camera(
    frames_file: str | Path, scene_folder: str | Path, camera_file: str | Path, workers: int = 1
) -> None:
    """Write the focal length of a scene's camera, see ``camera_files``.

    The median of the database's where the frames file has it, else an estimate from its poses.
    Where there is none either, it is unknown, with a warning: poses of this scene will not be
    refined, and networks that see rays refuse it.

    Raises:
        InputError: an image cannot be read.
    """
    with Frames(frames_file) as frames:
        known = frames.focal_lengths("train")
        if np.isfinite(known).any():
            length, origin = float(np.nanmedian(known)), "given"
        else:
            images = [Path(scene_folder) / source for source in frames.sources("train")]
            try:
                length = estimate_focal_length(images, frames.poses("train"), workers=workers)
                origin = "estimated"
            except UnknownCameraError as error:
                logger.warning("no pose of this scene will be refined: %s", error)
                length, origin = math.nan, f"unknown: {error}"
    write_camera(camera_file, length, origin, frames)
