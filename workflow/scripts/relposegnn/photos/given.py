"""Photos as callers pass them: files or images in memory; several or a single one."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..data.images import DECODING_ERRORS
from ..files.limits import check_picture
from ..runtime import InputError
from .files import PhotoError, reading_photo

Picture = str | Path | Image.Image | np.ndarray  # a file, or an image in memory


def listed_photos(
    photos: Sequence[Picture] | Picture, names: Sequence[str] | str | None
) -> tuple[list[Path | Image.Image], list[str]]:
    """Return photos, or a single one, as a list, and their names: as given, or their own.

    Raises:
        InputError: one is not a photo, see ``photo_of``; or the number of names differs.
    """
    single = isinstance(photos, Picture | bytes) and getattr(photos, "ndim", 3) in (2, 3)
    given = [photos] if single or not isinstance(photos, Iterable) else photos
    paths = [photo_of(photo) for photo in given]
    if names is None:
        return paths, [getattr(path, "name", str(number)) for number, path in enumerate(paths)]
    names = [names] if isinstance(names, str) else [str(name) for name in names]
    if len(names) != len(paths):
        raise InputError(f"got {len(names)} names for {len(paths)} photos, expected one for each")
    return paths, names


def photo_of(given: Picture) -> Path | Image.Image:
    """Return the file or the image that was passed as a photo.

    Raises:
        InputError: it is neither, or an array that is not (H, W, 3) or (H, W) uint8;
            ``PhotoError``: an image that Pillow has opened is damaged or too large.
    """
    if isinstance(given, np.ndarray):
        if given.dtype != np.uint8 or given.shape[2:] not in ((3,), ()) or not given.size:
            raise InputError(
                f"photo: is an array {given.shape} of {given.dtype}, expected (height, width, 3) "
                "uint8, RGB, or (height, width), grey; OpenCV's are BGR, pass image[..., ::-1]"
            )
        return Image.fromarray(np.ascontiguousarray(given))
    if isinstance(given, Image.Image):
        return _read(given)
    try:
        return Path(given)
    except TypeError as error:
        raise InputError(
            f"photo: is {type(given).__name__}, expected a path, a Pillow image or an array; "
            "open the bytes of a file with PIL.Image.open(io.BytesIO(...))"
        ) from error


def _read(image: Image.Image) -> Image.Image:
    """Return an image after reading its pixels, which Pillow otherwise does when they are used."""
    with reading_photo():
        check_picture("photo", *image.size)
    try:
        image.load()
    except DECODING_ERRORS as error:
        raise PhotoError(
            f"photo: cannot be read as an image ({error}), expected an undamaged one; replace it, "
            "or leave it out"
        ) from error
    return image
