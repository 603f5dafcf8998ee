"""The photos of a place for structure from motion: files below ``images/``."""

import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path

from ..data.images import opened_image
from ..files.folders import files_below, refuse_no_folder
from ..layouts.colmap import IMAGE_SUFFIXES, IMAGES
from ..layouts.scenes import recorded_order
from ..photos.files import check_names, count_suffixes, exif_focal_length, is_hidden
from ..pipeline.experiments import SCENE_NAME
from ..runtime import InputError
from ..threads import map_in_threads

logger = logging.getLogger(__name__)

FEWEST = 3  # photos
SAME_ZOOM = 0.05  # share by which EXIF's focal lengths, in whole millimetres, may differ
CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # such as a line break


def check_place(folder: Path) -> None:
    """Check that the name of a place's folder can be the name of a scene.

    Raises:
        InputError: it cannot.
    """
    name = folder.resolve().name
    if not re.fullmatch(SCENE_NAME, name) or re.search("[{}]", str(folder.resolve())):
        raise InputError(
            f"{folder}: its name becomes the scene's name, expected up to 100 letters, digits, "
            "dots, - and _, and no braces in the path; rename the folder"
        )


def refuse_no_photos(folder: Path) -> None:
    """Check that a place has a folder of photos.

    Raises:
        InputError: it has none.
    """
    refuse_no_folder(folder / IMAGES, "the folder of the photos whose poses are to be found")


def photos_of(images: Path) -> list[Path]:
    """Return the photos below a folder, in the order of the numbers in their names.

    Hidden files are ignored; the number of files of other kinds is logged.

    Raises:
        InputError: there are too few photos, or a name is not text or has a line break.
    """
    below = (path.relative_to(images) for path in files_below(images))
    names = [name for name in below if not is_hidden(name)]
    photos = [name.as_posix() for name in names if name.suffix.lower() in IMAGE_SUFFIXES]
    found = count_suffixes(name for name in names if name.suffix.lower() not in IMAGE_SUFFIXES)
    if len(photos) < FEWEST:
        raise InputError(
            f"{images}: holds {len(photos)} PNG or JPEG files (others by suffix: "
            f"{found or 'none'}), expected at least {FEWEST} photos of one place, better a few "
            "hundred; convert photos of other formats, such as HEIC"
        )
    if found:
        logger.warning("%s: files that are not PNG or JPEG are left out: %s", images, found)
    check_names(images, photos)
    if wrong := [ascii(name) for name in photos if CONTROL.search(name)]:
        raise InputError(
            f"{images}: the name {wrong[0]} has a control character, expected none; rename it"
        )
    return [images / name for name in sorted(photos, key=recorded_order)]


def warn_of_lenses(photos: Sequence[Path], workers: int) -> None:
    """Warn if EXIF tells of photos by several lenses, or of a lens that was zoomed.

    Raises:
        InputError: as ``images.opened_image``.
    """

    def told(path: Path) -> float:
        """Return the focal length that EXIF tells, in longer sides; NaN: none."""
        with opened_image(path) as image:
            return exif_focal_length(image)

    lengths = zip(map_in_threads(told, photos, workers), photos, strict=True)
    known = sorted(each for each in lengths if math.isfinite(each[0]))
    if known and known[-1][0] > (1 + SAME_ZOOM) * known[0][0]:
        logger.warning(
            "EXIF tells of several lenses or zooms, from %.2f (%s) to %.2f (%s) longer sides, but "
            "one camera is assumed: poses may be wrong. Leave out the photos of other lenses",
            *(*known[0], *known[-1]),
        )


def name_of(photo: str) -> str:
    """Return a photo's name in the model; it may be given relative to ``images/`` or the place."""
    return Path(photo).as_posix().removeprefix(f"{IMAGES}/")
