"""Refine one pose by matched key points; the regressed pose is the start and the fallback.

Points are triangulated from database images of known poses. The refined pose is the most probable
one given two things: the projections of these points, whose errors have a Cauchy distribution, so
that wrong matches do little harm, and which is wider for points that are less certain; and the
regressed pose, whose error is Gaussian. The regressed pose counts where texture is lacking, and is
disregarded in the directions that matches determine.

A query's intrinsics may differ from what is assumed, as in a picture that was cropped, zoomed or
stretched. Then a pose is found for each guess of the intrinsics, and their evidence decides: the
probability of what is seen, whatever the pose (Laplace's approximation; MacKay, Information Theory,
2003, chapter 28). More free parameters fit better, but are chosen only if the better fit outweighs
their range.

Poses are ``world_from_cam``; places in images are x/z and y/z of rays. There are n points, m views.
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

TOLERANCE = 3.0  # largest reprojection error of an inlier, in scales of the matching error
# Inliers must outnumber outliers by this many, else the regressed pose is kept. By chance, in
# photos of other places, inliers hardly ever outnumber outliers, however many there are; with
# intrinsics other than assumed, a little more often: see docs/experiments.md.
MAJORITY, OTHER_MAJORITY = 12, 24
# The regressed pose is also kept if the refined one is more deviations away along or about an axis.
GATE = 5.0
RANSAC_ROUNDS = 1000
# Intrinsics that differ much from what is assumed. Within two deviations: a third to three times
# the focal length, any principal point near the middle, two thirds to one and a half of the height.
FREE = Guess((0.5, 0.3, 0.3, 0.2))
# Error of the places that points are triangulated from, in scales of the matching error: it covers
# the errors of the database's poses. Chosen on database frames of the real kitchen, each localised
# by the others: see docs/experiments.md.
VIEW_ERROR = 3.0


class Refined(NamedTuple):
    """A refined pose.

    Attributes:
        pose: (4, 4).
        points: number of inliers; 0 if the regressed pose was kept.
        centre: (3, 3) covariance of the camera centre, from the cost's curvature.
        rotation: (3, 3) covariance of the rotation vector in the camera's axes, likewise.
        misfit: median reprojection error of the inliers, in the expected scales; larger where key
            points are less exact, as in blurred images. NaN if the regressed pose was kept.
        intrinsics: (4,) of the solution, see ``most_probable.intrinsics_after``.
        least: lower bounds of the errors in metres and radians: root mean squares due to the
            probability that the camera is another than assumed; or, of an image that shows nothing,
            the ways within which 68 % of the database's cameras are.
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
        """The root mean square error of the camera centre, from its covariance."""
        return float(np.sqrt(np.trace(self.centre)))

    @property
    def radians(self) -> float:
        """The root mean square angle of the rotation's error, from its covariance."""
        return float(np.sqrt(np.trace(self.rotation)))


class _Fit(NamedTuple):
    """The most probable camera for a guess of the intrinsics, and the prior used."""

    solution: Solution
    prior: Prior

    @property
    def evidence(self) -> float:
        """The logarithm of the probability of what is seen, whatever the pose.

        Terms that all fits have in common are left out. The regressed pose's deviations are not
        part of it: for a camera other than assumed they are larger, which says nothing for or
        against this camera.
        """
        volume = np.linalg.slogdet(self.solution.information)[1] / 2
        return float(-self.solution.cost - volume - np.log(self.prior.intrinsics).sum())

    def refined(self, sights: Sights) -> Refined:
        """Return the refined pose, even if there are few inliers."""
        camera, covariance = without_prior(self.solution, self.prior)
        errors = projection_errors(self.solution.camera, sights)
        seen = errors < TOLERANCE
        misfit = float(np.median(errors[seen])) if seen.any() else np.nan
        return Refined(
            *(camera.pose, np.count_nonzero(seen), covariance[:3, :3], covariance[3:, 3:]),
            *(misfit, intrinsics_after(camera.changes)),
        )


def unrefined(prior: Prior) -> Refined:
    """Return the regressed pose as the result where matches do not refine it."""
    parts = prior.metres**2 * np.eye(3), prior.radians**2 * np.eye(3)
    return Refined(prior.pose, 0, *parts, np.nan, intrinsics_after(np.zeros(0)))


