"""The camera of a scene: the focal length of frames whose own is unknown, in a small JSON file."""

import json
from pathlib import Path

import numpy as np

from ..frames import Frames
from ..runtime import InputError, atomic_path
from .cameras import estimate_focal_length


def measure_camera(
    frames_file: str | Path, scene_folder: str | Path, camera_file: str | Path, workers: int = 1
) -> None:
    """Write the focal length of a scene's camera, in longer sides, as JSON.

    The median of the database's where the frames file has it, else an estimate from its poses.

    Raises:
        InputError: it cannot be estimated.
    """
    with Frames(frames_file) as frames:
        known = frames.focal_lengths("train")
        if np.isfinite(known).any():
            camera = {"focal_length": float(np.nanmedian(known)), "origin": "given"}
        else:
            images = [Path(scene_folder) / source for source in frames.sources("train")]
            try:
                length = estimate_focal_length(images, frames.poses("train"), workers=workers)
            except InputError as error:
                raise InputError(f"{error}, or set localization.refinement to none") from error
            camera = {"focal_length": length, "origin": "estimated"}
    with atomic_path(camera_file) as unfinished:
        unfinished.write_text(json.dumps(camera) + "\n", encoding="utf-8")


def known_focal_lengths(frames: Frames, split: str, camera_file: str | Path) -> np.ndarray:
    """Return the focal lengths (N,) of a split's frames; unknown ones are as the scene's camera."""
    usual = read_camera(camera_file)
    return np.where(np.isnan(frames.focal_lengths(split)), usual, frames.focal_lengths(split))


def read_camera(camera_file: str | Path) -> float:
    """Return the focal length of a scene's camera, in longer sides.

    Raises:
        InputError: the file cannot be read as one of ``measure_camera``.
    """
    try:
        return float(json.loads(Path(camera_file).read_text(encoding="utf-8"))["focal_length"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{camera_file}: cannot be read as a camera ({error}); make it again"
        ) from error
