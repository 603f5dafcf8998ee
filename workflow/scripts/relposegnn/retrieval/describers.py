"""From an image to its descriptor, by the file that a descriptor needs.

A describer is made once, and then describes any number of images: a scene's frames, new photos.
Its file is a vocabulary, told by the suffix ``.npz``, or else NetVLAD's trained checkpoint.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ..runtime import map_in_threads, select_device
from .vlad import local_features, vlad
from .vocabulary import load_vocabulary

Descriptor = Literal["vlad", "netvlad"]


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
    descriptor: Descriptor, describer_file: str | Path, device: str | None = None, workers: int = 1
) -> Describer:
    """Return the describer of a vocabulary or of a checkpoint.

    Args:
        descriptor: ``vlad`` or ``netvlad``.
        describer_file: vocabulary of ``descriptors.fit_vocabulary``; for NetVLAD also a checkpoint
            in the published layout.
        device: that NetVLAD runs on, see ``runtime.select_device``.
        workers: threads that describe images with VLAD, or that NetVLAD uses on a CPU.

    Raises:
        InputError: the file cannot be read, or is not of ``descriptor``.
    """
    if descriptor == "vlad":
        arrays, fitted = load_vocabulary(describer_file, "vlad")

        def describe(image: np.ndarray) -> np.ndarray:
            return vlad(local_features(image), arrays["centroids"])

        return Describer(
            lambda images: map_in_threads(describe, images, workers), {"vocabulary": fitted}
        )
    from .netvlad import read_netvlad, run_in_batches  # they load torch, which VLAD does without

    model, made_by = read_netvlad(describer_file)
    where = select_device(device, workers)
    model.to(where)
    return Describer(lambda images: run_in_batches(model, images, where), made_by)
