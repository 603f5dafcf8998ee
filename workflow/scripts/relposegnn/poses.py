"""Camera poses: conversions, errors and checks.

Conventions. Column vectors; OpenCV camera axes (x right, y down, z forward); metres; radians
inside, degrees in reports. A pose ``world_from_cam`` maps camera to world coordinates: its
translation is the camera centre. Quaternions are (w, x, y, z), unit, with w >= 0. Names read
``a_from_b`` so that adjacent frames cancel. All functions broadcast over leading axes, in float64.
"""

import numpy as np

from .runtime import InputError

ORTHONORMAL_TOLERANCE = 1e-3  # poses of 7-Scenes are off by up to about 1e-5
# Metres along an axis. No map projection exceeds it, even with a zone number in front; beyond it,
# the resolution of float64 approaches the accuracy of measured poses.
LARGEST_POSITION = 1e8


def quaternion_from_matrix(rotation: np.ndarray) -> np.ndarray:
    """Return the unit quaternions (..., 4) of rotation matrices (..., 3, 3)."""
    from scipy.spatial.transform import Rotation  # .2 s to load; many steps convert no pose

    rotation = np.asarray(rotation, dtype=np.float64)
    flat = Rotation.from_matrix(rotation.reshape(-1, 3, 3))
    quaternion = flat.as_quat(canonical=True, scalar_first=True)
    return canonical_quaternion(quaternion.reshape(*rotation.shape[:-2], 4))


def matrix_from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Return the rotation matrices (..., 3, 3) of quaternions (..., 4)."""
    from scipy.spatial.transform import Rotation  # .2 s to load; many steps convert no pose

    quaternion = np.array(quaternion, dtype=np.float64)  # scipy refuses read-only arrays
    flat = Rotation.from_quat(quaternion.reshape(-1, 4), scalar_first=True)
    return flat.as_matrix().reshape(*quaternion.shape[:-1], 3, 3)


def canonical_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Return the same rotations as unit quaternions (..., 4) with a real part >= 0."""
    quaternion = np.asarray(quaternion, dtype=np.float64)
    unit = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return np.where(unit[..., :1] < 0, -unit, unit)


def quaternion_log(quaternion: np.ndarray) -> np.ndarray:
    """Return the logarithms (..., 3) of unit quaternions (..., 4): half the rotation vector."""
    quaternion = canonical_quaternion(quaternion)
    vector = quaternion[..., 1:]
    norm = np.linalg.norm(vector, axis=-1, keepdims=True)
    half_angle = np.arctan2(norm, quaternion[..., :1])  # acos(w), without its loss near w = 1
    scale = np.divide(half_angle, norm, out=np.ones_like(norm), where=norm > 0)
    return vector * scale


def quaternion_exp(log: np.ndarray) -> np.ndarray:
    """Return the unit quaternions (..., 4), real part >= 0, of logarithms (..., 3)."""
    log = np.asarray(log, dtype=np.float64)
    norm = np.linalg.norm(log, axis=-1, keepdims=True)
    vector = log * np.sinc(norm / np.pi)  # sin(|w|) / |w|, exact at zero
    return canonical_quaternion(np.concatenate([np.cos(norm), vector], axis=-1))


def vector_from_pose(world_from_cam: np.ndarray) -> np.ndarray:
    """Return poses (..., 4, 4) as vectors (..., 6): camera centre, log-quaternion."""
    world_from_cam = np.asarray(world_from_cam, dtype=np.float64)
    log = quaternion_log(quaternion_from_matrix(world_from_cam[..., :3, :3]))
    return np.concatenate([world_from_cam[..., :3, 3], log], axis=-1)


