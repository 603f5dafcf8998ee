"""A scene's frames file: resized images, poses and names, written once and read by every step.

Groups ``train`` and ``test`` hold ``images`` uint8 (N, H, W, 3);
``world_from_cam`` float64 (N, 4, 4); ``name``; ``source``, the image's path relative to the
scene's folder; ``source_bytes`` int64 (N), the size of the image's file, so that another image
makes another frames file even if both look the same after resizing; and, if it is known for any
frame, ``focal_length`` float64 (N) in longer sides of the image, NaN where unknown. Root
attributes: ``dataset``, ``scene``, ``mean`` (3) and ``variance`` (3) of the channels of the
training images in [0, 1], and ``orientation``, the EXIF orientation of most of them. Without
queries, ``test`` has N = 0. ``packing`` writes the file.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from ..files.limits import checked_size
from ..files.storage import SPLITS, StoredFrames, open_hdf5, read_settings
from ..files.whole_files import reading
from ..poses import ORTHONORMAL_TOLERANCE
from ..runtime import InputError
from .camera_files import read_camera

ORIENTATIONS = range(1, 9)  # EXIF's


class Frames(StoredFrames):
    """Reader of a frames file; ``with Frames(path) as frames`` closes it.

    Labels are read at once, images on demand. With a ``camera_file``, frames of unknown focal
    length get the one in that file.

    Raises:
        InputError: not a frames file of this schema, or not a camera file.
    """

    def __init__(self, path: str | Path, camera_file: str | Path | None = None) -> None:
        """Read everything but the images."""
        super().__init__(path, "frames")
        with open_hdf5(path, "frames") as file, reading(path, "frames"):
            self._read_labels(file)
        if camera_file is not None:
            usual = read_camera(camera_file, self)
            for lengths in self._focal_lengths.values():
                lengths[np.isnan(lengths)] = usual

    def _read_labels(self, file: h5py.File) -> None:
        """Read everything but the images; raise an error if anything is missing or damaged."""
        self.dataset = str(file.attrs["dataset"])
        self.scene = str(file.attrs["scene"])
        self.mean = np.array(file.attrs["mean"])
        self.variance = np.array(file.attrs["variance"])
        self.orientation = int(file.attrs.get("orientation", 1))  # 1: not turned
        pictured = "images" in file["train"]  # not in a map
        shape = file["train/images"].shape[1:3] if pictured else file.attrs["image_shape"]
        self.image_shape = checked_size(self.path, *map(int, shape))
        # Arrays of UTF-8, not an object per frame: a database may have 100,000 frames.
        self._names, self._sources = (
            {split: file[split][label][:].astype("S") for split in SPLITS}
            for label in ("name", "source")
        )
        self._poses = {split: file[split]["world_from_cam"][:] for split in SPLITS}
        self._packed_from = json.dumps(read_settings(file), sort_keys=True).encode() + b"".join(
            file[split]["source_bytes"][:].tobytes()
            for split in SPLITS
            if "source_bytes" in file[split]
        )
        self._focal_lengths = {
            split: file[split]["focal_length"][:]
            if "focal_length" in file[split]
            else np.full(len(self._names[split]), np.nan)
            for split in SPLITS
        }
        if self.orientation not in ORIENTATIONS:
            raise ValueError(f"orientation {self.orientation}")
        finite = np.isfinite(self.mean).all() and np.isfinite(self.variance).all()
        shapes = self.mean.shape == self.variance.shape == (3,)
        if not (shapes and finite and (self.variance > 0).all()):
            raise ValueError(f"mean {self.mean} and variance {self.variance}")
        for split in SPLITS:
            self._check_labels(split)
            if pictured:
                self._check_images(split, file[split]["images"])

    def _check_labels(self, split: str) -> None:
        count = len(self._names[split])
        if {len(self._sources[split]), len(self._focal_lengths[split])} != {count}:
            raise ValueError(f"{count} names in {split}, but another number of images")
        if (self._focal_lengths[split] <= 0).any():
            raise ValueError(f"focal lengths that are not positive in {split}")
        if len(set(self.names(split))) != count:
            raise ValueError(f"several images of one name in {split}")
        b"".join(self._sources[split].tolist()).decode()
        poses = self._poses[split]
        if poses.shape != (count, 4, 4) or poses.dtype.kind != "f":
            raise ValueError(f"poses of {poses.dtype} and shape {poses.shape} in {split}")
        if not np.isfinite(poses).all():
            raise ValueError(f"poses that are not finite in {split}")
        squares = poses[:, :3, :3] @ poses[:, :3, :3].swapaxes(1, 2)
        if not np.allclose(squares, np.eye(3), atol=3 * ORTHONORMAL_TOLERANCE):
            raise ValueError(f"poses without a rotation in {split}")

    def _check_images(self, split: str, images: h5py.Dataset) -> None:
        count = len(self._names[split])
        if len(images) != count:
            raise ValueError(f"{count} names in {split}, but another number of images")
        if images.dtype != np.uint8 or images.shape[1:] != (*self.image_shape, 3):
            raise ValueError(f"images of {images.dtype} and shape {images.shape} in {split}")

    def count(self, split: str) -> int:
        """Return the number of frames of ``train`` or ``test``."""
        return len(self._names[split])

    def names(self, split: str) -> list[str]:
        """Return the names of the frames, e.g. ``seq-03/frame-000017``."""
        return [name.decode() for name in self._names[split].tolist()]

    def name(self, split: str, index: int) -> str:
        """Return the name of one frame."""
        return self._names[split][index].decode()

    def find_all(self, split: str, names: Iterable[str], predictions_file: str | Path) -> list[int]:
        """Return the index of each query of predictions; InputError if one is not among these."""
        row_of = {name: row for row, name in enumerate(self.names(split))}
        rows = [row_of.get(str(name)) for name in names]
        if not rows or None in rows:
            raise InputError(
                f"{predictions_file}: has no queries, or others than the {self.count(split)} "
                f"{split} frames of {self.path}, expected names of these; predict again"
            )
        return rows

    def sources(self, split: str) -> list[str]:
        """Return the paths of the original images, relative to the scene's folder."""
        return [source.decode() for source in self._sources[split].tolist()]

    def paths(self, split: str, folder: str | Path) -> list[Path]:
        """Return the paths of the original images, given the scene's folder."""
        return [Path(folder) / source for source in self.sources(split)]

    def source(self, split: str, index: int) -> str:
        """Return the path of one original image, relative to the scene's folder."""
        return self._sources[split][index].decode()

    def poses(self, split: str) -> np.ndarray:
        """Return the poses ``world_from_cam`` (N, 4, 4), float64, metres."""
        return self._poses[split]

    def focal_lengths(self, split: str) -> np.ndarray:
        """Return focal lengths (N) in longer sides of the image, NaN where unknown."""
        return self._focal_lengths[split]

    def packed_from(self) -> str:
        """Return a hash that differs if the images do.

        It covers the sizes of the original files and how they were packed, not the pixels, which
        would all have to be read.
        """
        return hashlib.sha256(repr(self.image_shape).encode() + self._packed_from).hexdigest()

    def images(self, split: str, indices: np.ndarray | list[int]) -> np.ndarray:
        """Return images uint8 (n, H, W, 3) by their indices (n), in any order, repeats allowed.

        Raises:
            IndexError: an index is negative or beyond the last frame.
        """
        return self.rows(f"{split}/images", indices)
