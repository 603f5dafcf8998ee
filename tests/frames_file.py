"""Frames files of tests, with what a test does not care about filled in."""

from pathlib import Path

import h5py
import numpy as np

from relposegnn.files.storage import create_hdf5


def write_frames_file(
    path: Path, train: dict, test: dict, dataset: str = "d", scene: str = "room"
) -> Path:
    """Write the arrays of both splits, by name, as a frames file.

    ``world_from_cam`` (N, 4, 4) is needed. Without ``images``, they are 4 x 3 black pixels; without
    ``name``, names are numbers; without ``source``, sources are the names.
    """
    with create_hdf5(path, "frames", {}) as file:
        file.attrs.update(dataset=dataset, scene=scene, mean=[0.5] * 3, variance=[0.08] * 3)
        for split, given in (("train", train), ("test", test)):
            count = len(given["world_from_cam"])
            names = given.get("name", [f"seq-01/frame-{i:06}" for i in range(count)])
            usual = {"images": np.zeros((count, 3, 4, 3), np.uint8), "name": names, "source": names}
            for array, values in (usual | given).items():
                text = h5py.string_dtype() if array in ("name", "source") else None
                file.create_dataset(f"{split}/{array}", data=values, dtype=text)
    return path
