"""Refine the poses of a scene's queries by matches with its database, without a stored 3D model."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import compress
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..data.frames import Frames
from ..data.scene_files import SceneFiles
from ..estimates.predictions import (
    ALL_EDGES,
    EDGE_SPREADS,
    MATCHED,
    NAMES,
    PREFIXES,
    REFINED,
    SOLVED,
    arrays_of_poses,
    pose_arrays,
    predictions_owner,
    read_predictions,
)
from ..files.owners import told_of
from ..poses import inverse_pose, pose_distances, pose_from_quaternion, quaternion_from_matrix
from ..retrieval.graphs import LEFT_OUT, split_of
from ..retrieval.left_out import rank_outside, read_reaches
from ..retrieval.rankings import read_ranking
from ..runtime import InputError, atomic_path
from ..scores.calibration import LEVELS
from ..threads import map_in_threads
from .key_points import MATCHING_ERROR, KeyPoints, find_key_points, match_key_points
from .most_probable import Prior
from .refinement import FREE, MAJORITY, Refined, refine_pose, unrefined

logger = logging.getLogger(__name__)

KEY_POINTS = 2000  # of an image, at most
KEPT_IMAGES = 300  # most images whose key points are in memory; 1.1 MB each
NEIGHBOURS = 7  # database images that points are triangulated from
SPACING = 0.05  # metres between any two of their cameras, at least
# Deviation of the logarithm of a photo's focal length that is guessed: the database's is taken.
GUESS_DEVIATION = 0.1
# What is assumed of a query's intrinsics, as fields of a ``Prior``, by estimator.
ASSUMED = {REFINED: {}, SOLVED: {"intrinsics": (GUESS_DEVIATION,), "others": (FREE,)}}
# Least deviations of a regressed pose, added in squares to the spread of the edges' estimates,
# because these have errors in common.
LEAST_DEVIATION_M, LEAST_DEVIATION_DEG = 0.03, 0.9


class MatchedDatabase:
    """The database images of a scene with their cameras; key points are found when needed."""

    def __init__(
        self,
        images: Sequence[str | Path] | Callable[[int], KeyPoints],
        poses: np.ndarray,
        focal_lengths: np.ndarray,
    ) -> None:
        """Take M images, their poses (M, 4, 4), and focal lengths (M,) in longer sides.

        Instead of images, a function may be given that returns an image's key points by its number.
        """
        self._poses, self._focal_lengths = poses, focal_lengths
        find = images if callable(images) else partial(_key_points_of, images)
        self._key_points = lru_cache(KEPT_IMAGES)(find)

    def refine(
        self, query: KeyPoints, focal_length: float, ranking: np.ndarray, regressed: Prior
    ) -> Refined:
        """Return the refined pose of an image, see ``refine_each``."""
        return self.refine_each(query, focal_length, ranking, [regressed])[0]

    def refine_each(
        self,
        query: KeyPoints,
        focal_length: float,
        ranking: np.ndarray,
        regressed: Sequence[Prior],
    ) -> list[Refined]:
        """Return the refined poses of an image, one for each starting pose.

        The starting poses are returned as they are if one is not finite, or if the focal length of
        the query or of the database is unknown (NaN). So they are if the image has too few key
        points to be refined, but the database images do not: it shows nothing, such as a white
        wall, and its camera may be anywhere in the place, see ``Refined.least``.

        Args:
            query: key points of the image.
            focal_length: of its camera, in longer sides.
            ranking: database images, most similar first.
            regressed: starting poses, each with what is assumed of the camera.
        """
        known = np.isfinite(focal_length) and all(np.isfinite(own.pose).all() for own in regressed)
        if not known:
            return list(map(unrefined, regressed))
        images = choose_apart(ranking, self._poses[:, :3, 3])
        others = [self._key_points(image) for image in images]
        if len(query.places) < MAJORITY <= min(len(other.places) for other in others):
            return [unrefined(own)._replace(least=self._way_to_all(own)) for own in regressed]
        views = np.full((len(query.places), len(images), 2), np.nan)
        for view, (image, other) in enumerate(zip(images, others, strict=True)):
            rows, matched = match_key_points(query, other)
            views[rows, view] = other.places[matched] / self._focal_lengths[image]
        # Relative to a camera nearby, because coordinates may be millions of metres.
        origin = np.eye(4)
        origin[:3, 3] = self._poses[images[0], :3, 3]
        near, found = inverse_pose(origin), []
        for own in regressed:
            refined = refine_pose(
                query.places / focal_length,
                views,
                near @ self._poses[images],
                own._replace(pose=near @ own.pose),
                MATCHING_ERROR / focal_length,
            )
            found.append(refined._replace(pose=origin @ refined.pose))
        return found

    def _way_to_all(self, prior: Prior) -> tuple[float, float]:
        """Return the metres and the radians within which 68 % of the database's cameras are."""
        metres, degrees = pose_distances(self._poses, prior.pose[None])
        return tuple(np.quantile((metres, np.radians(degrees)), LEVELS[0], axis=1).tolist())


def _key_points_of(images: Sequence[str | Path], image: int) -> KeyPoints:
    return find_key_points(images[image], KEY_POINTS)


def choose_apart(ranking: np.ndarray, centres: np.ndarray) -> list[int]:
    """Return the best-ranked database images whose camera centres (M, 3) are ``SPACING`` apart."""
    chosen = [int(ranking[0])]
    for image in ranking[1:].tolist():
        if len(chosen) == NEIGHBOURS:
            break
        if np.linalg.norm(centres[chosen] - centres[image], axis=1).min() >= SPACING:
            chosen.append(image)
    return chosen


