"""Whether the binary files of a COLMAP model are complete.

pycolmap does not check: where a list is cut off it reads on for ever, or reads a wrong pose. Each
of the files is a number of records (64 bits) and the records, of different lengths; all numbers are
little-endian.
"""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

from ..runtime import InputError

COUNT_64 = struct.Struct("<Q")
COUNT_32 = struct.Struct("<I")
POSE = 56  # bytes of a quaternion and a translation
# Numbers in a camera, by COLMAP's number of its model.
PARAMETERS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12, 16, 4, 5, 3, 4, 6, 2)
BEYOND_THE_END = (struct.error, IndexError, ValueError, OverflowError)  # what reading there raises


def check_lengths(model: Path) -> None:
    """Raise InputError where a binary file of a model is cut off; one may be missing."""
    for name, end_of in RECORDS.items():
        path = model / name
        if path.is_file() and not _is_complete(path, end_of):
            raise InputError(
                f"{path}: is cut off after {path.stat().st_size} bytes, expected a complete COLMAP "
                "model; copy or export it again"
            )


def _is_complete(path: Path, end_of: Callable[[mmap.mmap, int], int]) -> bool:
    """Step over the records; nothing is copied into memory but the counts in them."""
    size = path.stat().st_size
    if size < COUNT_64.size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position = COUNT_64.size
        try:
            for _ in range(COUNT_64.unpack_from(content)[0]):
                position = end_of(content, position)
        except BEYOND_THE_END:
            return False
    return position <= size


def _camera_end(content: mmap.mmap, start: int) -> int:
    """Skip id, model, width, height, and 8 bytes for each number of this model."""
    return start + 24 + 8 * PARAMETERS[COUNT_32.unpack_from(content, start + 4)[0]]


def _image_end(content: mmap.mmap, start: int) -> int:
    """Skip id, pose and camera, name, zero, number of key points, and 24 bytes for each."""
    name_end = content.find(b"\0", start + 8 + POSE)
    if name_end < 0:
        raise ValueError("a name without an end")
    return name_end + 9 + 24 * COUNT_64.unpack_from(content, name_end + 1)[0]


def _point_end(content: mmap.mmap, start: int) -> int:
    """Skip id, position, colour, error, number of observations, and 8 bytes for each."""
    return start + 51 + 8 * COUNT_64.unpack_from(content, start + 43)[0]


def _frame_end(content: mmap.mmap, start: int) -> int:
    """Skip id, rig, pose, number of sensors' data, and 16 bytes for each."""
    return start + 12 + POSE + 16 * COUNT_32.unpack_from(content, start + 8 + POSE)[0]


def _rig_end(content: mmap.mmap, start: int) -> int:
    """Skip id, number of sensors, the reference, and the others, each perhaps with a pose."""
    sensors = COUNT_32.unpack_from(content, start + 4)[0]
    end = start + (16 if sensors else 8)
    for _ in range(sensors - 1):
        end += 9 + (POSE if content[end + 8] else 0)
    return end


RECORDS = {
    "cameras.bin": _camera_end,
    "images.bin": _image_end,
    "points3D.bin": _point_end,
    "frames.bin": _frame_end,
    "rigs.bin": _rig_end,
}
