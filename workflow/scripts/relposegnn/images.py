"""Reading colour images: decoded and resized as the published pre-processed images were.

Pillow's bilinear filter, which widens with the scale and so does not alias, reproduces them to
the last bit; those of OpenCV and of torch differ by up to one grey value and more.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .runtime import InputError, map_in_threads

EIGHT_BIT_MODES = {"RGB", "RGBA", "L", "LA", "P", "CMYK", "YCbCr"}  # Pillow's names
# What Pillow raises for damaged files, by format.
DECODING_ERRORS = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (width, height) in pixels from the header of an image.

    Raises:
        InputError: the file is missing or not an image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except DECODING_ERRORS as error:
        raise _unreadable(path, error) from error


def open_image(path: str | Path, upright: bool = False) -> Image.Image:
    """Return a decoded RGB image.

    Pixels stay in the order of the file, for an orientation tag would not turn a frame's pose with
    them; ``upright`` applies the tag, for photos whose pose is yet to be found.

    Raises:
        InputError: the file is missing, damaged, not an image, or has more than 8 bits a channel.
    """
    try:
        with Image.open(path) as image:
            if image.mode in EIGHT_BIT_MODES:
                return (ImageOps.exif_transpose(image) if upright else image).convert("RGB")
    except DECODING_ERRORS as error:
        raise _unreadable(path, error) from error
    raise InputError(
        f"{path}: has pixels of Pillow's mode {image.mode}, expected a colour image with 8 bits a "
        "channel; is it a depth image?"
    )


def read_image(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return an image as uint8 RGB (H, W, 3), resized to ``size`` = (width, height) where given.

    Raises:
        InputError: as ``open_image``.
    """
    image = open_image(path)
    if size is not None:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.array(image)


def resized_shape(width: int, height: int, shorter_side: int) -> tuple[int, int]:
    """Return (width, height) scaled so that the shorter one is ``shorter_side``, the other cut.

    640x480 at 256 becomes 341x256, as torchvision's ``Resize`` has it.
    """
    if width <= height:
        return shorter_side, shorter_side * height // width
    return shorter_side * width // height, shorter_side


def read_images(
    paths: Iterable[str | Path], size: tuple[int, int] | None = None, workers: int = 1
) -> Iterator[np.ndarray]:
    """Return the images of ``paths`` in their order, decoded by ``workers`` threads as needed.

    Raises:
        InputError: as ``read_image``, when the turn of that image comes.
    """
    return map_in_threads(partial(read_image, size=size), paths, workers)


def _unreadable(path: str | Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file, expected an image")
    return InputError(
        f"{path}: cannot be read as an image ({error}), expected PNG or JPEG; "
        "replace it: extract or download its scene again, or leave out the photo"
    )
