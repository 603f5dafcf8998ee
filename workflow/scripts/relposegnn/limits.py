"""Sizes that a file declares, known before memory, disk or time is spent on them.

A limit is generous, and an environment variable RELPOSEGNN_MAX_... raises it.
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

from .json_files import whole_number
from .runtime import InputError

LIMITS = {  # by the end of the variable's name
    "PIXELS": 200_000_000,  # of an image: phones have up to so many
    "ASPECT": 100,  # a longer side in shorter ones: panoramas have some 10
    "SCANS": 100,  # of a JPEG, each of which may take as long as the whole: cameras write 1 to 10
    "DOWNLOAD_BYTES": 200_000_000_000,  # the authors' largest archive has 58 GB
    "ARCHIVE_FILES": 1_000_000,  # in one archive: each takes a place on the disk, and memory
    "GRAPH_BYTES": 1 << 28,  # of one of the authors' graphs, which is read at once: 8.4 MB
    "SETTINGS": 100_000,  # in a configuration's file: ours have some 300
    "EXPANSION": 100,  # bytes that a file may hold for each of its own; text has some 10
}
# JPEG's markers that a length follows, or the end; in pixels 0 follows 255, or a restart's number.
MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd8])")
END_OF_PICTURE, START_OF_SCAN = b"\xd9", b"\xda"
ALWAYS = 1 << 24  # so many bytes are no burden, whatever they came from


def check_limit(label: str | Path, name: str, found: int, unit: str) -> None:
    """Check a number against one of ``LIMITS``; ``label`` is the file's.

    Raises:
        InputError: it is above the limit, or the variable that sets the limit holds no number.
    """
    variable = f"RELPOSEGNN_MAX_{name}"
    text = os.environ.get(variable, str(LIMITS[name]))
    if not text.isdecimal():
        raise InputError(f"{variable}={text}: expected a whole number of {unit}")
    if found > int(text):
        raise InputError(
            f"{label}: has {found} {unit}, expected at most {text}; leave it out or make it "
            f"smaller, or, if it is meant to be so, set the environment variable {variable} to more"
        )


def check_picture(label: str | Path, width: int, height: int) -> None:
    """Check the size of a picture: what is wide and hardly high has no pixel when it is small.

    Raises:
        InputError: it has too many pixels, or one side is far longer than the other.
    """
    check_limit(label, "PIXELS", width * height, "pixels")
    times = math.ceil(max(width, height) / max(min(width, height), 1))
    check_limit(label, "ASPECT", times, f"times its shorter side as its longer ({width}x{height})")


def check_scans(jpeg: str | Path) -> None:
    """Check how often a JPEG goes over its pixels, up to where its first picture ends.

    Raises:
        InputError: too often.
    """
    content, scans, at = Path(jpeg).read_bytes(), 0, 0
    while (marker := MARKER.search(content, at)) and marker[1] != END_OF_PICTURE:
        scans += marker[1] == START_OF_SCAN
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
    check_limit(jpeg, "SCANS", scans, "scans")


def check_expansion(label: str | Path, declared: int, held: int) -> None:
    """Check that ``declared`` bytes can be what a file's ``held`` bytes hold.

    Raises:
        InputError: there are too few of these.
    """
    if declared > ALWAYS:
        unit = f"bytes by its own account for each of the {held} bytes that it takes"
        check_limit(label, "EXPANSION", math.ceil(declared / max(held, 1)), unit)


def check_zip(label: str | Path, entries: Iterable[zipfile.ZipInfo], held: int) -> None:
    """Check the number of a zip's entries, and their sizes against the zip's own.

    Raises:
        InputError: there are too many, or they declare more than the zip can hold.
    """
    sizes = [entry.file_size for entry in entries]
    check_limit(label, "ARCHIVE_FILES", len(sizes), "entries")
    check_expansion(label, sum(sizes), held)


def check_npz(path: str | Path) -> None:
    """Check what the arrays of an npz file declare; damage is left to whoever reads them.

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
    """Return the size of images that a file tells; it raises an error where none can have it."""
    size = whole_number(width, "width", least=1), whole_number(height, "height", least=1)
    check_picture(path, *size)
    return size


def check_space(label: str | Path, needed: int, folder: Path) -> None:
    """Check, before hours go by, that ``needed`` bytes have room on the disk of a folder.

    Raises:
        InputError: they have not.
    """
    disk = shutil.disk_usage(folder)
    if disk.total and needed > disk.free:  # some network disks tell nothing
        raise InputError(
            f"{label}: {needed} bytes are to come, but the disk has {disk.free}; "
            "free some space and run again"
        )


def refuse_special_file(path: str | Path) -> None:
    """Check that a path leads to no pipe, socket or device: those may keep a reader for ever.

    Raises:
        InputError: it does.
    """
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return  # whoever opens it says why
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path}: is a pipe, socket or device, expected a file; leave it out")
