"""Poses of new photos in a scene, by a trained run: no pose of them is known, and none is asked."""

import logging
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
import torch

from ..checkpoints import load_model
from ..frames import Frames
from ..graphs import (
    SamplingSettings,
    random_neighbours,
    sequential_neighbours,
    strided_neighbours,
)
from ..localization import aggregate, candidates_from_relative, encode_frames, relate_graphs
from ..model import RelPoseGNN
from ..poses import vector_from_pose
from ..runtime import InputError, atomic_path, numpy_generator
from ..storage import open_hdf5
from .confidence import SimilarityScale, confidence, pair_spread, similarity_scale
from .files import find_photos
from .picture import plot_photos
from .pose_formats import write_colmap, write_tum
from .recognition import Recognised, describer_of, recognise

logger = logging.getLogger(__name__)

CANDIDATES = 200  # length of a ranking, as the workflow's default
GRAPHS_PER_PASS = 32
POSE = ["tx", "ty", "tz", "qw", "qx", "qy", "qz"]


class PhotoOutputs(NamedTuple):
    """The files that a localisation writes."""

    csv: Path
    tum: Path
    colmap: Path
    picture: Path

    @classmethod
    def in_folder(cls, folder: str | Path) -> "PhotoOutputs":
        """Return the files with their usual names."""
        names = ("poses.csv", "poses.txt", "images.txt", "photos.png")
        return cls(*(Path(folder) / name for name in names))


def localise_photos(
    model_file: str | Path,
    frames_file: str | Path,
    descriptors_file: str | Path,
    photo_folder: str | Path,
    outputs: PhotoOutputs,
    device: torch.device,
    sampling: SamplingSettings,
    vocabulary_file: str | Path | None = None,
    netvlad_checkpoint: str | Path | None = None,
    workers: int = 1,
    minimum_confidence: float = 0.0,
    candidates: int = CANDIDATES,
) -> pd.DataFrame:
    """Estimate the pose of every photo in a folder, write the results and return them.

    A row per photo: ``image``; ``tx ty tz`` in metres, ``qw qx qy qz``, camera-to-world, the robust
    aggregate of all edges into it, not finite where it failed; ``confidence``; ``accepted``;
    ``similarity`` to the ``nearest`` database image; ``spread_m``, ``spread_deg``, medians between
    two edges' estimates. A photo's pose does not depend on the other photos.

    Args:
        model_file: trained run.
        frames_file: of the scene.
        descriptors_file: of the scene; photos are described as these were.
        photo_folder: with JPEG and PNG files, also in sub-folders.
        outputs: files to write. TUM and COLMAP hold the accepted photos alone.
        device: to compute on.
        sampling: how neighbours are chosen; its seed and a photo's name fix them.
        vocabulary_file: that the descriptors were made with, or
        netvlad_checkpoint: likewise.
        workers: threads that decode and describe photos.
        minimum_confidence: 0 to 1, of accepted photos.
        candidates: length of the ranking that neighbours are chosen from.

    Raises:
        InputError: a photo cannot be read, there is none, or the files do not belong together.
    """
    names = _requested_photos(photo_folder, outputs, minimum_confidence)
    paths = [Path(photo_folder, name) for name in names]
    model = load_model(model_file).to(device, memory_format=torch.channels_last)
    with Frames(frames_file) as frames, open_hdf5(descriptors_file, "descriptors") as file:
        _check_database(frames, file, sampling, candidates)
        describer = describer_of(file, vocabulary_file, netvlad_checkpoint, device, workers)
        recognised = recognise(paths, model, frames, file, describer, device, workers, candidates)
        scale = similarity_scale(file["train/descriptor"])
        table = _estimate(names, model, frames, recognised, sampling, scale, device)
        table["accepted"] = np.isfinite(table["tx"]) & (table["confidence"] >= minimum_confidence)
        _write(table, outputs, photo_folder, frames, minimum_confidence)
    return table


def choose_neighbours(
    names: list[str], ranked: np.ndarray, frames: Frames, sampling: SamplingSettings
) -> np.ndarray:
    """Return the neighbours (N, k) of each photo, drawn by a generator of its name."""
    return np.concatenate(
        [
            _choose(
                ranked[[row]],
                frames,
                sampling,
                numpy_generator(sampling.seed, "photos", frames.scene, name),
            )
            for row, name in enumerate(names)
        ]
    )


