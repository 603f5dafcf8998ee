"""A user's photos: files of any size and orientation, in a folder and its sub-folders."""

import logging
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from ..data.images import (
    DECODING_ERRORS,
    EXTRACT_AGAIN,
    UPRIGHT,
    crop_centre,
    open_image,
    resized_shape,
)
from ..files.folders import files_below
from ..layouts.posed_images import FOCAL_LENGTHS
from ..runtime import InputError

logger = logging.getLogger(__name__)

SUFFIXES = {".jpg", ".jpeg", ".png", ".heic", ".heif"}
SHOWN_NAMES = 5  # of photos in a message
PATTERN = re.compile(r"[*?[]")
UNREADABLE = re.compile("[\ud800-\udfff]")  # stands for bytes of a name that are not UTF-8
Size = tuple[int, int]  # (width, height) in pixels


class PhotoError(InputError):
    """A photo cannot be read: the place is not at fault, and other photos may follow."""


@contextmanager
def reading_photo() -> Iterator[None]:
    """Turn an ``InputError`` into a ``PhotoError``."""
    try:
        yield
    except InputError as error:
        raise photo_error(error) from error


def photo_error(error: InputError) -> PhotoError:
    """Return the error of an image as that of a photo: without advice on archives of scenes."""
    return PhotoError(str(error).removesuffix(EXTRACT_AGAIN))


class Photo(NamedTuple):
    """A photo as the descriptor and the network see it.

    Attributes:
        describing: (H, W, 3) uint8 RGB, in the descriptor's size.
        seen: (H, W, 3) uint8 RGB, in the size that the network or its encoder sees.
        size: of the whole photo, turned.
        frame: (width, height) of what is seen, in pixels of the photo, with the aspect ratio of the
            packed frames: the photo's size, or more if the photo is extended at its edges.
        focal_length: in longer sides of the photo; NaN: unknown.
    """

    describing: np.ndarray
    seen: np.ndarray
    size: Size
    frame: tuple[float, float]
    focal_length: float


def find_photos(folder: str | Path, tell: int = logging.WARNING) -> list[str]:
    """Return the photos in a folder and its sub-folders, as sorted paths relative to it.

    ``folder`` may also be a single photo, or a pattern such as ``trip/*.jpg``, for the photos that
    it matches. Links to other folders are followed.

    Hidden files and folders are ignored, unless a pattern has a part that begins with a dot. The
    number of other files and broken links are logged, at most at the level ``tell``.

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
        found = "is not a readable photo" if folder.exists() else "no such file or folder"
        raise InputError(
            f"{folder}: {found}, expected a photo or a folder of photos (JPEG, PNG or HEIC); "
            "localise a video by itself, without other files"
        )
    below = files_below(folder, lambda level, *told: logger.log(min(level, tell), *told))
    relative = [path.relative_to(folder) for path in below]
    visible = [path for path in relative if not is_hidden(path)]
    photos = sorted(path.as_posix() for path in visible if path.suffix.lower() in SUFFIXES)
    found = count_suffixes(path for path in visible if path.suffix.lower() not in SUFFIXES)
    if not photos:
        raise InputError(
            f"{folder}: holds no photos (files by suffix: {found or 'none'}), expected JPEG, "
            "PNG or HEIC; convert photos of other formats first"
        )
    if found:
        logger.log(tell, "%s: files that are not JPEG, PNG or HEIC are left out: %s", folder, found)
    return photos


def _matching(base: Path, asked: Path) -> list[str]:
    """Return the photos that a pattern matches, as sorted paths relative to the folder before it.

    Raises:
        InputError: the pattern is invalid, or matches no photo.
    """
    pattern = asked.relative_to(base)
    # Some versions of Python refuse such a part, others take ** for one asterisk.
    if wrong := [part for part in pattern.parts if "**" in part and part != "**"]:
        raise InputError(
            f"{asked}: is not a valid pattern: ** beside other characters in {wrong[0]!r}, "
            "expected a pattern like trip/*.jpg or trip/**/*.jpg; correct it"
        )
    found = [path for path in base.glob(str(pattern)) if path.is_file()]
    if not is_hidden(pattern):
        found = [path for path in found if not is_hidden(path.relative_to(base))]
    photos = [path for path in found if path.suffix.lower() in SUFFIXES]
    if not photos:
        raise InputError(
            f"{asked}: matches no photos ({len(found)} other files), expected JPEG, PNG or "
            "HEIC; check the pattern"
        )
    return sorted(path.relative_to(base).as_posix() for path in photos)


def is_hidden(path: Path) -> bool:
    """Return whether a part of a relative path begins with a dot, as of macOS's own files."""
    return any(part.startswith(".") and part != ".." for part in path.parts)


