"""Lists of estimated poses for other programs: TUM trajectories and COLMAP's text model.

Poses come in as camera centres (N, 3) in metres and quaternions (N, 4), (w, x, y, z),
camera-to-world; each format turns them into its own convention. pycolmap writes no image without
the intrinsics of its camera, which are not known here.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..poses import pose_from_quaternion, quaternion_from_matrix
from ..runtime import atomic_path

logger = logging.getLogger(__name__)

ORIGIN = "Estimated by relposegnn: the robust aggregate of all edges into each photo."


def write_tum(
    path: str | Path,
    names: Sequence[str],
    translation: np.ndarray,
    quaternion: np.ndarray,
    seconds: Sequence[float] | None = None,
) -> None:
    """Write ``timestamp tx ty tz qx qy qz qw``, camera-to-world, metres.

    Photos have no clock: without ``seconds`` the timestamp counts them. The name stands in a
    comment before it.
    """
    meaning = "an index" if seconds is None else "in seconds"
    lines = [
        f"# {ORIGIN}",
        f"# timestamp tx ty tz qx qy qz qw (camera-to-world, metres; the timestamp is {meaning})",
    ]
    for index, name in enumerate(names):
        lines.append(f"# {_one_line(name)}")
        time = index if seconds is None else f"{seconds[index]:.6f}"
        lines.append(f"{time} {_numbers(translation[index], np.roll(quaternion[index], -1))}")
    _write_lines(path, lines)


def write_colmap(
    path: str | Path, names: Sequence[str], translation: np.ndarray, quaternion: np.ndarray
) -> None:
    """Write COLMAP's ``images.txt``: world-to-camera poses, no image points, camera 1.

    COLMAP ends a name at its first space; names with one are counted in the log.
    """
    cam_from_world = np.linalg.inv(pose_from_quaternion(translation, quaternion))
    shift, turn = cam_from_world[:, :3, 3], quaternion_from_matrix(cam_from_world[:, :3, :3])
    lines = [
        f"# {ORIGIN}",
        "# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME (world-to-camera, metres), then an empty",
        "# line for the image's points. Camera 1 stands for all: its intrinsics are not known.",
        f"# Number of images: {len(names)}",
    ]
    for index, name in enumerate(names):
        pose = _numbers(turn[index], shift[index])
        lines += [f"{index + 1} {pose} 1 {_one_line(name)}", ""]
    spaced = sum(" " in _one_line(name) for name in names)
    if spaced:
        logger.warning(
            "%s: COLMAP ends a name at its first space; names with one: %d. Rename these photos if "
            "COLMAP is to read the file",
            *(path, spaced),
        )
    _write_lines(path, lines)


def _numbers(*vectors: np.ndarray) -> str:
    """Return numbers with nine decimals: nanometres."""
    return " ".join(f"{number:.9f}" for number in np.concatenate(vectors))


def _one_line(name: str) -> str:
    return " ".join(name.splitlines())


def _write_lines(path: str | Path, lines: list[str]) -> None:
    with atomic_path(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
