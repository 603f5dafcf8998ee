"""HDF5 files of the pipeline: a kind, a schema version, the settings that made them.

A file is written beside its target and renamed when complete. Its root attributes are ``kind``,
``schema`` (e.g. ``1.0``), ``version`` (of this package) and ``settings`` (JSON).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from .runtime import InputError, atomic_path
from .version import VERSION

SCHEMA = "1.0"
SPLITS = ("train", "test")  # groups of every file: the database, the queries


@contextmanager
def create_hdf5(path: str | Path, kind: str, settings: Mapping[str, Any]) -> Iterator[h5py.File]:
    """Yield a new HDF5 file that appears at ``path`` when the block succeeds.

    ``kind`` is what the file holds (``frames``, ``descriptors``, ``neighbours``, ``graphs``);
    ``settings`` are JSON-serialisable values that made it.
    """
    with atomic_path(path) as partial, h5py.File(partial, "w") as file:
        file.attrs.update(
            kind=kind, schema=SCHEMA, version=VERSION, settings=json.dumps(dict(settings))
        )
        yield file


def open_hdf5(path: str | Path, kind: str) -> h5py.File:
    """Open a file of the pipeline for reading.

    Raises:
        InputError: not an HDF5 file, another kind, or a schema of another major version.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: cannot be read as HDF5 ({error}); make it again") from error
    found_kind, schema = file.attrs.get("kind"), str(file.attrs.get("schema"))
    if found_kind == kind and schema.split(".")[0] == SCHEMA.split(".")[0]:
        return file
    file.close()
    raise InputError(
        f"{path}: holds {found_kind!r} in schema {schema}, "
        f"expected {kind!r} in schema {SCHEMA.split('.')[0]}.x; make it again with this version"
    )


def read_settings(file: h5py.File) -> dict[str, Any]:
    """Return the settings that made ``file``."""
    return json.loads(file.attrs["settings"])
