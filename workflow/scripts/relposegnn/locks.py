"""Processes that share files: locks, and an end together with their Snakemake."""

import errno
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TextIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

WORKFLOW_VARIABLE = "RELPOSEGNN_WORKFLOW"  # process number of Snakemake, set by rules/common.smk
PAUSE = 1.0  # seconds between two attempts to lock a file, and between two looks for Snakemake
REMINDER = 600  # seconds between two warnings of a process that waits
NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # on some network disks

logger = logging.getLogger(__name__)


def try_lock(path: str | Path) -> TextIO | None:
    """Return the file, locked and holding this process's name, or None if another process has it.

    The lock ends when the file is closed, and with the process, however that ends. On a network
    disk it holds between machines if the disk's server supports ``flock``; if locks are refused, a
    warning is logged and the file counts as locked. None is also returned if the file or its folder
    has just been removed; the caller then tries again.
    """
    path = Path(path)
    try:
        file = path.open("a+", encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        _lock(file)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.truncate(0)
            with suppress(OSError):  # of a full disk: the name only informs
                os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        file.close()
        raise
    file.close()
    return None


@contextmanager
def sole_user(lock_file: str | Path, purpose: str) -> Iterator[None]:
    """Be the only process in this block: log which other process is in it, and wait for its end.

    The file ``lock_file`` is removed at the end. ``purpose`` names the block in the log.

    Raises:
        FileNotFoundError: there is no folder for the file, or it was removed meanwhile.
    """
    lock_file, started, reminded = Path(lock_file), time.monotonic(), 0
    while (lock := try_lock(lock_file)) is None:
        lock_file.parent.stat()  # without its folder the file would be waited for without end
        if time.monotonic() - started >= reminded * REMINDER:
            reminded += 1
            logger.warning(
                "%s: %s is already working on it; waiting for its end. If it is not wanted, end it "
                "there; if it has ended and this still waits, delete %s",
                *(purpose, _holder(lock_file), lock_file),
            )
        time.sleep(PAUSE)
    with lock:
        try:
            yield
        finally:
            lock_file.unlink(missing_ok=True)


def keep_locks_of_others(persistence: type) -> None:
    """Let a Snakemake that ends remove only its own locks, not those of others in the folder.

    Version 9.27 removes all of them, so that a third Snakemake would not be refused, and would
    overwrite what a running one has begun. ``--unlock`` still removes all. Locks of
    ``--persistence-backend db`` are not affected.

    Args:
        persistence: Snakemake's class that keeps locks in files.
    """
    lock, delete = persistence.lock, persistence._delete_locks

    @contextmanager
    def locked(self: object) -> Iterator[None]:
        """Hold this run's locks in the block, and note that it has some."""
        self.relposegnn_locks = True
        with lock(self):
            yield

    def delete_own(self: object) -> None:
        """Remove the locks of this run, or all if it has none, as with ``--unlock``."""
        if not hasattr(self, "relposegnn_locks"):
            return delete(self)
        for path in self._lockfile.values():
            Path(path).unlink(missing_ok=True)
        return self._lockfile.clear()

    persistence.lock, persistence._delete_locks = locked, delete_own


def end_with_workflow() -> None:
    """End this process by SIGTERM when the Snakemake that started it has ended, even if killed.

    Otherwise the step would write files that the next Snakemake is about to write. The kernel's
    PR_SET_PDEATHSIG does not help, because there is a shell between the two. Outside Snakemake
    nothing is done.
    """
    number = os.environ.get(WORKFLOW_VARIABLE)
    if number is None:
        return

    def watch() -> None:
        """Wait for the end of Snakemake, then end this process."""
        while _alive(int(number)):
            time.sleep(PAUSE)
        logger.error("Snakemake (process %s) has ended before this step: the step ends too", number)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _lock(file: TextIO) -> None:
    """Lock an open file, or raise BlockingIOError if another process holds it."""
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "no flock")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS_HERE:
            raise
        _warn_once(os.strerror(error.errno))


@cache
def _warn_once(reason: str) -> None:
    logger.warning("files cannot be locked here (%s); do not run one step twice at once", reason)


def _holder(lock_file: Path) -> str:
    try:
        return lock_file.read_text(encoding="utf-8") or "another process"
    except FileNotFoundError:
        return "another process"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
