"""HDF5 files of the pipeline: a kind, a schema version, the settings that made them.

A file is written beside its target and renamed when complete. Its root attributes are ``kind``,
``schema`` (e.g. ``1.0``), ``version`` (of this package) and ``settings`` (JSON).
"""

import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import h5py
import numpy as np

from ..runtime import InputError, atomic_path
from ..version import VERSION
from .limits import refuse_special_file
from .owners import OfScene, check_owner, told_of
from .whole_files import check_whole, explain_unopened, reading

SCHEMA = "1.0"
ORIGIN = ("dataset", "scene")  # root attributes that name the owner
SPLITS = ("train", "test")  # groups of every file: the database, the queries
BLOCK_BYTES = 2**22  # written at once
MAP = "map"  # kind of a file that contains others, one group per kind, see ``photos.map_files``


@contextmanager
def create_hdf5(path: str | Path, kind: str, settings: Mapping[str, Any]) -> Iterator[h5py.File]:
    """Yield a new HDF5 file that appears at ``path`` when the block succeeds.

    ``kind`` is what the file holds (``frames``, ``features``, ``descriptors``, ``neighbours``,
    ``graphs``); ``settings`` are JSON-serialisable values that made it.
    """
    with atomic_path(path) as partial, UnfailingFile(partial, "w+") as raw:
        try:
            with h5py.File(raw, "w") as file:
                file.attrs.update(
                    kind=kind, schema=SCHEMA, version=VERSION, settings=json.dumps(dict(settings))
                )
                yield file
        finally:  # before an error of reading what the disk did not take
            if raw.error is not None:
                raise raw.error


