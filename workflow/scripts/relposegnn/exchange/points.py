"""Points of a scene for COLMAP models: triangulated from its database, recognised in queries.

The database's images are processed one after another. Key points that match those of known points
are added to these points; of the others, those that three images agree on become new points.
Positions in images are in longer sides from the middle, see ``matching.key_points``.
"""

from array import array
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ..data.images import read_image
from ..matching.key_points import (
    MATCHING_ERROR,
    KeyPoints,
    find_key_points,
    find_sift,
    match_key_points,
    root_sift,
)
from ..matching.refinement import TOLERANCE
from ..matching.scenes import choose_apart
from ..matching.triangulation import project, triangulate_agreeing
from ..poses import inverse_pose
from ..threads import map_in_threads
from .models import Cloud, View

KEY_POINTS = 1000  # of an image, at most
KEPT_IMAGES = 2000  # with descriptors in memory, at most; 0.15 MB each
LEAST_VIEWS = 3  # of a point: two views agree wherever their rays happen to meet
NONE = -1  # stands for no point, or for no key point


class Matched(NamedTuple):
    """The key points of an image, and those that they match in database images.

    Attributes:
        places: (n, 2) positions of the key points.
        images: m database images.
        rows: (n, m) matching key points in these images, or ``NONE``.
    """

    places: np.ndarray
    images: list[int]
    rows: np.ndarray