def regressed_prior(arrays: Mapping[str, np.ndarray]) -> list[Prior]:
    """Return the poses of all edges in arrays of predictions, with their deviations."""
    centres, quaternions = pose_arrays(arrays, PREFIXES[ALL_EDGES])
    spread_m, spread_deg = (arrays[name] for name in EDGE_SPREADS)
    found = np.isfinite(centres).all(axis=1) & np.isfinite(quaternions).all(axis=1)
    poses = np.full((len(found), 4, 4), np.nan)
    poses[found] = pose_from_quaternion(centres[found], quaternions[found])
    metres = np.hypot(spread_m, LEAST_DEVIATION_M)
    radians = np.radians(np.hypot(spread_deg, LEAST_DEVIATION_DEG))
    return [Prior(*each) for each in zip(poses, metres, radians, strict=True)]


def poses_of(refined: Sequence[Refined]) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return refined poses, t (N, 3) and q (N, 4), and the points (N,) that each was refined by."""
    poses = np.stack([each.pose for each in refined])
    points = np.array([each.points for each in refined])
    found = np.isfinite(poses).all(axis=(1, 2))
    quaternions = np.full((len(poses), 4), np.nan)
    quaternions[found] = quaternion_from_matrix(poses[found, :3, :3])
    return (poses[:, :3, 3], quaternions), points


def tell_refined(refined: Sequence[Refined]) -> None:
    """Log how many poses were refined."""
    logger.info("%d of %d poses refined", sum(each.points > 0 for each in refined), len(refined))


def refine_predictions(
    predictions_file: str | Path,
    scene: SceneFiles,
    scene_folder: str | Path,
    refined_file: str | Path,
    part: str = "test",
    workers: int = 1,
) -> None:
    """Write the predictions of a scene's queries with refined poses added.

    Refinement starts from the poses of all edges; these stay where it fails, and of near frames
    (``left_out``). Of left-out frames, poses as photos of unknown focal length are written, too.

    Args:
        predictions_file: of ``localization.predict_poses``.
        scene: frames, camera (see ``camera_files``), and in ``retrieval`` the rankings of the
            database for each query; for left-out frames, also the graphs.
        scene_folder: with the scene's images.
        refined_file: ``.npz`` to write.
        part: ``test``; or ``left_out``, database frames, each refined without the frames around it.
        workers: threads that refine poses.

    Raises:
        InputError: the files do not belong together, or an image cannot be read.
    """
    split = split_of(part)
    with Frames(scene.frames, scene.camera) as frames:
        arrays, regressed = _read_regressed(predictions_file, frames)
        rows = frames.find_all(split, arrays.get(NAMES, ()), predictions_file)
        ranked, near = _rankings_of(rows, scene, part, frames)
        images, known = (frames.paths(each, scene_folder) for each in (split, "train"))
        focal_lengths = frames.focal_lengths(split)
        database = MatchedDatabase(known, frames.poses("train"), frames.focal_lengths("train"))
    estimators = (REFINED, SOLVED) if part == LEFT_OUT else (REFINED,)

    def refine(query: int) -> list[Refined]:
        """Return the refined poses of a query, given by its number, one for each estimator."""
        priors = [regressed[query]._replace(**ASSUMED[name]) for name in estimators]
        if near[query]:
            return list(map(unrefined, priors))
        own = find_key_points(images[rows[query]], KEY_POINTS)
        return database.refine_each(own, focal_lengths[rows[query]], ranked[query], priors)

    queries = tqdm(range(len(rows)), "refining", disable=None)
    refined = list(zip(*map_in_threads(refine, queries, workers), strict=True))
    tell_refined(list(compress(refined[0], ~near)))
    for name, own in zip(estimators, refined, strict=True):
        arrays |= refined_arrays(own, name)
    with atomic_path(refined_file) as partial_file:
        np.savez(partial_file, **arrays, **told_of(predictions_owner(predictions_file)))


def _rankings_of(
    rows: Sequence[int], scene: SceneFiles, part: str, frames: Frames
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the ranking of each of N queries, and which are near frames (N,).

    For left-out frames, rankings are without the frames around them.
    """
    ranking = read_ranking(scene.retrieval[0], split_of(part), frames).index
    ranked = [ranking[row] for row in rows]
    if part != LEFT_OUT:
        return ranked, np.zeros(len(rows), dtype=bool)
    reaches = read_reaches(scene.graphs)
    return list(map(rank_outside, ranked, rows, reaches)), reaches == 0


def refined_arrays(refined: Sequence[Refined], estimator: str = REFINED) -> dict[str, np.ndarray]:
    """Return the arrays that an estimator of ``MATCHED`` adds to predictions.

    They are the poses t (N, 3) and q (N, 4), and the arrays (N,) of its ``MatchedNames``.
    """
    poses, points = poses_of(refined)
    names, least = MATCHED[estimator], np.array([each.least for each in refined])
    return {
        **arrays_of_poses(PREFIXES[estimator], *poses),
        names.points: points,
        names.deviations[0]: np.array([each.metres for each in refined]),
        names.deviations[1]: np.degrees([each.radians for each in refined]),
        names.misfit: np.array([each.misfit for each in refined]),
        names.least[0]: least[:, 0],
        names.least[1]: np.degrees(least[:, 1]),
    }


def _read_regressed(
    predictions_file: str | Path, frames: Frames
) -> tuple[dict[str, np.ndarray], list[Prior]]:
    """Return predictions' arrays, and the poses of all edges; InputError if any are missing."""
    arrays = read_predictions(predictions_file, (ALL_EDGES,), frames)
    lacking = [name for name in EDGE_SPREADS if name not in arrays]
    if lacking:
        raise InputError(
            f"{predictions_file}: lacks {', '.join(lacking)}, expected a file of this version's "
            "prediction step; predict again"
        )
    return arrays, regressed_prior(arrays)
