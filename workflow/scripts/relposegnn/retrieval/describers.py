"""From an image to its descriptor, with a describer that is loaded from a file.

A describer is made once, and then describes any number of images: a scene's frames, new photos.
Its file is a vocabulary, recognised by the suffix ``.npz``, or else NetVLAD's trained checkpoint. A
vocabulary may contain a projection that shortens descriptors.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ..runtime import InputError, select_device
from ..threads import map_in_threads
from .projection import Projection
from .vlad import local_features, vlad
from .vocabulary import load_vocabulary, save_vocabulary

Descriptor = Literal["vlad", "netvlad"]


class Describer(NamedTuple):
    """A descriptor, ready for use.

    Attributes:
        rows: from images (H, W, 3) uint8 RGB of one size to their descriptors, float32 (D,) unit
            vectors, in the same order.
        made_by: plain values that identify the vocabulary or checkpoint, to be recorded.
    """

    rows: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
    made_by: dict[str, Any]


def load_describer(
    descriptor: Descriptor, describer_file: str | Path, device: str | None = None, workers: int = 1
) -> Describer:
    """Return the describer of a vocabulary or of a checkpoint.

    Args:
        descriptor: ``vlad`` or ``netvlad``.
        describer_file: vocabulary of ``descriptors.fit_vocabulary`` or ``fit_projection``; for
            NetVLAD also a checkpoint in the published layout.
        device: on which NetVLAD runs, see ``runtime.select_device``.
        workers: threads that describe images with VLAD, or that NetVLAD uses on a CPU.

    Raises:
        InputError: the file cannot be read, or is not for ``descriptor``.
    """
    arrays, made_by = _contents(descriptor, describer_file)
    projection = [arrays.pop(name) for name in Projection._fields if name in arrays]
    if descriptor == "vlad":
        rows = partial(map_in_threads, partial(_vlad_of, arrays["centroids"]), workers=workers)
    elif descriptor == "netvlad":
        from .netvlad import network_of, run_in_batches  # needs torch, which VLAD does not

        model, where = network_of(arrays, describer_file), select_device(device, workers)
        rows = partial(run_in_batches, model.to(where), device=where)
    else:
        raise unknown_descriptor(descriptor)
    if not projection:
        return Describer(rows, made_by)
    shorten = Projection(*projection).rows
    return Describer(lambda images: shorten(rows(images)), made_by)


def unknown_descriptor(descriptor: str) -> InputError:
    """Return the error of a descriptor that no code here is for."""
    return InputError(f"retrieval.descriptor is {descriptor!r}, expected vlad or netvlad")


def save_projected(
    path: str | Path,
    descriptor: Descriptor,
    describer_file: str | Path,
    projection: Projection,
    settings: Mapping[str, Any],
) -> None:
    """Write a vocabulary that describes like an existing describer, and then projects.

    Args:
        path: npz to write.
        descriptor: ``vlad`` or ``netvlad``.
        describer_file: of the existing describer, without a projection, see ``load_describer``.
        projection: of its descriptors.
        settings: how the projection was fitted.
    """
    arrays, made_by = _contents(descriptor, describer_file)
    recorded = made_by.get("vocabulary") or {**made_by, "clusters": len(arrays["pool.centroids"])}
    recorded |= {"projection": {**settings, "digest": projection.digest}}
    save_vocabulary(path, descriptor, arrays | projection._asdict(), recorded)


def _contents(
    descriptor: Descriptor, describer_file: str | Path
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a describer's file, and what is recorded about it."""
    if descriptor == "vlad" or Path(describer_file).suffix == ".npz":
        arrays, fitted = load_vocabulary(describer_file, descriptor)
        return arrays, {"vocabulary": fitted}
    from .netvlad import load_netvlad

    state = load_netvlad(describer_file).state_dict()
    arrays = {key: tensor.numpy() for key, tensor in state.items()}
    return arrays, {"checkpoint": Path(describer_file).name}


def _vlad_of(centroids: np.ndarray, image: np.ndarray) -> np.ndarray:
    return vlad(local_features(image), centroids)
