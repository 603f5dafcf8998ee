"""Reading colour images: decoded and resized like the published pre-processed images.

Pillow's bilinear filter, which widens with the scale and so does not alias, reproduces these
exactly; the filters of OpenCV and torch differ by one grey value and more.
"""

import logging
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ..files.limits import check_picture, check_scans, refuse_special_file
from ..runtime import InputError
from ..threads import map_in_threads

logger = logging.getLogger(__name__)

FORMATS = ("PNG", "JPEG")  # besides HEIC; Pillow's other decoders are not used
# Starts of HEIC files after four bytes: the kinds of HEIF that iPhones and Android cameras write.
HEIC_STARTS = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"mif1", b"msf1"))
EIGHT_BIT_MODES = {"RGB", "RGBA", "L", "LA", "P", "CMYK", "YCbCr"}  # Pillow's names
UPRIGHT = 1  # EXIF orientation of pixels that are stored upright
# By EXIF orientation: transpositions to upright pixels, and back from these.
TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
FROM_UPRIGHT = {**TO_UPRIGHT, 6: TO_UPRIGHT[8], 8: TO_UPRIGHT[6]}
HEADERS_AT_ONCE = 64  # per job of a thread: handing over a single one takes longer than reading it
SHOWN_NAMES = 100  # of images whose orientation differs from most
EXTRACT_AGAIN = "; if the scene was extracted from an archive, extract it again"
START_BYTES = 16  # of a file, enough to tell its kind: HEIC, WebP, a web page
# Exceptions of Pillow for damaged files, depending on the format.
DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError),
    *(struct.error, TypeError, LookupError),  # of damaged tags
)
Image.MAX_IMAGE_PIXELS = None  # no warning of Pillow: ``limits`` has the limit


@contextmanager
def opened_image(path: str | Path | Image.Image) -> Iterator[Image.Image]:
    """Yield an image whose header has been read; pixels are decoded when the block needs them.

    An image that is already in memory, for example of a video, is yielded itself.

    Raises:
        InputError: the file is missing, damaged, neither PNG nor JPEG nor HEIC, has more pixels or
            a more extreme aspect ratio than ``limits`` allows, or is HEIC while the package that
            reads it is missing.
    """
    if isinstance(path, Image.Image):
        check_picture("picture", *path.size)
        yield path
        return
    refuse_special_file(path)
    try:
        with Image.open(path, formats=_formats_of(path)) as image:
            check_picture(path, *image.size)
            yield image
    except InputError:
        raise
    except DECODING_ERRORS as error:
        raise _unreadable(path, error) from error


def _formats_of(path: str | Path) -> tuple[str, ...]:
    """Return the decoders to try on a file: that of HEIC only if it starts like one."""
    with Path(path).open("rb") as file:
        start = file.read(START_BYTES)
    if not start[4:].startswith(HEIC_STARTS):
        return FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise InputError(
            f"{path}: is HEIC, and the package pillow-heif, which reads it, is not installed "
            f"({error}); install it, or convert the photo to JPEG"
        ) from error
    register_heif_opener(thumbnails=False)
    return ("HEIF",)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (width, height) in pixels from the header of an image.

    Raises:
        InputError: as ``opened_image``.
    """
    with opened_image(path) as image:
        return image.size


def _size_and_orientation(path: Path) -> tuple[tuple[int, int], int]:
    """Return (width, height) in pixels as stored, and the EXIF orientation, from the header."""
    with opened_image(path) as image:
        _check_mode(path, image)
        return image.size, _orientation(image)


def common_size(paths: Sequence[Path], workers: int) -> tuple[tuple[int, int], list[int]]:
    """Return the (width, height) that the images of a scene share, and the orientation of each.

    Raises:
        InputError: sizes differ, or as ``open_image``; damaged pixels are not noticed.
    """
    expected, orientations = None, []
    blocks = [paths[i : i + HEADERS_AT_ONCE] for i in range(0, len(paths), HEADERS_AT_ONCE)]
    read = map_in_threads(lambda block: list(map(_size_and_orientation, block)), blocks, workers)
    headers = chain.from_iterable(read)
    for path, (size, orientation) in zip(paths, headers, strict=True):
        expected = expected or size
        if size != expected:
            raise InputError(
                f"{path}: is {size[0]}x{size[1]} pixels, expected {expected[0]}x{expected[1]} as "
                f"{paths[0]}; all images of a scene must have one size: leave out those that "
                "differ, or crop or resize the files to one size (and turn the pixels of photos "
                "in portrait format, before their poses are found)"
            )
        orientations.append(orientation)
    _warn_of_orientations(paths, orientations)
    return expected, orientations


def _warn_of_orientations(paths: Sequence[Path], orientations: Sequence[int]) -> None:
    """Warn of images whose orientation tag differs from that of most."""
    tags = Counter(orientations).most_common()
    if len(tags) > 1:
        found = [f"{count} x {value}" for value, count in tags]
        pairs = zip(paths, orientations, strict=True)
        differing = [f"{value}: {path}" for path, value in pairs if value != tags[0][0]]
        examples = [*differing[:SHOWN_NAMES], *["..."][: len(differing) > SHOWN_NAMES]]
        logger.warning(
            "orientation tags (EXIF) differ, %s (%s); pixels are taken as stored, since poses "
            "refer to these, but images turned sideways hardly match the others. Turn the pixels "
            "before poses are found, or leave out those that differ",
            *(", ".join(found), ", ".join(examples)),
        )


def open_image(path: str | Path | Image.Image, orientation: int | None = None) -> Image.Image:
    """Return a decoded RGB image, from a file or from memory.

    Pixels stay as stored, since turning a frame by its orientation tag would not turn its pose.
    ``orientation`` is for photos whose pose is still to be found: they are turned upright by their
    own tag, and then stored like images with that EXIF orientation, for example the database's.

    Raises:
        InputError: as ``opened_image``, or it has more than 8 bits per channel.
    """
    with opened_image(path) as image:
        if image is not path and image.format in ("JPEG", "MPO"):
            check_scans(path)
        _check_mode(path, image)
        own = _orientation(image)
        image = image.convert("RGB")
        return image if orientation in (None, own) else _turned(image, own, orientation)


def _check_mode(path: str | Path, image: Image.Image) -> None:
    """Refuse pixels of more than 8 bits per channel; Pillow would read 16-bit colours as 8-bit."""
    tiles = getattr(image, "tile", ())
    if image.mode not in EIGHT_BIT_MODES or any(";16" in str(tile[3]) for tile in tiles):
        raise InputError(
            f"{path}: has pixels of Pillow's mode {image.mode}, or more than 8 bits, expected a "
            "colour image with 8 bits per channel; is it a depth image? If not, convert it"
        )


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 to 8; upright if it has no valid one."""
    try:  # not PNG's own method, which decodes the pixels to look for a tag after them
        found = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except DECODING_ERRORS:  # damaged tags; the pixels may be intact
        return UPRIGHT
    return found if found in TO_UPRIGHT else UPRIGHT


