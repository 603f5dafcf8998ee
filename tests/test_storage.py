"""HDF5 files: provenance, refusal of other kinds and schemas, nothing half-written."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from relposegnn.runtime import InputError
from relposegnn.storage import (
    Numbers,
    StoredFrames,
    create_hdf5,
    open_hdf5,
    read_numbers,
    read_settings,
)
from relposegnn.version import VERSION


def test_a_file_tells_what_made_it(tmp_path):
    with create_hdf5(tmp_path / "a.h5", "graphs", {"stride": 5}) as file:
        file["x"] = [1, 2]
    with open_hdf5(tmp_path / "a.h5", "graphs") as file:
        assert file["x"][:].tolist() == [1, 2]
        assert read_settings(file) == {"stride": 5}
        assert file.attrs["version"] == VERSION


def test_another_kind_or_major_schema_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    with create_hdf5(path, "graphs", {}):
        pass
    with pytest.raises(InputError, match=r"holds 'graphs' .* expected 'frames'"):
        open_hdf5(path, "frames")
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = "1.9"
    open_hdf5(path, "graphs").close()
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = "2.0"
    with pytest.raises(InputError, match=r"schema 2.0, expected 'graphs' in schema 1\.x"):
        open_hdf5(path, "graphs")


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(b"not HDF5")
    with pytest.raises(InputError, match=r"a\.h5: cannot be read as HDF5"):
        open_hdf5(path, "graphs")


def test_a_failed_writer_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), create_hdf5(tmp_path / "a.h5", "graphs", {}):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chunks", [None, (1, 3, 2)])
@pytest.mark.parametrize("dtype", ["<f2", ">f4", "|u1"])
def test_rows_are_the_same_however_they_are_stored(tmp_path, chunks, dtype):
    rows = np.arange(30).reshape(5, 3, 2).astype(dtype)
    with create_hdf5(tmp_path / "a.h5", "frames", {}) as file:
        file.create_dataset("x", data=rows, chunks=chunks)
    with StoredFrames(tmp_path / "a.h5", "frames") as stored:
        found = stored.rows("x", [4, 0, 4])
        np.testing.assert_array_equal(found, rows[[4, 0, 4]])
        assert type(found) is np.ndarray
        assert found.dtype == dtype
        found[:] = 0  # a copy, that may be written to
        assert stored.rows("x", []).shape == (0, 3, 2)
        np.testing.assert_array_equal(stored.rows("x", [4]), rows[[4]])


def test_rows_of_an_array_without_any(tmp_path):
    with create_hdf5(tmp_path / "a.h5", "frames", {}) as file:
        file.create_dataset("x", (0, 3), np.uint8, fill_time="never")
    with StoredFrames(tmp_path / "a.h5", "frames") as stored:
        assert stored.rows("x", []).shape == (0, 3)
        with pytest.raises(IndexError, match="got"):
            stored.rows("x", [0])


WRITER = """
import sys
import h5py
file = h5py.File(sys.argv[1], "a")
print("open", flush=True)
sys.stdin.read()
"""


def test_a_file_that_another_process_writes_is_not_to_be_made_again(tmp_path):
    path = tmp_path / "a.h5"
    with create_hdf5(path, "graphs", {}):
        pass
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(InputError, match="another process has it open; wait") as caught:
            open_hdf5(path, "graphs")
        writer.stdin.close()
    assert "make it again" not in str(caught.value)
    open_hdf5(path, "graphs").close()


def test_what_is_no_file_is_called_what_it_is(tmp_path):
    with pytest.raises(InputError, match=r"none\.h5: .*no such file.*make it first"):
        open_hdf5(tmp_path / "none.h5", "graphs")
    with pytest.raises(InputError, match=r"it is a folder; name the file"):
        open_hdf5(tmp_path, "graphs")


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        (None, "found none"),
        (h5py.Empty("i4"), "of shape None"),
        (np.zeros(3, np.int32), r"int32 of shape \(3,\)"),
        (np.zeros((3, 3), np.int32), r"int32 of shape \(3, 3\)"),
        (np.zeros((3, 2)), r"float64 of shape \(3, 2\)"),
        (np.array([[0, 9], [8, 10]]), "found 0 to 10"),
        (np.array([[0, 9], [-1, 7]]), "found -1 to 9"),
    ],
)
def test_numbers_other_than_expected_are_refused(tmp_path, stored, found):
    expected = Numbers("i", (None, 2), most=9)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["whole"], file["none"] = np.array([[0, 9], [8, 7]]), np.empty((0, 2), int)
        assert read_numbers(file, "whole", expected).tolist() == [[0, 9], [8, 7]]
        assert read_numbers(file, "none", expected).shape == (0, 2)
        if stored is not None:
            file["x"] = stored
        with pytest.raises(
            InputError, match=rf"a\.h5: x: .*{found}.* from 0 to 9 of shape .any, 2"
        ):
            read_numbers(file, "x", expected)


def test_numbers_that_are_none_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = [0.5, np.nan]
        with pytest.raises(InputError, match="found nan to nan, expected numbers from -1 to 1"):
            read_numbers(file, "x", Numbers("f", (2,), -1, 1))
