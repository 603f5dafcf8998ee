"""One pose by matched key points, from a regressed one to start with and to fall back on.

Points are triangulated from database images of known poses, and the camera is put where it sees
them at its own key points. The pose is that of greatest probability, given two things: the
projections of the points, with errors of Cauchy's distribution, of which wrong matches spoil
little, wider where a point itself is less certain; and the regressed pose, with a Gaussian error.
The latter carries where texture fails, and is let go in the directions that matches fix.

A query's intrinsics may be other than is told, as of a picture that was cropped, zoomed or
stretched. Then the pose is sought for each guess of what they are. Which of these cameras matches
speak for is told by their evidence, the probability of what is seen whatever the pose (Laplace's
approximation; MacKay, Information Theory, 2003, chapter 28): more free numbers fit better, but
count only where they fit so much better that this outweighs their range.

Poses are ``world_from_cam``; places in images are x/z and y/z of rays. Of n points and m views.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from scipy.spatial.transform import Rotation
from scipy.special import softmax

from ..poses import inverse_pose, pose_distances
from .most_probable import (
    ROUGH,
    Camera,
    Guess,
    Prior,
    Sights,
    Solution,
    deviations,
    intrinsics_after,
    most_probable,
    moved,
    projection_errors,
)
from .triangulation import slopes, triangulate_agreeing, uncertainty

TOLERANCE = 3.0  # of a projection that counts as seen, in scales of the matching error
# By so many the points that are seen where they should be outnumber the others, or the regressed
# pose stays. By chance, in photos of other places, most points hardly ever agree, however many do;
# with intrinsics other than told, some more: see docs/experiments.md.
MAJORITY, OTHER_MAJORITY = 12, 24
# Deviations between regressed and refined pose, along or about an axis, beyond which it stays too.
GATE = 5.0
RANSAC_ROUNDS = 1000
# Intrinsics that are quite other than is told, by two deviations: a third of the focal length to
# three times as long a one, a middle anywhere near, two thirds to one and a half times the height.
FREE = Guess((0.5, 0.3, 0.3, 0.2))
# Of the places that points are computed from, in scales of the matching error: cameras of the
# database are not quite where their poses say. Chosen on database frames of the real kitchen, each
# placed by the others: see docs/experiments.md.
VIEW_ERROR = 3.0


class Refined(NamedTuple):
    """A refined pose.

    Attributes:
        pose: (4, 4).
        points: that are seen where they should be; 0 where the regressed pose stays.
        centre: (3, 3) covariance of the camera centre, by the costs' curvature.
        rotation: (3, 3) of the rotation vector in the camera's axes, likewise.
        misfit: median error of the projections that are seen, in the scales that are expected of
            them: larger where key points lie less exactly, as in blurred images. NaN where the
            regressed pose stays.
        intrinsics: (4,) with which it was found, see ``most_probable.intrinsics_after``.
        least: root mean square errors in metres and in radians that the camera's being another than
            is told comes to, as far as that is probable: errors are no smaller.
    """

    pose: np.ndarray
    points: int
    centre: np.ndarray
    rotation: np.ndarray
    misfit: float
    intrinsics: np.ndarray
    least: tuple[float, float] = (0.0, 0.0)

    @property
    def metres(self) -> float:
        """The root mean square error of the camera centre that this comes to."""
        return float(np.sqrt(np.trace(self.centre)))

    @property
    def radians(self) -> float:
        """The root mean square angle of the rotation's error that this comes to."""
        return float(np.sqrt(np.trace(self.rotation)))


class _Fit(NamedTuple):
    """The most probable camera of some intrinsics, and what was assumed of it."""

    solution: Solution
    prior: Prior

    @property
    def evidence(self) -> float:
        """The logarithm of the probability of what is seen, whatever the pose.

        But for what all fits have in common. How well the pose is regressed is no part of it: of
        a camera that is other than told it tells less, which speaks neither for that nor against.
        """
        volume = np.linalg.slogdet(self.solution.information)[1] / 2
        return float(-self.solution.cost - volume - np.log(self.prior.intrinsics).sum())

    def refined(self, sights: Sights) -> Refined:
        """Return the pose, however few points are seen where they should be."""
        camera, covariance = let_go(self.solution, self.prior)
        errors = projection_errors(self.solution.camera, sights)
        seen = errors < TOLERANCE
        misfit = float(np.median(errors[seen])) if seen.any() else np.nan
        return Refined(
            *(camera.pose, np.count_nonzero(seen), covariance[:3, :3], covariance[3:, 3:]),
            *(misfit, intrinsics_after(camera.changes)),
        )


def unrefined(prior: Prior) -> Refined:
    """Return the regressed pose as it stays where matches do not refine it."""
    parts = prior.metres**2 * np.eye(3), prior.radians**2 * np.eye(3)
    return Refined(prior.pose, 0, *parts, np.nan, intrinsics_after(np.zeros(0)))


