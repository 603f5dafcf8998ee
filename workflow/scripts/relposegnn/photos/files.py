"""Photos as a user has them: any size, any orientation, in a folder of any depth."""

import logging
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from ..folders import files_below, refuse_no_folder
from ..images import DECODING_ERRORS, UPRIGHT, crop_centre, open_image, resized_shape
from ..layouts.posed_images import FOCAL_LENGTHS
from ..runtime import InputError

logger = logging.getLogger(__name__)

SUFFIXES = {".jpg", ".jpeg", ".png", ".heic", ".heif"}
SHOWN_NAMES = 5  # of photos; more are counted
PATTERN = re.compile(r"[*?[]")
UNREADABLE = re.compile("[\ud800-\udfff]")  # bytes of a name that are no text
Size = tuple[int, int]  # (width, height) in pixels


class Photo(NamedTuple):
    """A photo, seen by the descriptor and by the network.

    Attributes:
        describing: (H, W, 3) uint8 RGB in the size of the descriptor.
        seen: (H, W, 3) uint8 RGB in the size that the network or its encoder sees.
        size: of the whole photo, turned.
        kept: longer side of what is seen of it, in that of the whole: below 1 where a part was cut
            off to give it the frames' aspect.
        cut: whether one was.
        focal_length: in longer sides of the whole; NaN where it is unknown.
    """

    describing: np.ndarray
    seen: np.ndarray
    size: Size
    kept: float
    cut: bool
    focal_length: float


def find_photos(folder: str | Path) -> list[str]:
    """Return the photos in a folder and its sub-folders, as sorted paths relative to it.

    A file stands for itself alone, by its name; a pattern such as ``trip/*.jpg`` for what it
    matches. Links to other folders are followed.

    Hidden files and folders are not looked at; files of other kinds are counted in the log.

    Raises:
        InputError: there is no such folder, no photo in it, or photos whose names are no UTF-8.
    """
    photos = _find_photos(Path(folder))
    check_names(folder, photos)
    return photos


def check_names(folder: str | Path, photos: Sequence[str]) -> None:
    """Check that names can stand in tables: Python has bytes that are no text in its own way.

    Raises:
        InputError: they cannot.
    """
    if wrong := [ascii(name) for name in photos if UNREADABLE.search(name)]:
        raise InputError(
            f"{folder}: names of {len(wrong)} photos are no text, expected UTF-8: "
            f"{', '.join(wrong[:SHOWN_NAMES])}; rename them"
        )


def _find_photos(folder: Path) -> list[str]:
    if folder.is_file() and folder.suffix.lower() in SUFFIXES:
        return [folder.name]
    base = folder_of(folder)
    if not folder.exists() and base != folder:
        try:
            matching = list(base.glob(str(folder.relative_to(base))))
        except ValueError as error:
            raise InputError(
                f"{folder}: is no pattern ({error}), expected one as trip/*.jpg or trip/**/*.jpg; "
                "correct it"
            ) from error
        found = [path for path in matching if path.is_file()]
        photos = [path for path in found if path.suffix.lower() in SUFFIXES]
        if not photos:
            raise InputError(
                f"{folder}: matches no photos ({len(found)} other files), expected JPEG, PNG or "
                "HEIC; check the pattern"
            )
        return sorted(path.relative_to(base).as_posix() for path in photos)
    refuse_no_folder(folder, "a photo or a folder of photos (JPEG, PNG or HEIC)")
    relative = [path.relative_to(folder) for path in files_below(folder)]
    visible = [path for path in relative if not any(part.startswith(".") for part in path.parts)]
    photos = sorted(path.as_posix() for path in visible if path.suffix.lower() in SUFFIXES)
    others = Counter(
        p.suffix.lower() or "none" for p in visible if p.suffix.lower() not in SUFFIXES
    )
    found = ", ".join(f"{count} x {suffix}" for suffix, count in sorted(others.items()))
    if not photos:
        raise InputError(
            f"{folder}: holds no photos (files by suffix: {found or 'none'}), expected JPEG, "
            "PNG or HEIC; convert photos of other formats first"
        )
    if others:
        logger.warning("%s: files that are not JPEG, PNG or HEIC are left out: %s", folder, found)
    return photos