def _choose(
    ranked: np.ndarray, frames: Frames, sampling: SamplingSettings, generator: np.random.Generator
) -> np.ndarray:
    """Return the neighbours (1, k) of one photo by its ranking (1, K)."""
    database, count = frames.names("train"), sampling.neighbours
    if sampling.selection == "strided":
        return strided_neighbours(ranked, sampling, generator)[0]
    if sampling.selection == "random":
        return random_neighbours(1, len(database), count, generator, within=False)
    if sampling.selection == "sequential":
        return sequential_neighbours(ranked[:, 0], database, count, within=False)
    raise InputError(
        f"selection of neighbours is {sampling.selection!r}, expected strided, random or sequential"
    )


def _estimate(
    names: list[str],
    model: RelPoseGNN,
    frames: Frames,
    recognised: Recognised,
    sampling: SamplingSettings,
    scale: SimilarityScale,
    device: torch.device,
) -> pd.DataFrame:
    """Return the table of ``localise_photos``, no photo accepted yet."""
    neighbours = choose_neighbours(names, recognised.ranked, frames, sampling)
    distinct, row = np.unique(neighbours, return_inverse=True)
    features = [recognised.features, encode_frames(model, frames, "train", distinct, device)]
    photos = np.arange(len(neighbours))[:, None]
    nodes = np.concatenate([photos, row.reshape(neighbours.shape) + len(neighbours)], axis=1)
    relative, source = relate_graphs(model, torch.cat(features), nodes, GRAPHS_PER_PASS)
    database = vector_from_pose(frames.poses("train"))
    known = np.take_along_axis(database[neighbours], source[..., None] - 1, axis=1)
    estimates = candidates_from_relative(relative, known)
    table = pd.DataFrame(np.concatenate(aggregate(estimates), axis=1), columns=POSE)
    spread = pair_spread(*estimates)
    table["confidence"] = confidence(*spread, frames.poses("train"), recognised.similarity, scale)
    table["accepted"] = False
    table["similarity"] = recognised.similarity
    table["spread_m"], table["spread_deg"] = spread
    table["nearest"] = np.asarray(frames.names("train"))[recognised.ranked[:, 0]]
    table.insert(0, "image", names)
    return table


def _write(
    table: pd.DataFrame,
    outputs: PhotoOutputs,
    photo_folder: str | Path,
    frames: Frames,
    minimum_confidence: float,
) -> None:
    accepted = table[table["accepted"]]
    logger.info("%d of %d photos accepted", len(accepted), len(table))
    poses = accepted[POSE].to_numpy()
    listed = list(accepted["image"]), poses[:, :3], poses[:, 3:]
    plot_photos(table, photo_folder, frames, minimum_confidence, outputs.picture)
    write_tum(outputs.tum, *listed)
    write_colmap(outputs.colmap, *listed)
    with atomic_path(outputs.csv) as partial:
        written = table.assign(accepted=table["accepted"].map({True: "true", False: "false"}))
        written.to_csv(partial, index=False, float_format="%.9g")


def _requested_photos(
    photo_folder: str | Path, outputs: PhotoOutputs, minimum_confidence: float
) -> list[str]:
    """Return the names of the photos, once the request has been checked."""
    if not 0 <= minimum_confidence <= 1:
        raise InputError(f"minimum confidence is {minimum_confidence}, expected 0 to 1")
    if Path(outputs.picture).resolve().is_relative_to(Path(photo_folder).resolve()):
        raise InputError(
            f"{outputs.picture}: lies among the photos of {photo_folder}, and would be localised "
            "itself the next time; choose another output folder"
        )
    return find_photos(photo_folder)


def _check_database(
    frames: Frames, descriptors: h5py.File, sampling: SamplingSettings, candidates: int
) -> None:
    count = len(descriptors["train/descriptor"])
    if count != frames.count("train"):
        raise InputError(
            f"{descriptors.filename}: describes {count} database images, expected the "
            f"{frames.count('train')} of {frames.path}; describe the frames again"
        )
    if min(candidates, count - 1) < sampling.neighbours:
        raise InputError(
            f"{frames.path}: {count} database images, of which {min(candidates, count - 1)} can be "
            f"ranked, expected at least {sampling.neighbours} neighbours of a graph to choose from"
        )
