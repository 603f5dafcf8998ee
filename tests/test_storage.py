"""HDF5 files: provenance, refusal of other kinds and schemas, nothing half-written."""

import h5py
import pytest

from relposegnn.runtime import InputError
from relposegnn.storage import create_hdf5, open_hdf5, read_settings
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
