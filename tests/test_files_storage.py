"""HDF5 files: provenance, refusal of other kinds and schemas, nothing half-written."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from conftest import write_tiny_scene

from relposegnn.data.frames import Frames
from relposegnn.files import storage
from relposegnn.files.storage import (
    Numbers,
    StoredFrames,
    create_hdf5,
    mapped,
    open_hdf5,
    read_numbers,
    read_settings,
)
from relposegnn.retrieval.graphs import read_graphs
from relposegnn.runtime import InputError
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


def test_threads_that_read_first_at_once_read_alike(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with create_hdf5(path, "frames", {}) as file:
        file["x"] = np.arange(8)
        file.create_dataset("y", data=np.arange(8), chunks=(2,))  # which is not mapped

    def open_slowly(*asked):
        time.sleep(0.05)
        return open_hdf5(*asked)

    monkeypatch.setattr(storage, "open_hdf5", open_slowly)
    with StoredFrames(path, "frames") as frames, ThreadPoolExecutor(8) as threads:
        rows = threads.map(lambda row: frames.rows("xy"[row % 2], [row]), range(8))
        assert np.concatenate(list(rows)).tolist() == list(range(8))


def elsewhere(file):
    """Make the images a view of another file."""
    layout = h5py.VirtualLayout((12, 32, 40, 3), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=layout.shape)
    del file["train/images"]
    file.create_virtual_dataset("train/images", layout)


def replaced(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (replaced("train", h5py.ExternalLink("other.h5", "/train")), "train is a link"),
        (replaced("test", h5py.SoftLink("/train")), "test is a link"),
        (replaced("train", h5py.SoftLink("/train")), "train is a link"),
        (elsewhere, "train/images is in another file"),
        (
            lambda file: file.create_dataset("x", (9,), "u1", external=[("/etc/passwd", 0, 9)]),
            "x is in another file",
        ),
        (replaced("train/name", [b"\xff%d" % row for row in range(12)]), "can't decode"),
        (replaced("train/name", ["a"] * 12), "several images of one name in train"),
        (replaced("test/source", [b"\xff"] * 5), "can't decode"),
        (lambda file: file.attrs.update(orientation=9), "orientation 9"),
        (
            replaced("train/world_from_cam", np.tile(2 * np.eye(4), (12, 1, 1))),
            "poses without a rotation",
        ),
        (replaced("train/world_from_cam", np.zeros((12, 4, 4), complex)), "poses of complex128"),
        (replaced("train", 3), "scalar"),
    ],
)
def test_frames_that_lie_elsewhere_or_are_none_are_refused(tmp_path, change, found):
    """A file that a stranger made reads nothing but itself."""
    frames = write_tiny_scene(tmp_path, "garage").frames
    with h5py.File(frames, "a") as file:
        change(file)
    message = (
        rf"garage-frames\.h5: is not a complete frames file \(.*{found}.*expected .* make it aga"
    )
    with pytest.raises(InputError, match=message):
        Frames(frames)


def test_what_is_damaged_inside_is_named(tmp_path):
    """HDF5's own checksum tells, when the numbers are read."""
    graphs = write_tiny_scene(tmp_path, "garage").graphs
    with h5py.File(graphs, "a") as file:
        query = file["train/query"][:]
        del file["train/query"]
        stored = file.create_dataset("train/query", data=query, chunks=(12,), fletcher32=True)
        offset = stored.id.get_chunk_info(0).byte_offset
    damaged = bytearray(graphs.read_bytes())
    damaged[offset] ^= 255
    graphs.write_bytes(damaged)
    with pytest.raises(InputError, match=r"s\.h5: is not a complete train/query file .* again"):
        read_graphs(graphs, "train")


@pytest.mark.parametrize("settings", [None, "", "{", "[]", 3])
def test_settings_that_are_none_are_told(tmp_path, settings):
    with create_hdf5(tmp_path / "a.h5", "graphs", {}) as file:
        assert read_settings(file) == {}
        del file.attrs["settings"]
        if settings is not None:
            file.attrs["settings"] = settings
        with pytest.raises(InputError, match=r"is not a complete graphs file \(.*make it again"):
            read_settings(file)


def test_a_file_that_took_the_name_of_an_open_one_is_not_read_in_its_place(tmp_path):
    for name, value in (("a.h5", 1), ("b.h5", 2)):
        with h5py.File(tmp_path / name, "w") as file:
            file["x"] = np.full(5, value)
    with h5py.File(tmp_path / "a.h5") as opened:
        assert isinstance(mapped(opened["x"]), np.memmap)
        (tmp_path / "b.h5").rename(tmp_path / "a.h5")
        np.testing.assert_array_equal(mapped(opened["x"]), np.ones(5))
