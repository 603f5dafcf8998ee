"""What every step needs around its work: logging, device, seeds, atomic files."""

import glob
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.contrib.logging import logging_redirect_tqdm

from .disk_errors import describe_disk_error
from .locks import end_with_workflow, sole_user, try_lock

if TYPE_CHECKING:
    import torch

DEVICE_VARIABLE = "RELPOSEGNN_DEVICE"
CREDENTIALS = re.compile(r"(?<=://)[^/\s?#]*@")


def plain(text: str) -> str:
    """Return text that is safe on a terminal: names come from archives, servers and disks.

    Unprintable characters, such as codes that move the cursor, are escaped, and the user name and
    password of a URL are left out.
    """
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1]
        for sign in CREDENTIALS.sub("", text)
    )


class InputError(ValueError):
    """Something the user gave is wrong; the message says what, where and what to do."""

    def __init__(self, message: str) -> None:
        """Keep the message, made safe by ``plain``."""
        super().__init__(plain(message))


class PlainFormatter(logging.Formatter):
    """Formats log records, tracebacks included, so that they are safe, see ``plain``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return plain(super().format(record))


@contextmanager
def logging_to(log_file: str | Path) -> Iterator[None]:
    """Log to the terminal and to ``log_file``; end a step that fails with exit code 1.

    An ``InputError`` or a full disk is logged as its message alone, any other exception with its
    traceback. SIGTERM and the end of Snakemake end the step as an exception does, so that partial
    outputs are removed. If a step outlives its Snakemake nevertheless, for example on another
    machine, the next step with the same ``log_file`` waits for its end.
    """
    log_file = Path(log_file)
    enter_process()
    end_with_workflow()
    try:
        with disk_errors_named(log_file):
            log_file.parent.mkdir(parents=True, exist_ok=True)
            log_file.touch()
        with sole_user(log_file.with_name(f".{log_file.name}.lock"), str(log_file)):
            log_file.write_text("")
            enter_process(log_file)
            with logging_redirect_tqdm():
                yield
    except InputError as error:
        logging.error("%s", error)
        sys.exit(1)
    except Exception as error:
        trouble = describe_disk_error(None, error)
        logging.error("%s", trouble) if trouble else logging.exception("the step failed")
        sys.exit(1)


def log_to_terminal(level: int = logging.INFO, *form: str) -> None:
    """Log a command's messages, bare or in a ``form`` that ``logging.Formatter`` takes."""
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter(*(form or ["%(message)s"])))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it logs each variant it tries


def end_as_by_interrupt() -> None:
    """Let SIGTERM raise KeyboardInterrupt, as Ctrl-C does, and let SIGHUP do as SIGTERM.

    SIGHUP comes when the terminal is closed or its connection lost. Where it is ignored, as with
    ``nohup``, it stays so.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
    if hang_up and signal.getsignal(hang_up) != signal.SIG_IGN:
        signal.signal(hang_up, lambda *_: signal.raise_signal(signal.SIGTERM))


class LogFile(logging.FileHandler):
    """A log file that a full disk silently cuts short: the terminal shows everything."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Ignore a record that the full disk did not take."""
        if describe_disk_error(Path(self.baseFilename), sys.exc_info()[1]) is None:
            super().handleError(record)

    def close(self) -> None:
        """Close the file; ignore what the full disk does not take."""
        with suppress(OSError):
            super().close()


