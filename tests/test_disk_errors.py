"""A disk that takes no more: one line that names the file, earlier results intact."""

import errno
import logging
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from relposegnn import runtime
from relposegnn.disk_errors import describe_disk_error
from relposegnn.files.storage import create_hdf5
from relposegnn.network.checkpoints import save_state
from relposegnn.runtime import InputError, atomic_path, check_writable, logging_to, make_folder

LIMIT = 100_000  # bytes a file


@pytest.fixture
def small_files():
    """Let no file grow beyond LIMIT, as a disk that is full does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_tensors(path: Path) -> None:
    save_state(path, "key", [], layer=torch.nn.Linear(300, 300))


def write_hdf5(path: Path) -> None:
    with create_hdf5(path, "frames", {}) as file:
        images = file.create_dataset("images", (99, 32, 64, 3), np.uint8, fill_time="never")
        for row in range(99):
            images[row] = np.full((32, 64, 3), row)


def write_small_arrays(path: Path) -> None:
    """HDF5 holds them back, and meets the limit only where it closes one."""
    with create_hdf5(path, "frames", {}) as file:
        for number in range(20):
            file[f"{number}"] = np.zeros(LIMIT // 100)


def write_arrays(path: Path) -> None:
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez(file, points=np.zeros(LIMIT))


def write_text(path: Path) -> None:
    with atomic_path(path) as partial:
        partial.write_text("x" * (LIMIT + 1))


def write_and_read(path: Path) -> None:
    """HDF5 is asked for what the disk did not take, as for the checksum of a map."""
    with create_hdf5(path, "frames", {}) as file:
        file["images"] = np.zeros((2, LIMIT))
        file.flush()
        file["images"].refresh()
        file["images"][:]
        raise OSError("Can't synchronously read data")  # as HDF5 does for larger files


WRITERS = [write_tensors, write_hdf5, write_small_arrays, write_arrays, write_text, write_and_read]


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_that_does_not_fit_is_named_and_the_old_one_kept(tmp_path, small_files, write):
    target = tmp_path / "results" / "a.bin"
    target.parent.mkdir()
    target.write_text("old")
    expected = rf"^{target}: cannot be written \(File too large, \d+ MB are free in {target.parent}"
    with pytest.raises(InputError, match=expected):
        write(target)
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_folder_that_takes_nothing_is_told_with_what_to_do(tmp_path, monkeypatch, number):
    def refuse(*arguments, **_):
        raise OSError(number, os.strerror(number), str(tmp_path))

    monkeypatch.setattr(runtime.tempfile, "mkdtemp", refuse)
    with pytest.raises(InputError, match=rf"a\.txt: cannot be written \({os.strerror(number)}, "):
        write_text(tmp_path / "a.txt")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EPERM])
def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(tmp_path, monkeypatch, number):
    def refuse(path, *_, **__):
        found = number if Path(path).parent.exists() else errno.ENOENT
        raise OSError(found, os.strerror(found), str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(
        InputError, match=rf"/a: cannot be written \({os.strerror(number)}, .*; \w+"
    ):
        make_folder(tmp_path / "a" / "b" / "c")


def test_a_disk_that_takes_no_byte_keeps_no_folder(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(InputError, match=r"a\.txt: cannot be written \(File too large, "):
            write_text(tmp_path / "a.txt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("begun", [False, True])
def test_a_folder_in_which_no_run_can_begin(tmp_path, monkeypatch, begun):
    if begun:
        (tmp_path / ".snakemake").mkdir()
    check_writable(tmp_path)
    before = list(tmp_path.rglob("*"))
    free = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, free[1]))  # as on a disk that is full
    try:
        with pytest.raises(InputError, match=r"\.snakemake: cannot be written \(File too large, "):
            check_writable(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free)
    assert list(tmp_path.rglob("*")) == before

    def refuse(dir):
        raise PermissionError(errno.EACCES, "Permission denied", str(dir))

    monkeypatch.setattr(runtime.tempfile, "TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"\.snakemake: cannot be written \(Permission denied, "):
        check_writable(tmp_path)


def test_a_file_that_cannot_be_read_is_not_blamed_on_the_target(tmp_path):
    reading = PermissionError(errno.EACCES, "Permission denied", "/elsewhere/frame.png")
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a.txt"):
        raise reading
    assert describe_disk_error(None, reading) is None


def test_a_step_logs_one_line(tmp_path, small_files):
    log = tmp_path / "logs" / "step.log"
    with pytest.raises(SystemExit) as stopped, logging_to(log):
        write_hdf5(tmp_path / "a.h5")
    assert stopped.value.code == 1
    line = log.read_text().rstrip("\n")
    assert "\n" not in line
    assert f"ERROR {tmp_path}/a.h5: cannot be written (File too large" in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_log_that_does_not_fit_stops_nothing(capfd):
    with logging_to("/dev/full"):
        logging.info("all is well")
    text = capfd.readouterr().err
    assert "all is well" in text
    assert "Traceback" not in text
