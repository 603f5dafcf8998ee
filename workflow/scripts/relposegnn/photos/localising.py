"""Poses of new photos in a place: no pose of them is known, and none is asked."""

import itertools
import logging
import math
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from ..aggregation import aggregate, pair_spread
from ..calibration import StatedErrors, read_calibration, stated_errors
from ..checkpoints import load_model
from ..frames import Frames
from ..graphs import SamplingSettings, check_choice, choose_neighbours
from ..localization import estimate_candidates
from ..matching.key_points import find_key_points
from ..matching.refinement import Prior, Refined
from ..matching.scenes import (
    KEY_POINTS,
    MatchedDatabase,
    poses_of,
    regressed_prior,
    tell_refined,
)
from ..metrics import (
    ALL_EDGES,
    DEVIATIONS,
    EDGE_SPREADS,
    POINTS,
    REFINED,
    STATED,
    stated_columns,
)
from ..motion_files import read_motion_scale
from ..poses import quaternion_from_matrix
from ..retrieval.describers import Describer, load_describer
from ..retrieval.ranking import rank
from ..runtime import InputError, atomic_path, map_in_threads, numpy_generator
from ..scene_images import SceneImages, StoredMaps
from ..storage import open_hdf5, read_settings
from .confidence import confidence, similarity_scale
from .files import exif_focal_length_of, find_photos, read_photo
from .picture import plot_photos
from .place import Place
from .pose_formats import write_colmap, write_tum

logger = logging.getLogger(__name__)

PHOTOS_AT_ONCE = 64  # in memory
# Deviations of a focal length's logarithm: by EXIF, which has whole millimetres; as the database's.
TOLD, UNTOLD = 0.02, 0.1
POSE = ["tx", "ty", "tz", "qw", "qx", "qy", "qz"]


def localise_photos(
    place: Place,
    photo_folder: str | Path,
    output_folder: str | Path,
    device: torch.device,
    workers: int = 1,
    focal_length: float | None = None,
) -> pd.DataFrame:
    """Estimate the pose of every photo in a folder, write the results and return their table.

    ``poses.csv`` and the map ``photos.png`` show all photos, ``poses.txt`` (TUM) and ``images.txt``
    (COLMAP) the accepted ones. A row per photo: ``image``; ``tx ty tz`` in metres, ``qw qx qy qz``,
    camera-to-world, the aggregate of all edges into it, refined where the place is prepared for
    that, not finite where it failed; ``confidence``; ``accepted``; ``sigma_m``, ``sigma_deg``,
    errors that hold in 68 % of the cases, and ``sigma95_m``, ``sigma95_deg``, in 95 %;
    ``similarity`` to the ``nearest`` database image; ``spread_m``, ``spread_deg``, medians between
    two edges' estimates; ``points`` by which the pose was refined, 0 where it was not. Photos do
    not change each other's pose.

    Args:
        place: that the photos show. The seed of its sampling and a photo's name fix its neighbours.
        photo_folder: with JPEG and PNG files, also in sub-folders; or one such file.
        output_folder: to write to, not among the photos.
        device: to compute on.
        workers: threads that read photos.
        focal_length: of photos, in longer sides; None: as EXIF says, else as the database's.

    Raises:
        InputError: a photo cannot be read, there is none, or the files do not belong together.
    """
    names = _requested_photos(place, photo_folder, output_folder)
    if Path(photo_folder).is_file():
        photo_folder = Path(photo_folder).parent
    model = load_model(place.model).to(device, memory_format=torch.channels_last)
    with (
        Frames(place.frames, place.camera) as frames,
        open_hdf5(place.descriptors, "descriptors") as file,
    ):
        length = _ranking_length(place, frames, file)
        images = SceneImages(model, frames, place.features)
        paths = [Path(photo_folder, name) for name in names]
        how = _describer_of(file, place.describer, device, workers), length, workers, focal_length
        seen, ranked, similarity = recognise(paths, images, file, *how)
        neighbours = neighbours_of_photos(names, ranked, frames, place.sampling)
        chosen = paths, seen, ranked, neighbours
        refined, told, stated = estimate_poses(place, images, *chosen, workers, focal_length)
        poses, points = poses_of(refined)
        table = pd.DataFrame(np.concatenate(poses, axis=1), columns=POSE)
        table.insert(0, "image", names)
        scale = similarity_scale(file["train/descriptor"])
        sure = confidence(similarity, scale, points > 0, stated, place.within)
        sure[np.isnan(table["tx"])] = 0
        table["confidence"] = sure
        table["accepted"] = np.isfinite(table["tx"]) & (sure >= place.minimum_confidence)
        table[STATED] = stated_columns(stated)
        table["similarity"] = similarity
        table[EDGE_SPREADS] = np.stack([told[name] for name in EDGE_SPREADS], axis=1)
        table["points"] = points
        table["nearest"] = np.asarray(frames.names("train"))[ranked[:, 0]]
        picture = Path(output_folder, "photos.png")
        covariances = np.stack([each.centre for each in refined])
        plot_photos(table, photo_folder, frames, place.minimum_confidence, picture, covariances)
    _write(table, Path(output_folder))
    return table


