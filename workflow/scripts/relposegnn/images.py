"""Reading colour images: decoded and resized as the published pre-processed images were.

Pillow's bilinear filter, which widens with the scale and so does not alias, reproduces them to
the last bit; those of OpenCV and of torch differ by up to one grey value and more.
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

from .limits import check_picture, check_scans, refuse_special_file
from .runtime import InputError
from .threads import map_in_threads

logger = logging.getLogger(__name__)

FORMATS = ("PNG", "JPEG")  # no other decoder of Pillow's sees a file, but for HEIC's
# How HEIC files start, behind four bytes: what iPhones and Android's cameras write of HEIF.
HEIC_STARTS = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"mif1", b"msf1"))
EIGHT_BIT_MODES = {"RGB", "RGBA", "L", "LA", "P", "CMYK", "YCbCr"}  # Pillow's names
UPRIGHT = 1  # EXIF's orientation of pixels that are stored as they are seen
# What makes pixels with one of the other orientations upright, and what stores upright ones so.
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
HEADERS_AT_ONCE = 64  # read by a thread: to hand one over takes longer than to read it
SHOWN_NAMES = 100  # of images whose orientation differs from most
EXTRACT_AGAIN = "; of a scene that was extracted, extract it again"
START_BYTES = 16  # of another file, enough to tell its kind: HEIC, WebP, a web page
# What Pillow raises for damaged files, by format.
DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError),
    *(struct.error, TypeError, LookupError),  # of damaged tags
)
Image.MAX_IMAGE_PIXELS = None  # Pillow warns of large ones; the limit here is ``limits``'


@contextmanager
def opened_image(path: str | Path | Image.Image) -> Iterator[Image.Image]:
    """Yield an image of which the header is read, and pixels when the block asks for them.

    An image that is in memory already, as of a video, is yielded itself.

    Raises:
        InputError: the file is missing, damaged, neither PNG nor JPEG nor HEIC, or has more pixels
            or longer sides than ``limits`` allows; or it is HEIC, and the package that reads it is
            missing.
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
    """Return the decoders that a file may be shown to: HEIC's only where it starts so."""
    with Path(path).open("rb") as file:
        start = file.read(START_BYTES)
    if not start[4:].startswith(HEIC_STARTS):
        return FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise InputError(
            f"{path}: is HEIC, which the package pillow-heif reads, and it is not installed "
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
    """Return (width, height) in pixels as stored, and EXIF's orientation; from the header alone."""
    with opened_image(path) as image:
        _check_mode(path, image)
        return image.size, _orientation(image)


def common_size(paths: Sequence[Path], workers: int) -> tuple[tuple[int, int], list[int]]:
    """Return the (width, height) that the images of a scene share, and the orientation of each.

    Raises:
        InputError: sizes differ, or as ``open_image``, but for damaged pixels.
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
                "held upright, before their poses are found)"
            )
        orientations.append(orientation)
    _warn_of_orientations(paths, orientations)
    return expected, orientations


def _warn_of_orientations(paths: Sequence[Path], orientations: Sequence[int]) -> None:
    """Tell which images have another orientation tag than most."""
    tags = Counter(orientations).most_common()
    if len(tags) > 1:
        found = [f"{count} x {value}" for value, count in tags]
        pairs = zip(paths, orientations, strict=True)
        differing = [f"{value}: {path}" for path, value in pairs if value != tags[0][0]]
        examples = [*differing[:SHOWN_NAMES], *["..."][: len(differing) > SHOWN_NAMES]]
        logger.warning(
            "orientation tags (EXIF) differ, %s (%s); pixels are taken as stored, as poses are of "
            "them, but images seen sideways are hardly recognised by the others. Turn the pixels "
            "before poses are found, or leave out those that differ",
            *(", ".join(found), ", ".join(examples)),
        )


def open_image(path: str | Path | Image.Image, orientation: int | None = None) -> Image.Image:
    """Return a decoded RGB image, of a file or of one in memory.

    Pixels stay in the order of the file, for an orientation tag would not turn a frame's pose with
    them. For photos whose pose is yet to be found there is ``orientation``: they are turned as
    their own tag says, and then stored as images with that one are, as those of the database.

    Raises:
        InputError: as ``opened_image``, or it has more than 8 bits a channel.
    """
    with opened_image(path) as image:
        if image is not path and image.format in ("JPEG", "MPO"):
            check_scans(path)
        _check_mode(path, image)
        own = _orientation(image)
        image = image.convert("RGB")
        return image if orientation in (None, own) else _turned(image, own, orientation)


def _check_mode(path: str | Path, image: Image.Image) -> None:
    """Refuse pixels of other than 8 bits; Pillow would read 16 bits of colours as 8."""
    tiles = getattr(image, "tile", ())
    if image.mode not in EIGHT_BIT_MODES or any(";16" in str(tile[3]) for tile in tiles):
        raise InputError(
            f"{path}: has pixels of Pillow's mode {image.mode}, or more than 8 bits, expected a "
            "colour image with 8 bits a channel; is it a depth image? If not, convert it"
        )


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation of an image, 1 to 8; upright where it tells none."""
    try:  # not PNG's own method: it decodes the pixels, to look for a tag behind them
        found = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except DECODING_ERRORS:  # of damaged tags: the pixels may be whole
        return UPRIGHT
    return found if found in TO_UPRIGHT else UPRIGHT


def _turned(image: Image.Image, own: int, wanted: int) -> Image.Image:
    """Return an image whose pixels are stored in one orientation as stored in another."""
    for turn in (TO_UPRIGHT.get(own), FROM_UPRIGHT.get(wanted)):
        image = image if turn is None else image.transpose(turn)
    return image


def read_image(
    path: str | Path, size: tuple[int, int] | None = None, crop: float = 1
) -> np.ndarray:
    """Return an image as uint8 RGB (H, W, 3), resized to ``size`` = (width, height) where given.

    Of its centre alone where ``crop`` is below 1, see ``crop_centre``.

    Raises:
        InputError: as ``open_image``.
    """
    return np.array(read_picture(path, size, crop))


def read_picture(
    path: str | Path, size: tuple[int, int] | None = None, crop: float = 1
) -> Image.Image:
    """Return an image as ``read_image``, as Pillow has it."""
    image = crop_centre(open_image(path), crop)
    return image if size is None else image.resize(size, Image.Resampling.BILINEAR)


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
    across, down = max(1, round(width * share)), max(1, round(height * share))
    left, top = (width - across) // 2, (height - down) // 2
    centre = np.array(image)[top : top + down, left : left + across]
    return Image.fromarray(cv2.resize(centre, (width, height), interpolation=cv2.INTER_LINEAR))


def small_image(path: str | Path, size: tuple[int, int]) -> Image.Image:
    """Return an image for people to see: upright, and no larger than ``size`` = (width, height).

    Raises:
        InputError: as ``open_image``.
    """
    picture = open_image(path, UPRIGHT)
    picture.thumbnail(size, Image.Resampling.LANCZOS)
    return picture


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


def troubles_of(paths: Iterable[str | Path], workers: int = 1) -> Iterator[InputError | None]:
    """Yield what is wrong with each image, in their order; None: it can be read."""

    def trouble(path: str | Path) -> InputError | None:
        """Return what is wrong with an image."""
        try:
            open_image(path, UPRIGHT)
        except InputError as error:
            return error
        return None

    return map_in_threads(trouble, paths, workers)


def _unreadable(path: str | Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(
            f"{path}: no such file, expected an image; of a place: put it back, or extract its "
            "scene again"
        )
    found = str(error)
    if isinstance(error, UnidentifiedImageError):
        with Path(path).open("rb") as file:
            start = file.read(START_BYTES)
        found = f"it starts with {start!r}" if start else "it is empty"
    return InputError(
        f"{path}: cannot be read as an image ({found}), expected PNG or JPEG (or a photo's HEIC); "
        f"replace it, or leave it out{EXTRACT_AGAIN}"
    )
