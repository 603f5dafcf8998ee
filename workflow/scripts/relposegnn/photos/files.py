"""Photos as a user has them: any size, any orientation, in a folder of any depth."""

import logging
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from ..folders import files_below
from ..images import (
    DECODING_ERRORS,
    EXTRACT_AGAIN,
    UPRIGHT,
    crop_centre,
    open_image,
    resized_shape,
)
from ..layouts.posed_images import FOCAL_LENGTHS
from ..runtime import InputError

logger = logging.getLogger(__name__)

SUFFIXES = {".jpg", ".jpeg", ".png", ".heic", ".heif"}
SHOWN_NAMES = 5  # of photos; more are counted
PATTERN = re.compile(r"[*?[]")
UNREADABLE = re.compile("[\ud800-\udfff]")  # bytes of a name that are no text
Size = tuple[int, int]  # (width, height) in pixels


class PhotoError(InputError):
    """A photo cannot be read: no fault of the place, and others may follow."""


@contextmanager
def reading_photo() -> Iterator[None]:
    """Raise what is wrong with a photo as a ``PhotoError``."""
    try:
        yield
    except InputError as error:
        raise PhotoError(str(error).removesuffix(EXTRACT_AGAIN)) from error


class Photo(NamedTuple):
    """A photo, seen by the descriptor and by the network.

    Attributes:
        describing: (H, W, 3) uint8 RGB in the size of the descriptor.
        seen: (H, W, 3) uint8 RGB in the size that the network or its encoder sees.
        size: of the whole photo, turned.
        frame: (width, height) of what is seen, with the aspect of the packed frames: the photo's
            own, or larger, its edges continued.
        focal_length: in longer sides of the photo; NaN where it is unknown.
    """

    describing: np.ndarray
    seen: np.ndarray
    size: Size
    frame: tuple[float, float]
    focal_length: float


def find_photos(folder: str | Path, tell: int = logging.WARNING) -> list[str]:
    """Return the photos in a folder and its sub-folders, as sorted paths relative to it.

    A file stands for itself alone, by its name; a pattern such as ``trip/*.jpg`` for what it
    matches. Links to other folders are followed.

    Hidden files and folders are not looked at; files of other kinds are counted in the log, and
    links that lead nowhere are told, at the level ``tell`` or below.

    Raises:
        InputError: there is no such folder, or no photo in it.
    """
    folder = Path(folder)
    if folder.is_file() and folder.suffix.lower() in SUFFIXES:
        return [folder.name]
    base = folder_of(folder)
    if not folder.exists() and base != folder:
        return _matching(base, folder)
    if not folder.is_dir():
        found = "is no photo that can be read" if folder.exists() else "no such file or folder"
        raise InputError(
            f"{folder}: {found}, expected a photo or a folder of photos (JPEG, PNG or HEIC); a "
            "video is localised alone"
        )
    below = files_below(folder, lambda level, *told: logger.log(min(level, tell), *told))
    relative = [path.relative_to(folder) for path in below]
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
        logger.log(tell, "%s: files that are not JPEG, PNG or HEIC are left out: %s", folder, found)
    return photos


def _matching(base: Path, asked: Path) -> list[str]:
    """Return the photos that a pattern matches, as sorted paths relative to the folder before it.

    Raises:
        InputError: it is no pattern, or matches none.
    """
    pattern = asked.relative_to(base)
    # Some versions of Python refuse it, others take it for one asterisk.
    if wrong := [part for part in pattern.parts if "**" in part and part != "**"]:
        raise InputError(
            f"{asked}: is no pattern, ** beside other characters in {wrong[0]!r}, expected "
            "one as trip/*.jpg or trip/**/*.jpg; correct it"
        )
    found = [path for path in base.glob(str(pattern)) if path.is_file()]
    photos = [path for path in found if path.suffix.lower() in SUFFIXES]
    if not photos:
        raise InputError(
            f"{asked}: matches no photos ({len(found)} other files), expected JPEG, PNG or "
            "HEIC; check the pattern"
        )
    return sorted(path.relative_to(base).as_posix() for path in photos)


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


def folder_of(photos: str | Path) -> Path:
    """Return the folder that ``find_photos`` names photos in: of a pattern, the one before it.

    What there is by its name is no pattern, whatever brackets it has.
    """
    photos = Path(photos)
    if photos.is_file():
        return photos.parent
    for part in [*reversed(photos.parents), photos]:
        if PATTERN.search(part.name) and not part.exists():
            return part.parent
    return photos


def requested_photos(given: str | Path | Sequence[str | Path]) -> tuple[Path, list[str]]:
    """Return the folder that has all the photos that were asked for, and their names in it.

    Args:
        given: one file, folder or pattern, or several.

    Raises:
        InputError: as ``find_photos``, of one of them; or there is none.
    """
    given = [given] if isinstance(given, str | Path) else given
    if not given:
        raise InputError("photos: got none, expected a photo, a folder or a pattern")
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
    """Return a photo in two sizes, with the aspect of the packed frames.

    It is turned as its EXIF orientation says, and then as the database's images are stored: a phone
    stores the sensor's rows as they come, and how it was held in a tag. A photo of the scene's own
    camera is resized exactly as the frames were. One of another aspect lies in the middle of a
    frame that is just large enough for it, and its edges are continued to those of the frame: a
    part of what a camera saw has the scale of the whole then.

    Args:
        path: of the photo, or the photo itself.
        describing: size for the descriptor.
        seen: size for the network.
        packed: size of the packed frames.
        crop: share of what the descriptor sees that is left of it, see ``images.crop_centre``.
        focal_length: in longer sides of the photo; None: as its EXIF says.
        orientation: EXIF's, of the database's images.

    Raises:
        PhotoError: as ``images.open_image``.
    """
    with reading_photo():
        image = open_image(path, orientation)
    frame = frame_around(image.size, packed)
    if frame != image.size:
        described = _framed(image, describing, (frame[0] * crop, frame[1] * crop))
    else:
        described = _framed(crop_centre(image, crop), describing, frame)
    return Photo(
        described,
        _framed(image, seen, frame),
        image.size,
        frame,
        focal_length=focal_length or exif_focal_length(image),
    )


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


def frame_around(size: Size, packed: Size) -> tuple[float, float]:
    """Return the (width, height) of the least frame around a photo with packed frames' aspect.

    The photo's own where packing it would give that size, which is rounded.
    """
    width, height = size
    if resized_shape(width, height, min(packed)) == packed:
        return size
    aspect = packed[0] / packed[1]
    return max(width, height * aspect), max(height, width / aspect)


def _framed(image: Image.Image, size: Size, frame: tuple[float, float]) -> np.ndarray:
    """Return what lies in a frame around the middle of an image, (H, W, 3) uint8 of some size.

    Where the frame is larger than the image, the image's edges go on.
    """
    kept = [min(sides) for sides in zip(frame, image.size, strict=True)]
    left, upper = ((own - side) / 2 for own, side in zip(image.size, kept, strict=True))
    inner = [max(1, round(n * k / f)) for n, k, f in zip(size, kept, frame, strict=True)]
    box = left, upper, left + kept[0], upper + kept[1]
    pixels = np.array(image.resize(inner, Image.Resampling.BILINEAR, box))
    columns, rows = ((n - i, (n - i) // 2) for n, i in zip(size, inner, strict=True))
    missing = [(before, whole - before) for whole, before in (rows, columns)]
    return np.pad(pixels, [*missing, (0, 0)], mode="edge")
