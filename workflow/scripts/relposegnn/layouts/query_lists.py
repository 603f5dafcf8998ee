"""Lists that name the queries among a place's images, plain or in hloc's format with cameras."""

import logging
import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..runtime import InputError
from .posed_images import FOCAL_LENGTHS, parse_numbers, read_lines

logger = logging.getLogger(__name__)

QUERIES = "test.txt"  # in the folder of a scene, for layouts that have the poses elsewhere
# COLMAP's camera models: number of parameters, and how many of them, the first ones, are focal
# lengths in pixels; 0 for fisheye lenses, whose rays a focal length alone does not describe.
CAMERA_MODELS = {
    "SIMPLE_PINHOLE": (3, 1),
    "PINHOLE": (4, 2),
    "SIMPLE_RADIAL": (4, 1),
    "RADIAL": (5, 1),
    "OPENCV": (8, 2),
    "FULL_OPENCV": (12, 2),
    "OPENCV_FISHEYE": (8, 0),
    "FOV": (5, 0),
    "SIMPLE_RADIAL_FISHEYE": (4, 0),
    "RADIAL_FISHEYE": (5, 0),
    "THIN_PRISM_FISHEYE": (12, 0),
}
PINHOLES = {name for name, (_, lengths) in CAMERA_MODELS.items() if lengths}
HLOC = re.compile(rf"(.+?)\s+({'|'.join(CAMERA_MODELS)})\s+(.+)")
COLUMNS = "name CAMERA_MODEL width height parameters"


class Query(NamedTuple):
    """A query in a list.

    Attributes:
        where: file and line.
        focal_length: in longer sides of the image; NaN if not given, or not a pinhole's.
    """

    where: str
    focal_length: float


def read_queries(
    path: Path, images: Collection[str], model: Path, aliases: Mapping[str, str] | None = None
) -> dict[str, Query]:
    """Return the queries by the names of their images; empty if there is no list.

    Args:
        path: of the list.
        images: names that may occur in it.
        model: the file or folder with the poses of these images, for messages.
        aliases: other names of some of them.

    Raises:
        InputError: an image is not in ``images``, or named twice, a camera is invalid, the list is
            empty, or there is a table of queries of another layout.
    """
    if (table := path.with_suffix(".csv")).is_file():
        raise InputError(
            f"{table}: is a table of queries beside {model}, expected only their names in "
            f"{path.name}, one per line, because the model has their poses; list them there, or "
            "move the table away"
        )
    images = dict.fromkeys(images)  # for fast look-up, in order
    if not path.is_file():
        return {}
    queries: dict[str, Query] = {}
    for where, line in read_lines(path):
        if not line or line.startswith("#"):
            continue
        hloc = None if PurePosixPath(line).as_posix() in images else HLOC.fullmatch(line)
        name = PurePosixPath(hloc[1] if hloc else line).as_posix()
        name = (aliases or {}).get(name, name)
        if name not in images:
            raise InputError(
                f"{where}: names {name!r}, which has no pose in {model}, expected one of its "
                f"images, such as {min(images)!r}, one per line, or hloc's {COLUMNS}"
            )
        if name in queries:
            raise InputError(
                f"{where}: names {name!r} again, as {queries[name].where} does, expected each "
                "once; remove one"
            )
        length = _focal_length(hloc[2], hloc[3].split(), where) if hloc else math.nan
        queries[name] = Query(where, length)
    if not queries:
        raise InputError(f"{path}: names no image, expected at least one; or remove the file")
    return queries


def _focal_length(model: str, fields: list[str], where: str) -> float:
    """Return the focal length of hloc's ``width height parameters``, in longer sides."""
    count, lengths = CAMERA_MODELS[model]
    numbers = parse_numbers(fields, where, f"{COLUMNS}; correct the line")
    if len(numbers) != 2 + count:
        raise InputError(
            f"{where}: has {len(numbers)} numbers after {model}, expected {2 + count}, {COLUMNS}; "
            "correct the line"
        )
    if not lengths:
        return math.nan
    pixels, side = numbers[2 : 2 + lengths].mean(), numbers[:2].max()
    if not (side > 0 and FOCAL_LENGTHS[0] <= pixels / side <= FOCAL_LENGTHS[1]):
        raise InputError(
            f"{where}: has a focal length of {pixels:.4g} pixels in images of {numbers[0]:g} x "
            f"{numbers[1]:g}, expected {FOCAL_LENGTHS[0]} to {FOCAL_LENGTHS[1]} longer sides; "
            "correct the line"
        )
    return float(pixels / side)
