"""Find the poses of a folder of photos with COLMAP (Schoenberger & Frahm, CVPR 2016)."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..colmap_library import load_pycolmap
from ..data.images import common_size
from ..layouts.colmap import IMAGES, find_model, pose_of, read_model
from ..locks import sole_user
from ..runtime import InputError, atomic_path, disk_errors_named
from .alignment import Alignment, align_poses
from .pairs import pairs_to_match
from .photos import photos_of, refuse_no_photos, warn_of_lenses
from .work import SEED, UNFINISHED, Work

pycolmap = load_pycolmap()

logger = logging.getLogger(__name__)

MODELS = "sparse"  # sub-folder of the place's folder, with COLMAP's models


class Reconstruction(NamedTuple):
    """COLMAP's result for a folder of photos.

    Attributes:
        photos: number of photos.
        registered: number of photos with a pose.
        others: number of photos that only have a pose in another model, with another world.
        focal_length: of the camera, in longer sides of a photo.
        error: mean reprojection error, pixels.
        alignment: of the model's world to that of the replaced poses, in which it is written; None
            if there were none, or if they could not be aligned.
    """

    photos: int
    registered: int
    others: int
    focal_length: float
    error: float
    alignment: Alignment | None


def find_poses(folder: str | Path, workers: int = 1, force: bool = False) -> Reconstruction:
    """Write the poses of the photos below ``images/`` as a COLMAP model, ``sparse/0``.

    The photos must be of one camera. If COLMAP makes several models of them, the largest is
    written. The world's origin, axes and unit of length are those of the poses that are replaced,
    else COLMAP's choice.

    Args:
        folder: of the place.
        workers: threads; with several, poses of two runs differ as far as COLMAP leaves them open.
        force: replace ``sparse``, after the new poses are found.

    Raises:
        InputError: there are poses already, or too few photos, or none; photos differ in size or
            cannot be read; COLMAP finds no model; or the disk is full.
    """
    folder = Path(folder)
    refuse_no_photos(folder)
    with (
        disk_errors_named(folder),
        sole_user(folder / f"{UNFINISHED}.lock", str(folder)),
        _failures_told(folder),
    ):
        check_free(folder, force)  # again, because another process may have finished meanwhile
        photos = photos_of(folder / IMAGES)
        size, _ = common_size(photos, workers)
        warn_of_lenses(photos, workers)
        pairs = pairs_to_match(photos, size, workers)  # reads all photos, and so checks them
        names = [path.relative_to(folder / IMAGES).as_posix() for path in photos]
        pycolmap.set_random_seed(SEED)
        work = Work(folder, list(zip(names, photos, strict=True)), workers)
        work.find_key_points()
        work.match(pairs)
        model, others = _largest(work.reconstruct(), folder / IMAGES)
        alignment = align_poses(_poses_before(folder), _poses_of(model))
        if alignment:
            rotation = pycolmap.Rotation3d(alignment.rotation.as_quat())
            model.transform(pycolmap.Sim3d(alignment.scale, rotation, alignment.translation))
        with atomic_path(folder / MODELS) as partial:
            (partial / "0").mkdir(parents=True)
            model.write_binary(partial / "0")
        os.utime(folder)
        work.remove()
    (camera,) = model.cameras.values()
    length = camera.mean_focal_length() / max(size)
    error = model.compute_mean_reprojection_error()
    return Reconstruction(len(photos), model.num_reg_images(), others, length, error, alignment)


def check_free(folder: Path, force: bool) -> None:
    """Raise InputError if a model may not be written: there is one already, or a link."""
    models = folder / MODELS
    if models.is_symlink():
        raise InputError(f"{models}: is a link, expected a folder or nothing; move it away")
    found = find_model(folder) or models
    if found.exists() and not force:
        raise InputError(
            f"{found}: has poses already; --force finds them again, in the same world frame and "
            "scale, and --distance alone scales them to metres"
        )


def _poses_before(folder: Path) -> dict[str, np.ndarray]:
    """Return the present poses of a place by the photos' names; none if they cannot be read.

    Photos that are newer than the poses are left out: the poses may be those of other photos that
    had these names, such as stills of the same video at another rate.
    """
    model = find_model(folder)
    if model is None:
        return {}
    try:
        poses = read_model(model)[0]
    except InputError as error:
        logger.warning("the new poses have a new world frame: %s", error)
        return {}
    files = {name: folder / IMAGES / name for name in poses}
    states = {name: path.stat() for name, path in files.items() if path.is_file()}
    made = max(path.stat().st_mtime_ns for path in model.glob("images.*"))
    newer = {name for name, state in states.items() if state.st_mtime_ns > made}
    if newer:
        logger.warning(
            "%s: %d photos are newer than the previous poses, which may be of other photos of "
            "these names; the new poses are aligned without them",
            *(folder / IMAGES, len(newer)),
        )
    return {name: pose for name, pose in poses.items() if name not in newer}


def _poses_of(model: "pycolmap.Reconstruction") -> dict[str, np.ndarray]:
    """Return the poses ``world_from_cam`` (4, 4) of a model's images, by their names."""
    return {image.name: pose_of(image) for image in model.images.values() if image.has_pose}


def _largest(
    models: "Sequence[pycolmap.Reconstruction]", images: Path
) -> "tuple[pycolmap.Reconstruction, int]":
    """Return the first model with points, and how many photos only have poses in others.

    Raises:
        InputError: there is no model with points.
    """
    models = [model for model in models if model.num_points3D()]
    if not models:
        raise InputError(
            f"{images}: COLMAP finds no poses, expected photos of one place that overlap and are "
            "taken from different positions; take more, with steps between them and less blur, and "
            "turn less from one to the next"
        )
    own, *others = ({image.name for image in model.images.values()} for model in models)
    return models[0], len(set().union(*others) - own)


@contextmanager
def _failures_told(folder: Path) -> Iterator[None]:
    """Silence COLMAP's log in the block, except crashes, and raise its failures as InputError."""
    before = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
    try:
        yield
    except RuntimeError as error:
        raise InputError(
            f"{folder}: COLMAP failed ({error}); is the disk full? The same command resumes"
        ) from error
    finally:
        pycolmap.logging.minloglevel = before
