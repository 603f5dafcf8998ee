"""Files below a folder; links to other folders are followed."""

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ..runtime import InputError

logger = logging.getLogger(__name__)


def refuse_no_folder(path: Path, expected: str) -> None:
    """Check that there is a folder.

    Raises:
        InputError: it is a file or missing; the message ends in ``expected``.
    """
    if not path.is_dir():
        found = "is a file" if path.exists() else "no such folder"
        raise InputError(f"{path}: {found}, expected {expected}")


def files_below(
    folder: Path, tell: Callable[[int, str, Path], None] = logger.log
) -> Iterator[Path]:
    """Yield the paths of all files below a folder, hidden ones included, unsorted.

    Links to folders are followed, after the contents of the folder itself. Each real folder is
    visited once, so links may form circles. Links that lead nowhere are logged. Files that
    disappear in the meantime are left out.

    Args:
        folder: to be searched.
        tell: logs a level, a message and the path in it; whoever searches often may log each once.

    Raises:
        InputError: a folder is not readable.
    """

    def refuse(error: OSError) -> None:
        """Raise InputError, except for what was removed in the meantime."""
        if Path(error.filename) == folder or error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise InputError(
                f"{error.filename}: cannot be searched ({error.strerror}); change its permissions, "
                "or move it away"
            ) from error

    known: set[str] = set()
    waiting = [folder]
    while waiting:
        for place, folders, files in os.walk(waiting.pop(0), onerror=refuse):
            if os.path.realpath(place) in known:
                tell(logging.INFO, "%s: leads to a folder that was already searched", place)
                folders.clear()
                continue
            known.add(os.path.realpath(place))
            folders.sort()
            for name in sorted(files):
                path = Path(place, name)
                if path.is_file():
                    yield path
                elif path.is_symlink():
                    tell(logging.WARNING, "%s: is a link to nothing, and left out", path)
            waiting += [path for name in folders if (path := Path(place, name)).is_symlink()]
