"""Files in folders of any depth, links to other folders followed."""

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from .runtime import InputError

logger = logging.getLogger(__name__)


def refuse_no_folder(path: Path, expected: str) -> None:
    """Check that there is a folder.

    Raises:
        InputError: there is a file, or nothing; the message ends in what was ``expected``.
    """
    if not path.is_dir():
        found = "is a file" if path.exists() else "no such folder"
        raise InputError(f"{path}: {found}, expected {expected}")


def files_below(
    folder: Path, tell: Callable[[int, str, Path], None] = logger.log
) -> Iterator[Path]:
    """Yield the files in a folder and all below it, hidden ones too, as paths in it, unsorted.

    Links to folders are followed, after all that lies in the folder itself. Each real folder is
    looked at once, so that links may lead around. Links that lead nowhere are told in the log.
    What goes while it is looked at is not there.

    Args:
        folder: to look at.
        tell: logs a level, a message and the path in it; of whoever looks often, each once.

    Raises:
        InputError: a folder may not be read.
    """

    def refuse(error: OSError) -> None:
        """Raise InputError, but not for what was removed meanwhile."""
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
                tell(logging.INFO, "%s: leads to a folder that was looked at already", place)
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
