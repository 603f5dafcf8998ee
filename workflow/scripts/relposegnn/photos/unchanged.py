"""Files of a place that stay in use: one that is replaced meanwhile would be mixed with others."""

from collections.abc import Iterable
from pathlib import Path

from ..runtime import InputError


class ChangedError(InputError):
    """A file is no longer what was read of it."""


class Unchanged:
    """Files as they are now."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Look at the files."""
        self._states = {file: _state_of(file) for file in files}

    def check(self) -> None:
        """Check that they still are as they were.

        Raises:
            ChangedError: one was written, replaced or removed.
        """
        for file, state in self._states.items():
            if _state_of(file) != state:
                raise ChangedError(
                    f"{file}: was written anew, replaced or removed while it was in use, expected "
                    "the same file until the end; start again, which reads what is there now"
                )


def _state_of(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