def _turned(image: Image.Image, own: int, wanted: int) -> Image.Image:
    """Return an image stored in the EXIF orientation ``own`` as it is stored in ``wanted``."""
    for turn in (TO_UPRIGHT.get(own), FROM_UPRIGHT.get(wanted)):
        image = image if turn is None else image.transpose(turn)
    return image


def read_image(
    path: str | Path, size: tuple[int, int] | None = None, crop: float = 1
) -> np.ndarray:
    """Return an image as uint8 RGB (H, W, 3), resized to ``size`` = (width, height) if given.

    It is cropped first if ``crop`` is below 1, see ``crop_centre``.

    Raises:
        InputError: as ``open_image``.
    """
    return np.array(read_picture(path, size, crop))


def read_picture(
    path: str | Path, size: tuple[int, int] | None = None, crop: float = 1
) -> Image.Image:
    """Return the image of ``read_image`` as a Pillow image."""
    image = crop_centre(open_image(path), crop)
    return image if size is None else image.resize(size, Image.Resampling.BILINEAR)


def crop_centre(image: Image.Image, share: float) -> Image.Image:
    """Return the centre of an image, a ``share`` of its width and height, at the original size.

    OpenCV's bilinear filter is used, as by the authors before NetVLAD: 525 / 585 turns the view of
    7-Scenes' colour camera into that of its depth camera. That they restored the original size
    before resizing again is our interpretation.
    """
    if share == 1:
        return image
    import cv2  # the environments of figures lack it

    width, height = image.size
    across, down = max(1, round(width * share)), max(1, round(height * share))
    left, top = (width - across) // 2, (height - down) // 2
    centre = np.array(image)[top : top + down, left : left + across]
    return Image.fromarray(cv2.resize(centre, (width, height), interpolation=cv2.INTER_LINEAR))


def small_image(path: str | Path, size: tuple[int, int]) -> Image.Image:
    """Return an image for display: upright, and no larger than ``size`` = (width, height).

    Raises:
        InputError: as ``open_image``.
    """
    picture = open_image(path, UPRIGHT)
    picture.thumbnail(size, Image.Resampling.LANCZOS)
    return picture


def resized_shape(width: int, height: int, shorter_side: int) -> tuple[int, int]:
    """Return (width, height) scaled so that the shorter is ``shorter_side``; the other rounds down.

    640x480 at 256 becomes 341x256, as in torchvision's ``Resize``.
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
    """Return the images of ``paths`` in order, decoded by ``workers`` threads as needed.

    Raises:
        InputError: as ``read_image``, when that image is due.
    """
    return map_in_threads(partial(read_image, size=size, crop=crop), paths, workers)


def troubles_of(paths: Iterable[str | Path], workers: int = 1) -> Iterator[InputError | None]:
    """Yield the error of each image, in order; None if it can be read."""

    def trouble(path: str | Path) -> InputError | None:
        """Return the error of an image, or None."""
        try:
            open_image(path, UPRIGHT)
        except InputError as error:
            return error
        return None

    return map_in_threads(trouble, paths, workers)


def _unreadable(path: str | Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file, expected an image; put it back{EXTRACT_AGAIN}")
    found = str(error)
    if isinstance(error, UnidentifiedImageError):
        with Path(path).open("rb") as file:
            start = file.read(START_BYTES)
        found = f"it starts with {start!r}" if start else "it is empty"
    return InputError(
        f"{path}: cannot be read as an image ({found}), expected PNG or JPEG (or a photo's HEIC); "
        f"replace it, or leave it out{EXTRACT_AGAIN}"
    )
