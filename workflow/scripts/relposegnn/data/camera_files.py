"""A scene's camera file, a small JSON file: the focal length of frames whose own is unknown."""

import math
import sys
from pathlib import Path

from ..files.json_files import (
    READING_ERRORS,
    check_keys,
    number,
    read_object,
    unreadable,
    write_object,
)
from ..files.owners import OfScene, check_owner, told_of

SAME_LENS = 0.02  # share by which focal lengths of one camera may differ


def write_camera(camera_file: str | Path, focal_length: float, origin: str, owner: OfScene) -> None:
    """Write a focal length, in longer sides of the image or NaN if unknown, and its ``origin``."""
    known = focal_length if math.isfinite(focal_length) else None
    write_object(camera_file, told_of(owner) | {"focal_length": known, "origin": origin})


def read_camera(camera_file: str | Path, owner: OfScene) -> float:
    """Return the focal length of a scene's camera, in longer sides; NaN if it is unknown.

    Raises:
        InputError: the file is not one of ``write_camera``, or is of another scene.
    """
    try:
        contents = read_object(camera_file)
        check_keys(contents, {"dataset", "scene", "focal_length", "origin"})
        length = contents["focal_length"]
        if length is not None:
            number(length, "focal_length", sys.float_info.min)
    except READING_ERRORS as error:
        raise unreadable(camera_file, "a camera", error, "make it again") from error
    check_owner(camera_file, contents, owner)
    return math.nan if length is None else float(length)
