"""Reader of a scene's frames file: resized images, poses and names, see ``packing``.

Groups ``train`` and ``test`` hold ``images`` uint8 (N, H, W, 3), one frame a chunk;
``world_from_cam`` float64 (N, 4, 4); ``name``; ``source``, the image's path relative to the
scene's folder. Root attributes: ``dataset``, ``scene``, and ``mean`` (3) and ``variance`` (3) of
the channels of the training images in [0, 1]. A scene without queries has 0 of them.
"""

import os
from pathlib import Path

import h5py
import numpy as np

from .storage import SPLITS, open_hdf5


class Frames:
    """Reader of a frames file; ``with Frames(path) as frames`` closes it.

    Labels are read at once. Images are read through a file that each process opens for itself
    at first use, so that an instance may be pickled or inherited by data loading workers.

    Raises:
        InputError: not a frames file of this schema.
    """

    def __init__(self, path: str | Path) -> None:
        """Read everything but the images."""
        self.path = Path(path)
        self._file: h5py.File | None = None
        self._process: int | None = None
        self._stored: dict[str, h5py.Dataset] = {}
        with open_hdf5(self.path, "frames") as file:
            self.dataset = str(file.attrs["dataset"])
            self.scene = str(file.attrs["scene"])
            self.mean = np.array(file.attrs["mean"])
            self.variance = np.array(file.attrs["variance"])
            self.image_shape: tuple[int, int] = file["train/images"].shape[1:3]
            self._names = {split: list(file[split]["name"].asstr()[:]) for split in SPLITS}
            self._sources = {split: list(file[split]["source"].asstr()[:]) for split in SPLITS}
            self._poses = {split: file[split]["world_from_cam"][:] for split in SPLITS}

    def count(self, split: str) -> int:
        """Return the number of frames of ``train`` or ``test``."""
        return len(self._names[split])

    def names(self, split: str) -> list[str]:
        """Return the names of the frames, e.g. ``seq-03/frame-000017``."""
        return self._names[split]

    def sources(self, split: str) -> list[str]:
        """Return the paths of the original images, relative to the scene's folder."""
        return self._sources[split]

    def poses(self, split: str) -> np.ndarray:
        """Return the poses ``world_from_cam`` (N, 4, 4), float64, metres."""
        return self._poses[split]

    def images(self, split: str, indices: np.ndarray | list[int]) -> np.ndarray:
        """Return images uint8 (n, H, W, 3) by their indices (n), in any order, repeats allowed.

        Raises:
            IndexError: an index is negative or beyond the last frame.
        """
        indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        count = self.count(split)
        if indices.size and (indices.min() < 0 or indices.max() >= count):
            raise IndexError(f"{self.path}: {split} has frames 0 to {count - 1}, got {indices}")
        stored = self._stored_images()[split]
        images = np.empty((len(indices), *stored.shape[1:]), dtype=np.uint8)
        # One read a frame: h5py takes increasing indices at once too, 100 times slower.
        for row, index in enumerate(indices.tolist()):
            images[row] = stored[index]
        return images

    def close(self) -> None:
        """Close this process's file; a later read opens it again."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file, self._stored = None, {}

    def __enter__(self) -> "Frames":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def __getstate__(self) -> dict:
        """Return what travels to another process: everything but the open file."""
        return {**self.__dict__, "_file": None, "_process": None, "_stored": {}}

    def _stored_images(self) -> dict[str, h5py.Dataset]:
        """Return the images by split, in a file that this process has opened."""
        if self._file is None or self._process != os.getpid():
            self._file, self._process = open_hdf5(self.path, "frames"), os.getpid()
            self._stored = {split: self._file[split]["images"] for split in SPLITS}
        return self._stored
