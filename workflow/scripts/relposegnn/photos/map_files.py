"""A map: everything that localising in a place needs, in one file, without images.

HDF5 of the kind ``map``. Its groups are files of the pipeline, reduced to the database: ``frames``
(only labels), ``features`` or, for a network with its own encoder, ``encoded``, ``descriptors``,
and ``key_points`` if poses are refined. ``files`` holds small files as bytes: the model, the
describer, the calibration, the camera, and the place's settings. Root attributes: ``checksum``, the
CRC-32 of all arrays and attributes, and ``settings``, which record what the map was made from.
"""

import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import torch

from ..data.frames import Frames
from ..disk_errors import describe_disk_error
from ..files.limits import refuse_special_file
from ..files.storage import MAP, create_hdf5, open_hdf5
from ..matching.stored_key_points import KIND as KEY_POINTS
from ..matching.stored_key_points import write_key_points
from ..network.checkpoints import load_model
from ..network.scene_images import ENCODED, SceneImages
from ..runtime import InputError, disk_errors_named
from .place import OPTIONAL, Place, read_place, write_place
from .unchanged import Unchanged

BLOCK_BYTES = 1 << 20  # read at once: the processor's cache holds them until they are summed up
FILES = ("model", "describer", "calibration", "camera")  # stored as bytes
PARTS = ("frames", "features", "descriptors", "images")  # stored as groups


def export_map(place: Place, map_file: str | Path, workers: int = 1) -> None:
    """Write a place as one file.

    Args:
        place: to export.
        map_file: to write.
        workers: threads that find key points, if poses are refined.

    Raises:
        InputError: a file of the place cannot be read, or, if poses are refined, an image.
    """
    with (
        Frames(place.frames, place.camera) as frames,
        create_hdf5(map_file, MAP, _made_of(place, frames)) as file,
    ):
        _write_files(file.create_group("files"), place)
        _copy_frames(file.create_group("frames"), place.frames, frames)
        _copy_database(file.create_group("descriptors"), place.descriptors, "descriptors")
        if place.features is not None:
            _copy_database(file.create_group("features"), place.features, "features")
        else:
            _encode(file.create_group(ENCODED), place, frames)
        if place.images is not None:
            images = frames.paths("train", place.images)
            write_key_points(file.create_group(KEY_POINTS), images, workers)
        file.attrs["checksum"] = checksum(file)


def refuse_other_file(map_file: str | Path) -> None:
    """Check that nothing but a map would be replaced by this one.

    Raises:
        InputError: there is another file, maybe one of the place itself.
    """
    if not Path(map_file).exists():
        return
    refuse_special_file(map_file)
    with suppress(OSError), h5py.File(map_file) as file:
        if file.attrs.get("kind") == MAP:
            return
    raise InputError(
        f"{map_file}: is not a map, and would be replaced by one; move it away, or choose another "
        "name with --output, such as garage.map"
    )


@contextmanager
def opened_place(path: str | Path) -> Iterator[Place]:
    """Yield the place of a map, or of a place's own file in a results folder (JSON).

    Small files are unpacked to a temporary folder while the block runs. Arrays stay in the map, and
    are read when they are needed.

    Raises:
        InputError: there is no such file, it is damaged or truncated, or of another kind or
            version.
    """
    if Path(path).suffix == ".json":
        yield read_place(path)
        return
    with disk_errors_named(Path(tempfile.gettempdir(), "relposegnn-map")):
        temporary = tempfile.TemporaryDirectory(prefix="relposegnn-map-")
    with temporary as folder:
        opened = Unchanged([Path(path)])  # what is read later has to be of the same file
        with open_hdf5(path, MAP) as file:
            _check(path, file)
            place = _unpack(Path(path), file, Path(folder))
        yield replace(place, opened=opened)


def checksum(file: h5py.File) -> int:
    """Return the CRC-32 of everything in a map, except the checksum itself."""
    total = 0

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        """Add a group or an array to the checksum, with its name and attributes."""
        nonlocal total
        attributes = {key: str(item.attrs[key]) for key in sorted(item.attrs) if key != "checksum"}
        label = name, attributes, getattr(item, "shape", None), str(getattr(item, "dtype", ""))
        total = zlib.crc32(repr(label).encode(), total)
        if isinstance(item, h5py.Dataset):
            for block in _blocks(item):
                total = zlib.crc32(block, total)

    add("", file)
    file.visititems(add)
    return total


