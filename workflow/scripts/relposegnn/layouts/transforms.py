"""Reader of ``transforms.json``, as nerfstudio, Instant-NGP and Polycam export places.

Each frame has an image's path and a camera-to-world matrix with OpenGL's camera axes (y up, z
backwards), which are turned into OpenCV's here; the world's axes stay. Queries are named in
``test_filenames``, or in ``test.txt``, one a line; all other images are the database.
"""

import math
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..json_files import READING_ERRORS, read_object, unreadable
from ..poses import check_pose
from ..runtime import InputError
from ..scenes import Frame, Scene
from .colmap import PINHOLES
from .files import TRANSFORMS
from .posed_images import FOCAL_LENGTHS, QUERIES, listed_frame, read_queries, scene_of_lists

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
AGAIN = "export the place again, with camera_model OPENCV"


def read_transforms(folder: Path) -> Scene:
    """Read a scene of a ``transforms.json``; frames are in the order of their names.

    Raises:
        InputError: the file cannot be read or holds no poses, or an image is missing.
    """
    path = folder / TRANSFORMS
    try:
        contents = read_object(path)
        frames = [
            _read_frame(folder, contents | own, f"{path}: frames[{row}]")
            for row, own in enumerate(contents["frames"])
        ]
        test = contents.get("test_filenames")
        queries = None if test is None else {_name(image) for image in test}
    except InputError:
        raise
    except READING_ERRORS as error:
        raise unreadable(path, "a list of posed images", error, AGAIN) from error
    images = [frame.image.relative_to(folder).as_posix() for frame in frames]
    if queries is None:
        queries = set(read_queries(folder / QUERIES, images, path))
    if unknown := sorted(queries - set(images)):
        raise InputError(
            f"{path}: test_filenames has {unknown[0]!r}, expected images of frames; correct it"
        )
    listed = sorted(zip(images, frames, strict=True), key=lambda pair: pair[0])
    split = [[frame for name, frame in listed if (name in queries) == own] for own in (False, True)]
    return scene_of_lists(folder, *split)


def _name(image: str) -> str:
    return PurePosixPath(image).as_posix()


def _read_frame(folder: Path, told: dict[str, Any], where: str) -> Frame:
    """Return a frame by what is told of it, and of all of them."""
    pose = np.array(told["transform_matrix"], dtype=np.float64)
    if pose.shape != (4, 4) or np.isfinite(pose).all():
        check_pose(pose, where)
    return listed_frame(
        folder, _name(told["file_path"]), pose @ OPENCV_FROM_OPENGL, where, _focal_length(told)
    )


def _focal_length(told: dict[str, Any]) -> float:
    """Return a focal length in longer sides of the image; NaN where no pinhole's is told."""
    across, down = told.get("fl_x"), told.get("fl_y", told.get("fl_x"))
    if across is None or told.get("camera_model", "OPENCV") not in PINHOLES:
        return math.nan
    length = (float(across) + float(down)) / 2 / max(float(told["w"]), float(told["h"]))
    if not FOCAL_LENGTHS[0] <= length <= FOCAL_LENGTHS[1]:
        raise ValueError(f"fl_x and fl_y are {across} and {down}, expected pixels")
    return length
