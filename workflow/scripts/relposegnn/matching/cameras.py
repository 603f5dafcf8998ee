"""The focal length of a scene's camera: given, or estimated from images of known poses.

A focal length is given in longer sides of the image, so that it holds for images of any size,
upright or not: 585 pixels at 640 x 480 are 0.914. The principal point is assumed to be the middle
of the image, without lens distortion.
"""

import logging
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from ..data.camera_files import SAME_LENS, write_camera
from ..data.frames import Frames
from ..runtime import InputError, numpy_generator
from ..threads import map_in_threads
from .key_points import MATCHING_ERROR, find_key_points, match_key_points

logger = logging.getLogger(__name__)

KEY_POINTS = 1000  # of an image, at most
PAIRS, PARTNERS = 60, 2  # at most: pairs of images, and pairs with the same first image
# Allowed distance between a pair's cameras, in root mean square distances of all cameras from their
# mean, and angle between them, in degrees: without rotation, a pair says little of a focal length.
DISTANCES, ANGLES = (0.05, 0.4), (5.0, 30.0)
STRAY = 10.0  # times as far from the middle as nine tenths of the cameras: the pose is wrong
LEAST_PAIRS, LEAST_MATCHES = 10, 20  # pairs needed, and matches that a pair needs
SEARCHED = np.geomspace(0.3, 3.0, 24)  # fields of view of 118 to 19 degrees along the longer side
MOST_DIFFERENT = 0.1  # share by which a given focal length may differ from the estimate
AGREEMENT = 0.3  # largest interquartile range of single pairs' estimates, as share of the estimate


class UnknownCameraError(InputError):
    """The focal length of a camera cannot be estimated; the message says why."""


class DisagreeingPairsError(UnknownCameraError):
    """Pairs of images, with their poses, give different focal lengths; the message lists them."""


class Matches(NamedTuple):
    """Matched key points of two images of known poses.

    Attributes:
        first: (n, 2) places in the first image, in longer sides from its middle.
        second: (n, 2) places in the second image.
        essential: (3, 3) matrix E; x_second^T E x_first = 0 for their rays.
    """

    first: np.ndarray
    second: np.ndarray
    essential: np.ndarray


def measure_camera(
    frames_file: str | Path, scene_folder: str | Path, camera_file: str | Path, workers: int = 1
) -> None:
    """Write the focal length of a scene's camera, see ``camera_files``.

    It is the median of the database's focal lengths in the frames file, else an estimate from
    poses and matches. A focal length in the frames file is compared with the estimate, and a
    warning says if they do not agree. If it cannot be estimated, it is unknown, with a warning:
    poses of this scene will not be refined, and networks that see rays refuse it.

    Raises:
        InputError: an image cannot be read.
    """
    with Frames(frames_file) as frames:
        known = frames.focal_lengths("train")
        images = frames.paths("train", scene_folder)
        if np.isfinite(known).any():
            length, origin = float(np.nanmedian(known)), "given"
            if np.nanmax(known) < (1 + SAME_LENS) * np.nanmin(known):
                _check_agreement(images, frames.poses("train"), length, workers)
        else:
            try:
                length = estimate_focal_length(images, frames.poses("train"), workers=workers)
                origin = "estimated"
            except UnknownCameraError as error:
                logger.warning("no pose of this scene will be refined: %s", error)
                length, origin = math.nan, f"unknown: {error}"
    write_camera(camera_file, length, origin, frames)


def _check_agreement(
    images: list[Path], world_from_cam: np.ndarray, given: float, workers: int
) -> None:
    """Warn if matches do not fit known poses (N, 4, 4) with the given focal length."""
    try:
        estimate = estimate_focal_length(images, world_from_cam, workers=workers)
    except DisagreeingPairsError as error:
        logger.warning(
            "poses and images agree with no focal length, neither with the given one, %.4f longer "
            "sides, nor with another: %s",
            *(given, error),
        )
    except UnknownCameraError as error:
        logger.info("whether poses agree with images cannot be checked: %s", error)
    else:
        if abs(np.log(estimate / given)) > MOST_DIFFERENT:
            logger.warning(
                "the given focal length is %.4f longer sides, but poses and images agree best with "
                "%.4f; is it that of these images, or of images before they were cropped?",
                *(given, estimate),
            )


