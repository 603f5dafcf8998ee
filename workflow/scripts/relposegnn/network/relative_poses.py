"""Relative poses of edges: the numbers that a network regresses, and the poses that follow.

An edge runs from a source, whose pose is known at inference, to a target. Its relative pose is six
numbers, metres and half radians, of one of four ``KINDS``:

- ``world_difference``, as published: p_s - p_t, of pose vectors [camera centre, log-quaternion].
- ``relative``: the target's pose in the source camera's axes, [R_s^T (c_t - c_s), log-quaternion
  of R_s^T R_t] with centres c and camera-to-world rotations R. It does not depend on the world.
- ``scene_difference``: the same difference as ``world_difference``, after the scene is turned so
  that the mean camera rotation of its database is the identity, see ``scene_from_world``. It does
  not depend on the world either.
- ``world_to_camera``, of the authors' Cambridge models: p'_s - p'_t, of the vectors [-R c,
  log-quaternion of R] with world-to-camera rotations R.

The first kind depends on the axes of the world, the last one also on its origin. Everything is
subtracted in float64, since centres may be millions of metres from the origin. A rotation that is
not quite orthonormal is replaced by the nearest orthonormal one. All functions broadcast over
leading axes.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from ..poses import (
    inverse_pose,
    pose_from_quaternion,
    pose_from_vector,
    quaternion_from_matrix,
    quaternion_log,
    vector_from_pose,
)
from ..runtime import InputError

WORLD_DIFFERENCE, RELATIVE, WORLD_TO_CAMERA = "world_difference", "relative", "world_to_camera"
SCENE_DIFFERENCE = "scene_difference"
KINDS = (WORLD_DIFFERENCE, RELATIVE, WORLD_TO_CAMERA, SCENE_DIFFERENCE)


def scene_from_world(kind: str, database_poses: np.ndarray) -> np.ndarray:
    """Return the transform (4, 4) of a scene's poses before relative poses are computed.

    For ``scene_difference``, the inverse of the (chordal) mean camera rotation of the database,
    about the world's origin; for other kinds, the identity.

    Args:
        kind: of the relative poses.
        database_poses: (M, 4, 4) ``world_from_cam``.
    """
    turn = np.eye(4)
    if kind == SCENE_DIFFERENCE:
        rotations = Rotation.from_matrix(np.asarray(database_poses)[:, :3, :3])
        turn[:3, :3] = rotations.mean().inv().as_matrix()
    return turn


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
    """Return the kind; InputError if it is none of ``KINDS``."""
    if kind not in KINDS:
        raise InputError(f"model.pose: got {kind!r}, expected one of {', '.join(KINDS)}")
    return kind


def _vector_of_difference(kind: str, world_from_cam: np.ndarray) -> np.ndarray:
    """Return the vectors (..., 6) of poses whose difference is the relative pose of an edge."""
    return vector_from_pose(
        inverse_pose(world_from_cam) if kind == WORLD_TO_CAMERA else world_from_cam
    )


def _poses(matrices: np.ndarray) -> np.ndarray:
    """Return poses (..., 4, 4) in float64 with orthonormal rotations."""
    matrices = np.asarray(matrices, dtype=np.float64)
    quaternion = quaternion_from_matrix(matrices[..., :3, :3])
    return pose_from_quaternion(matrices[..., :3, 3], quaternion)
