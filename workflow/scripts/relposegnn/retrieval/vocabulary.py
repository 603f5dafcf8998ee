"""Visual vocabularies: k-means centroids of local features, and the files that hold them.

A vocabulary file is an npz with the arrays that a descriptor needs, and three strings:
``descriptor`` (``vlad`` or ``netvlad``), ``settings`` (JSON) and ``version`` (of this package).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import faiss
import numpy as np

from ..files.json_files import READING_ERRORS
from ..files.limits import check_npz, refuse_special_file
from ..runtime import InputError, atomic_path, derive_seed
from ..version import VERSION

ITERATIONS = 25
SIFT_LENGTH = 128
POINTS_PER_CLUSTER = 256  # as many as faiss uses


def fit_centroids(
    points_ND: np.ndarray, clusters: int, seed: int, source: str = "vocabulary"
) -> np.ndarray:
    """Return k-means centroids (K, D), float32, of points (N, D); deterministic for a seed.

    ``source`` names the origin of the points in messages.

    Raises:
        InputError: there are fewer points than clusters, or points are not finite.
    """
    points_ND = np.ascontiguousarray(points_ND, dtype=np.float32)
    if len(points_ND) < clusters:
        raise InputError(
            f"{source}: got {len(points_ND)} local features for {clusters} clusters, expected at "
            "least one each; are the training images textured and large enough?"
        )
    kmeans = faiss.Kmeans(
        points_ND.shape[1],
        clusters,
        niter=ITERATIONS,
        seed=derive_seed(seed, "k-means") % 2**31,  # a signed 32-bit number in faiss
        min_points_per_centroid=1,
        max_points_per_centroid=POINTS_PER_CLUSTER,
    )
    kmeans.train(points_ND)
    if not np.isfinite(kmeans.centroids).all():
        raise InputError(
            f"{source}: k-means failed because local features are not finite, expected numbers"
        )
    return kmeans.centroids


def save_vocabulary(
    path: str | Path,
    descriptor: str,
    arrays: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
) -> None:
    """Write the arrays that ``descriptor`` needs, and the settings that they were made with."""
    labels = {"descriptor": descriptor, "settings": json.dumps(dict(settings)), "version": VERSION}
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays, **labels)


def load_vocabulary(
    path: str | Path, descriptor: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a vocabulary file and the settings that they were made with.

    Raises:
        InputError: the file cannot be read, or is a vocabulary for another descriptor.
    """
    refuse_special_file(path)
    try:
        check_npz(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        found = str(arrays.pop("descriptor", "no vocabulary"))
        if found != descriptor:
            raise InputError(
                f"{path}: holds {found}, expected a vocabulary for {descriptor}; fit one"
            )
        arrays.pop("version")
        settings = dict(json.loads(str(arrays.pop("settings"))).items())
        for name, array in arrays.items():
            if array.dtype.kind != "f" or not (array.size and np.isfinite(array).all()):
                raise ValueError(f"{name} is empty or has numbers that are not finite")
        _check_shapes(arrays, descriptor)
    except InputError:
        raise
    except (*READING_ERRORS, EOFError, BadZipFile) as error:
        raise InputError(
            f"{path}: cannot be read as a vocabulary ({error}), expected one as this version "
            "writes it; fit it again"
        ) from error
    return arrays, settings


def _check_shapes(arrays: Mapping[str, np.ndarray], descriptor: str) -> None:
    """Raise ValueError if shapes of arrays do not fit; a network checks its own."""
    length = None
    if descriptor == "vlad":
        clusters, width = arrays["centroids"].shape
        if width != SIFT_LENGTH:
            raise ValueError(f"centroids have length {width}, expected {SIFT_LENGTH}")
        length = clusters * width
    if "mean" in arrays or "components" in arrays:
        (length_of_mean,), (_, length_of_rows) = (arrays[n].shape for n in ("mean", "components"))
        if {length_of_mean, length_of_rows} - {length or length_of_mean}:
            raise ValueError(
                f"a projection of lengths {length_of_mean} and {length_of_rows}, expected {length}"
            )
