"""The most probable pose of a camera: by points that it sees, and by a regressed pose.

Projections have errors of Cauchy's distribution, of which wrong matches spoil little; the regressed
pose, and where they are not known the intrinsics, have Gaussian ones. The logarithm of Cauchy's is
no sum of squares. Each point stands as a vector here, which points from its place to its projection
and has the root of its cost for its length: of it a step is computed that knows both directions, so
that five or six lead to the minimum, where with the lengths alone it takes dozens, or none ends.

Poses are ``world_from_cam``; places in images are x/z and y/z of rays. Of n points, and of k
intrinsics that may be others than places were computed with: none; the focal length; or that, the
principal point and the ratio of the two focal lengths, as of a picture that was cropped and
stretched.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

# Of a projection, beside the regressed pose: matches have errors in common, those of the database's
# poses and of the focal length, so that some eight tell as much as one. Chosen on database frames
# of the real kitchen, each placed by the others: see docs/experiments.md.
WEIGHT = 1 / 8
ROUGH, FINE = 1e-2, 1e-6  # relative changes of the cost below which it counts as least
FARTHEST = 1.0  # of a projection's error: the tangent of half a right angle; beyond, and behind
NEAREST = 1e-6  # of a point before the camera
TINY = 1e-6  # squares of errors, in scales, below which Cauchy's cost is their half


class Guess(NamedTuple):
    """What else intrinsics may be than is told.

    Attributes:
        intrinsics: (4) deviations of changes, see ``undone``: of the focal length's logarithm, of
            the principal point in focal lengths, and of the logarithm of the focal lengths' ratio.
        odds: how much likelier than what is told it is beforehand.
    """

    intrinsics: tuple[float, ...]
    odds: float = 1.0


class Prior(NamedTuple):
    """A regressed pose and assumed intrinsics, and the deviations of their errors.

    Attributes:
        pose: (4, 4).
        metres: of the camera centre along each axis.
        radians: of the rotation about each axis.
        intrinsics: (k) of changes, see ``undone``; none: they are exact.
        others: what they may be as well.
    """

    pose: np.ndarray
    metres: float
    radians: float
    intrinsics: tuple[float, ...] = ()
    others: tuple[Guess, ...] = ()


class Sights(NamedTuple):
    """What a camera sees.

    Attributes:
        points: (n, 3).
        places: (n, 2) where they are seen, by assumed intrinsics.
        scales: (n,) of the errors of projections.
    """

    points: np.ndarray
    places: np.ndarray
    scales: np.ndarray


class Camera(NamedTuple):
    """A pose (4, 4), and the changes (k,) of the intrinsics, see ``undone``."""

    pose: np.ndarray
    changes: np.ndarray


class Solution(NamedTuple):
    """The most probable camera, as far as a start leads.

    Attributes:
        camera: it.
        cost: minus the logarithm of its probability.
        information: (6 + k, 6 + k) of a step, see ``moved``, and of the changes: the cost's
            curvature.
    """

    camera: Camera
    cost: float
    information: np.ndarray


def most_probable(start: Camera, sights: Sights, prior: Prior, precision: float = FINE) -> Solution:
    """Return the camera of least cost near a start.

    Args:
        start: where to begin.
        sights: what it sees.
        prior: the regressed pose.
        precision: below a relative change by it the cost counts as least.
    """
    problem = _Problem(start, sights, prior)
    found = least_squares(
        problem.residuals, np.zeros(6 + len(start.changes)), problem.jacobian,
        method="lm", x_scale="jac", ftol=precision, xtol=precision,
    )  # fmt: skip
    camera = Camera(moved(start.pose, found.x), start.changes + found.x[6:])
    return Solution(camera, float(found.cost), found.jac.T @ found.jac)


def moved(pose: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return a pose (4, 4) after a step: metres in the world, a rotation vector in its own axes."""
    result = pose.copy()
    result[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec(step[3:6]).as_matrix()
    result[:3, 3] += step[:3]
    return result


def deviations(pose: np.ndarray, prior: Prior) -> np.ndarray:
    """Return how far a pose is from the regressed one, along and about three axes, (6)."""
    turn = Rotation.from_matrix(prior.pose[:3, :3].T @ pose[:3, :3]).as_rotvec()
    offset = pose[:3, 3] - prior.pose[:3, 3]
    return np.concatenate([offset / prior.metres, turn / prior.radians])


def projection_errors(camera: Camera, sights: Sights) -> np.ndarray:
    """Return how far from their places a camera sees points, in their scales, (n,).

    At most ``FARTHEST``, and that of what lies behind it.
    """
    return np.linalg.norm(_errors(_seen(camera, sights), sights), axis=1)


class _Seen(NamedTuple):
    """Points as a camera sees them: in its axes, (n, 3), and how far from their places, (n, 2).

    ``within`` (n, 1) tells which lie before it and no farther from their places than ``FARTHEST``.
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
    """Return errors of projections in their scales, (n, 2)."""
    # Whichever way the farthest ones are: it changes nothing.
    return np.where(seen.within, seen.offset, [FARTHEST, 0.0]) / sights.scales[:, None]


def undone(places: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Return the places (n, 2) of rays by other intrinsics than they were computed with.

    ``changes`` (k,) are of the focal length's logarithm; where there are four, then the principal
    point in the unit of places, x and y, and the logarithm of the ratio of the two focal lengths.
    """
    return (places - _centre(changes)) / _lengths(changes)


def intrinsics_after(changes: np.ndarray) -> np.ndarray:
    """Return focal lengths along x and y, and the principal point, after changes (k,).

    (4,) numbers in the unit of places, the focal length that these were computed with: without
    changes 1, 1, 0, 0.
    """
    return np.concatenate([_lengths(changes), _centre(changes)])


def _centre(changes: np.ndarray) -> np.ndarray:
    return changes[1:3] if len(changes) > 1 else np.zeros(2)


def _lengths(changes: np.ndarray) -> np.ndarray:
    """Return the factors (2) of both focal lengths."""
    ratio = changes[3] if len(changes) > 1 else 0.0
    return np.exp(changes[:1].sum() + ratio * np.array([0.5, -0.5]))


class _Problem:
    """Residuals around a start, half of whose squares add up to the cost, and their slopes."""

    def __init__(self, start: Camera, sights: Sights, prior: Prior) -> None:
        """Take what ``most_probable`` does."""
        self._start, self._sights, self._prior = start, sights, prior
        self._spread = np.array(prior.intrinsics)

    def residuals(self, step: np.ndarray) -> np.ndarray:
        """Return (2 n + 6 + k) numbers after a step (6 + k)."""
        camera = self._after(step)
        errors = _errors(_seen(camera, self._sights), self._sights)
        own = deviations(camera.pose, self._prior), camera.changes / self._spread
        return np.concatenate([(_stretch(errors)[0] * errors).ravel(), *own])

    def jacobian(self, step: np.ndarray) -> np.ndarray:
        """Return how residuals change with each part of a step, (2 n + 6 + k, 6 + k)."""
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
        """Return how errors of projections change with each part of a step, (n, 2, 6 + k)."""
        change = np.zeros((len(seen.turned), 3, 6))  # of ``turned``
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
    """Return factors (n, 1) by which errors (n, 2) become residuals.

    Half a residual's square is the cost: ``WEIGHT`` times the logarithm of one and the squared
    error. And how the factors change with the error, divided by the error.
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

    A change of the vector turns by that times the change, about the axes that are turned already
    (Solà et al., A micro Lie theory, 2018, equation 143).
    """
    angle = float(np.linalg.norm(vector))
    cross = np.cross(np.eye(3), vector)  # times another vector: this one's cross product with it
    if angle < 1e-4:
        return np.eye(3) - cross / 2 + cross @ cross / 6
    first, second = (1 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3
    return np.eye(3) - first * cross + second * cross @ cross