def count_suffixes(paths: Iterable[Path]) -> str:
    """Return the suffixes of files with their counts, for a message; '' without any file."""
    counts = Counter(path.suffix.lower() or "none" for path in paths)
    return ", ".join(f"{count} x {suffix}" for suffix, count in sorted(counts.items()))


def check_names(folder: str | Path, photos: Sequence[str]) -> None:
    """Check that names can be written to tables, where bytes that are not UTF-8 cannot stand.

    Raises:
        InputError: they cannot.
    """
    if wrong := [ascii(name) for name in photos if UNREADABLE.search(name)]:
        raise InputError(
            f"{folder}: names of {len(wrong)} photos are not text, expected UTF-8: "
            f"{', '.join(wrong[:SHOWN_NAMES])}; rename them"
        )


def folder_of(photos: str | Path) -> Path:
    """Return the folder that the names of ``find_photos`` are relative to.

    For a pattern, this is the folder before it. A name with brackets that exists is not a pattern.
    """
    photos = Path(photos)
    if photos.is_file():
        return photos.parent
    for part in [*reversed(photos.parents), photos]:
        if PATTERN.search(part.name) and not part.exists():
            return part.parent
    return photos


def requested_photos(given: str | Path | Sequence[str | Path]) -> tuple[Path, list[str]]:
    """Return a folder that holds all requested photos, and the photos' names in it.

    Args:
        given: one file, folder or pattern, or several.

    Raises:
        InputError: nothing is given, or see ``find_photos``.
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
    """Return a photo in two sizes, with the aspect ratio of the packed frames.

    The photo is turned as its EXIF orientation says, and then as the database's images are stored,
    because phones store the rows as the sensor delivers them, and put into a tag how the phone was
    held. A photo of the scene's own camera is resized exactly as the frames were. A photo of
    another aspect ratio is put into the middle of the smallest frame that contains it, and extended
    at its edges to fill the frame. A part of a picture then has the scale of the whole.

    Args:
        path: of the photo, or the photo itself.
        describing: size for the descriptor.
        seen: size for the network.
        packed: size of the packed frames.
        crop: share of the width and height that the descriptor sees, see ``images.crop_centre``.
        focal_length: in longer sides of the photo; None: from its EXIF.
        orientation: EXIF orientation of the database's images.

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
    """Return the focal length in a photo's EXIF, in longer sides; NaN: none, or impossible.

    EXIF gives it in millimetres, for a picture whose diagonal is that of 36 x 24 mm.
    """
    try:
        told = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
        millimetres = float(told or 0)  # in EXIF, 0 means unknown
    except DECODING_ERRORS:  # the tags are damaged; the pixels may be intact
        return math.nan
    length = millimetres / math.hypot(36, 24) * math.hypot(*image.size) / max(image.size)
    return length if FOCAL_LENGTHS[0] <= length <= FOCAL_LENGTHS[1] else math.nan


def frame_around(size: Size, packed: Size) -> tuple[float, float]:
    """Return the (width, height) of the smallest frame of the packed aspect ratio around a photo.

    The photo's own size if resizing it for packing would give the packed size, which is rounded.
    """
    width, height = size
    if resized_shape(width, height, min(packed)) == packed:
        return size
    aspect = packed[0] / packed[1]
    return max(width, height * aspect), max(height, width / aspect)


def _framed(image: Image.Image, size: Size, frame: tuple[float, float]) -> np.ndarray:
    """Return what a frame around the middle of an image shows, (H, W, 3) uint8, resized to a size.

    Where the frame is larger than the image, the image's edges are repeated.
    """
    kept = [min(sides) for sides in zip(frame, image.size, strict=True)]
    left, upper = ((own - side) / 2 for own, side in zip(image.size, kept, strict=True))
    inner = [max(1, round(n * k / f)) for n, k, f in zip(size, kept, frame, strict=True)]
    box = left, upper, left + kept[0], upper + kept[1]
    pixels = np.array(image.resize(inner, Image.Resampling.BILINEAR, box))
    columns, rows = ((n - i, (n - i) // 2) for n, i in zip(size, inner, strict=True))
    missing = [(before, whole - before) for whole, before in (rows, columns)]
    return np.pad(pixels, [*missing, (0, 0)], mode="edge")
