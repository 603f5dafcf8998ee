"""HDF5 files of the pipeline: a kind, a schema version, the settings that made them.

A file is written beside its target and renamed when complete. Its root attributes are ``kind``,
``schema`` (e.g. ``1.0``), ``version`` (of this package) and ``settings`` (JSON).
"""

import errno
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import h5py
import numpy as np

from .limits import check_expansion, refuse_special_file
from .runtime import InputError, atomic_path
from .version import VERSION

SCHEMA = "1.0"
ORIGIN = ("dataset", "scene")  # attributes of the root: what a file is of
SPLITS = ("train", "test")  # groups of every file: the database, the queries
MAP = "map"  # kind of a file with others in it, a group of each kind, see ``photos.map_files``


@contextmanager
def create_hdf5(path: str | Path, kind: str, settings: Mapping[str, Any]) -> Iterator[h5py.File]:
    """Yield a new HDF5 file that appears at ``path`` when the block succeeds.

    ``kind`` is what the file holds (``frames``, ``features``, ``descriptors``, ``neighbours``,
    ``graphs``); ``settings`` are JSON-serialisable values that made it.
    """
    with atomic_path(path) as partial, UnfailingFile(partial, "w+") as raw:
        with h5py.File(raw, "w") as file:
            file.attrs.update(
                kind=kind, schema=SCHEMA, version=VERSION, settings=json.dumps(dict(settings))
            )
            yield file
        if raw.error is not None:
            raise raw.error


class UnfailingFile(io.FileIO):
    """A new file that takes all that HDF5 writes: where HDF5 meets an error, the process crashes.

    Attributes:
        error: what the disk said first. Nothing has been written since.
    """

    error: OSError | None = None

    def write(self, data: memoryview) -> int:
        """Write all of ``data``: a disk takes as much at once as it likes."""
        rest = data
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)

    def truncate(self, size: int) -> int:
        """Cut the file, or make it longer."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size


class Part(h5py.Group):
    """A file of the pipeline that lies in a map; ``with`` closes the map's file."""

    @property
    def filename(self) -> str:
        """Return the path of the map."""
        return self.file.filename

    def close(self) -> None:
        """Close the map's file."""
        self.file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the map's file."""
        self.close()


def open_hdf5(path: str | Path, kind: str) -> h5py.File | Part:
    """Open a file of the pipeline for reading, or what a map has of that kind.

    Raises:
        InputError: not an HDF5 file, one that another process writes or that may not be read,
            another kind, a schema of another major version, or arrays that declare more than the
            file holds.
    """
    refuse_special_file(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as HDF5, expected {kind!r}: {_explain(path, error)}"
        ) from error
    found_kind, schema = file.attrs.get("kind"), str(file.attrs.get("schema"))
    if found_kind == kind and schema.split(".")[0] == SCHEMA.split(".")[0]:
        file.visititems(_check_size)
        return file
    if found_kind == MAP and kind in file:
        file[kind].visititems(_check_size)
        return Part(file[kind].id)
    file.close()
    raise InputError(
        f"{path}: holds {found_kind!r} in schema {schema}, "
        f"expected {kind!r} in schema {SCHEMA.split('.')[0]}.x; make it again with this version"
    )


def _explain(path: str | Path, error: OSError) -> str:
    """Return why a file cannot be opened, and what to do: it may be whole."""
    if isinstance(error, FileNotFoundError):
        return "no such file; make it first"
    if isinstance(error, PermissionError):
        return "it may not be read; change its permissions"
    if Path(path).is_dir():
        return "it is a folder; name the file"
    if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK) or "unable to lock" in str(error):
        return (
            f"another process has it open; wait for its end. Where there is none, the disk has no "
            f"locks: set HDF5_USE_FILE_LOCKING=FALSE ({error})"
        )
    return f"{error}; make it again"


def _check_size(name: str, item: h5py.Group | h5py.Dataset) -> None:
    """Raise InputError where an array declares more than is stored of it."""
    if isinstance(item, h5py.Dataset):
        file = item.file.filename
        held = min(item.id.get_storage_size(), Path(file).stat().st_size)
        label = f"{file}: {name} of shape {item.shape}"
        check_expansion(label, math.prod(item.shape or ()) * item.dtype.itemsize, held)


class Numbers(NamedTuple):
    """What an array of a file has to be.

    Attributes:
        kind: ``i``, integers, or ``f``.
        shape: None where any number does.
        least: of them; none is NaN.
        most: likewise.
    """

    kind: str
    shape: tuple[int | None, ...]
    least: float = 0
    most: float = math.inf


