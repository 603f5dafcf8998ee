"""Reading colour images: decoded and resized as the published pre-processed images were.

Pillow's bilinear filter, which widens with the scale and so does not alias, reproduces them to
the last bit; those of OpenCV and of torch differ by up to one grey value and more.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps, UnidentifiedImageError

from .runtime import InputError, map_in_threads

FORMATS = ("PNG", "JPEG")  # no other decoder of Pillow's sees a file
EIGHT_BIT_MODES = {"RGB", "RGBA", "L", "LA", "P", "CMYK", "YCbCr"}  # Pillow's names
START_BYTES = 16  # of another file, enough to tell its kind: HEIC, WebP, a web page
# What Pillow raises for damaged files, by format.
DECODING_ERRORS = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


@contextmanager
def opened_image(path: str | Path) -> Iterator[Image.Image]:
    """Yield an image of which the header is read, and pixels when the block asks for them.

    Raises:
        InputError: the file is missing, damaged, or neither PNG nor JPEG.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except DECODING_ERRORS as error:
        raise _unreadable(path, error) from error


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (width, height) in pixels from the header of an image.

    Raises:
        InputError: as ``opened_image``.
    """
    with opened_image(path) as image:
        return image.size


def open_image(path: str | Path, upright: bool = False) -> Image.Image:
    """Return a decoded RGB image.

    Pixels stay in the order of the file, for an orientation tag would not turn a frame's pose with
    them; ``upright`` applies the tag, for photos whose pose is yet to be found.

    Raises:
        InputError: as ``opened_image``, or it has more than 8 bits a channel.
    """
    with opened_image(path) as image:
        if image.mode in EIGHT_BIT_MODES:
            return (ImageOps.exif_transpose(image) if upright else image).convert("RGB")
    raise InputError(
        f"{path}: has pixels of Pillow's mode {image.mode}, expected a colour image with 8 bits a "
        "channel; is it a depth image?"
    )


def read_image(
    path: str | Path, size: tuple[int, int] | None = None, crop: float = 1
) -> np.ndarray:
    """Return an image as uint8 RGB (H, W, 3), resized to ``size`` = (width, height) where given.

    Of its centre alone where ``crop`` is below 1, see ``crop_centre``.

    Raises:
        InputError: as ``open_image``.
    """
    image = crop_centre(open_image(path), crop)
    if size is not None:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.array(image)


def crop_centre(image: Image.Image, share: float) -> Image.Image:
    """Return the centre of an image, a ``share`` of its width and height, in the whole's size.

    By OpenCV's bilinear filter, as the authors did before NetVLAD: 525 / 585 turns what the colour
    camera of 7-Scenes sees into what its depth camera does. That they went back to the whole's size
    before resizing it again is our reading.
    """
    if share == 1:
        return image
    import cv2  # environments of figures are without it

    width, height = image.size
    across, down = round(width * share), round(height * share)
    left, top = (width - across) // 2, (height - down) // 2
    centre = np.array(image)[top : top + down, left : left + across]
    return Image.fromarray(cv2.resize(centre, (width, height), interpolation=cv2.INTER_LINEAR))


def resized_shape(width: int, height: int, shorter_side: int) -> tuple[int, int]:
    """Return (width, height) scaled so that the shorter one is ``shorter_side``, the other cut.

    640x480 at 256 becomes 341x256, as torchvision's ``Resize`` has it.
    """
    if width <= height:
        return shorter_side, shorter_side * height // width
    return shorter_side * width // height, shorter_side


def read_images(
    paths: Iterable[str | Path],
    size: tuple[int, int] | None = None,
    workers: int = 1,
    crop: float = 1,
) -> Iterator[np.ndarray]:
    """Return the images of ``paths`` in their order, decoded by ``workers`` threads as needed.

    Raises:
        InputError: as ``read_image``, when the turn of that image comes.
    """
    return map_in_threads(partial(read_image, size=size, crop=crop), paths, workers)


def jitter_colours(
    image: np.ndarray, strengths: Sequence[float], generator: np.random.Generator
) -> np.ndarray:
    """Return an image (H, W, 3) uint8 RGB with changed colours, as torchvision's ``ColorJitter``.

    Brightness, contrast and saturation are multiplied by factors drawn within [1 - strength,
    1 + strength], not below 0; the hue is shifted by a share of the circle within [-strength,
    strength]; in random order. With Pillow, as torchvision does it, so that packing needs no torch.

    Args:
        image: as read.
        strengths: of brightness, contrast, saturation and hue.
        generator: of the draws.
    """
    low = np.maximum(0, 1 - np.array(strengths))
    factors = generator.uniform(low, 1 + np.array(strengths))
    shift = generator.uniform(-strengths[3], strengths[3])
    changed = Image.fromarray(image)
    enhancers = ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color
    for change in generator.permutation(4).tolist():
        if change < 3:
            changed = enhancers[change](changed).enhance(factors[change])
        else:
            changed = shift_hue(changed, shift)
    return np.array(changed)


def shift_hue(image: Image.Image, share: float) -> Image.Image:
    """Return an RGB image whose hues are shifted by a share of the circle."""
    hue, saturation, value = image.convert("HSV").split()
    steps = int(share * 255) % 256
    hue = Image.fromarray(np.array(hue) + np.uint8(steps))  # wraps around
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


def _unreadable(path: str | Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file, expected an image")
    found = str(error)
    if isinstance(error, UnidentifiedImageError):
        with Path(path).open("rb") as file:
            found = f"it starts with {file.read(START_BYTES)!r}"
    return InputError(
        f"{path}: cannot be read as an image ({found}), expected PNG or JPEG; "
        "replace it: extract or download its scene again, or leave out the photo"
    )
