"""One pose by matched key points, from a regressed one to start with and to fall back on.

Points are triangulated from database images of known poses, and the camera is put where it sees
them at its own key points. The pose is that of greatest probability, given two things: the
projections of the points, with errors of Cauchy's distribution, of which wrong matches spoil
little, wider where a point itself is less certain; and the regressed pose, with a Gaussian error.
The latter carries where texture fails, and is let go in the directions that matches fix.

Poses are ``world_from_cam``; places in images are x/z and y/z of rays. Of n points and m views.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from scipy.optimize import OptimizeResult, least_squares
from scipy.spatial.transform import Rotation

from ..poses import inverse_pose
from .triangulation import slopes, triangulate_agreeing, uncertainty

TOLERANCE = 3.0  # of a projection that counts as seen, in scales of the matching error
# By so many the points that are seen where they should be outnumber the others, or the regressed
# pose stays. By chance, in photos of other places, most points hardly ever agree, however many do:
# see docs/accuracy.md.
MAJORITY = 12
# Deviations between regressed and refined pose, along or about an axis, beyond which it stays too.
GATE = 5.0
RANSAC_ROUNDS = 1000
# Where a focal length's logarithm has a larger deviation than OPEN, others are tried: of a zoom or
# a crop it is one that no start near the usual one leads to. Another is taken where MORE times as
# many points agree, and has ANY for its deviation: nothing but matches tells it then.
OPEN, MORE, ANY = 0.05, 1.1, 0.5
ZOOMS = (1.0, *(1.2**step for step in (-3, -2, -1, 1, 2, 3, 4, 5, 6)))
# Of the places that points are computed from, in scales of the matching error: cameras of the
# database are not quite where their poses say.
VIEW_ERROR = 3.0
# Of a projection, beside the regressed pose: matches have errors in common, those of the database's
# poses and of the focal length, so that some eight tell as much as one. This and VIEW_ERROR were
# chosen on database frames of the real kitchen, each placed by the others: see docs/accuracy.md.
WEIGHT = 1 / 8
ROUGH, FINE = 1e-2, 1e-6  # relative changes of the cost below which it counts as least


class Prior(NamedTuple):
    """A regressed pose, and the deviations of its error.

    Attributes:
        pose: (4, 4).
        metres: of the camera centre along each axis.
        radians: of the rotation about each axis.
        focal_length: of the logarithm of the focal length that places were divided by; 0: exact.
    """

    pose: np.ndarray
    metres: float
    radians: float
    focal_length: float = 0.0

    def unrefined(self) -> "Refined":
        """Return the regressed pose as it stays where matches do not refine it."""
        parts = self.metres**2 * np.eye(3), self.radians**2 * np.eye(3)
        return Refined(self.pose, 0, *parts, misfit=np.nan)


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
        zoom: by which the focal length that places were divided by was multiplied first; 1: it may
            be right.
    """

    pose: np.ndarray
    points: int
    centre: np.ndarray
    rotation: np.ndarray
    misfit: float
    zoom: float = 1.0

    @property
    def metres(self) -> float:
        """The root mean square error of the camera centre that this comes to."""
        return float(np.sqrt(np.trace(self.centre)))

    @property
    def radians(self) -> float:
        """The root mean square angle of the rotation's error that this comes to."""
        return float(np.sqrt(np.trace(self.rotation)))


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
    unchanged = prior.unrefined()
    tolerance = TOLERANCE * scale
    matched = np.isfinite(views[..., 0]).sum(axis=1) >= 2
    cam_from_world = inverse_pose(cameras)[:, :3]
    points, agreeing = triangulate_agreeing(cam_from_world, views[matched], tolerance)
    fine = agreeing.any(axis=1)
    points, places = points[fine], query[matched][fine]
    if len(points) < MAJORITY:
        return unchanged
    zooms = ZOOMS if prior.focal_length > OPEN else ZOOMS[:1]
    by_ransac, zoom = pose_by_ransac(points, places, tolerance, zooms)
    places = places / zoom
    if zoom != 1:
        prior = prior._replace(focal_length=ANY)
    # A camera of a longer focal length than is thought is regressed nearer to what it sees.
    depth = float(np.median(np.linalg.norm(points - prior.pose[:3, 3], axis=1)))
    prior = prior._replace(metres=float(np.hypot(prior.metres, prior.focal_length * depth)))
    spread = uncertainty(cam_from_world, points, agreeing[fine], VIEW_ERROR * scale)
    scales = np.hypot(scale / zoom, projected_error(prior.pose, points, spread))
    starts = [prior.pose] if by_ransac is None else [prior.pose, by_ransac]
    solved = [most_probable_pose(each, points, places, prior, scales, ROUGH) for each in starts]
    start, _ = min(solved, key=lambda each: each[1].cost)
    pose, found = most_probable_pose(start, points, places, prior, scales)
    places = places / np.exp(found.x[6:].sum())
    errors = projection_errors(pose, points, places) / scales
    seen = errors < TOLERANCE
    count = int(np.count_nonzero(seen))
    if count - (len(seen) - count) < MAJORITY or np.abs(deviations(pose, prior)).max() > GATE:
        return unchanged
    pose, covariance = let_go(pose, found, prior)
    parts = covariance[:3, :3], covariance[3:6, 3:6]
    return Refined(pose, count, *parts, float(np.median(errors[seen])), zoom)