def enter_process(log_file: str | Path | None = None, level: int = logging.INFO) -> None:
    """Log to the terminal and append to ``log_file``; let SIGTERM raise ``SystemExit``."""
    handlers = [logging.StreamHandler(), *([LogFile(log_file)] if log_file else [])]
    for handler in handlers:
        handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level, handlers=handlers, force=True)
    logging.captureWarnings(True)
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it logs each variant it tries
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a path beside ``target``, for a file or a folder; rename it when the block succeeds.

    An existing ``target`` is replaced. If the block raises, the partial output is removed and
    ``target`` stays as it was. Leftovers of a killed process are removed by the next one that
    writes the same target. The path yielded does not exist yet and has the target's name.

    Raises:
        InputError: the disk is full or not writable, or ``target`` is a file and a folder was
            written, or the other way round.
    """
    target = Path(target)
    with disk_errors_named(target), _scratch_folder(target) as scratch:
        partial = scratch / target.name
        yield partial
        if target.exists() and partial.is_dir() != target.is_dir():
            found, expected = ("folder", "file")[:: 1 if target.is_dir() else -1]
            raise InputError(
                f"{target}: is a {found}, expected a {expected} or nothing there; move it away, or "
                "choose another name"
            )
        replaced = scratch / f".{target.name}.replaced"
        if target.is_dir():
            os.replace(target, replaced)  # removed with the scratch folder
        try:
            os.replace(partial, target)
        except BaseException:
            if replaced.exists():
                os.replace(replaced, target)
            raise


def make_folder(folder: str | Path) -> None:
    """Make a folder and its parents, unless they exist.

    Raises:
        InputError: one of them is a file, or the disk takes none.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next(path for path in (folder, *folder.parents) if path.exists())
        raise InputError(
            f"{folder}: cannot be made, {file} is a file, expected a folder; move it "
            "away, or choose another name"
        ) from error
    except OSError as error:  # maybe of a parent
        if trouble := describe_disk_error(Path(error.filename or folder), error):
            raise InputError(trouble) from error
        raise


@contextmanager
def disk_errors_named(target: str | Path) -> Iterator[None]:
    """Turn the errors of a disk on which ``target`` cannot be written into an ``InputError``."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if trouble := describe_disk_error(Path(target), error):
            raise InputError(trouble) from error
        raise


def check_writable(folder: str | Path) -> None:
    """Raise an InputError where Snakemake, run in ``folder``, cannot write what it notes there."""
    notes = Path(folder).absolute() / ".snakemake"
    place = notes if notes.is_dir() else notes.parent
    with disk_errors_named(notes), tempfile.TemporaryFile(dir=place) as file:
        file.write(bytes(4096))


@contextmanager
def _scratch_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target``; remove it, and those that killed processes left."""
    make_folder(target.parent)
    prefix = f".{target.name}.partial-"
    for other in target.parent.glob(f"{glob.escape(prefix)}*"):
        with suppress(OSError):  # for example of another user
            if lock := try_lock(other / ".lock"):
                shutil.rmtree(other, ignore_errors=True)
                lock.close()
    lock = None
    while lock is None:  # until it is locked, another process may take a folder for abandoned
        scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        lock = try_lock(scratch / ".lock")
    with lock:
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def select_device(name: str | None = None, threads: int | None = None) -> "torch.device":
    """Return the device to compute on, and let the CPU use ``threads`` threads.

    ``name``, or else the environment variable RELPOSEGNN_DEVICE, is a torch device such as ``cpu``
    or ``cuda:1``; without either, it is the first GPU if there is one, else the CPU.

    Raises:
        InputError: the device is unknown to torch or absent from this machine.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    asked = "device" if name else DEVICE_VARIABLE
    name = name or os.environ.get(DEVICE_VARIABLE) or "auto"
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # some calls of torch use the current GPU
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"{asked}={name}: torch cannot use this device ({error}); "
            "expected auto, cpu or one of this machine's GPUs, such as cuda:0"
        ) from error
    return device


@contextmanager
def repeatable(device: "torch.device") -> Iterator[None]:
    """Make torch's results on a CPU the same bytes each time, with the same number of threads.

    Otherwise several threads add up the gradients of a row that is indexed more than once, in no
    fixed order. Nothing changes for a GPU.
    """
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # nothing reads it
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = filled


def gpu_allowed() -> bool:
    """Return whether RELPOSEGNN_DEVICE allows the first GPU; for libraries that take no other."""
    return (os.environ.get(DEVICE_VARIABLE) or "auto") in ("auto", "cuda", "cuda:0")


def derive_seed(seed: int, *purpose: str) -> int:
    """Return a 32-bit seed for one purpose, so that no two uses of a seed share a stream."""
    return zlib.crc32("/".join([str(seed), *purpose]).encode())


def numpy_generator(seed: int, *purpose: str) -> np.random.Generator:
    """Return NumPy's generator for one purpose, e.g. ``(0, "graphs", "chess", "train")``."""
    return np.random.default_rng(derive_seed(seed, *purpose))


def torch_generator(seed: int, *purpose: str) -> "torch.Generator":
    """Return torch's CPU generator for one purpose."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *purpose))