class OfScene(Protocol):
    """What knows its scene, as frames do, and the file that it is read from."""

    dataset: str
    scene: str
    path: Path


def read_numbers(file: h5py.File, name: str, expected: Numbers) -> np.ndarray:
    """Return an array of an open file; InputError where it is not what it has to be."""
    kind, shape, least, most = expected
    array, found = file.get(name), "none"
    if isinstance(array, h5py.Dataset):
        own, found = array.shape or (), f"{array.dtype} of shape {array.shape}"
        same = [want in (None, has) for has, want in zip(own, shape, strict=False)]
        if array.dtype.kind == kind and len(own) == len(shape) and all(same):
            values = array[:]
            if not values.size or (values.min() >= least and values.max() <= most):  # NaN is not
                return values
            found = f"{values.min():.6g} to {values.max():.6g}"
    wanted = ", ".join("any" if each is None else str(each) for each in shape)
    numbers = {"i": "integers", "f": "numbers"}[kind]
    raise InputError(
        f"{file.filename}: {name}: found {found}, expected {numbers} from {least:.6g} to "
        f"{most:.6g} of shape ({wanted}); make it again, of the same frames"
    )


def tell_scene(file: h5py.File, owner: OfScene) -> None:
    """Write into a file which scene it is of."""
    file.attrs.update(dataset=owner.dataset, scene=owner.scene)


def check_scene(file: h5py.File, owner: OfScene) -> None:
    """Refuse a file of another scene; those that were written before files told it are taken.

    Raises:
        InputError: it is of another one.
    """
    own = owner.dataset, owner.scene
    found = tuple(file.attrs.get(*each) for each in zip(ORIGIN, own, strict=True))
    if found != own:
        raise InputError(
            f"{file.filename}: is of the scene {found[1]!r} of {found[0]!r}, expected "
            f"{owner.scene!r} of {owner.dataset!r} as in {owner.path}; give the right file, or "
            "make it again"
        )


def read_settings(file: h5py.File) -> dict[str, Any]:
    """Return the settings that made ``file``."""
    return json.loads(file.attrs["settings"])


def mapped(array: h5py.Dataset) -> h5py.Dataset | np.memmap:
    """Return an array of an open file mapped, where it lies there as in memory; else itself."""
    offset = array.id.get_offset()  # None: it is in chunks, or empty
    if offset is None or not array.dtype.isnative:
        return array
    return np.memmap(array.file.filename, array.dtype, "r", offset, array.shape)


class StoredFrames:
    """Reader of arrays with a row a frame; ``with`` closes its file.

    Arrays that lie in the file as they do in memory are mapped: a row is then copied once. Each
    process opens the file for itself at first use, so that an instance may be pickled or inherited
    by data loading workers.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: str | Path, kind: str) -> None:
        """Name the file, see ``open_hdf5``; nothing is read yet."""
        self.path, self._kind = Path(path), kind
        self._file: h5py.File | None = None
        self._process: int | None = None
        self._arrays: dict[str, h5py.Dataset | np.memmap] = {}

    def rows(self, name: str, indices: np.ndarray | list[int]) -> np.ndarray:
        """Return rows (n, ...) of the array ``name``, in any order, repeats allowed.

        Raises:
            IndexError: an index is negative or beyond the last frame.
        """
        array, indices = self._array(name), np.asarray(indices, dtype=np.int64).reshape(-1)
        if indices.size and (indices.min() < 0 or indices.max() >= len(array)):
            raise IndexError(f"{self.path}: {name} has frames 0 to {len(array) - 1}, got {indices}")
        if isinstance(array, np.memmap):
            return array[indices]
        rows = np.empty((len(indices), *array.shape[1:]), dtype=array.dtype)
        # One read a frame: h5py takes increasing indices at once too, 100 times slower.
        for row, index in enumerate(indices.tolist()):
            rows[row] = array[index]
        return rows

    def close(self) -> None:
        """Close this process's file; a later read opens it again."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file, self._arrays = None, {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to another process: everything but the open file."""
        return {**self.__dict__, "_file": None, "_process": None, "_arrays": {}}

    def _array(self, name: str) -> h5py.Dataset | np.memmap:
        """Return an array in a file that this process has opened."""
        if self._file is None or self._process != os.getpid():
            self._file, self._process = open_hdf5(self.path, self._kind), os.getpid()
            self._arrays = {}
        if name not in self._arrays:
            self._arrays[name] = mapped(self._file[name])
        return self._arrays[name]
