"""Checks of the sizes that a file declares, before memory, disk or time is spent on them.

Limits are generous; environment variables RELPOSEGNN_MAX_... raise them.
"""

import math
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..runtime import InputError
from .json_files import whole_number

LIMITS = {  # by the end of the variable's name
    "PIXELS": 200_000_000,  # of an image: phones have up to so many
    "ASPECT": 100,  # ratio of the longer to the shorter side: about 10 for panoramas
    "SCANS": 100,  # of a JPEG, each of which may take as long as the whole: cameras write 1 to 10
    "DOWNLOAD_BYTES": 200_000_000_000,  # the authors' largest archive has 58 GB
    "ARCHIVE_FILES": 1_000_000,  # in one archive: each takes memory, and an inode on the disk
    "GRAPH_BYTES": 1 << 28,  # of one graph of the authors, which is read at once: 8.4 MB
    "SETTINGS": 100_000,  # values in a configuration file: ours have about 300
    "EXPANSION": 100,  # ratio of decompressed to stored bytes: about 10 for text
}
# Markers of JPEG that are followed by a length, and the end. In the data of pixels, 255 is followed
# by 0 or the number of a restart.
MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd8])")
END_OF_PICTURE, START_OF_SCAN = b"\xd9", b"\xda"
ALWAYS = 1 << 24  # so many bytes are always allowed


def check_limit(label: str | Path, name: str, found: int, unit: str) -> None:
    """Check a number against the limit ``name``; ``label`` is the file, for the message.

    Raises:
        InputError: it is above the limit, or the variable of the limit does not hold a number.
    """
    variable = f"RELPOSEGNN_MAX_{name}"
    text = os.environ.get(variable, str(LIMITS[name]))
    if not text.isdecimal():
        raise InputError(f"{variable}={text}: expected a whole number of {unit}")
    if found > int(text):
        raise InputError(
            f"{label}: has {found} {unit}, expected at most {text}; leave it out or make it "
            f"smaller, or, if it is intended, set the environment variable {variable} to more"
        )


def check_picture(label: str | Path, width: int, height: int) -> None:
    """Check the size of a picture. A very narrow one would have no pixels left after resizing.

    Raises:
        InputError: it has too many pixels, or one side is far longer than the other.
    """
    check_limit(label, "PIXELS", width * height, "pixels")
    times = math.ceil(max(width, height) / max(min(width, height), 1))
    check_limit(label, "ASPECT", times, f"times its shorter side as its longer ({width}x{height})")


def check_scans(jpeg: str | Path) -> None:
    """Check the number of scans of a JPEG, up to the end of its first picture.

    Raises:
        InputError: there are too many.
    """
    content, scans, at = Path(jpeg).read_bytes(), 0, 0
    while (marker := MARKER.search(content, at)) and marker[1] != END_OF_PICTURE:
        scans += marker[1] == START_OF_SCAN
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
    check_limit(jpeg, "SCANS", scans, "scans")


def check_expansion(label: str | Path, declared: int, held: int) -> None:
    """Check that a file of ``held`` bytes can hold the bytes that it declares.

    Raises:
        InputError: it declares too many.
    """
    if declared > ALWAYS:
        unit = f"declared bytes for each of its {held} stored bytes"
        check_limit(label, "EXPANSION", math.ceil(declared / max(held, 1)), unit)


def check_zip(label: str | Path, entries: Iterable[zipfile.ZipInfo], held: int) -> None:
    """Check the number of entries of a zip, and their sizes against ``held``, that of the zip.

    Raises:
        InputError: there are too many, or they declare more than the zip can hold.
    """
    sizes = [entry.file_size for entry in entries]
    check_limit(label, "ARCHIVE_FILES", len(sizes), "entries")
    check_expansion(label, sum(sizes), held)


def check_npz(path: str | Path) -> None:
    """Check the sizes that the arrays of an npz file declare; damage is not noticed.

    Raises:
        InputError: an array, or all together, declare more than the file can hold.
    """
    with zipfile.ZipFile(path) as zipped:
        check_zip(path, zipped.infolist(), Path(path).stat().st_size)
        for entry in zipped.infolist():
            with zipped.open(entry) as stream:
                if np.lib.format.read_magic(stream) == (1, 0):
                    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
                else:
                    shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
            label = f"{path}: {entry.filename} of shape {shape}"
            check_expansion(label, math.prod(shape) * dtype.itemsize, entry.file_size)


def checked_size(path: str | Path, width: object, height: object) -> tuple[int, int]:
    """Return the size of images that a file states; raise an error if it is impossible."""
    size = whole_number(width, "width", least=1), whole_number(height, "height", least=1)
    check_picture(path, *size)
    return size


def check_space(label: str | Path, needed: int, folder: Path) -> None:
    """Check beforehand that the disk of a folder has room for ``needed`` bytes.

    Raises:
        InputError: it has not.
    """
    disk = shutil.disk_usage(folder)
    if disk.total and needed > disk.free:  # some network disks report nothing
        raise InputError(
            f"{label}: needs {needed} more bytes, but the disk has only {disk.free} free; "
            "free some space and run again"
        )


def refuse_special_file(path: str | Path) -> None:
    """Refuse a pipe, socket or device, which may block a reader for ever.

    Raises:
        InputError: the path is one of these.
    """
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return  # opening it will say why
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path}: is a pipe, socket or device, expected a file; leave it out")
