"""New photos before the graph network sees them: read, described, ranked, encoded."""

import itertools
import logging
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from tqdm import tqdm

from ..frames import Frames
from ..localization import encode_images
from ..model import RelPoseGNN
from ..retrieval.describers import Describer, load_describer, map_in_threads
from ..retrieval.ranking import build_index, rank
from ..runtime import InputError
from ..storage import read_settings
from .files import read_photo

logger = logging.getLogger(__name__)

PHOTOS_AT_ONCE = 64  # in memory


class Recognised(NamedTuple):
    """What is known of N photos before the graph network sees them.

    Attributes:
        features: (N, C) of the network's encoder, on the device.
        ranked: (N, K) database images, most similar first.
        similarity: (N,) to the first of them.
    """

    features: torch.Tensor
    ranked: np.ndarray
    similarity: np.ndarray


def describer_of(
    descriptors: h5py.File,
    vocabulary_file: str | Path | None,
    netvlad_checkpoint: str | Path | None,
    device: torch.device,
    workers: int,
) -> Describer:
    """Return the describer that made the descriptors.

    Raises:
        InputError: the vocabulary or checkpoint is another than was recorded.
    """
    settings = read_settings(descriptors)
    descriptor = settings["descriptor"]
    source = vocabulary_file, netvlad_checkpoint
    describer = load_describer(descriptor, *source, str(device), workers)
    recorded = {key: settings.get(key) for key in describer.made_by}
    if recorded != describer.made_by:
        raise InputError(
            f"{vocabulary_file or netvlad_checkpoint}: is {describer.made_by}, but "
            f"{descriptors.filename} was made with {recorded}; give the same file, or describe the "
            "frames again"
        )
    return describer


def recognise(
    paths: list[Path],
    model: RelPoseGNN,
    frames: Frames,
    descriptors: h5py.File,
    describer: Describer,
    device: torch.device,
    workers: int,
    candidates: int,
) -> Recognised:
    """Read photos, describe them, rank the database for them and encode them."""
    settings, database = read_settings(descriptors), descriptors["train/descriptor"]
    sizes = (settings["width"], settings["height"]), frames.image_shape[::-1]
    length = min(candidates, len(database) - 1)
    index = build_index(database, length + 1)
    blocks, cut = [], 0
    reading = map_in_threads(lambda path: read_photo(path, *sizes), paths, workers)
    progress = iter(tqdm(reading, "reading photos", len(paths), unit="img", disable=None))
    while photos := list(itertools.islice(progress, PHOTOS_AT_ONCE)):
        rows = np.stack(list(describer.rows(photo.describing for photo in photos)))
        _check_length(rows, database)
        ranked, similarity = rank(index, rows, length)
        packed = np.stack([photo.packed for photo in photos])
        blocks.append((encode_images(model, packed, frames, device), ranked, similarity[:, 0]))
        cut += sum(photo.cut > 0 for photo in photos)
    if cut:
        logger.warning(
            "%d of %d photos have another aspect than the scene's images (%d x %d): only their "
            "centre is used",
            *(cut, len(paths), *sizes[1]),
        )
    features, ranked, similarity = zip(*blocks, strict=True)
    return Recognised(torch.cat(features), np.concatenate(ranked), np.concatenate(similarity))


def _check_length(rows: np.ndarray, database: h5py.Dataset) -> None:
    if rows.shape[1] != database.shape[1]:
        raise InputError(
            f"{database.file.filename}: holds descriptors of {database.shape[1]} numbers, the "
            f"photos' have {rows.shape[1]}; describe the frames again"
        )
