"""Checks that the binary files of a COLMAP model are complete.

pycolmap does not check: if a list is cut off, it reads forever or reads a wrong pose, and it takes
a quaternion of zeros for no rotation. Each file is the number of its records (64 bits), then the
records, of different lengths; all numbers are little-endian.
"""

import mmap
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path

from ..runtime import InputError
from .posed_images import check_quaternion

COUNT_64 = struct.Struct("<Q")
COUNT_32 = struct.Struct("<I")
QUATERNION = struct.Struct("<4d")
POSE = 56  # bytes of a quaternion and a translation
# Number of parameters of a camera, by COLMAP's number of its camera model.
PARAMETERS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12, 16, 4, 5, 3, 4, 6, 2)
BEYOND_THE_END = (struct.error, IndexError, ValueError, OverflowError)  # raised by reading there
NO_TEXT = {"Cc", "Cs"}  # control characters, and surrogates for bytes that are not UTF-8
AGAIN = "copy or export it again"


class _NoRecordError(Exception):
    """What is wrong with a record; the caller adds the file."""


def check_lengths(model: Path) -> None:
    """Raise InputError if a binary file of a model is not complete; missing files are ignored."""
    for name, end_of in RECORDS.items():
        path = model / name
        if path.is_file():
            _check_length(path, end_of)


def _check_length(path: Path, end_of: Callable[[mmap.mmap, int], int]) -> None:
    """Step over the records, reading only their counts, names and rotations."""
    size = path.stat().st_size
    try:
        position = _end_of_records(path, end_of)
    except _NoRecordError as error:
        raise InputError(f"{path}: {error}; {AGAIN}") from error
    except BEYOND_THE_END:
        position = size + 1
    if position > size:
        raise InputError(
            f"{path}: is cut off after {size} bytes, expected a complete COLMAP model; {AGAIN}"
        )
    if position < size:
        raise InputError(
            f"{path}: has {size - position} bytes after as many records as it announces, expected "
            f"none; {AGAIN}"
        )


def _end_of_records(path: Path, end_of: Callable[[mmap.mmap, int], int]) -> int:
    position = COUNT_64.size
    if path.stat().st_size < position:
        return position
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for _ in range(COUNT_64.unpack_from(content)[0]):
            position = end_of(content, position)
    return position


def _check_rotation(content: mmap.mmap, start: int, owner: str) -> None:
    try:
        check_quaternion(QUATERNION.unpack_from(content, start), owner)
    except InputError as error:
        raise _NoRecordError(error) from error


def _camera_end(content: mmap.mmap, start: int) -> int:
    """Skip id, model, width, height, and 8 bytes for each parameter of this model."""
    camera, model = struct.unpack_from("<II", content, start)
    if model >= len(PARAMETERS):
        raise _NoRecordError(
            f"camera {camera} has model number {model}, expected one below {len(PARAMETERS)}"
        )
    return start + 24 + 8 * PARAMETERS[model]


def _image_end(content: mmap.mmap, start: int) -> int:
    """Skip id, pose and camera, name, zero, number of key points, and 24 bytes for each."""
    name_end = content.find(b"\0", start + 8 + POSE)
    if name_end < 0:
        raise ValueError("the name of an image has no end")
    name = content[start + 8 + POSE : name_end].decode(errors="surrogateescape")
    if any(unicodedata.category(character) in NO_TEXT for character in name):
        raise _NoRecordError(f"an image is named {name[:80]!r}, expected text in UTF-8")
    _check_rotation(content, start + 4, f"image {name}")
    return name_end + 9 + 24 * COUNT_64.unpack_from(content, name_end + 1)[0]


def _point_end(content: mmap.mmap, start: int) -> int:
    """Skip id, position, colour, error, number of observations, and 8 bytes for each."""
    return start + 51 + 8 * COUNT_64.unpack_from(content, start + 43)[0]


def _frame_end(content: mmap.mmap, start: int) -> int:
    """Skip id, rig, pose, number of data IDs, and 16 bytes for each."""
    _check_rotation(content, start + 8, f"frame {COUNT_32.unpack_from(content, start)[0]}")
    return start + 12 + POSE + 16 * COUNT_32.unpack_from(content, start + 8 + POSE)[0]


def _rig_end(content: mmap.mmap, start: int) -> int:
    """Skip id, number of sensors, the reference sensor, and the others, each maybe with a pose."""
    sensors = COUNT_32.unpack_from(content, start + 4)[0]
    end = start + (16 if sensors else 8)
    for _ in range(sensors - 1):
        posed = content[end + 8]
        if posed:
            _check_rotation(content, end + 9, "a sensor of a rig")
        end += 9 + (POSE if posed else 0)
    return end


RECORDS = {
    "cameras.bin": _camera_end,
    "images.bin": _image_end,
    "points3D.bin": _point_end,
    "frames.bin": _frame_end,
    "rigs.bin": _rig_end,
}
