"""Triangulate the points of a query's key points from database images of known poses.

Cameras are given as ``cam_from_world`` (3, 4); places in images are x/z and y/z of rays, so that no
focal length is needed here. Dimensions: n points, m views.
"""

from itertools import combinations

import numpy as np

LEAST_PARALLAX = np.radians(1.0)  # between two views of a point; with less, the depth is unreliable


def triangulate(cameras: np.ndarray, places: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the points (n, 3), triangulated linearly (DLT); they may be infinite.

    Args:
        cameras: (m, 3, 4).
        places: (n, m, 2); ignored where not ``seen``.
        seen: (n, m) bool, at least two for each point.
    """
    rows = places[..., None] * cameras[None, :, 2:3] - cameras[None, :, :2]  # (n, m, 2, 4)
    rows = np.where(seen[..., None, None], rows, 0).reshape(len(places), 2 * len(cameras), 4)
    _, vectors = np.linalg.eigh(rows.mT @ rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        return vectors[:, :3, 0] / vectors[:, 3:, 0]


def project(cameras: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places (n, m, 2) of points (n, 3) in each view, and their depths (n, m)."""
    turned = np.einsum("mij,nj->nmi", cameras[:, :, :3], points) + cameras[:, :, 3]
    depth = turned[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return turned[..., :2] / depth[..., None], depth


def slopes(cameras: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the derivatives (n, m, 2, 3) of places by points (n, 3); 0 behind the camera."""
    places, depth = project(cameras, points)
    before = depth > 0
    inverse = 1 / np.where(before, depth, np.inf)
    places = np.where(before[..., None], places, 0)
    rotations = cameras[None, :, :, :3]
    return inverse[..., None, None] * (
        rotations[:, :, :2] - places[..., None] * rotations[:, :, 2:]
    )


def uncertainty(
    cameras: np.ndarray, points: np.ndarray, seen: np.ndarray, error: float
) -> np.ndarray:
    """Return the covariance (n, 3, 3) of triangulated points, to first order.

    Args:
        cameras: (m, 3, 4).
        points: (n, 3).
        seen: (n, m), the views that each is computed from: two or more, with parallax.
        error: standard deviation of a place along either axis.
    """
    change = np.where(seen[..., None, None], slopes(cameras, points), 0)
    return error**2 * np.linalg.pinv((change.mT @ change).sum(axis=1), hermitian=True)


def triangulate_agreeing(
    cameras: np.ndarray, places: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return points (n, 3), each triangulated from agreeing views, and which these are, (n, m).

    Each pair of a point's views is tried. A pair counts if the point lies in front of both, is seen
    with enough parallax, and is projected to within ``tolerance`` of the places in both. The pair
    with which most other views agree is chosen, and the point is computed from all of these. If
    there is no such pair, the point is NaN and no view agrees.

    Args:
        cameras: (m, 3, 4).
        places: (n, m, 2), NaN where a point is not seen.
        tolerance: in the unit of ``places``.
    """
    seen = np.isfinite(places).all(axis=2)
    places = np.nan_to_num(places)
    centres = -np.einsum("mji,mj->mi", cameras[:, :, :3], cameras[:, :, 3])
    best = np.zeros(seen.shape, dtype=bool)
    error = np.full(len(places), np.inf)
    for pair in combinations(range(len(cameras)), 2):
        rows = np.flatnonzero(seen[:, pair].all(axis=1))
        if len(rows) == 0:
            continue
        points = triangulate(cameras[list(pair)], places[rows][:, pair], seen[rows][:, pair])
        finite = np.isfinite(points).all(axis=1)
        rows, points = rows[finite], points[finite]
        projected, depth = project(cameras, points)
        distance = np.linalg.norm(projected - places[rows], axis=2)
        agreeing = seen[rows] & (depth > 0) & (distance < tolerance)
        fine = agreeing[:, pair].all(axis=1) & (_parallax(points, centres, pair) > LEAST_PARALLAX)
        total = np.where(agreeing, distance, 0).sum(axis=1)
        count, before = agreeing.sum(axis=1), best[rows].sum(axis=1)
        better = fine & ((count > before) | ((count == before) & (total < error[rows])))
        best[rows[better]], error[rows[better]] = agreeing[better], total[better]
    points, found = np.full((len(places), 3), np.nan), best.any(axis=1)
    points[found] = triangulate(cameras, places[found], best[found])
    return points, best


def _parallax(points: np.ndarray, centres: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    """Return the angles (n,) in radians between the rays from points to two camera centres."""
    first, second = (points - centres[view] for view in pair)
    sine = np.linalg.norm(np.cross(first, second), axis=1)
    return np.arctan2(sine, np.einsum("ni,ni->n", first, second))