def refine_pose(
    query: np.ndarray, views: np.ndarray, cameras: np.ndarray, prior: Prior, scale: float
) -> Refined:
    """Return the pose from which matched points are seen where they are in a query.

    Args:
        query: (n, 2) places of its key points.
        views: (n, m, 2) of their matches in database images, NaN where they have none.
        cameras: (m, 4, 4) poses of these.
        prior: the regressed pose, finite.
        scale: of the error of a projection, in the unit of places: about a pixel.
    """
    tolerance = TOLERANCE * scale
    matched = np.isfinite(views[..., 0]).sum(axis=1) >= 2
    cam_from_world = inverse_pose(cameras)[:, :3]
    points, agreeing = triangulate_agreeing(cam_from_world, views[matched], tolerance)
    fine = agreeing.any(axis=1)
    points, places = points[fine], query[matched][fine]
    if len(points) < MAJORITY:
        return unrefined(prior)
    spread = uncertainty(cam_from_world, points, agreeing[fine], VIEW_ERROR * scale)
    scales = np.hypot(scale, projected_error(prior.pose, points, spread))
    sights = Sights(points, places, scales)
    by_ransac = pose_by_ransac(points, places, tolerance)
    starts = [prior.pose] if by_ransac is None else [prior.pose, by_ransac]
    fits = [_fitted(starts, sights, prior)]
    starts = [prior.pose, fits[0].solution.camera.pose]
    for other in prior.others:
        fits.append(_fitted(starts, sights, prior._replace(intrinsics=other.intrinsics)))
    odds = np.array([1.0, *(other.odds for other in prior.others)])
    chances = softmax([fit.evidence for fit in fits] + np.log(odds))
    chosen = int(chances.argmax())
    found = [fit.refined(sights) for fit in fits]
    fit, refined = fits[chosen], found[chosen]
    majority = OTHER_MAJORITY if chosen else MAJORITY
    astray = np.abs(deviations(fit.solution.camera.pose, fit.prior)).max() > GATE
    if 2 * refined.points - len(points) < majority or astray:
        return unrefined(prior)
    return refined._replace(least=_least_errors(found, chances))


def _fitted(starts: Sequence[np.ndarray], sights: Sights, prior: Prior) -> _Fit:
    """Return the best fit from poses (4, 4) to start at."""
    prior = _loosened(prior, sights.points)
    cameras = [Camera(pose, np.zeros(len(prior.intrinsics))) for pose in starts]
    found = [most_probable(camera, sights, prior, ROUGH) for camera in cameras]
    rough = min(found, key=lambda each: each.cost)
    return _Fit(most_probable(rough.camera, sights, prior), prior)


def _loosened(prior: Prior, points: np.ndarray) -> Prior:
    """Return a regressed pose with the errors that intrinsics bring which are other than told.

    A camera of a longer focal length than is thought is regressed nearer to what it sees, and one
    whose principal point is not in the middle, turned.
    """
    length, *middle = (*prior.intrinsics, 0.0, 0.0, 0.0)[:3]
    depth = np.median(np.linalg.norm(points - prior.pose[:3, 3], axis=1))
    metres, radians = np.hypot(prior.metres, length * depth), np.hypot(prior.radians, max(middle))
    return prior._replace(metres=float(metres), radians=float(radians))


def _least_errors(found: Sequence[Refined], chances: np.ndarray) -> tuple[float, float]:
    """Return the errors in metres and radians to expect of a camera that may be another than told.

    Args:
        found: poses by the g guesses of intrinsics, the first by what is told.
        chances: (g,) of these; the likeliest pose is the one that is stated.
    """
    chosen = int(chances.argmax())
    poses = np.stack([each.pose for each in found])
    metres, degrees = pose_distances(poses, poses[[chosen]])
    errors = np.square([[each.metres, each.radians] for each in found])
    if chosen == 0:  # whose own error ``metres`` and ``radians`` tell, as of any pose
        errors[0] = 0
    errors += np.square([metres, np.radians(degrees)]).T
    return tuple(np.sqrt(chances @ errors).tolist())


def let_go(solution: Solution, prior: Prior) -> tuple[Camera, np.ndarray]:
    """Return the most probable camera without what the prior adds to sure matches.

    And the covariance (6, 6) of its pose, as of a step. Matches count little in the cost, and where
    the database's poses are exact they tell far more: of the regressed pose's error a twentieth is
    left then, and of what EXIF says of a focal length too much, which is most of what is wrong. So
    in each direction what is regressed or told counts by the share that it has in what is known:
    nearly nothing where matches fix it, as much as before where they do not. The way there is one
    step of Newton's.
    """
    deviation = np.array([prior.metres] * 3 + [prior.radians] * 3 + [*prior.intrinsics])
    pose, changes = solution.camera
    # In units of what the prior tells: of that alone 1.
    known, directions = np.linalg.eigh(solution.information * np.outer(deviation, deviation))
    share = 1 / np.maximum(known, 1)
    left = np.maximum(known, 1) - 1 + share
    offset = directions.T @ np.concatenate([deviations(pose, prior), changes / deviation[6:]])
    step = deviation * (directions @ ((1 - share) / left * offset))
    covariance = (directions / left) @ directions.T * np.outer(deviation, deviation)
    return Camera(moved(pose, step), changes + step[6:]), covariance[:6, :6]


def pose_by_ransac(points: np.ndarray, places: np.ndarray, tolerance: float) -> np.ndarray | None:
    """Return the pose (4, 4) that most points (n, 3) agree with, of those by threes (P3P)."""
    found, turn, shift, _ = cv2.solvePnPRansac(
        *(points, places, np.eye(3), None),
        iterationsCount=RANSAC_ROUNDS,
        reprojectionError=tolerance,
        confidence=0.9999,
        flags=cv2.SOLVEPNP_P3P,
    )
    if not found or not np.isfinite([turn, shift]).all():
        return None
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = Rotation.from_rotvec(turn[:, 0]).as_matrix()
    cam_from_world[:3, 3] = shift[:, 0]
    return inverse_pose(cam_from_world)


def projected_error(pose: np.ndarray, points: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return how uncertain the places of points of some covariance (n, 3, 3) are in a camera, (n,).

    The root mean square along an axis; 0 of what lies behind it.
    """
    change = slopes(inverse_pose(pose)[None, :3], points)[:, 0]
    return np.sqrt(np.trace(change @ covariance @ change.mT, axis1=1, axis2=2) / 2)
