"""Relative poses of edges: the numbers that a network regresses, and the poses they lead to.

An edge runs from a source, whose pose is known in the end, to a target. Its relative pose is six
numbers, metres and half radians, of one of three ``KINDS``:

- ``world_difference``, as published: p_s - p_t, of pose vectors [camera centre, log-quaternion].
- ``relative``: the target's pose in the source camera's axes, [R_s^T (c_t - c_s), log-quaternion
  of R_s^T R_t] with centres c and camera-to-world rotations R. The same in any world.
- ``world_to_camera``, of the authors' Cambridge models: p'_s - p'_t, of the vectors [-R c,
  log-quaternion of R] with world-to-camera rotations R.

Both differences depend on the world's axes, the last on its origin too. Everything is subtracted
in float64, since centres may be millions of metres from the origin. A rotation that is not quite
orthonormal counts as the nearest that is. All functions broadcast over leading axes.
"""

import numpy as np

from .poses import (
    inverse_pose,
    pose_from_quaternion,
    pose_from_vector,
    quaternion_from_matrix,
    quaternion_log,
    vector_from_pose,
)
from .runtime import InputError

WORLD_DIFFERENCE, RELATIVE, WORLD_TO_CAMERA = "world_difference", "relative", "world_to_camera"
KINDS = (WORLD_DIFFERENCE, RELATIVE, WORLD_TO_CAMERA)


def relative_pose(
    kind: str, world_from_source: np.ndarray, world_from_target: np.ndarray
) -> np.ndarray:
    """Return the relative poses (..., 6) of edges between poses (..., 4, 4).

    Raises:
        InputError: the kind is none of ``KINDS``.
    """
    source, target = _poses(world_from_source), _poses(world_from_target)
    if _checked(kind) != RELATIVE:
        return _vector_of_difference(kind, source) - _vector_of_difference(kind, target)
    camera_from_world = np.swapaxes(source[..., :3, :3], -1, -2)
    offset = target[..., :3, 3] - source[..., :3, 3]
    rotation = quaternion_from_matrix(camera_from_world @ target[..., :3, :3])
    translation = (camera_from_world @ offset[..., None])[..., 0]
    return np.concatenate([translation, quaternion_log(rotation)], axis=-1)


def compose(kind: str, relative: np.ndarray, world_from_source: np.ndarray) -> np.ndarray:
    """Return the poses ``world_from_target`` (..., 4, 4): the inverse of ``relative_pose``.

    Args:
        kind: of the relative poses.
        relative: (..., 6), measured or regressed.
        world_from_source: (..., 4, 4).

    Raises:
        InputError: the kind is none of ``KINDS``.
    """
    source = _poses(world_from_source)
    if _checked(kind) == RELATIVE:
        return source @ pose_from_vector(relative)
    target = pose_from_vector(_vector_of_difference(kind, source) - relative)
    return inverse_pose(target) if kind == WORLD_TO_CAMERA else target


def from_other_direction(kind: str, opposite: np.ndarray) -> np.ndarray:
    """Return the relative poses (..., 6) of edges s -> t, given those of t -> s.

    Raises:
        InputError: the kind is none of ``KINDS``.
    """
    opposite = np.asarray(opposite, dtype=np.float64)
    if _checked(kind) != RELATIVE:
        return -opposite
    source_from_target = inverse_pose(pose_from_vector(opposite))
    return np.concatenate([source_from_target[..., :3, 3], -opposite[..., 3:]], axis=-1)


def _checked(kind: str) -> str:
    """Return the kind; InputError where it is none."""
    if kind not in KINDS:
        raise InputError(f"model.pose: got {kind!r}, expected one of {', '.join(KINDS)}")
    return kind


def _vector_of_difference(kind: str, world_from_cam: np.ndarray) -> np.ndarray:
    """Return the vectors (..., 6) of poses, of which an edge has the difference."""
    return vector_from_pose(
        inverse_pose(world_from_cam) if kind == WORLD_TO_CAMERA else world_from_cam
    )


def _poses(matrices: np.ndarray) -> np.ndarray:
    """Return poses (..., 4, 4) in float64 with orthonormal rotations."""
    matrices = np.asarray(matrices, dtype=np.float64)
    quaternion = quaternion_from_matrix(matrices[..., :3, :3])
    return pose_from_quaternion(matrices[..., :3, 3], quaternion)
