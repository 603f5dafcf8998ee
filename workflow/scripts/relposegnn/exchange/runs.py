"""Exporting a run's estimated and true poses in a scene, and the database, for other programs."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data.frames import Frames
from ..data.images import image_size
from ..estimates.predictions import (
    ALL_EDGES,
    NAMES,
    POINTS,
    PREFIXES,
    REFINED,
    TRUTH,
    pose_arrays,
    read_predictions,
)
from ..files.storage import SPLITS
from ..poses import inverse_pose, pose_from_quaternion, quaternion_from_matrix
from ..retrieval.rankings import read_ranking
from ..runtime import atomic_path
from .models import Cloud, write_model
from .points import Camera, ScenePoints
from .pose_formats import (
    GUESSED_LENGTH,
    Pinhole,
    PoseList,
    write_ace,
    write_hloc,
    write_pairs,
    write_query_list,
    write_tum,
)

logger = logging.getLogger(__name__)

PAIRS = 20  # retrieved images per query; hloc's own pipelines use 20 to 50
# Confidence of true poses in ACE's format: above any number of inliers that ACE0 counts.
CERTAIN = 10_000


class _Posed(NamedTuple):
    """Images with poses; for ``cameras`` and ``confidence`` see ``write_ace``.

    ``times`` are the rows of queries in the predictions, or of database images in the frames.
    """

    poses: PoseList
    times: Sequence[int]
    cameras: Sequence[Pinhole]
    confidence: Sequence[float]


def export_poses(
    predictions_file: str | Path,
    frames_file: str | Path,
    camera_file: str | Path,
    scene_folder: str | Path,
    output_folder: str | Path,
    neighbours_file: str | Path | None = None,
    workers: int = 1,
) -> None:
    """Write a folder with the poses of a scene's queries in the formats of docs/formats.md.

    ``estimate`` has the poses of a run: refined ones if the predictions have them, else those of
    all edges. Failed queries are left out and counted in the log. ``truth`` has all queries,
    ``database`` the other images. Images are named by their paths in the scene's folder.

    Args:
        predictions_file: of a run, refined or not.
        frames_file: of the scene.
        camera_file: of the scene, see ``camera_files``; an unknown focal length is replaced by
            COLMAP's guess, with a warning.
        scene_folder: with its images.
        output_folder: to write.
        neighbours_file: rankings, for pairs of images and for points in COLMAP models; None:
            neither is written.
        workers: threads that match images.

    Raises:
        InputError: the files do not belong together, or an image cannot be read.
    """
    with Frames(frames_file, camera_file) as frames:
        arrays = read_predictions(predictions_file, (ALL_EDGES,), frames)
        size = image_size(Path(scene_folder) / frames.source("train", 0))
        rows = frames.find_all("test", arrays.get(NAMES, ()), predictions_file)
        sets = _estimate_and_truth(arrays, frames, rows, size)
        sets["database"] = _database(frames, size)
        _tell_unknown(frames)
        clouds = {}
        if neighbours_file is None or np.isnan(frames.focal_lengths("train")).any():
            logger.warning("no rankings, or unknown focal lengths: COLMAP models get no points")
        else:
            clouds = _find_points(frames, scene_folder, neighbours_file, rows, sets, workers)
        with atomic_path(output_folder) as folder:
            for name, posed in sets.items():
                _write_formats(folder, name, posed, clouds.get(name))
            truth = sets["truth"]
            write_query_list(folder / "hloc/queries.txt", truth.poses.names, truth.cameras)
            if neighbours_file is not None:
                _write_pairs(folder / "hloc", frames, neighbours_file)


def _estimate_and_truth(
    arrays: dict[str, np.ndarray], frames: Frames, rows: list[int], size: tuple[int, int]
) -> dict[str, _Posed]:
    refined = f"{PREFIXES[REFINED]}_t" in arrays
    estimator = REFINED if refined else ALL_EDGES
    points = arrays[POINTS] if refined else np.zeros(len(rows))
    sources, lengths = frames.sources("test"), frames.focal_lengths("test")
    cameras = [Pinhole.of_image(size, lengths[row]) for row in rows]

    def posed(prefix: str, remark: str, confidence: np.ndarray) -> _Posed:
        """Return the finite poses of the arrays with this prefix."""
        translation, quaternion = pose_arrays(arrays, prefix)
        known = np.isfinite(np.hstack([translation, quaternion])).all(axis=1)
        kept = np.flatnonzero(known)
        names = [sources[rows[row]] for row in kept]
        poses = PoseList(names, translation[kept], quaternion[kept], remark)
        return _Posed(poses, kept, [cameras[row] for row in kept], confidence[kept])

    found = {
        "estimate": posed(PREFIXES[estimator], f"Estimated by relposegnn: {estimator}.", points),
        "truth": posed(TRUTH, "True poses of the queries.", np.full(len(rows), CERTAIN)),
    }
    if failed := len(rows) - len(found["estimate"].times):
        logger.warning("%d of %d queries have no estimate and are left out", failed, len(rows))
    return found


def _database(frames: Frames, size: tuple[int, int]) -> _Posed:
    poses, lengths = frames.poses("train"), frames.focal_lengths("train")
    quaternions = quaternion_from_matrix(poses[:, :3, :3])
    remark = "Poses of the database, as they were given."
    listed = PoseList(frames.sources("train"), poses[:, :3, 3], quaternions, remark)
    cameras = [Pinhole.of_image(size, length) for length in lengths]
    return _Posed(listed, range(len(poses)), cameras, np.full(len(poses), CERTAIN))


def _find_points(
    frames: Frames,
    folder: str | Path,
    neighbours_file: str | Path,
    rows: Sequence[int],
    sets: dict[str, _Posed],
    workers: int,
) -> dict[str, Cloud]:
    """Return the points of a scene with their observations in the images of each set."""
    images = {split: frames.paths(split, folder) for split in SPLITS}
    ranked = {split: read_ranking(neighbours_file, split, frames).index for split in SPLITS}
    known = frames.poses("train"), frames.focal_lengths("train")
    points = ScenePoints(images["train"], *known, ranked["train"], workers)
    own = [images["test"][row] for row in rows], [ranked["test"][row] for row in rows]
    matched = points.match(*own, workers)
    clouds = {"database": points.cloud()}
    for name in ("estimate", "truth"):
        poses = pose_from_quaternion(sets[name].poses.translation, sets[name].poses.quaternion)
        cameras = [
            Camera(pose[:3], frames.focal_lengths("test")[rows[query]])
            for query, pose in zip(sets[name].times, inverse_pose(poses), strict=True)
        ]
        views = map(points.view, (matched[query] for query in sets[name].times), cameras)
        clouds[name] = points.cloud(list(views))
    counts = {
        name: sum(len(view.numbers) for view in cloud.views) for name, cloud in clouds.items()
    }
    logger.info("%d points; observations in each model: %s", len(clouds["truth"].points), counts)
    return clouds


def _write_formats(folder: Path, name: str, posed: _Posed, cloud: Cloud | None) -> None:
    write_tum(folder / f"tum/{name}.txt", posed.poses, posed.times)
    write_model(folder / f"colmap/{name}", posed.poses, posed.cameras, cloud)
    write_hloc(folder / f"hloc/{name}.txt", posed.poses)
    write_ace(folder / f"ace/{name}.txt", posed.poses, posed.cameras, posed.confidence)


def _write_pairs(folder: Path, frames: Frames, neighbours_file: str | Path) -> None:
    """Write pairs with the best-ranked database images, for queries and for database images."""
    database = frames.sources("train")
    for split, name in (("test", "pairs.txt"), ("train", "pairs_database.txt")):
        ranking = read_ranking(neighbours_file, split, frames).index[:, :PAIRS]
        sources = frames.sources(split)
        pairs = [(sources[row], database[i]) for row, best in enumerate(ranking) for i in best]
        write_pairs(folder / name, pairs)


def _tell_unknown(frames: Frames) -> None:
    for split in ("train", "test"):
        unknown = int(np.isnan(frames.focal_lengths(split)).sum())
        if unknown:
            logger.warning(
                "%s: focal lengths of %d %s frames are unknown; %s longer sides are written for "
                "COLMAP, hloc and ACE. Give them in frames.focal_lengths",
                *(frames.path, unknown, split, GUESSED_LENGTH),
            )
