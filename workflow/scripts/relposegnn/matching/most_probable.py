"""The most probable pose of a camera, given points that it sees and a regressed pose.

Reprojection errors have a Cauchy distribution, so that wrong matches do little harm. The errors of
the regressed pose, and of intrinsics that are not exact, are Gaussian. The Cauchy cost is not a sum
of squares. To minimise it by least squares, each point has a residual vector that points from its
place to its projection, and whose length is the root of its cost. With both components of this
vector, five or six steps lead to the minimum; with its length alone, it takes dozens, or does not
converge.

Poses are ``world_from_cam``; places in images are x/z and y/z of rays. There are n points, and k
intrinsics that may differ from those that places were computed with: none; the focal length; or the
focal length, the principal point (2) and the ratio of the two focal lengths, as in a picture that
was cropped and stretched.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

# Weight of a projection relative to the regressed pose. Matches share errors (of the database's
# poses and of the focal length), so that about eight are worth one independent match. Chosen on
# database frames of the real kitchen, each localised by the others: see docs/experiments.md.
WEIGHT = 1 / 8
ROUGH, FINE = 1e-2, 1e-6  # relative changes of the cost below which the search ends
FARTHEST = 1.0  # largest reprojection error, the tangent of 45 degrees; also of points behind
NEAREST = 1e-6  # least depth of a point in front of the camera
TINY = 1e-6  # squared errors, in scales, below which the Cauchy cost is taken as quadratic


class Guess(NamedTuple):
    """An alternative to the assumed intrinsics.

    Attributes:
        intrinsics: (4) deviations of changes, see ``undone``: of the focal length's logarithm, of
            the principal point in focal lengths, and of the logarithm of the focal lengths' ratio.
        odds: prior odds of this guess against what is assumed.
    """

    intrinsics: tuple[float, ...]
    odds: float = 1.0


class Prior(NamedTuple):
    """A regressed pose and assumed intrinsics, and the standard deviations of their errors.

    Attributes:
        pose: (4, 4).
        metres: deviation of the camera centre along each axis.
        radians: deviation of the rotation about each axis.
        intrinsics: (k) deviations of changes, see ``undone``; empty: the intrinsics are exact.
        others: alternative guesses of the intrinsics.
    """

    pose: np.ndarray
    metres: float
    radians: float
    intrinsics: tuple[float, ...] = ()
    others: tuple[Guess, ...] = ()


class Sights(NamedTuple):
    """Points and where a camera sees them.

    Attributes:
        points: (n, 3) in the world.
        places: (n, 2) where they are seen, computed with the assumed intrinsics.
        scales: (n,) of the reprojection errors.
    """

    points: np.ndarray
    places: np.ndarray
    scales: np.ndarray


class Camera(NamedTuple):
    """A pose (4, 4), and the changes (k,) of the intrinsics, see ``undone``."""

    pose: np.ndarray
    changes: np.ndarray


class Solution(NamedTuple):
    """A local minimum of the cost.

    Attributes:
        camera: the most probable one near the start.
        cost: minus the logarithm of its probability.
        information: (6 + k, 6 + k) matrix, the curvature of the cost with respect to a step, see
            ``moved``, and to the changes.
    """

    camera: Camera
    cost: float
    information: np.ndarray


def most_probable(start: Camera, sights: Sights, prior: Prior, precision: float = FINE) -> Solution:
    """Return the camera of least cost near a start.

    Args:
        start: where to begin.
        sights: what the camera sees.
        prior: the regressed pose.
        precision: relative change of the cost below which the search ends.
    """
    problem = _Problem(start, sights, prior)
    found = least_squares(
        problem.residuals, np.zeros(6 + len(start.changes)), problem.jacobian,
        method="lm", x_scale="jac", ftol=precision, xtol=precision,
    )  # fmt: skip
    camera = Camera(moved(start.pose, found.x), start.changes + found.x[6:])
    return Solution(camera, float(found.cost), found.jac.T @ found.jac)


def moved(pose: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return a pose (4, 4) after a step (6): metres in the world, rotation vector in its axes."""
    result = pose.copy()
    result[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec(step[3:6]).as_matrix()
    result[:3, 3] += step[:3]
    return result


def deviations(pose: np.ndarray, prior: Prior) -> np.ndarray:
    """Return the offset (6) from the regressed pose, along and about three axes, in deviations."""
    turn = Rotation.from_matrix(prior.pose[:3, :3].T @ pose[:3, :3]).as_rotvec()
    offset = pose[:3, 3] - prior.pose[:3, 3]
    return np.concatenate([offset / prior.metres, turn / prior.radians])


def projection_errors(camera: Camera, sights: Sights) -> np.ndarray:
    """Return reprojection errors (n,), in their scales.

    They are at most ``FARTHEST`` before scaling, and that for points behind the camera.
    """
    return np.linalg.norm(_errors(_seen(camera, sights), sights), axis=1)


class _Seen(NamedTuple):
    """Points as a camera sees them: in its axes, (n, 3), and offsets from their places, (n, 2).

    ``within`` (n, 1): the point is in front of the camera, and the offset is below ``FARTHEST``.
    """

    turned: np.ndarray
    offset: np.ndarray
    within: np.ndarray


def _seen(camera: Camera, sights: Sights) -> _Seen:
    turned = (sights.points - camera.pose[:3, 3]) @ camera.pose[:3, :3]
    before = turned[:, 2:] > NEAREST
    projected = turned[:, :2] / np.where(before, turned[:, 2:], 1.0)
    offset = projected - undone(sights.places, camera.changes)
    near = np.linalg.norm(offset, axis=1, keepdims=True) < FARTHEST
    return _Seen(turned, offset, before & near)


def _errors(seen: _Seen, sights: Sights) -> np.ndarray:
    """Return reprojection errors in their scales, (n, 2)."""
    # The direction of the largest errors does not matter.
    return np.where(seen.within, seen.offset, [FARTHEST, 0.0]) / sights.scales[:, None]


def undone(places: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Return the places (n, 2) of rays after changes of the intrinsics they were computed with.

    ``changes`` (k,): of the focal length's logarithm; if there are four, also of the principal
    point, x and y in the unit of places, and of the logarithm of the ratio of the focal lengths.
    """
    return (places - _centre(changes)) / _lengths(changes)


def intrinsics_after(changes: np.ndarray) -> np.ndarray:
    """Return focal lengths along x and y, and the principal point, (4,), after changes (k,).

    Their unit is the focal length that places were computed with: 1, 1, 0, 0 without changes.
    """
    return np.concatenate([_lengths(changes), _centre(changes)])


def _centre(changes: np.ndarray) -> np.ndarray:
    return changes[1:3] if len(changes) > 1 else np.zeros(2)


def _lengths(changes: np.ndarray) -> np.ndarray:
    """Return the factors (2) by which the two focal lengths change."""
    ratio = changes[3] if len(changes) > 1 else 0.0
    return np.exp(changes[:1].sum() + ratio * np.array([0.5, -0.5]))


class _Problem:
    """Residuals around a start and their Jacobian; the cost is half the sum of their squares."""

    def __init__(self, start: Camera, sights: Sights, prior: Prior) -> None:
        """Take the arguments of ``most_probable``."""
        self._start, self._sights, self._prior = start, sights, prior
        self._spread = np.array(prior.intrinsics)

    def residuals(self, step: np.ndarray) -> np.ndarray:
        """Return the residuals (2 n + 6 + k) after a step (6 + k)."""
        camera = self._after(step)
        errors = _errors(_seen(camera, self._sights), self._sights)
        own = deviations(camera.pose, self._prior), camera.changes / self._spread
        return np.concatenate([(_stretch(errors)[0] * errors).ravel(), *own])

    def jacobian(self, step: np.ndarray) -> np.ndarray:
        """Return the Jacobian of the residuals with respect to a step, (2 n + 6 + k, 6 + k)."""
        camera = self._after(step)
        seen = _seen(camera, self._sights)
        errors, slopes = _errors(seen, self._sights), self._slopes(seen, camera, step)
        stretch, bend = _stretch(errors)
        along = np.einsum("ni,nik->nk", errors, slopes)
        change = stretch[..., None] * slopes + (bend * errors)[..., None] * along[:, None]
        own = np.diag(np.concatenate([np.full(6, 1 / self._prior.metres), 1 / self._spread]))
        turn = Rotation.from_matrix(self._prior.pose[:3, :3].T @ camera.pose[:3, :3]).as_rotvec()
        back = np.linalg.inv(_turning(turn))
        own[3:6, 3:6] = back @ _turning(step[3:6]) / self._prior.radians
        return np.concatenate([change.reshape(-1, len(step)), own])

    def _after(self, step: np.ndarray) -> Camera:
        return Camera(moved(self._start.pose, step), self._start.changes + step[6:])

    def _slopes(self, seen: _Seen, camera: Camera, step: np.ndarray) -> np.ndarray:
        """Return the derivatives of reprojection errors by each part of a step, (n, 2, 6 + k)."""
        change = np.zeros((len(seen.turned), 3, 6))  # derivatives of ``turned``
        change[..., :3] = -camera.pose[:3, :3].T
        change[..., 3:] = np.cross(seen.turned[:, None], np.eye(3)).mT @ _turning(step[3:6])
        depth = np.where(seen.within, seen.turned[:, 2:], 1.0)[..., None]
        projected = seen.turned[:, :2, None] / depth
        slopes = np.zeros((len(change), 2, len(step)))
        slopes[..., :6] = (change[:, :2] - projected * change[:, 2:]) / depth
        if len(camera.changes):
            places = undone(self._sights.places, camera.changes)
            slopes[..., 6] = places
        if len(camera.changes) > 1:
            slopes[..., 7:9] = np.diag(1 / _lengths(camera.changes))
            slopes[..., 9] = places * [0.5, -0.5]
        return np.where(seen.within[..., None], slopes, 0) / self._sights.scales[:, None, None]


def _stretch(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return factors (n, 1) that turn errors (n, 2) into residuals, and their derivatives (n, 1).

    Half the square of a residual is the cost, ``WEIGHT`` * log(1 + error^2). The derivatives are by
    the length of the error, divided by this length.
    """
    square = (errors**2).sum(axis=1, keepdims=True)
    small = square < TINY
    square = np.where(small, 1.0, square)
    full = np.sqrt(2 * WEIGHT)
    stretch = full * np.sqrt(np.log1p(square) / square)
    bend = (2 * WEIGHT / (1 + square) / stretch - stretch) / square
    return np.where(small, full, stretch), np.where(small, -full / 2, bend)


def _turning(vector: np.ndarray) -> np.ndarray:
    """Return the right Jacobian (3, 3) of a rotation vector.

    A small change of the vector rotates by the Jacobian times the change, about the axes as they
    are after the rotation (Solà et al., A micro Lie theory, 2018, equation 143).
    """
    angle = float(np.linalg.norm(vector))
    cross = np.cross(np.eye(3), vector)  # cross @ other is the cross product of vector and other
    if angle < 1e-4:
        return np.eye(3) - cross / 2 + cross @ cross / 6
    first, second = (1 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3
    return np.eye(3) - first * cross + second * cross @ cross