def folder_of(photos: str | Path) -> Path:
    """Return the folder that ``find_photos`` names photos in: of a pattern, the one before it."""
    photos = Path(photos)
    if photos.exists():
        return photos.parent if photos.is_file() else photos
    fixed = [bool(PATTERN.search(part)) for part in photos.parts]
    return Path(*photos.parts[: fixed.index(True)]) if True in fixed else photos


def requested_photos(given: str | Path | Sequence[str | Path]) -> tuple[Path, list[str]]:
    """Return the folder that has all the photos that were asked for, and their names in it.

    Args:
        given: one file, folder or pattern, or several.

    Raises:
        InputError: as ``find_photos``, of one of them.
    """
    given = [given] if isinstance(given, str | Path) else given
    found = [folder_of(each) / name for each in given for name in find_photos(each)]
    folders = [folder_of(each) for each in given]
    folder = folders[0]
    if len(folders) > 1:
        folder = Path(os.path.commonpath([each.absolute() for each in folders]))
        found = [path.absolute() for path in found]
    return folder, list(dict.fromkeys(path.relative_to(folder).as_posix() for path in found))


def read_photo(
    path: str | Path | Image.Image,
    describing: Size,
    seen: Size,
    packed: Size,
    crop: float = 1,
    focal_length: float | None = None,
    orientation: int = UPRIGHT,
) -> Photo:
    """Return a photo in two sizes, cut to the aspect of the packed frames.

    It is turned as its EXIF orientation says, and then as the database's images are stored: a phone
    stores the sensor's rows as they come, and how it was held in a tag. A photo of the scene's own
    camera is resized exactly as the frames were. From any other one, the centre with the frames'
    aspect is taken.

    Args:
        path: of the photo, or the photo itself.
        describing: size for the descriptor.
        seen: size for the network.
        packed: size of the packed frames.
        crop: share of what the descriptor sees that is left of it, see ``images.crop_centre``.
        focal_length: in longer sides of the photo; None: as its EXIF says.
        orientation: EXIF's, of the database's images.

    Raises:
        InputError: as ``images.open_image``.
    """
    image = open_image(path, orientation)
    box = covering_box(image.size, packed)
    described = image if crop == 1 else crop_centre(image.crop(map(round, box)), crop)
    part = box if crop == 1 else None
    sides = [
        np.array(picture.resize(size, Image.Resampling.BILINEAR, shown))
        for picture, size, shown in ((described, describing, part), (image, seen, box))
    ]
    kept = max(box[2] - box[0], box[3] - box[1]) / max(image.size)
    cut = box != (0, 0, *image.size)
    return Photo(*sides, image.size, kept, cut, focal_length or exif_focal_length(image))


def exif_focal_length(image: Image.Image) -> float:
    """Return the focal length that a photo's EXIF tells, in longer sides; NaN: none that can be.

    EXIF has it in millimetres for a picture as large across as 36 x 24 mm.
    """
    try:
        told = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
        millimetres = float(told or 0)  # which is EXIF's own word for unknown
    except DECODING_ERRORS:  # of damaged tags: the pixels may be whole
        return math.nan
    length = millimetres / math.hypot(36, 24) * math.hypot(*image.size) / max(image.size)
    return length if FOCAL_LENGTHS[0] <= length <= FOCAL_LENGTHS[1] else math.nan


def covering_box(size: Size, packed: Size) -> tuple[float, float, float, float]:
    """Return the part of a photo (left, upper, right, lower) with the aspect of packed frames.

    The whole photo where packing it would give that size, which is rounded; else its centre.
    """
    width, height = size
    if resized_shape(width, height, min(packed)) == packed:
        return 0.0, 0.0, float(width), float(height)
    aspect = packed[0] / packed[1]
    across, down = min(width, height * aspect), min(height, width / aspect)
    left, upper = (width - across) / 2, (height - down) / 2
    return left, upper, left + across, upper + down
