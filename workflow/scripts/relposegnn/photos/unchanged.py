"""Detect that a file of a place was replaced while in use: parts of two places must not mix."""

from collections.abc import Iterable
from pathlib import Path

from ..runtime import InputError


class ChangedError(InputError):
    """A file has changed since it was opened."""


class Unchanged:
    """Files that must not change."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Record the present state of the files."""
        self._states = {file: _state_of(file) for file in files}

    def check(self) -> None:
        """Check that the files are as they were.

        Raises:
            ChangedError: one was written, replaced or removed.
        """
        for file, state in self._states.items():
            if _state_of(file) != state:
                raise ChangedError(
                    f"{file}: was overwritten, replaced or removed while it was in use, expected "
                    "the same file until the end; start again to read the present file"
                )


def _state_of(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