def estimate_focal_length(
    images: Sequence[str | Path], world_from_cam: np.ndarray, workers: int = 1
) -> float:
    """Return the focal length of the camera that took posed images, in longer sides.

    It is the one with which SIFT matches agree best with the epipolar lines of the known poses: it
    minimises the sum of log(1 + (d / pixel)^2) over the matches of all pairs, where d is the
    Sampson distance. Wrong matches count little in this sum.

    Args:
        images: N paths, of one camera, in a place where little moves.
        world_from_cam: (N, 4, 4) their poses, in any unit of length.
        workers: threads that find key points.

    Raises:
        InputError: an image cannot be read.
        UnknownCameraError: too few pairs of cameras are apart and rotated, or match.
        DisagreeingPairsError: the pairs' focal lengths do not agree.
    """
    pairs = choose_pairs(world_from_cam, numpy_generator(0, "pairs of cameras"))
    matches = _match_pairs(images, world_from_cam, pairs, workers)
    where = f"{Path(images[0]).parent} and others"
    if len(matches) < LEAST_PAIRS:
        raise UnknownCameraError(
            f"{where}: the focal length cannot be estimated: of {len(pairs)} pairs of images whose "
            f"cameras are apart and turned by {ANGLES[0]:g} to {ANGLES[1]:g} degrees, only "
            f"{len(matches)} have {LEAST_MATCHES} matches, expected {LEAST_PAIRS} such pairs; give "
            "it in frames.focal_lengths"
        )
    estimate = best_focal_length(matches)
    alone = [best_focal_length([each]) for each in matches]
    low, middle, high = np.quantile(alone, [0.25, 0.5, 0.75])
    said = f"{estimate:.4f} longer sides by {len(matches)} pairs; each alone: {low:.4f}, "
    said += f"{middle:.4f} and {high:.4f} (quartiles)"
    if high - low > AGREEMENT * estimate:
        raise DisagreeingPairsError(
            f"{where}: the focal length cannot be estimated, because pairs of images do not agree: "
            f"{said}; expected camera-to-world poses with OpenCV's axes, and images of one camera: "
            "check both, or give it in frames.focal_lengths"
        )
    logger.info("focal length of %s: %s", where, said)
    return estimate


def _match_pairs(
    images: Sequence[str | Path], world_from_cam: np.ndarray, pairs: np.ndarray, workers: int
) -> list[Matches]:
    """Return the matches of those of the pairs (P, 2) that have enough matches."""
    used, rows = np.unique(pairs, return_inverse=True)
    find = partial(find_key_points, count=KEY_POINTS)
    points = list(map_in_threads(find, [images[i] for i in used], workers))
    matches = []
    for (first, second), (row, other) in zip(pairs, rows.reshape(-1, 2), strict=True):
        own, theirs = match_key_points(points[row], points[other])
        if len(own) >= LEAST_MATCHES:
            places = points[row].places[own], points[other].places[theirs]
            essential = essential_matrix(world_from_cam[first], world_from_cam[second])
            matches.append(Matches(*places, essential))
    return matches


def choose_pairs(world_from_cam: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return pairs (P, 2) of cameras (N, 4, 4), apart by ``DISTANCES`` and turned by ``ANGLES``."""
    centres, rotations = world_from_cam[:, :3, 3], world_from_cam[:, :3, :3]
    extent = _extent(centres)
    pairs: list[tuple[int, int]] = []
    for first in generator.permutation(len(centres)):
        distance = np.linalg.norm(centres - centres[first], axis=1)
        cosine = (np.einsum("nij,ij->n", rotations, rotations[first]) - 1) / 2
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        fitting = (distance > DISTANCES[0] * extent) & (distance < DISTANCES[1] * extent)
        fitting &= (angle > ANGLES[0]) & (angle < ANGLES[1])
        partners = generator.permutation(np.flatnonzero(fitting))[:PARTNERS]
        pairs += [(int(first), int(second)) for second in partners]
        if len(pairs) >= PAIRS:
            break
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _extent(centres: np.ndarray) -> float:
    """Return the root mean square distance of cameras (N, 3) from their mean, without stray ones.

    A single wrong pose that is far away would leave no pair whose distance fits.
    """
    away = np.linalg.norm(centres - np.median(centres, axis=0), axis=1)
    usual = centres[away <= (STRAY * np.quantile(away, 0.9) or np.inf)]
    return float(np.sqrt(np.square(usual - usual.mean(axis=0)).sum(axis=1).mean()))


def essential_matrix(world_from_first: np.ndarray, world_from_second: np.ndarray) -> np.ndarray:
    """Return E (3, 3) of two poses (4, 4): x_second^T E x_first = 0 for the rays of a point."""
    second_from_first = np.linalg.inv(world_from_second) @ world_from_first
    x, y, z = second_from_first[:3, 3] / np.linalg.norm(second_from_first[:3, 3])
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ second_from_first[:3, :3]


def sampson_distances(matches: Matches, focal_length: float) -> np.ndarray:
    """Return the distances (n) of matches from their epipolar lines, in longer sides."""
    ones = np.ones((len(matches.first), 1))
    first, second = (
        np.hstack([places / focal_length, ones]) for places in (matches.first, matches.second)
    )
    lines, back = first @ matches.essential.T, second @ matches.essential
    slopes = np.square(lines[:, :2]).sum(axis=1) + np.square(back[:, :2]).sum(axis=1)
    return focal_length * np.abs((second * lines).sum(axis=1)) / np.sqrt(slopes)


def best_focal_length(matches: Sequence[Matches]) -> float:
    """Return the focal length with which matches are nearest to their epipolar lines."""

    def cost(logarithm: float) -> float:
        """Return the cost of a focal length, given its logarithm."""
        distances = [sampson_distances(each, np.exp(logarithm)) for each in matches]
        return np.log1p(np.square(np.concatenate(distances) / MATCHING_ERROR)).sum()

    tried = np.log(SEARCHED)
    best = int(np.argmin([cost(each) for each in tried]))
    bounds = tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)]
    found = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))