class Camera(NamedTuple):
    """A pose ``cam_from_world`` (3, 4), and a focal length in longer sides, NaN if unknown."""

    cam_from_world: np.ndarray
    focal_length: float

    def errors(self, points: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return reprojection errors (n) of points (n, 3) at places (n, 2), in longer sides.

        They are infinite for points behind the camera.
        """
        rays, depth = project(self.cam_from_world[None], points)
        distance = np.linalg.norm(rays[:, 0] * self.focal_length - places, axis=1)
        return np.where(depth[:, 0] > 0, distance, np.inf)


class ScenePoints:
    """The points triangulated from M database images."""

    def __init__(
        self,
        images: Sequence[Path],
        world_from_cam: np.ndarray,
        focal_lengths: np.ndarray,
        ranking: np.ndarray,
        workers: int = 1,
    ) -> None:
        """Triangulate.

        Args:
            images: M paths.
            world_from_cam: (M, 4, 4) their poses, metres.
            focal_lengths: (M,) in longer sides.
            ranking: (M, K) images that each may be matched with, most similar first.
            workers: threads that find and match key points.

        Raises:
            InputError: an image cannot be read.
        """
        self._images, self._poses = images, world_from_cam
        cameras = inverse_pose(world_from_cam)[:, :3]
        self._cameras = [Camera(*each) for each in zip(cameras, focal_lengths, strict=True)]
        self._sift = lru_cache(KEPT_IMAGES)(self._find_sift)
        self._places: dict[int, np.ndarray] = {}  # positions of each image's key points
        self._numbers: dict[int, np.ndarray] = {}  # the points that these belong to
        self._points, self._colours = array("d"), array("B")  # flat arrays that grow in place

        def match(image: int) -> tuple[Matched, np.ndarray]:
            """Return matches of a database image with others, and the colours of its key points."""
            own = root_sift(*self._sift(image))
            others = choose_apart(np.append(image, ranking[image]), world_from_cam[:, :3, 3])[1:]
            return self._match(own, others), _colours(images[image], own.places)

        rows = tqdm(range(len(images)), "points", disable=None)
        for image, (matched, colours) in enumerate(map_in_threads(match, rows, workers)):
            self._join(image, matched)
            self._add(image, matched, colours)

    def cloud(self, views: Sequence[View] | None = None) -> Cloud:
        """Return the points with the observations ``views``; None: those in the database."""
        points, colours = (np.array(each).reshape(-1, 3) for each in (self._points, self._colours))
        return Cloud(points, colours, self._database_views() if views is None else views)

    def match(
        self, images: Sequence[Path], rankings: Sequence[np.ndarray], workers: int = 1
    ) -> list[Matched]:
        """Return the key points of queries, matched with the database.

        Args:
            images: paths of the queries.
            rankings: database images for each query, most similar first.
            workers: threads.

        Raises:
            InputError: an image cannot be read.
        """

        def match(query: int) -> Matched:
            """Return matches of a query with database images."""
            near = choose_apart(rankings[query], self._poses[:, :3, 3])
            return self._match(find_key_points(images[query], KEY_POINTS), near)

        rows = tqdm(range(len(images)), "points of queries", disable=None)
        return list(map_in_threads(match, rows, workers))

    def view(self, matched: Matched, camera: Camera) -> View:
        """Return a camera's observations of points, at key points that match theirs."""
        known, numbers = self._recognise(matched, camera)
        return View(numbers, matched.places[known])

    def _database_views(self) -> list[View]:
        views = []
        for image in range(len(self._images)):
            numbers = self._numbers_of(image)
            views.append(View(numbers[numbers != NONE], self._places[image][numbers != NONE]))
        return views

    def _find_sift(self, image: int) -> tuple[np.ndarray, np.ndarray]:
        self._places[image], sift = find_sift(self._images[image], KEY_POINTS)
        return self._places[image], sift

    def _numbers_of(self, image: int) -> np.ndarray:
        """Return the points of an image's key points, or ``NONE``; callers write into the array."""
        if image not in self._numbers:
            self._numbers[image] = np.full(len(self._places[image]), NONE)
        return self._numbers[image]

    def _match(self, own: KeyPoints, images: list[int]) -> Matched:
        rows = np.full((len(own.places), len(images)), NONE)
        for view, image in enumerate(images):
            matched, others = match_key_points(own, root_sift(*self._sift(image)))
            rows[matched, view] = others
        return Matched(own.places, images, rows)

    def _numbers_matched(self, matched: Matched) -> np.ndarray:
        """Return the points (n, m) of the key points that were matched, or ``NONE``."""
        numbers = np.full(matched.rows.shape, NONE)
        for view, image in enumerate(matched.images):
            there = matched.rows[:, view] != NONE
            numbers[there, view] = self._numbers_of(image)[matched.rows[there, view]]
        return numbers

    def _recognise(self, matched: Matched, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """Return key points (k) that show known points, by their matches, and these points (k)."""
        found = self._numbers_matched(matched)
        own, view = np.nonzero(found != NONE)
        numbers = found[own, view]
        points = np.asarray(self._points).reshape(-1, 3)[numbers]
        errors = camera.errors(points, matched.places[own])
        rows = np.argsort(errors, kind="stable")
        rows = rows[errors[rows] < TOLERANCE * MATCHING_ERROR]
        for labels in (own, numbers):  # keep each only once, with the least error
            rows = rows[np.sort(np.unique(labels[rows], return_index=True)[1])]
        return own[rows], numbers[rows]

    def _join(self, image: int, matched: Matched) -> None:
        """Add key points of a database image to the known points that they match."""
        own = self._numbers_of(image)
        known, numbers = self._recognise(matched, self._cameras[image])
        new = (own[known] == NONE) & ~np.isin(numbers, own)
        own[known[new]] = numbers[new]

    def _add(self, image: int, matched: Matched, colours: np.ndarray) -> None:
        """Make new points from the matched key points (n) of an image that have none yet."""
        rows = np.where(self._numbers_matched(matched) == NONE, matched.rows, NONE)
        rows = np.hstack([np.arange(len(rows))[:, None], rows])
        free = (self._numbers_of(image) == NONE) & ((rows != NONE).sum(axis=1) >= LEAST_VIEWS)
        rows, colours, images = rows[free], colours[free], [image, *matched.images]
        points, agreeing = self._triangulate(images, rows)
        fine = agreeing[:, 0] & (agreeing.sum(axis=1) >= LEAST_VIEWS)
        numbers = len(self._points) // 3 + np.cumsum(fine) - 1
        for view, each in enumerate(images):
            seen = fine & agreeing[:, view]
            self._numbers_of(each)[rows[seen, view]] = numbers[seen]
        self._points.frombytes(points[fine].tobytes())
        self._colours.frombytes(colours[fine].tobytes())

    def _triangulate(self, images: list[int], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points (n, 3) of key points (n, m) in m images, and which of these agree (n, m).

        ``NONE`` stands for no key point. A point that no two images agree on is not finite.
        """
        places = np.full((*rows.shape, 2), np.nan)
        for view, image in enumerate(images):
            there = rows[:, view] != NONE
            places[there, view] = self._places[image][rows[there, view]]
        # Relative to the first camera, because coordinates may be millions of metres.
        origin = self._poses[images[0], :3, 3]
        poses = self._poses[images].copy()
        poses[:, :3, 3] -= origin
        lengths = np.array([self._cameras[image].focal_length for image in images])
        tolerance = TOLERANCE * MATCHING_ERROR
        rays = places / lengths[:, None]
        cameras = inverse_pose(poses)[:, :3]
        points, agreeing = triangulate_agreeing(cameras, rays, tolerance / lengths[0])
        for view, camera in enumerate(zip(cameras, lengths, strict=True)):
            agreeing[:, view] &= Camera(*camera).errors(points, places[:, view]) < tolerance
        return points + origin, agreeing


def _colours(path: Path, places: np.ndarray) -> np.ndarray:
    """Return the colours (n, 3), uint8, of an image at ``places`` (n, 2)."""
    pixels = read_image(path)
    size = np.array(pixels.shape[1::-1])
    columns, rows = np.clip((places * size.max() + size / 2).astype(int), 0, size - 1).T
    return pixels[rows, columns]
