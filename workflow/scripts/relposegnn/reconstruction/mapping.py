"""Poses of the photos in a folder, by COLMAP (Schoenberger & Frahm, CVPR 2016) through pycolmap.

Key points (SIFT) and matches are kept beside the photos until the model is there: who begins again
after a kill goes on with them.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycolmap
from tqdm import tqdm

from ..folders import files_below, refuse_no_folder
from ..images import common_size
from ..layouts.colmap import IMAGE_SUFFIXES, IMAGES
from ..locks import sole_user
from ..runtime import InputError, atomic_path, make_folder
from ..scenes import recorded_order
from .pairs import pairs_to_match

logger = logging.getLogger(__name__)

MODELS = "sparse"  # the folder of COLMAP's models in a place's
UNFINISHED = ".find-poses"  # what is kept until the model is there
CAMERA = "SIMPLE_RADIAL"  # one focal length, and the first term of distortion
LONGEST_SIDE = 1600  # pixels, of the photos that key points are found in
PHOTOS_AT_ONCE, PAIRS_AT_ONCE = 4, 50  # between two looks at whether the user interrupts
FEWEST = 3  # photos
LEAST_MODEL = 10  # photos that COLMAP keeps a model of; all of them, where there are fewer
SHOWN_NAMES = 10
SEED = 0


class Reconstruction(NamedTuple):
    """What COLMAP made of some photos.

    Attributes:
        photos: their number.
        registered: of those with a pose.
        others: of those that only have poses in other models, whose world is another one.
        focal_length: of the camera, in longer sides of a photo.
        error: mean distance in pixels between key points and projections of their points.
    """

    photos: int
    registered: int
    others: int
    focal_length: float
    error: float


def find_poses(folder: str | Path, workers: int = 1) -> Reconstruction:
    """Write the poses of the photos below ``images/`` as a COLMAP model, ``sparse/0``.

    All are of one camera. Where they fall apart into several models the largest is written. The
    world has its origin, axes and unit of length by COLMAP's choice. Whatever is in ``sparse`` is
    replaced, at the end.

    Args:
        folder: of the place.
        workers: threads.

    Raises:
        InputError: there are too few photos, they have several sizes or cannot be read, or COLMAP
            finds no model of them.
    """
    folder = Path(folder)
    photos = _photos(folder / IMAGES)
    size, _ = common_size(photos, workers)
    with sole_user(folder / f"{UNFINISHED}.lock", str(folder)), _quiet():
        pycolmap.set_random_seed(SEED)
        work = _Work(folder, photos, workers)
        work.find_key_points()
        work.match(pairs_to_match(photos, size, workers))
        model, others = work.reconstruct()
        with atomic_path(folder / MODELS) as partial:
            (partial / "0").mkdir(parents=True)
            model.write_binary(partial / "0")
        work.remove()
    (camera,) = model.cameras.values()
    length = camera.mean_focal_length() / max(size)
    error = model.compute_mean_reprojection_error()
    return Reconstruction(len(photos), model.num_reg_images(), others, length, error)


def scale_model(folder: str | Path, first: str, second: str, metres: float) -> float:
    """Scale the COLMAP model ``sparse/0`` so that two photos were taken so many metres apart.

    Args:
        folder: of the place.
        first: a photo with a pose, relative to ``images/``.
        second: another one.
        metres: between the centres of their cameras.

    Returns:
        The factor by which the model grew.

    Raises:
        InputError: there is no such model in binary files, a photo has no pose in it, or both were
            taken at one place.
    """
    path = Path(folder) / MODELS / "0"
    if not (path / "images.bin").is_file():
        raise InputError(
            f"{path}: holds no model of COLMAP's in binary files, expected images.bin and the "
            "others there; relposegnn find-poses makes one, COLMAP's model_converter one of text"
        )
    try:
        model = pycolmap.Reconstruction(path)
    except (ValueError, LookupError, RuntimeError, OSError) as error:
        raise InputError(
            f"{path}: cannot be read as a COLMAP model ({error}); make it again"
        ) from error
    centres = {
        image.name: image.projection_center() for image in model.images.values() if image.has_pose
    }
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
    factor = metres / apart
    model.transform(pycolmap.Sim3d(factor, pycolmap.Rotation3d(), np.zeros(3)))
    with atomic_path(path) as partial:
        shutil.copytree(path, partial)  # with what else is in it
        model.write_binary(partial)
    return factor


def _photos(images: Path) -> list[Path]:
    """Return the photos below a folder in the order in which they were taken, by their names."""
    refuse_no_folder(images, "the folder of the photos whose poses are to be found")
    found = [path for path in files_below(images) if path.suffix.lower() in IMAGE_SUFFIXES]
    if len(found) < FEWEST:
        raise InputError(
            f"{images}: holds {len(found)} PNG or JPEG files, expected at least {FEWEST} photos of "
            "one place, better a few hundred; convert those of another kind, such as HEIC"
        )
    return sorted(found, key=lambda path: recorded_order(path.relative_to(images).as_posix()))


@contextmanager
def _quiet() -> Iterator[None]:
    """Let COLMAP tell of nothing but failures in the block."""
    before = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = before


class _Work:
    """COLMAP's database, and links to photos by names without blanks, which its lists end at."""

    def __init__(self, folder: Path, photos: Sequence[Path], workers: int) -> None:
        """Make the folder, or take what is in it, unless a photo is newer than that."""
        self._images, self._folder, self._workers = folder / IMAGES, folder / UNFINISHED, workers
        self._database, self._links = self._folder / "database.db", self._folder / "photos"
        if self._database.exists():
            written = self._database.stat().st_mtime
            if any(path.stat().st_ctime > written for path in photos):
                logger.info("%s: photos are newer than what was begun; all begins anew", folder)
                self.remove()
            else:
                logger.info("%s: goes on with what was begun", folder)
        make_folder(self._links)
        self._photos = {self._link(path).name: path for path in photos}

    def find_key_points(self) -> None:
        """Find the key points of all photos that have none yet."""
        names = list(self._photos)
        reader = pycolmap.ImageReaderOptions(camera_model=CAMERA)
        with pycolmap.Database.open(self._database) as database:
            if cameras := database.read_all_cameras():
                reader.existing_camera_id = cameras[0].camera_id
        how = {"camera_mode": pycolmap.CameraMode.SINGLE}
        files = self._database, self._links
        pycolmap.import_images(*files, image_names=names, options=reader, **how)
        options = pycolmap.FeatureExtractionOptions(
            max_image_size=LONGEST_SIDE, num_threads=self._workers
        )
        how |= {"reader_options": reader, "extraction_options": options}
        for some in _parts(names, PHOTOS_AT_ONCE, "key points"):
            pycolmap.extract_features(*files, image_names=some, **how)

    def match(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Match pairs of photos, by their rows, where that was not done yet."""
        names, listed = list(self._photos), self._folder / "pairs.txt"
        options = pycolmap.FeatureMatchingOptions(num_threads=self._workers)
        for some in _parts(pairs, PAIRS_AT_ONCE, "matches"):
            listed.write_text("".join(f"{names[a]} {names[b]}\n" for a, b in some))
            pairing = pycolmap.ImportedPairingOptions(match_list_path=listed)
            pycolmap.match_image_pairs(
                self._database, matching_options=options, pairing_options=pairing
            )

    def reconstruct(self) -> tuple[pycolmap.Reconstruction, int]:
        """Return the largest model, and how many other photos have poses in other models."""
        count = len(self._photos)
        options = pycolmap.IncrementalPipelineOptions(
            num_threads=self._workers, random_seed=SEED, min_model_size=min(LEAST_MODEL, count)
        )
        with (
            atomic_path(self._folder / "models") as made,
            tqdm(total=count, desc="poses", unit="photo") as bar,
        ):
            made.mkdir()
            files = self._database, self._links, made
            found = pycolmap.incremental_mapping(*files, options, next_image_callback=bar.update)
        models = sorted(found.values(), key=lambda model: model.num_reg_images())
        if not models:
            raise InputError(
                f"{self._images}: COLMAP finds no poses, expected photos of one place of which "
                "each shows some of what others show, from another spot; take more, with steps "
                "between them and less blur, or turn less from one to the next"
            )
        own, *others = (
            {image.name for image in model.images.values()} for model in reversed(models)
        )
        for image in models[-1].images.values():
            image.name = self._photos[image.name].relative_to(self._images).as_posix()
        return models[-1], len(set().union(*others) - own)

    def remove(self) -> None:
        """Remove what was kept until the model is there."""
        shutil.rmtree(self._folder)

    def _link(self, path: Path) -> Path:
        """Return a link to a photo, by a name that stays when others come."""
        name = path.relative_to(self._images).as_posix()
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
        link = self._links / f"{digest[:20]}{path.suffix.lower()}"
        if not link.is_symlink():
            link.symlink_to(path.resolve())
        return link


def _parts(items: Sequence, size: int, what: str) -> Iterator[Sequence]:
    """Yield items, so many at once, and show how many are done."""
    with tqdm(total=len(items), desc=what) as bar:
        for start in range(0, len(items), size):
            yield items[start : start + size]
            bar.update(len(items[start : start + size]))