def recognise(
    paths: list[Path],
    images: SceneImages,
    descriptors: h5py.File,
    describer: Describer,
    length: int,
    workers: int,
    focal_length: float | None = None,
) -> tuple[torch.Tensor | StoredMaps, np.ndarray, np.ndarray]:
    """Read N photos, describe them, rank ``length`` database images for them and encode them.

    Returns:
        what the network sees of them; the ranked images (N, length),
        most similar first; the similarity (N) to the first of them.
    """
    settings, database = read_settings(descriptors), descriptors["train/descriptor"]
    packed = images.frames.image_shape[::-1]
    sizes = (settings["width"], settings["height"]), images.size, packed, settings["crop"]
    blocks, cut = [], 0
    usual = np.median(images.frames.focal_lengths("train"))
    read = partial(read_photo, focal_length=focal_length)
    reading = map_in_threads(lambda path: read(path, *sizes), paths, workers)
    progress = iter(tqdm(reading, "reading photos", len(paths), unit="img", disable=None))
    count = min(PHOTOS_AT_ONCE, images.at_once)
    while photos := list(itertools.islice(progress, count)):
        rows = np.stack(list(describer.rows(photo.describing for photo in photos)))
        ranked, similarity = rank(database, rows, length)
        told = np.array([photo.focal_length for photo in photos])
        focal_lengths = np.where(np.isnan(told), usual, told)
        seen = images.encode(np.stack([photo.seen for photo in photos]), focal_lengths)
        blocks.append((seen, ranked, similarity[:, 0]))
        cut += sum(photo.cut for photo in photos)
    if cut:
        logger.warning(
            "%d of %d photos have another aspect than the scene's images (%d x %d): only their "
            "centre is used",
            *(cut, len(paths), *packed),
        )
    seen, ranked, similarity = zip(*blocks, strict=True)
    return images.join(seen), np.concatenate(ranked), np.concatenate(similarity)


def estimate_poses(
    place: Place,
    images: SceneImages,
    paths: list[Path],
    seen: torch.Tensor | StoredMaps,
    ranked: np.ndarray,
    neighbours: np.ndarray,
    workers: int,
    focal_length: float | None = None,
) -> tuple[list[Refined], dict[str, np.ndarray], StatedErrors]:
    """Return the poses of N photos, refined where the place is prepared for that.

    Args:
        place: that they show.
        images: of its scene.
        paths: of the photos.
        seen: what the network sees of them.
        ranked: (N, K) database images, most similar first.
        neighbours: (N, k) in their graphs.
        workers: threads.
        focal_length: of photos, in longer sides; None: as EXIF says, else as the database's.

    Returns:
        the poses; arrays of them as in a predictions file; the errors that are stated.
    """
    frames, calibration = images.frames, read_calibration(place.calibration)
    scale = read_motion_scale(place.motions) if place.motions else None
    both_directions = place.localization.both_directions
    candidates = estimate_candidates(images, seen, neighbours, both_directions, scale)
    poses = aggregate(candidates, place.localization.aggregation)
    spread = pair_spread(candidates.translation, candidates.quaternion)
    told = dict(zip(EDGE_SPREADS, spread, strict=True))
    told["robust_t"], told["robust_q"] = poses
    reference = frames.poses("train")[neighbours[:, 0]]
    told["reference_t"] = reference[:, :3, 3]
    told["reference_q"] = quaternion_from_matrix(reference[:, :3, :3])
    priors = regressed_prior(*poses, *spread)
    if place.images is None:
        refined = [prior.unrefined() for prior in priors]
        return refined, told, stated_errors(told, ALL_EDGES, calibration)
    refined = refine_photos(place, frames, paths, ranked, priors, workers, focal_length)
    tell_refined(refined)
    told[DEVIATIONS[0]] = np.array([each.metres for each in refined])
    told[DEVIATIONS[1]] = np.degrees([each.radians for each in refined])
    (told["refined_t"], told["refined_q"]), told[POINTS] = poses_of(refined)
    return refined, told, stated_errors(told, REFINED, calibration)


