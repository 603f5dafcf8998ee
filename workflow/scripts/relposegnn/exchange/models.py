"""Writing COLMAP models as text: cameras, images with poses, and the points that these see."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..matching.triangulation import project
from ..poses import inverse_pose, pose_from_quaternion
from .pose_formats import Pinhole, PoseList, in_full, write_images, write_lines

CAMERAS = "# CAMERA_ID MODEL WIDTH HEIGHT, then F CX CY or FX FY CX CY"


class View(NamedTuple):
    """The observations of points in an image.

    Attributes:
        numbers: (k,) of the points, each once.
        places: (k, 2) positions in the image, in longer sides from its middle.
    """

    numbers: np.ndarray
    places: np.ndarray


class Cloud(NamedTuple):
    """Points, and their observations in N images.

    Attributes:
        points: (P, 3) in the world, metres.
        colours: (P, 3) uint8.
        views: N observations of points.
    """

    points: np.ndarray
    colours: np.ndarray
    views: Sequence[View]

    @classmethod
    def empty(cls, images: int) -> "Cloud":
        """Return a cloud without points."""
        nothing = View(np.empty(0, dtype=np.int64), np.empty((0, 2)))
        return cls(np.empty((0, 3)), np.empty((0, 3), dtype=np.uint8), [nothing] * images)


def write_model(
    folder: str | Path, poses: PoseList, cameras: Sequence[Pinhole], cloud: Cloud | None = None
) -> None:
    """Write a COLMAP model as text; ``cameras`` (N) took the images.

    It contains the points of the cloud that at least one image sees. POINT3D_ID is a point's number
    plus one, so that a point has the same ID in all models of a cloud.
    """
    folder, cloud = Path(folder), cloud or Cloud.empty(len(cameras))
    numbers = {camera: number for number, camera in enumerate(dict.fromkeys(cameras), start=1)}
    lines = [f"# Number of cameras: {len(numbers)}"]
    lines += [f"{number} {camera}" for camera, number in numbers.items()]
    write_lines(folder / "cameras.txt", [CAMERAS, *lines])
    marks = [
        view.places * max(camera[:2]) + np.array(camera[:2]) / 2
        for view, camera in zip(cloud.views, cameras, strict=True)
    ]
    seen = list(map(_marks_line, cloud.views, marks))
    write_images(folder / "images.txt", poses, [numbers[camera] for camera in cameras], seen)
    lines = _point_lines(cloud, _errors(cloud, marks, poses, cameras))
    remark = "# POINT3D_ID X Y Z R G B ERROR (pixels), then (IMAGE_ID POINT2D_IDX)s"
    write_lines(folder / "points3D.txt", [remark, f"# Number of points: {len(lines)}", *lines])


def _marks_line(view: View, marks: np.ndarray) -> str:
    """Return ``X Y POINT3D_ID`` of each point that an image sees, at marks (k, 2) in pixels."""
    rows = zip(view.numbers.tolist(), marks.tolist(), strict=True)
    return " ".join(f"{x:.3f} {y:.3f} {number + 1}" for number, (x, y) in rows)


def _errors(
    cloud: Cloud, marks: Sequence[np.ndarray], poses: PoseList, cameras: Sequence[Pinhole]
) -> list[np.ndarray]:
    """Return the reprojection errors (k), in pixels, of each image's points at its marks (k, 2)."""
    cam_from_world = inverse_pose(pose_from_quaternion(poses.translation, poses.quaternion))
    errors = []
    for pose, camera, view, own in zip(cam_from_world, cameras, cloud.views, marks, strict=True):
        rays = project(pose[None, :3], cloud.points[view.numbers])[0][:, 0]
        found = rays * [camera.fx, camera.fy] + [camera.cx, camera.cy]
        errors.append(np.linalg.norm(found - own, axis=1))
    return errors


def _point_lines(cloud: Cloud, errors: Sequence[np.ndarray]) -> list[str]:
    """Return the lines of all observed points, each with its mean error and its track."""
    seen = [(image, k) for image, view in enumerate(cloud.views) for k in range(len(view.numbers))]
    if not seen:
        return []
    number = np.concatenate([view.numbers for view in cloud.views])
    order, pixels = np.argsort(number, kind="stable"), np.concatenate(errors)
    numbers, starts = np.unique(number[order], return_index=True)
    lines = []
    for point, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        colour = " ".join(map(str, cloud.colours[point].tolist()))
        track = " ".join(f"{seen[row][0] + 1} {seen[row][1]}" for row in rows)
        place, error = in_full(cloud.points[point]), pixels[rows].mean()
        lines.append(f"{point + 1} {place} {colour} {error:.3f} {track}")
    return lines
