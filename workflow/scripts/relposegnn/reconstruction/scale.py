"""Scale a model to metres by the measured distance between the positions of two photos."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..colmap_library import load_pycolmap
from ..layouts.colmap import IMAGES, find_model, read_model
from ..layouts.scenes import recorded_order
from ..runtime import InputError, atomic_path
from .mapping import MODELS

pycolmap = load_pycolmap()

METRES = (1e-3, 1e5)  # between two photos
SHOWN_NAMES = 10


Distance = tuple[str, str, float]  # two photos, relative to ``images/``, and metres between them


def scale_model(folder: str | Path, distances: Sequence[Distance]) -> tuple[float, list[float]]:
    """Scale the COLMAP model of a place so that photos are the given distances apart.

    Several distances are fitted by least squares. The date of the place's folder is renewed, so
    that the workflow notices the change.

    Args:
        folder: of the place.
        distances: between camera centres, of photos that have poses.

    Returns:
        The factor by which the model was scaled, and the distances in it afterwards, in metres.

    Raises:
        InputError: there is no such model in binary files, it is damaged, a photo has no pose in
            it, two were taken at the same place, or a distance is out of range.
    """
    path = find_model(Path(folder)) or Path(folder) / MODELS / "0"
    for *_, metres in distances:
        if not METRES[0] <= metres <= METRES[1]:
            raise InputError(f"got {metres:g} metres, expected {METRES[0]:g} to {METRES[1]:g}")
    if path == Path(folder):
        raise InputError(
            f"{path}: is a place with a COLMAP model beside its photos, expected the model's files "
            f"in a folder of their own; move them to {path / MODELS / '0'}"
        )
    if not (path / "images.bin").is_file():
        raise InputError(
            f"{path}: holds no binary COLMAP model, expected images.bin, cameras.bin and "
            "points3D.bin; make one with relposegnn find-poses, or convert a text model with "
            "COLMAP's model_converter"
        )
    centres = {name: pose[:3, 3] for name, pose in read_model(path)[0].items()}
    apart = np.array([_apart(centres, *pair, path) for *pair, _ in distances])
    told = np.array([metres for *_, metres in distances])
    factor = float(told @ apart / (apart @ apart))
    model = pycolmap.Reconstruction(path)
    model.transform(pycolmap.Sim3d(factor, pycolmap.Rotation3d(), np.zeros(3)))
    with atomic_path(path) as partial:
        shutil.copytree(path, partial)  # keeps other files
        model.write_binary(partial)
    os.utime(folder)
    return factor, (factor * apart).tolist()


def _apart(centres: Mapping[str, np.ndarray], first: str, second: str, path: Path) -> float:
    """Return the distance of two photos in a model; InputError if it is 0 or one has no pose."""
    for name in (first, second):
        if name not in centres:
            known = ", ".join(sorted(centres, key=recorded_order)[:SHOWN_NAMES])
            raise InputError(
                f"{path}: has no photo {name!r} with a pose, expected a path relative to "
                f"{IMAGES}/, such as {known}"
            )
    apart = float(np.linalg.norm(centres[first] - centres[second]))
    if not apart > 0:
        raise InputError(
            f"{first}, {second}: were taken at the same place, expected two places whose distance "
            "was measured; choose others"
        )
    return apart
