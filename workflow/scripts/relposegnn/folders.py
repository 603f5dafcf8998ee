"""Files in folders of any depth, links to other folders followed."""

import logging
import os
from collections.abc import Iterator
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


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and all below it, hidden ones too, as paths in it, unsorted.

    Links to folders are followed, after all that lies in the folder itself. Each real folder is
    looked at once, so that links may lead around. Links that lead nowhere are told in the log.

    Raises:
        InputError: a folder may not be read.
    """
    known: set[str] = set()
    waiting = [folder]
    while waiting:
        for place, folders, files in os.walk(waiting.pop(0), onerror=_refuse):
            if os.path.realpath(place) in known:
                logger.info("%s: leads to a folder that was looked at already", place)
                folders.clear()
                continue
            known.add(os.path.realpath(place))
            folders.sort()
            for name in sorted(files):
                path = Path(place, name)
                if path.is_file():
                    yield path
                elif path.is_symlink():
                    logger.warning("%s: is a link to nothing, and left out", path)
            waiting += [path for name in folders if (path := Path(place, name)).is_symlink()]


def _refuse(error: OSError) -> None:
    raise InputError(
        f"{error.filename}: cannot be searched ({error.strerror}); change its permissions, or move "
        "it away"
    ) from error