def refine_pose(
    query: np.ndarray, views: np.ndarray, cameras: np.ndarray, prior: Prior, scale: float
) -> Refined:
    """Return the pose of a query, refined by its matches.

    Args:
        query: (n, 2) places of the query's key points.
        views: (n, m, 2) places of their matches in database images; NaN: no match.
        cameras: (m, 4, 4) poses of these images.
        prior: the regressed pose, finite.
        scale: of the reprojection error, in the unit of places: about a pixel.
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
    """Return the best fit, of those from several starting poses (4, 4)."""
    prior = _loosened(prior, sights.points)
    cameras = [Camera(pose, np.zeros(len(prior.intrinsics))) for pose in starts]
    found = [most_probable(camera, sights, prior, ROUGH) for camera in cameras]
    rough = min(found, key=lambda each: each.cost)
    return _Fit(most_probable(rough.camera, sights, prior), prior)


def _loosened(prior: Prior, points: np.ndarray) -> Prior:
    """Return the prior with deviations enlarged for the errors that wrong intrinsics cause.

    A camera with a longer focal length than assumed is regressed too near to what it sees; one
    whose principal point is not in the middle is regressed with a wrong rotation.
    """
    length, *middle = (*prior.intrinsics, 0.0, 0.0, 0.0)[:3]
    depth = np.median(np.linalg.norm(points - prior.pose[:3, 3], axis=1))
    metres, radians = np.hypot(prior.metres, length * depth), np.hypot(prior.radians, max(middle))
    return prior._replace(metres=float(metres), radians=float(radians))


def _least_errors(found: Sequence[Refined], chances: np.ndarray) -> tuple[float, float]:
    """Return the errors in metres and radians due to uncertainty about the camera.

    Args:
        found: poses for the g guesses of intrinsics; the first is for the assumed ones.
        chances: (g,) probabilities of the guesses; the pose of the likeliest is the result.
    """
    chosen = int(chances.argmax())
    poses = np.stack([each.pose for each in found])
    metres, degrees = pose_distances(poses, poses[[chosen]])
    errors = np.square([[each.metres, each.radians] for each in found])
    if chosen == 0:  # its own error is in ``metres`` and ``radians``, as for any pose
        errors[0] = 0
    errors += np.square([metres, np.radians(degrees)]).T
    return tuple(np.sqrt(chances @ errors).tolist())


def without_prior(solution: Solution, prior: Prior) -> tuple[Camera, np.ndarray]:
    """Return the camera without the prior's influence where matches determine it.

    And the covariance (6, 6) of its pose, as of a step. Matches have a small weight in the cost,
    although they are much more exact if the database's poses are. Then a twentieth of the regressed
    pose's error would remain, and so much of the error of EXIF's focal length that it would be most
    of the whole. So in each direction, the prior is weighted with its share of the information:
    nearly 0 where matches determine the direction, 1 where they do not. This takes one Newton step.
    """
    deviation = np.array([prior.metres] * 3 + [prior.radians] * 3 + [*prior.intrinsics])
    pose, changes = solution.camera
    # In units of the prior's information, which is 1 by itself.
    known, directions = np.linalg.eigh(solution.information * np.outer(deviation, deviation))
    share = 1 / np.maximum(known, 1)
    left = np.maximum(known, 1) - 1 + share
    offset = directions.T @ np.concatenate([deviations(pose, prior), changes / deviation[6:]])
    step = deviation * (directions @ ((1 - share) / left * offset))
    covariance = (directions / left) @ directions.T * np.outer(deviation, deviation)
    return Camera(moved(pose, step), changes + step[6:]), covariance[:6, :6]


def pose_by_ransac(points: np.ndarray, places: np.ndarray, tolerance: float) -> np.ndarray | None:
    """Return the pose (4, 4) with most inliers among poses of three points each (P3P), or None."""
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
    """Return the uncertainty (n,) of points' projections, for points of covariance (n, 3, 3).

    The root mean square along an axis; 0 for points behind the camera.
    """
    change = slopes(inverse_pose(pose)[None, :3], points)[:, 0]
    return np.sqrt(np.trace(change @ covariance @ change.mT, axis1=1, axis2=2) / 2)
