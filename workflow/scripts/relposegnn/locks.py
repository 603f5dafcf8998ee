"""What processes that share files need: a lock, and an end together with their Snakemake."""

import errno
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TextIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

WORKFLOW_VARIABLE = "RELPOSEGNN_WORKFLOW"  # the process of Snakemake, set by rules/common.smk
REMINDER = 600  # seconds
NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # some network disks

logger = logging.getLogger(__name__)


def try_lock(path: str | Path) -> TextIO | None:
    """Return the file, locked and with its holder's name, or None where another process has it.

    The lock ends when the file is closed, and with the process, however that ends. On a network
    disk it holds between machines as far as the disk's server supports ``flock``: where locks are
    refused, a warning is logged and the file counts as locked. None is also returned where the
    file or its folder has just been removed: whoever waits for it tries again.
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
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        file.close()
        raise
    file.close()
    return None


@contextmanager
def sole_user(lock_file: str | Path, purpose: str, pause: float = 1.0) -> Iterator[None]:
    """Be the only process in this block; where another is in it, say which, and wait for its end.

    ``lock_file`` lies in a folder that exists, and is removed at the end; ``purpose`` is what the
    log calls the block; ``pause`` is seconds between two attempts.
    """
    lock_file, started, reminded = Path(lock_file), time.monotonic(), 0
    while (lock := try_lock(lock_file)) is None:
        if time.monotonic() - started >= reminded * REMINDER:
            reminded += 1
            logger.warning(
                "%s: %s is at it already; waiting for its end. Is it of no use, end it there; is "
                "it gone and this still waits, delete %s",
                *(purpose, _holder(lock_file), lock_file),
            )
        time.sleep(pause)
    with lock:
        try:
            yield
        finally:
            lock_file.unlink(missing_ok=True)


def keep_locks_of_others(persistence: type) -> None:
    """Let a Snakemake end with its own locks removed, and none of others that run in the folder.

    Of those in files; with ``--persistence-backend db`` it is as Snakemake has it.

    Version 9.27 removes all, so that a third one would not be refused, and would take from a
    running one what it has begun. ``--unlock`` still removes all.

    Args:
        persistence: Snakemake's class that keeps locks in files.
    """
    lock, delete = persistence.lock, persistence._delete_locks

    @contextmanager
    def locked(self: object) -> Iterator[None]:
        """Hold this run's locks in the block, and note that they are its own."""
        self.relposegnn_locks = True
        with lock(self):
            yield

    def delete_own(self: object) -> None:
        """Remove the locks of a run; all, where there is none, as with ``--unlock``."""
        if not hasattr(self, "relposegnn_locks"):
            return delete(self)
        for path in self._lockfile.values():
            Path(path).unlink(missing_ok=True)
        return self._lockfile.clear()

    persistence.lock, persistence._delete_locks = locked, delete_own


def end_with_workflow(pause: float = 1.0) -> None:
    """End this process by SIGTERM when the Snakemake that began it is gone, killed say.

    A step that lived on would write files that the next Snakemake is about to write. The kernel's
    PR_SET_PDEATHSIG does not do: a shell stands between the two. ``pause`` is the number of seconds
    between two looks; outside Snakemake nothing is done.
    """
    number = os.environ.get(WORKFLOW_VARIABLE)
    if number is None:
        return

    def watch() -> None:
        """Wait for the end of Snakemake, and end this process then."""
        while _alive(int(number)):
            time.sleep(pause)
        logger.error("Snakemake (process %s) has ended before this step: the step ends too", number)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _lock(file: TextIO) -> None:
    """Lock an open file, or raise BlockingIOError where another process holds it."""
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