def _blocks(array: h5py.Dataset) -> Iterator[bytes | np.ndarray]:
    """Yield the bytes of an array, a block at a time."""
    if h5py.check_string_dtype(array.dtype):
        yield b"\0".join(array[:])
        return
    count = max(1, BLOCK_BYTES // max(1, array.dtype.itemsize * int(np.prod(array.shape[1:]))))
    for start in range(0, len(array), count):
        yield np.ascontiguousarray(array[start : start + count]).reshape(-1).view(np.uint8)


def _check(path: str | Path, file: h5py.File) -> None:
    """Raise InputError if a map is damaged."""
    try:
        found, expected = checksum(file), int(file.attrs["checksum"])
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{path}: is damaged ({error}); copy or export this map again") from error
    if found != expected:
        raise InputError(
            f"{path}: is damaged: its contents have the checksum {found:08x}, expected "
            f"{expected:08x}; copy or export this map again"
        )


def _unpack(path: Path, file: h5py.File, folder: Path) -> Place:
    """Write a map's small files to a folder; return the place of these files and the map.

    Paths in the map are not followed.
    """
    try:
        (folder / "place.json").write_bytes(file["files/place"][:].tobytes())
        told, files = read_place(folder / "place.json"), {}
        for name in FILES:
            if name not in OPTIONAL or getattr(told, name) is not None:
                own = folder / name  # a folder for each file: two may have the same name
                own.mkdir()
                stored = file[f"files/{name}"]
                files[name] = own / (Path(str(stored.attrs["name"])).name or name)
                files[name].write_bytes(stored[:].tobytes())
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise InputError(f"{path}: {error}") from error
        if trouble := describe_disk_error(folder / "place", error):
            raise InputError(trouble) from error
        raise InputError(f"{path}: is an incomplete map ({error}); export it again") from error
    held = {name: path for name in PARTS if getattr(told, name) is not None}
    return replace(told, **files, **held)


def _made_of(place: Place, frames: Frames) -> dict[str, object]:
    """Return what a map was made from: names, and digests of files."""
    digests = {}
    for name in (*FILES, "frames", "features", "descriptors"):
        if (path := getattr(place, name)) is not None:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            digests[name] = {"file": path.name, "sha256": digest}
    count = frames.count("train")
    return {"dataset": frames.dataset, "scene": frames.scene, "images": count, "made_of": digests}


def _write_files(group: h5py.Group, place: Place) -> None:
    """Write the small files of a place, and its settings, whose paths are placeholders."""
    for name in FILES:
        if (path := getattr(place, name)) is not None:
            group[name] = np.frombuffer(path.read_bytes(), dtype=np.uint8)
            group[name].attrs["name"] = path.name
    with tempfile.TemporaryDirectory() as folder:
        described, held = Path(folder, "place.json"), (*FILES, *PARTS)
        paths = {name: Path(folder, name) for name in held if getattr(place, name) is not None}
        # For a network with its own encoder, the map has features although the place has none.
        write_place(described, replace(place, **{"features": Path(folder, "features"), **paths}))
        group["place"] = np.frombuffer(described.read_bytes(), dtype=np.uint8)


def _copy_frames(group: h5py.Group, frames_file: Path, frames: Frames) -> None:
    """Copy the labels of the database."""
    with open_hdf5(frames_file, "frames") as source:
        group.attrs.update(source.attrs, image_shape=frames.image_shape)
        for name, array in source["train"].items():
            if name != "images":
                source.copy(array, group.require_group("train"), name)
                shape = 0, *array.shape[1:]
                group.require_group("test").create_dataset(name, shape, array.dtype)


def _copy_database(group: h5py.Group, path: Path, kind: str) -> None:
    """Copy a file's arrays of the database; those of the queries are left empty."""
    with open_hdf5(path, kind) as source:
        group.attrs.update(source.attrs)
        for name, item in source.items():
            if name != "test":
                source.copy(item, group, name)
        for name, array in source["train"].items():
            group.require_group("test").create_dataset(name, (0, *array.shape[1:]), array.dtype)


def _encode(group: h5py.Group, place: Place, frames: Frames) -> None:
    """Write what the network sees of the database's images, as a ``Localiser`` computes it."""
    model = load_model(place.model).to(memory_format=torch.channels_last)  # as a Localiser does
    images = SceneImages(model, frames, None)
    for index in range(frames.count("train")):
        seen = images.encode(frames.images("train", [index])).numpy()
        if index == 0:
            group.create_dataset("train", (frames.count("train"), seen.shape[1]), seen.dtype)
        group["train"][index] = seen[0]
