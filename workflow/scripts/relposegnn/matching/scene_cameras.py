"""The camera of a scene: the focal length of frames whose own is unknown, in a small JSON file."""

import json
import logging
import math
from pathlib import Path

import numpy as np

from ..frames import Frames
from ..runtime import InputError, atomic_path
from .cameras import UnknownCameraError, estimate_focal_length

logger = logging.getLogger(__name__)


def measure_camera(
    frames_file: str | Path, scene_folder: str | Path, camera_file: str | Path, workers: int = 1
) -> None:
    """Write the focal length of a scene's camera, in longer sides, as JSON.

    The median of the database's where the frames file has it, else an estimate from its poses.
    Where there is none either, null, with a warning: poses of this scene will not be refined.

    Raises:
        InputError: an image cannot be read.
    """
    with Frames(frames_file) as frames:
        known = frames.focal_lengths("train")
        if np.isfinite(known).any():
            camera = {"focal_length": float(np.nanmedian(known)), "origin": "given"}
        else:
            images = [Path(scene_folder) / source for source in frames.sources("train")]
            try:
                length = estimate_focal_length(images, frames.poses("train"), workers=workers)
                camera = {"focal_length": length, "origin": "estimated"}
            except UnknownCameraError as error:
                logger.warning("no pose of this scene will be refined: %s", error)
                camera = {"focal_length": None, "origin": f"unknown: {error}"}
    with atomic_path(camera_file) as unfinished:
        unfinished.write_text(json.dumps(camera) + "\n", encoding="utf-8")


def known_focal_lengths(frames: Frames, split: str, camera_file: str | Path) -> np.ndarray:
    """Return the focal lengths (N,) of a split's frames; unknown ones are as the scene's camera."""
    usual = read_camera(camera_file)
    return np.where(np.isnan(frames.focal_lengths(split)), usual, frames.focal_lengths(split))


def read_camera(camera_file: str | Path) -> float:
    """Return the focal length of a scene's camera, in longer sides; NaN where it is unknown.

    Raises:
        InputError: the file cannot be read as one of ``measure_camera``.
    """
    try:
        length = json.loads(Path(camera_file).read_text(encoding="utf-8"))["focal_length"]
        return math.nan if length is None else float(length)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{camera_file}: cannot be read as a camera ({error}); make it again"
        ) from error
