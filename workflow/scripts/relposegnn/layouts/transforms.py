"""Reader of ``transforms.json``, as nerfstudio, Instant-NGP and Polycam export places.

Each frame has an image's path and a camera-to-world matrix with OpenGL's camera axes (y up, z
backwards), which are converted to OpenCV's here; the world's axes are kept. Queries are named in
``test_filenames``, or in ``test.txt``, one per line, optionally with a camera as in hloc's lists;
all other images are the database. A focal length is given in pixels, or as the horizontal field of
view.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..files.json_files import READING_ERRORS, read_object
from ..poses import check_pose
from ..runtime import InputError
from .files import TRANSFORMS
from .posed_images import FOCAL_LENGTHS, listed_frame, scene_of_lists
from .query_lists import PINHOLES, QUERIES, read_queries
from .scenes import Frame, Scene

SUFFIXES = (".png", ".jpg", ".jpeg")
OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0, 1.0])  # factors of the columns of a pose
EXPECTED = (
    "expected frames, each with file_path and transform_matrix, and w and h wherever fl_x is "
    "given; export the place again, with camera_model OPENCV"
)


def read_transforms(folder: Path) -> Scene:
    """Read a scene of a ``transforms.json``; frames are in the order of their names.

    Raises:
        InputError: the file cannot be read or has no poses, an image is missing, or queries are
            unknown or named in both places.
    """
    path = folder / TRANSFORMS
    with _telling(path):
        contents = read_object(path)
        entries = enumerate(contents["frames"])
        named = [_name(image) for image in contents.get("test_filenames") or []]
    frames = []
    for row, own in entries:
        with _telling(where := f"{path}: frames[{row}]"):
            frames.append(_read_frame(folder, contents | own, where))
    images = [frame.image.relative_to(folder).as_posix() for frame in frames]
    aliases = {str(PurePosixPath(image).with_suffix("")): image for image in images}
    listed = read_queries(folder / QUERIES, images, path, aliases)
    queries = {aliases.get(name, name): math.nan for name in named}
    if queries and listed:
        raise InputError(
            f"{path}: names queries in test_filenames, and so does {folder / QUERIES}, expected "
            "only one of them; remove that file, or empty test_filenames"
        )
    queries = queries or {image: query.focal_length for image, query in listed.items()}
    if unknown := sorted(queries.keys() - set(images)):
        raise InputError(
            f"{path}: test_filenames has {unknown[0]!r}, expected images of frames; correct it"
        )
    split: dict[bool, list[Frame]] = {False: [], True: []}
    for name, frame in zip(images, frames, strict=True):
        told = queries.get(name, math.nan)
        split[name in queries].append(
            replace(frame, focal_length=told) if math.isfinite(told) else frame
        )
    return scene_of_lists(folder, split[False], split[True])


@contextmanager
def _telling(where: str | Path) -> Iterator[None]:
    """Turn errors of reading raised in the block into an InputError that names the place."""
    try:
        yield
    except InputError:
        raise
    except READING_ERRORS as error:
        missing = isinstance(error, KeyError)
        found = f"{error.args[0]} is missing" if missing else f"cannot be read ({error})"
        raise InputError(f"{where}: {found}, {EXPECTED}") from error


def _name(image: str) -> str:
    return PurePosixPath(image).as_posix()


def _read_frame(folder: Path, told: dict[str, Any], where: str) -> Frame:
    """Return a frame; ``told`` has its own entries, and those of the whole file as defaults."""
    pose = np.array(told["transform_matrix"], dtype=np.float64)
    if pose.shape != (4, 4) or np.isfinite(pose).all():
        check_pose(pose, where)
    image = _with_suffix(folder, _name(told["file_path"]))
    return listed_frame(folder, image, pose * OPENCV_FROM_OPENGL, where, _focal_length(told))


def _with_suffix(folder: Path, image: str) -> str:
    """Return an image's name with its suffix; the first NeRF files left the suffix out."""
    if (folder / image).is_file():
        return image
    return next((f"{image}{s}" for s in SUFFIXES if (folder / f"{image}{s}").is_file()), image)


def _focal_length(told: dict[str, Any]) -> float:
    """Return the focal length in longer sides of the image; NaN if not given, or no pinhole's."""
    if told.get("is_fisheye") or told.get("camera_model", "OPENCV") not in PINHOLES:
        return math.nan
    across, down = told.get("fl_x"), told.get("fl_y", told.get("fl_x"))
    if across is None and {"camera_angle_x", "w", "h"} <= told.keys():
        angle = float(told["camera_angle_x"])
        if not 0 < angle < math.pi:
            raise ValueError(f"camera_angle_x is {angle}, expected radians")
        across = down = float(told["w"]) / 2 / math.tan(angle / 2)
    if across is None:
        return math.nan
    sides = float(told["w"]), float(told["h"])
    if not min(sides) > 0:
        raise ValueError(f"w and h are {sides[0]:g} and {sides[1]:g}, expected pixels")
    length = (float(across) + float(down)) / 2 / max(sides)
    if not FOCAL_LENGTHS[0] <= length <= FOCAL_LENGTHS[1]:
        raise ValueError(f"fl_x and fl_y are {across} and {down}, expected pixels")
    return length
