"""The camera of a scene, a small JSON file: the focal length of frames whose own is unknown."""

import json
import math
from pathlib import Path

from .runtime import InputError, atomic_path


def write_camera(camera_file: str | Path, focal_length: float, origin: str) -> None:
    """Write a focal length, in longer sides of the image, NaN where unknown, and what told it."""
    known = focal_length if math.isfinite(focal_length) else None
    with atomic_path(camera_file) as unfinished:
        contents = json.dumps({"focal_length": known, "origin": origin})
        unfinished.write_text(contents + "\n", encoding="utf-8")


def read_camera(camera_file: str | Path) -> float:
    """Return the focal length of a scene's camera, in longer sides; NaN where it is unknown.

    Raises:
        InputError: the file cannot be read as one of ``write_camera``.
    """
    try:
        length = json.loads(Path(camera_file).read_text(encoding="utf-8"))["focal_length"]
        return math.nan if length is None else float(length)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{camera_file}: cannot be read as a camera ({error}); make it again"
        ) from error
