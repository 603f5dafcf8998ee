"""Checks of HDF5 files when they are opened and read: complete, without links elsewhere."""

import errno
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py

from ..runtime import InputError
from .json_files import READING_ERRORS
from .limits import check_expansion


@contextmanager
def reading(path: str | Path, kind: str) -> Iterator[None]:
    """Turn errors of a block that reads a file into an ``InputError`` that names the file.

    Raises:
        InputError: instead of the errors of h5py, or of checks of the contents.
    """
    try:
        yield
    except InputError:
        raise
    except (*READING_ERRORS, RuntimeError, SystemError) as error:
        raise InputError(
            f"{path}: is not a complete {kind} file ({error}), expected one as this version writes "
            "it; make it again"
        ) from error


def check_whole(file: h5py.File) -> None:
    """Raise an error if an open file links to another one, or declares more than it holds."""
    if link := file.visititems_links(_leads_elsewhere):
        raise ValueError(f"{link} is a link")
    file.visititems(partial(_check_array, Path(file.filename).stat().st_size))


def explain_unopened(path: str | Path, error: OSError) -> str:
    """Return why a file, which may be intact, cannot be opened, and what to do."""
    if isinstance(error, FileNotFoundError):
        return "no such file; make it first"
    if isinstance(error, PermissionError):
        return "it is not readable; change its permissions"
    if Path(path).is_dir():
        return "it is a folder; name the file"
    if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK) or "unable to lock" in str(error):
        return (
            f"another process has it open; wait for its end. If there is none, the disk has no "
            f"locks: set HDF5_USE_FILE_LOCKING=FALSE ({error})"
        )
    return f"{error}; make it again"


def _leads_elsewhere(name: str, link: object) -> str | None:
    """Return the name of a soft or external link; None if it is a hard link."""
    return None if isinstance(link, h5py.HardLink) else name


def _check_array(size: int, name: str, item: h5py.Group | h5py.Dataset) -> None:
    """Raise an error if an array declares more than a file of ``size`` bytes holds of it.

    Or if it is in another file.
    """
    if isinstance(item, h5py.Dataset):
        if item.external or item.is_virtual:
            raise ValueError(f"{name} is in another file")
        held = min(item.id.get_storage_size(), size)
        label = f"{item.file.filename}: {name} of shape {item.shape}"
        check_expansion(label, math.prod(item.shape or ()) * item.dtype.itemsize, held)