def pose_from_quaternion(translation: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Return poses (..., 4, 4) from camera centres (..., 3) and quaternions (..., 4)."""
    rotation = matrix_from_quaternion(quaternion)
    pose = np.zeros((*rotation.shape[:-2], 4, 4))
    pose[..., :3, :3] = rotation
    pose[..., :3, 3] = translation
    pose[..., 3, 3] = 1.0
    return pose


def pose_from_vector(vector: np.ndarray) -> np.ndarray:
    """Return the poses (..., 4, 4) of vectors (..., 6), see ``vector_from_pose``."""
    return pose_from_quaternion(vector[..., :3], quaternion_exp(vector[..., 3:]))


def inverse_pose(a_from_b: np.ndarray) -> np.ndarray:
    """Return the inverses ``b_from_a`` (..., 4, 4) of poses with orthonormal rotations."""
    b_from_a = np.zeros_like(a_from_b)
    rotation = np.swapaxes(a_from_b[..., :3, :3], -1, -2)
    b_from_a[..., :3, :3] = rotation
    b_from_a[..., :3, 3] = -(rotation @ a_from_b[..., :3, 3:])[..., 0]
    b_from_a[..., 3, 3] = 1.0
    return b_from_a


def nearest_rotation(matrices: np.ndarray) -> np.ndarray:
    """Return the rotations (..., 3, 3) nearest to matrices (..., 3, 3) in the Frobenius norm."""
    u, _, vt = np.linalg.svd(matrices)
    u[..., 2] *= np.linalg.det(u @ vt)[..., None]
    return u @ vt


def translation_error(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the distances (...) in metres between camera centres (..., 3)."""
    return np.linalg.norm(np.asarray(estimate) - np.asarray(truth), axis=-1)


def rotation_error_deg(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the angles (...) in degrees, 0 to 180, between rotations as quaternions (..., 4).

    The usual 2 acos(|<q, q'>|), computed as 4 atan2(|q - q'|, |q + q'|), which is precise
    near zero, where acos is not.
    """
    estimate, truth = canonical_quaternion(estimate), canonical_quaternion(truth)
    opposite = np.sum(estimate * truth, axis=-1, keepdims=True) < 0
    truth = np.where(opposite, -truth, truth)
    difference = np.linalg.norm(estimate - truth, axis=-1)
    total = np.linalg.norm(estimate + truth, axis=-1)
    return np.degrees(4 * np.arctan2(difference, total))


def pose_distances(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the metres (...) and degrees (...) between poses (..., 4, 4)."""
    turns = (quaternion_from_matrix(pose[..., :3, :3]) for pose in (first, second))
    return translation_error(first[..., :3, 3], second[..., :3, 3]), rotation_error_deg(*turns)


def check_pose(world_from_cam: np.ndarray, source: str) -> None:
    """Check one pose.

    Raises:
        InputError: not 4x4, not finite, rotation not orthonormal, last row not 0 0 0 1, or beyond
            ``LARGEST_POSITION``. The message starts with ``source``.
    """
    remedy = "is this a camera-to-world pose, without a scale?"
    if world_from_cam.shape != (4, 4):
        shape = "x".join(map(str, world_from_cam.shape))
        raise InputError(
            f"{source}: holds {shape} numbers, expected a 4x4 camera-to-world pose; {remedy}"
        )
    if not np.isfinite(world_from_cam).all():
        raise InputError(f"{source}: holds numbers that are not finite, expected a pose; {remedy}")
    rotation = world_from_cam[:3, :3]
    determinant = np.linalg.det(rotation)
    if not abs(determinant - 1) <= ORTHONORMAL_TOLERANCE:  # NaN where it overflows
        raise InputError(
            f"{source}: rotation has determinant {determinant:.3g}, expected 1; {remedy}"
        )
    deviation = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not deviation <= ORTHONORMAL_TOLERANCE:
        raise InputError(
            f"{source}: rotation is not orthonormal (R R^T is off by {deviation:.3g}), "
            f"expected at most {ORTHONORMAL_TOLERANCE}; {remedy}"
        )
    if np.abs(world_from_cam[3] - [0, 0, 0, 1]).max() > ORTHONORMAL_TOLERANCE:
        raise InputError(f"{source}: last row is {world_from_cam[3]}, expected 0 0 0 1; {remedy}")
    farthest = np.abs(world_from_cam[:3, 3]).max()
    if farthest > LARGEST_POSITION:
        raise InputError(
            f"{source}: position is {farthest:.3g} m along an axis, expected at most "
            f"{LARGEST_POSITION:.0e}, more than any map's coordinates; check its unit"
        )