def let_go(pose: np.ndarray, found: OptimizeResult, prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    """Return a most probable pose (4, 4) without what the regressed one adds to sure matches.

    And its covariance (6, 6), as of a step. Matches count little in the cost, and where
    the database's poses are exact they tell far more: of the regressed pose's error a twentieth is
    left then, which is most of what is wrong. So in each direction the regressed pose counts by the
    share that it has in what is known of it: nearly nothing where matches fix it, as much as before
    where they do not. The way there is one step of Newton's.
    """
    deviation = np.array([prior.metres] * 3 + [prior.radians] * 3)
    information = found.jac.T @ found.jac
    # What is known of the pose; a focal length is as matches and its own deviation leave it open.
    across = information[:6, 6:]
    left_open = across @ np.linalg.pinv(information[6:, 6:]) @ across.T
    # In units of what the regressed pose tells: of that alone 1.
    scaled = (information[:6, :6] - left_open) * np.outer(deviation, deviation)
    known, directions = np.linalg.eigh(scaled)
    share = 1 / np.maximum(known, 1)
    left = np.maximum(known, 1) - 1 + share
    offset = directions.T @ deviations(pose, prior)
    step = deviation * (directions @ ((1 - share) / left * offset))
    return moved(pose, step), (directions / left) @ directions.T * np.outer(deviation, deviation)


def moved(pose: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return a pose (4, 4) after a step: metres in the world, a rotation vector in its own axes."""
    result = pose.copy()
    result[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec(step[3:6]).as_matrix()
    result[:3, 3] += step[:3]
    return result


def pose_by_ransac(
    points: np.ndarray, places: np.ndarray, tolerance: float, zooms: Sequence[float] = ZOOMS[:1]
) -> tuple[np.ndarray | None, float]:
    """Return the pose (4, 4) that most points (n, 3) agree with, of those by threes (P3P).

    And how many times as long as is thought the focal length is, one of ``zooms``: the first, but
    where ``MORE`` times as many points agree by another. None and the first where there is no pose.
    """
    best, chosen, most = None, zooms[0], 0.0
    for zoom in zooms:
        found, turn, shift, agreeing = cv2.solvePnPRansac(
            *(points, places / zoom, np.eye(3), None),
            iterationsCount=RANSAC_ROUNDS,
            reprojectionError=tolerance / zoom,
            confidence=0.9999,
            flags=cv2.SOLVEPNP_P3P,
        )
        if not found or not np.isfinite([turn, shift]).all():
            continue
        count = len(agreeing) * (MORE if zoom == zooms[0] else 1)
        if count > most:
            best, chosen, most = (turn[:, 0], shift[:, 0]), zoom, count
    if best is None:
        return None, chosen
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = Rotation.from_rotvec(best[0]).as_matrix()
    cam_from_world[:3, 3] = best[1]
    return inverse_pose(cam_from_world), chosen


def most_probable_pose(
    start: np.ndarray,
    points: np.ndarray,
    places: np.ndarray,
    prior: Prior,
    scales: np.ndarray,
    precision: float = FINE,
) -> tuple[np.ndarray, OptimizeResult]:
    """Return the pose (4, 4) of least cost near a start, and SciPy's result.

    The cost is minus the logarithm of the probability; below a relative change by ``precision`` it
    counts as least. ``scales`` (n,) are of the errors of projections. Of a step the first three
    numbers are metres in the world, the next three a rotation vector in the start's axes; where the
    focal length is not exact, a seventh number is added to its logarithm.
    """
    offset = start[:3, 3] - prior.pose[:3, 3]
    turned = Rotation.from_matrix(prior.pose[:3, :3].T @ start[:3, :3])

    def residuals(step: np.ndarray) -> np.ndarray:
        """Return residuals (n + 6 or 7,) after a step: half their squares add up to the cost."""
        longer = step[6:]  # the logarithm of a focal length's change, or nothing
        errors = (
            projection_errors(moved(start, step), points, places / np.exp(longer.sum())) / scales
        )
        turn = (turned * Rotation.from_rotvec(step[3:6])).as_rotvec() / prior.radians
        near = (offset + step[:3]) / prior.metres, turn, longer / (prior.focal_length or 1)
        return np.concatenate([np.sqrt(2 * WEIGHT * np.log1p(errors**2)), *near])

    start_step = np.zeros(7 if prior.focal_length else 6)
    found = least_squares(
        residuals, start_step, method="lm", x_scale="jac", ftol=precision, xtol=precision
    )
    return moved(start, found.x), found


def projected_error(pose: np.ndarray, points: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return how uncertain the places of points of some covariance (n, 3, 3) are in a camera, (n,).

    The root mean square along an axis; 0 of what lies behind it.
    """
    change = slopes(inverse_pose(pose)[None, :3], points)[:, 0]
    return np.sqrt(np.trace(change @ covariance @ change.mT, axis1=1, axis2=2) / 2)


def projection_errors(pose: np.ndarray, points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return how far from their places (n, 2) a camera sees points (n, 3), (n,).

    At most 1, the tangent of half a right angle, and 1 of what lies behind it.
    """
    turned = (points - pose[:3, 3]) @ pose[:3, :3]
    depth = np.maximum(turned[:, 2:], 1e-6)
    error = np.linalg.norm(turned[:, :2] / depth - places, axis=1)
    return np.where(turned[:, 2] > 0, np.minimum(error, 1.0), 1.0)


def deviations(pose: np.ndarray, prior: Prior) -> np.ndarray:
    """Return how far a pose is from the regressed one, along and about three axes, (6)."""
    turn = Rotation.from_matrix(prior.pose[:3, :3].T @ pose[:3, :3]).as_rotvec()
    offset = pose[:3, 3] - prior.pose[:3, 3]
    return np.concatenate([offset / prior.metres, turn / prior.radians])
