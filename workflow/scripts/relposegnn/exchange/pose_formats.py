"""Lists of camera poses for other programs: TUM's, COLMAP's, hloc's and ACE's.

Each format has its own convention of poses, see docs/formats.md. Numbers are written with all their
digits: for a camera at map coordinates, nine decimals of a quaternion mean errors of centimetres.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..poses import inverse_pose, pose_from_quaternion, quaternion_from_matrix
from ..runtime import atomic_path

logger = logging.getLogger(__name__)

# COLMAP's own guess of an unknown focal length, in longer sides of the image.
GUESSED_LENGTH = 1.2
FORMATS = ("colmap", "hloc", "ace")  # for photos, in addition to poses.txt and images.txt


class PoseList(NamedTuple):
    """Poses of N images.

    Attributes:
        names: of the images, or their paths.
        translation: (N, 3) camera centres in metres.
        quaternion: (N, 4), (w, x, y, z), camera-to-world.
        remark: a description in one line, for formats with comments.
    """

    names: Sequence[str]
    translation: np.ndarray
    quaternion: np.ndarray
    remark: str


class Pinhole(NamedTuple):
    """A camera without distortion, in pixels: size, focal lengths, and principal point.

    The upper left corner of an image is at (0, 0), as in COLMAP.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def of_image(cls, size: tuple[int, int], focal_length: float) -> "Pinhole":
        """Return the camera of an image of size (width, height), its principal point in the middle.

        The focal length is in longer sides; if it is NaN, COLMAP's guess is taken.
        """
        length = GUESSED_LENGTH if math.isnan(focal_length) else focal_length
        pixels = length * max(size)
        return cls(*size, pixels, pixels, size[0] / 2, size[1] / 2)

    @property
    def focal_length(self) -> float:
        """The focal length in pixels: fx if it equals fy, else their geometric mean."""
        return self.fx if self.fx == self.fy else math.sqrt(self.fx * self.fy)

    def __str__(self) -> str:
        """Return the camera as COLMAP and hloc write it: model, width, height, parameters."""
        simple = self.fx == self.fy
        model, numbers = ("SIMPLE_PINHOLE", self[3:]) if simple else ("PINHOLE", self[2:])
        return f"{model} {self.width} {self.height} {in_full(numbers)}"


def write_tum(
    path: str | Path,
    poses: PoseList,
    times: Sequence[float | str] | None = None,
    clock: str = "an index",
) -> None:
    """Write ``timestamp tx ty tz qx qy qz qw``, camera-to-world, metres.

    Timestamps are ``times`` (N), described by ``clock``; None: they count the images. Each image's
    name is in a comment above its line.
    """
    lines = [
        f"# {poses.remark}",
        f"# timestamp tx ty tz qx qy qz qw (camera-to-world, metres; the timestamp is {clock})",
    ]
    columns = np.hstack([poses.translation, np.roll(poses.quaternion, -1, axis=1)])
    times = range(len(poses.names)) if times is None else times
    for time, name, row in zip(times, poses.names, columns, strict=True):
        lines += [f"# {_one_line(name)}", f"{time} {in_full(row)}"]
    write_lines(path, lines)


def write_images(
    path: str | Path,
    poses: PoseList,
    cameras: Sequence[int] | None = None,
    points: Iterable[str] | None = None,
) -> None:
    """Write COLMAP's ``images.txt``: world-to-camera poses.

    ``cameras`` (N) are the IDs of the images' cameras in ``cameras.txt``; None: unknown.
    ``points`` (N) are the lines of the points that the images see; None: no points.
    """
    remark = "" if cameras else " Camera 1 stands for all: its intrinsics are not known."
    lines = [
        f"# {poses.remark}",
        "# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME (world-to-camera, metres), then a line of",
        f"# (X Y POINT3D_ID)s, the image's points, maybe empty.{remark}",
        f"# Number of images: {len(poses.names)}",
    ]
    points = [""] * len(poses.names) if points is None else points
    rows = zip(poses.names, _world_to_camera(poses), points, strict=True)
    for index, (name, pose, seen) in enumerate(rows):
        camera = cameras[index] if cameras else 1
        lines += [f"{index + 1} {pose} {camera} {_one_line(name)}", seen]
    _tell_blanks(path, poses.names, "COLMAP")
    write_lines(path, lines)


def write_hloc(path: str | Path, poses: PoseList) -> None:
    """Write poses in hloc's format of results: ``name qw qx qy qz tx ty tz``, world-to-camera."""
    rows = zip(poses.names, _world_to_camera(poses), strict=True)
    _tell_blanks(path, poses.names, "hloc")
    write_lines(path, [f"{_one_line(name)} {pose}" for name, pose in rows])


def write_ace(
    path: str | Path, poses: PoseList, cameras: Sequence[Pinhole], confidence: Sequence[float]
) -> None:
    """Write ACE0's pose file: ``file qw qx qy qz tx ty tz focal_length confidence``.

    Poses are world-to-camera, focal lengths in pixels; the format has no principal points.
    ``confidence`` (N) is any number for which more is better; ACE0 itself writes the number of
    inliers.
    """
    _tell_blanks(path, poses.names, "ACE")
    rows = zip(poses.names, _world_to_camera(poses), cameras, confidence, strict=True)
    lines = []
    for name, pose, camera, sure in rows:
        lines.append(f"{_one_line(name)} {pose} {in_full([camera.focal_length, sure])}")
    write_lines(path, lines)


def write_query_list(path: str | Path, names: Sequence[str], cameras: Sequence[Pinhole]) -> None:
    """Write hloc's list of queries: ``name CAMERA_MODEL width height parameters``."""
    rows = zip(names, cameras, strict=True)
    _tell_blanks(path, names, "hloc")
    write_lines(path, [f"{_one_line(name)} {camera}" for name, camera in rows])


def write_pairs(path: str | Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Write hloc's pairs of images, ``query database`` per line."""
    write_lines(path, [f"{_one_line(query)} {_one_line(image)}" for query, image in pairs])


def _world_to_camera(poses: PoseList) -> list[str]:
    """Return ``qw qx qy qz tx ty tz`` of each image."""
    pose = inverse_pose(pose_from_quaternion(poses.translation, poses.quaternion))
    rows = np.hstack([quaternion_from_matrix(pose[:, :3, :3]), pose[:, :3, 3]])
    return [in_full(row) for row in rows]


def in_full(numbers: Iterable[float]) -> str:
    """Return numbers with all their digits, separated by spaces."""
    return " ".join(repr(float(number)) for number in numbers)


def _one_line(name: str) -> str:
    return " ".join(name.splitlines())


def _tell_blanks(path: str | Path, names: Sequence[str], program: str) -> None:
    """Warn about names with spaces, of which a program reads only the start."""
    spaced = sum(" " in _one_line(name) for name in names)
    if spaced:
        logger.warning(
            "%s: %s ends a name at its first space, and %d names have one. Rename these photos if "
            "%s is to read the file",
            *(path, program, spaced, program),
        )


def write_lines(path: str | Path, lines: Iterable[str]) -> None:
    """Write lines of text."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
