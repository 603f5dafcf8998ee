"""Reader of TUM RGB-D's layout: images and a trajectory, each with its own times.

A line of ``rgb.txt`` is a time and an image; one of ``groundtruth.txt`` is a time and a
camera-to-world pose, the quaternion's real part last. Times are seconds of one clock, in any order.
The pose of an image is interpolated between the poses before and after it, if one of these is at
most 0.02 s away; otherwise its tracking counts as lost. Queries are named in ``test.txt``, as with
COLMAP.

In 0.02 s a hand-held camera moves by some millimetres and turns by some tenths of a degree: without
interpolation, the nearest pose would be wrong by that much.
"""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ..poses import pose_from_quaternion, quaternion_from_matrix
from ..runtime import InputError
from .files import TUM_IMAGES, TUM_POSES
from .posed_images import listed_frame, parse_numbers, parse_pose, read_lines, scene_of_lists
from .query_lists import QUERIES, read_queries
from .scenes import Scene

FARTHEST = 0.02  # seconds to the nearest pose, at most; TUM's own limit
POSE = "timestamp tx ty tz qx qy qz qw"
IMAGE = "timestamp filename"


class Trajectory(NamedTuple):
    """Poses ``world_from_cam`` (T, 4, 4) of increasing times (T,), in seconds."""

    times: np.ndarray
    poses: np.ndarray


def read_tum(folder: Path) -> Scene:
    """Read a scene in TUM RGB-D's layout; frames are in the order of their times.

    An image without a pose near its time has the pose NaN, see ``reading.read_scene``.

    Raises:
        InputError: a list is missing, empty, or has a bad line or a time twice, an image is
            missing, or no image has a pose near its time.
    """
    trajectory = read_trajectory(folder / TUM_POSES)
    path = folder / TUM_IMAGES
    lines = sorted(_timed_lines(path, IMAGE, 2), key=lambda line: line[1])
    times = np.array([time for _, time, _ in lines])
    poses, away = poses_at(trajectory, times)
    if away.min() > FARTHEST:
        raise InputError(
            f"{path}: has times from {times.min():.3f} to {times.max():.3f}, none within "
            f"{FARTHEST} s of a pose in {TUM_POSES}, from {trajectory.times[0]:.3f} to "
            f"{trajectory.times[-1]:.3f}; expected seconds of one clock; shift the times of one"
        )
    images = [PurePosixPath(fields[0]).as_posix() for _, _, fields in lines]
    queries = read_queries(folder / QUERIES, images, path)
    frames = {False: [], True: []}
    for (where, _, _), image, pose, gap in zip(lines, images, poses, away, strict=True):
        lost = f" (nearest pose {gap:.3g} s away)" if gap > FARTHEST else ""
        length = queries[image].focal_length if image in queries else math.nan
        frame = listed_frame(folder, image, pose, f"{where}{lost}", length)
        frames[image in queries].append(frame)
    return scene_of_lists(folder, frames[False], frames[True], timed=True)


def read_trajectory(path: Path) -> Trajectory:
    """Read a trajectory without its poses that are not finite, where tracking was lost.

    Raises:
        InputError: it is missing, has a bad line or a time twice, or no finite pose.
    """
    found: dict[float, np.ndarray] = {}
    for where, time, fields in _timed_lines(path, POSE, 8):
        pose = parse_pose([*fields[:3], fields[6], *fields[3:6]], where)
        if np.isfinite(pose).all():
            found[time] = pose
    if not found:
        raise InputError(f"{path}: has no finite pose, expected lines of {POSE}; record it again")
    times = sorted(found)
    return Trajectory(np.array(times), np.stack([found[time] for time in times]))


def poses_at(trajectory: Trajectory, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the poses (N, 4, 4) at times (N,), and the seconds (N,) to the nearest known pose.

    A pose is NaN if that is more than ``FARTHEST``. Before the first known pose and after the last,
    the nearest is returned.
    """
    from scipy.spatial.transform import Rotation, Slerp  # takes 0.2 s; other layouts do without

    known, poses = trajectory
    after = np.searchsorted(known, times).clip(0, len(known) - 1)
    before = (after - 1).clip(0)
    away = np.minimum(np.abs(times - known[before]), np.abs(times - known[after]))
    if len(known) == 1:  # nothing to interpolate between
        found = np.repeat(poses, len(times), axis=0)
    else:
        inside = times.clip(known[0], known[-1])
        turns = Slerp(known, Rotation.from_matrix(poses[:, :3, :3]))(inside)
        centres = [np.interp(inside, known, poses[:, axis, 3]) for axis in range(3)]
        turned = quaternion_from_matrix(turns.as_matrix())
        found = pose_from_quaternion(np.stack(centres, axis=1), turned)
    found[away > FARTHEST] = np.nan
    return found, away


def _timed_lines(path: Path, columns: str, count: int) -> Iterator[tuple[str, float, list[str]]]:
    """Yield ``file:line``, time and the other fields of each line; the last may have spaces."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, expected lines of {columns}; is this a sequence of TUM RGB-D, "
            "completely extracted?"
        )
    first: dict[float, str] = {}
    for where, line in read_lines(path):
        if not line or line.startswith("#"):
            continue
        fields = line.split(maxsplit=count - 1)
        if len(fields) != count:
            raise InputError(f"{where}: says {line!r}, expected {columns}; correct the line")
        time = float(parse_numbers(fields[:1], where)[0])
        if not np.isfinite(time):
            raise InputError(
                f"{where}: has the time {fields[0]}, expected seconds; correct or remove the line"
            )
        if time in first:
            raise InputError(
                f"{where}: has the same time as {first[time]}, expected each once; remove one"
            )
        first[time] = where
        yield where, time, fields[1:]
    if not first:
        raise InputError(f"{path}: is empty, expected lines of {columns}; extract it again")
