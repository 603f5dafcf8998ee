"""Generated input of the benchmarks: a scene of random frames with graphs, in the real files."""

import sys
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from relposegnn.storage import create_hdf5


def write_scene(
    folder: Path, database: int, queries: int, size: tuple[int, int], neighbours: int = 7
) -> tuple[Path, Path]:
    """Write frames of ``size`` (width, height) and graphs; return both files."""
    rng = np.random.default_rng(0)
    frames, graphs = folder / "frames.h5", folder / "graphs.h5"
    with create_hdf5(frames, "frames", {}) as file:
        file.attrs.update(dataset="random", scene="random", mean=[0.5] * 3, variance=[0.08] * 3)
        for split, count in (("train", database), ("test", queries)):
            shape = (size[1], size[0], 3)
            images = file.create_dataset(
                f"{split}/images", (count, *shape), np.uint8, chunks=(1, *shape)
            )
            for index in range(count):
                images[index] = rng.integers(0, 256, shape, dtype=np.uint8)
            world_from_cam = np.tile(np.eye(4), (count, 1, 1))
            world_from_cam[:, :3, 3] = rng.standard_normal((count, 3))
            file[f"{split}/world_from_cam"] = world_from_cam
            for label in ("name", "source"):
                names = [f"{split}/{index}" for index in range(count)]
                file.create_dataset(f"{split}/{label}", data=names, dtype=h5py.string_dtype())
    with create_hdf5(graphs, "graphs", {}) as file:
        for split, count in (("train", database), ("test", queries)):
            chosen = [rng.choice(database, neighbours, replace=False) for _ in range(count)]
            file[f"{split}/query"] = np.arange(count, dtype=np.int32)
            file[f"{split}/neighbours"] = np.array(chosen, dtype=np.int32)
    return frames, graphs
