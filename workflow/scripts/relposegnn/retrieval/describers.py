"""From an image to its descriptor, by the file that a descriptor needs.

A describer is made once, from a vocabulary or from NetVLAD's checkpoint, and then describes any
number of images: a scene's frames, new photos.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch

from ..runtime import InputError, map_in_threads, select_device
from ..weights import load_weights
from .netvlad import NetVLAD, encoder_input, load_netvlad
from .vlad import local_features, vlad
from .vocabulary import load_vocabulary

Descriptor = Literal["vlad", "netvlad"]

BATCH = 16  # images that NetVLAD takes at once


class Describer(NamedTuple):
    """A descriptor, ready for use.

    Attributes:
        rows: from images (H, W, 3) uint8 RGB of one size to their descriptors, float32 (D,) unit
            vectors, in the same order.
        made_by: plain values that say which vocabulary or checkpoint it is, to record.
    """

    rows: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
    made_by: dict[str, Any]


def load_describer(
    descriptor: Descriptor,
    vocabulary_file: str | Path | None = None,
    netvlad_checkpoint: str | Path | None = None,
    device: str | None = None,
    workers: int = 1,
) -> Describer:
    """Return the describer of a vocabulary or of a checkpoint.

    Args:
        descriptor: ``vlad`` or ``netvlad``.
        vocabulary_file: of ``descriptors.fit_vocabulary``; None where there is a checkpoint.
        netvlad_checkpoint: trained NetVLAD in the published layout; None where there is a
            vocabulary.
        device: that NetVLAD runs on, see ``runtime.select_device``.
        workers: threads that describe images with VLAD, or that NetVLAD uses on a CPU.

    Raises:
        InputError: the vocabulary or the checkpoint cannot be read, or is not of ``descriptor``.
    """
    _check_source(descriptor, vocabulary_file, netvlad_checkpoint)
    if descriptor == "vlad":
        arrays, fitted = load_vocabulary(vocabulary_file, "vlad")
        rows = partial(_vlad_rows, arrays["centroids"], workers)
        return Describer(rows, {"vocabulary": fitted})
    model, made_by = _netvlad(vocabulary_file, netvlad_checkpoint)
    return Describer(partial(_netvlad_rows, model.to(select_device(device, workers))), made_by)


def _check_source(
    descriptor: Descriptor, vocabulary_file: str | Path | None, checkpoint: str | Path | None
) -> None:
    wrong = checkpoint is not None and descriptor == "vlad"
    if wrong or (vocabulary_file is None) == (checkpoint is None):
        expected = "a vocabulary" if descriptor == "vlad" else "either a vocabulary or a checkpoint"
        raise InputError(
            f"{descriptor}: got vocabulary {vocabulary_file} and checkpoint {checkpoint}, "
            f"expected {expected}"
        )


def _netvlad(
    vocabulary_file: str | Path | None, checkpoint: str | Path | None
) -> tuple[NetVLAD, dict[str, Any]]:
    """Return NetVLAD from the file that is given, and what to record of it."""
    if checkpoint is not None:
        return load_netvlad(checkpoint), {"checkpoint": Path(checkpoint).name}
    arrays, settings = load_vocabulary(vocabulary_file, "netvlad")
    model = NetVLAD(settings["clusters"])
    load_weights(model, {k: torch.from_numpy(v) for k, v in arrays.items()}, vocabulary_file)
    return model.eval(), {"vocabulary": settings}


def _vlad_rows(
    centroids_KD: np.ndarray, workers: int, images: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield the descriptor (K D,) of each image."""
    cv2.setNumThreads(1)  # ``workers`` says how many there are
    return map_in_threads(lambda image: vlad(local_features(image), centroids_KD), images, workers)


def _netvlad_rows(model: NetVLAD, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the descriptor (K 512,) of each image."""
    device = model.pool.centroids.device
    for batch in image_batches(images):
        with torch.inference_mode():
            rows = model(encoder_input(batch, device))
        yield from rows.cpu().numpy()


def image_batches(images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield images of one size as arrays (n, H, W, 3), n <= ``BATCH``."""
    images = iter(images)
    while batch := list(itertools.islice(images, BATCH)):
        yield np.stack(batch)