class UnfailingFile(io.FileIO):
    """A new file that never fails: an error while HDF5 writes would crash the process.

    Attributes:
        error: the first error of the disk. Nothing has been written since.
    """

    error: OSError | None = None

    def write(self, data: memoryview) -> int:
        """Write all of ``data``, in several calls if the disk takes only a part at once."""
        rest = data
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)

    def truncate(self, size: int) -> int:
        """Shorten or lengthen the file."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size


class RowWriter:
    """Writes the rows of a new dataset in blocks: a write per row is slow."""

    def __init__(self, group: h5py.Group, name: str, count: int) -> None:
        """Prepare for ``count`` rows, whose first one determines shape and type.

        With 0 rows, as of a scene without queries, the database's dataset determines them.
        """
        self._group, self._name, self._count, self._next = group, name, count, 0
        if count == 0:
            like = group.parent[f"train/{name}"]
            group.create_dataset(name, (0, *like.shape[1:]), like.dtype)

    def append(self, row: np.ndarray) -> None:
        """Add the next row; the last one completes the dataset."""
        if self._next == 0:
            shape, rows = (self._count, *row.shape), max(1, BLOCK_BYTES // max(1, row.nbytes))
            self._written = self._group.create_dataset(
                self._name, shape, row.dtype, fill_time="never"
            )
            self._block = np.empty((min(rows, self._count), *row.shape), row.dtype)
        place = self._next % len(self._block)
        self._block[place] = row
        self._next += 1
        if place + 1 == len(self._block) or self._next == self._count:
            self._written[self._next - place - 1 : self._next] = self._block[: place + 1]


class Part(h5py.Group):
    """A file of the pipeline inside a map file; ``with`` closes the map file."""

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
    """Open a file of the pipeline, or the part of this kind in a map file, for reading.

    Raises:
        InputError: it is not an HDF5 file, is being written by another process, is not readable, is
            of another kind or another major version of the schema, or has arrays that declare more
            than the file holds.
    """
    refuse_special_file(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as HDF5, expected {kind!r}: {explain_unopened(path, error)}"
        ) from error
    with reading(path, kind):
        found_kind, schema = str(file.attrs.get("kind")), str(file.attrs.get("schema"))
        if found_kind in (kind, MAP) and schema.split(".")[0] == SCHEMA.split(".")[0]:
            check_whole(file)
            if found_kind == kind:
                return file
            if kind in file:
                return Part(file[kind].id)
    file.close()
    raise InputError(
        f"{path}: holds {found_kind!r} in schema {schema}, "
        f"expected {kind!r} in schema {SCHEMA.split('.')[0]}.x; make it again with this version"
    )


class Numbers(NamedTuple):
    """What is expected of an array in a file.

    Attributes:
        kind: ``i`` for integers, or ``f``.
        shape: with None for any length.
        least: smallest value allowed; NaN is never allowed.
        most: largest value allowed.
    """

    kind: str
    shape: tuple[int | None, ...]
    least: float = 0
    most: float = math.inf


def read_numbers(file: h5py.File, name: str, expected: Numbers) -> np.ndarray:
    """Return an array of an open file; InputError if it is not as expected."""
    kind, shape, least, most = expected
    array, found = file.get(name), "none"
    if isinstance(array, h5py.Dataset):
        own, found = array.shape or (), f"{array.dtype} of shape {array.shape}"
        same = [want in (None, has) for has, want in zip(own, shape, strict=False)]
        if array.dtype.kind == kind and len(own) == len(shape) and all(same):
            with reading(file.filename, name):
                values = array[:]
            if not values.size or (values.min() >= least and values.max() <= most):  # not for NaN
                return values
            found = f"{values.min():.6g} to {values.max():.6g}"
    wanted = ", ".join("any" if each is None else str(each) for each in shape)
    numbers = {"i": "integers", "f": "numbers"}[kind]
    raise InputError(
        f"{file.filename}: {name}: found {found}, expected {numbers} from {least:.6g} to "
        f"{most:.6g} of shape ({wanted}); make it again from the same frames"
    )


def tell_scene(file: h5py.File, owner: OfScene) -> None:
    """Write the scene that a file belongs to into its attributes."""
    file.attrs.update(told_of(owner))


def check_scene(file: h5py.File, owner: OfScene) -> None:
    """Refuse a file of another scene; older files, which do not name theirs, are accepted."""
    with reading(file.filename, "HDF5"):
        told = {**told_of(owner), **file.attrs}
    check_owner(file.filename, told, owner)


def read_settings(file: h5py.File) -> dict[str, Any]:
    """Return the settings that made ``file``; InputError if it has none."""
    with reading(file.filename, str(file.attrs.get("kind"))):
        return dict(json.loads(file.attrs["settings"]).items())


def mapped(array: h5py.Dataset) -> h5py.Dataset | np.memmap:
    """Return an array of an open file memory-mapped, if it is stored contiguously; else itself."""
    offset = array.id.get_offset()  # None: it is in chunks, or empty
    if offset is None or not array.dtype.isnative:
        return array
    with Path(array.file.filename).open("rb") as file:
        opened = os.fstat(array.file.id.get_vfd_handle())
        if not os.path.samestat(opened, os.fstat(file.fileno())):
            return array  # another file has this name now
        return np.memmap(file, array.dtype, "r", offset, array.shape)


class _Opened(NamedTuple):
    """A file opened by a process, and the arrays in it that have been used."""

    process: int
    file: h5py.File
    arrays: dict[str, h5py.Dataset | np.memmap]


class StoredFrames:
    """Reader of arrays with a row per frame; ``with`` closes its file.

    Contiguous arrays are memory-mapped, so that a row is copied only once. Each process opens the
    file for itself at first use, so that an instance may be pickled or inherited by data loading
    workers. Its threads share it; if two are first at the same time, both may open it.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: str | Path, kind: str) -> None:
        """Note the file, see ``open_hdf5``; nothing is read yet."""
        self.path, self._kind = Path(path), kind
        self._opened: _Opened | None = None

    def rows(self, name: str, indices: np.ndarray | list[int]) -> np.ndarray:
        """Return rows (n, ...) of the array ``name`` by ``indices``, in any order, with repeats.

        Raises:
            IndexError: an index is negative or beyond the last frame.
        """
        array, indices = self._array(name), np.asarray(indices, dtype=np.int64).reshape(-1)
        if indices.size and (indices.min() < 0 or indices.max() >= len(array)):
            raise IndexError(f"{self.path}: {name} has frames 0 to {len(array) - 1}, got {indices}")
        if isinstance(array, np.memmap):
            return array[indices]
        rows = np.empty((len(indices), *array.shape[1:]), dtype=array.dtype)
        # One read per frame: h5py can take all (increasing) indices at once, 100 times slower.
        with reading(self.path, self._kind):
            for row, index in enumerate(indices.tolist()):
                rows[row] = array[index]
        return rows

    def close(self) -> None:
        """Close this process's file; a later read opens it again."""
        if self._opened is not None and self._opened.process == os.getpid():
            self._opened.file.close()
        self._opened = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: everything but the open file."""
        return {**self.__dict__, "_opened": None}

    def _array(self, name: str) -> h5py.Dataset | np.memmap:
        """Return an array of the file, which is opened if this process has not yet done so."""
        opened = self._opened
        if opened is None or opened.process != os.getpid():
            opened = self._opened = _Opened(os.getpid(), open_hdf5(self.path, self._kind), {})
        array = opened.arrays.get(name)
        if array is None:
            array = opened.arrays[name] = mapped(opened.file[name])
        return array