def refine_photos(
    place: Place,
    frames: Frames,
    paths: list[Path],
    ranked: np.ndarray,
    priors: list[Prior],
    workers: int,
    focal_length: float | None = None,
) -> list[Refined]:
    """Return the refined poses of N photos.

    Args:
        place: with ``camera`` and ``images``.
        frames: of the scene.
        paths: of the photos.
        ranked: (N, K) database images, most similar first.
        priors: their regressed poses.
        workers: threads.
        focal_length: of photos, in longer sides; None: as EXIF says, else as the database's.

    Raises:
        InputError: an image cannot be read.
    """
    images = [place.images / source for source in frames.sources("train")]
    lengths = frames.focal_lengths("train")
    database, usual = MatchedDatabase(images, frames.poses("train"), lengths), np.median(lengths)

    def refine(row: int) -> Refined:
        own = find_key_points(paths[row], KEY_POINTS, upright=True)
        told = focal_length or exif_focal_length_of(paths[row])
        camera, deviation = (usual, UNTOLD) if math.isnan(told) else (told, TOLD)
        prior = priors[row]._replace(focal_length=0 if focal_length else deviation)
        return database.refine(own, camera, ranked[row], prior)

    rows = tqdm(range(len(paths)), "refining", unit="img", disable=None)
    return list(map_in_threads(refine, rows, workers))


def neighbours_of_photos(
    names: list[str], ranked: np.ndarray, frames: Frames, sampling: SamplingSettings
) -> np.ndarray:
    """Return the neighbours (N, k) of each photo, drawn by a generator of its name."""
    database = frames.names("train")
    draws = (numpy_generator(sampling.seed, "photos", frames.scene, name) for name in names)
    chosen = [
        choose_neighbours(ranking[None], database, sampling, generator, within=False)[0]
        for ranking, generator in zip(ranked, draws, strict=True)
    ]
    return np.concatenate(chosen)


def _write(table: pd.DataFrame, folder: Path) -> None:
    """Write the table, and lists of the accepted poses."""
    accepted = table[table["accepted"]]
    logger.info("%d of %d photos accepted", len(accepted), len(table))
    poses = accepted[POSE].to_numpy()
    listed = list(accepted["image"]), poses[:, :3], poses[:, 3:]
    write_tum(folder / "poses.txt", *listed)
    write_colmap(folder / "images.txt", *listed)
    with atomic_path(folder / "poses.csv") as partial:
        written = table.assign(accepted=table["accepted"].map({True: "true", False: "false"}))
        written.to_csv(partial, index=False, float_format="%.9g")


def _requested_photos(
    place: Place, photo_folder: str | Path, output_folder: str | Path
) -> list[str]:
    """Return the names of the photos, once the request has been checked."""
    if not 0 <= place.minimum_confidence <= 1:
        raise InputError(f"minimum confidence is {place.minimum_confidence}, expected 0 to 1")
    photos, output = Path(photo_folder).resolve(), Path(output_folder).resolve()
    if photos.is_dir() and output.is_relative_to(photos):
        raise InputError(
            f"{output_folder}: lies among the photos of {photo_folder}, and its photos.png would "
            "be localised itself the next time; choose another output folder"
        )
    return find_photos(photo_folder)


def _ranking_length(place: Place, frames: Frames, descriptors: h5py.File) -> int:
    """Return the length of a photo's ranking, once the place's files have been checked."""
    count = len(descriptors["train/descriptor"])
    if count != frames.count("train"):
        raise InputError(
            f"{descriptors.filename}: describes {count} database images, expected the "
            f"{frames.count('train')} of {frames.path}; describe the frames again"
        )
    length = min(place.candidates, count - 1)
    check_choice(place.sampling, length, count, str(frames.path))
    return length


def _describer_of(
    descriptors: h5py.File, describer_file: Path, device: torch.device, workers: int
) -> Describer:
    """Return the describer that made the descriptors; refuse another one than was recorded."""
    settings = read_settings(descriptors)
    describer = load_describer(settings["descriptor"], describer_file, str(device), workers)
    recorded = {key: settings.get(key) for key in describer.made_by}
    if recorded != describer.made_by:
        raise InputError(
            f"{describer_file}: is {describer.made_by}, but {descriptors.filename} was made with "
            f"{recorded}; give the same file, or describe the frames again"
        )
    return describer
