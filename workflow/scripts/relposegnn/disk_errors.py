"""Messages for errors of a full or unwritable disk: what failed, where, and what to do."""

import errno
import os
import shutil
from pathlib import Path

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "your quota on this disk is used up: delete files of yours, or ask for more",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f), or use a disk without it",
    errno.EROFS: "make the disk writable, or work in a folder on another disk",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EACCES: "change the permissions, or work in another folder",
    errno.EPERM: "make it writable (chattr -i, mount options), or work in another folder",
}
OF_READING_TOO = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}


def describe_disk_error(target: Path | None, error: BaseException) -> str | None:
    """Return why ``target`` cannot be written, or None if the disk is not to blame.

    The causes of ``error`` are searched too: torch and HDF5 raise errors of their own when they
    close a file that they could not write. Without a ``target``, it is the file that ``error``
    names; missing permissions and long names do not count then: the file may have been read.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in REMEDIES and _is_about(target, error):
            return _describe(target or Path(error.filename), error.errno)
        error = error.__cause__ or error.__context__
    return None


def _is_about(target: Path | None, error: OSError) -> bool:
    if target is None:
        return error.filename is not None and error.errno not in OF_READING_TOO
    return error.filename is None or Path(error.filename).is_relative_to(target.parent)


def _describe(target: Path, number: int) -> str:
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free / 1e6
    return (
        f"{target}: cannot be written ({os.strerror(number)}, {free:.0f} MB are free in {folder}); "
        f"{REMEDIES[number]}, and run again: complete results are kept"
    )
