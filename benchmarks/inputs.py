"""Generated input of the benchmarks: random frames and graphs in files of the pipeline, images."""

import io
import sys
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from generated_rooms.paths import camera_path
from generated_rooms.rendering import Camera, render_frame
from generated_rooms.rooms import build_room
from relposegnn.files.storage import create_hdf5

VIEWS = 12  # distinct views of the room


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
            images = file.create_dataset(f"{split}/images", (count, *shape), np.uint8)
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


def write_images(folder: Path, count: int, size: tuple[int, int] = (640, 480)) -> list[Path]:
    """Write a scene of ``count`` PNG files in 7-Scenes' layout: ``VIEWS`` of a room, repeated.

    The first frame is the only query.
    """
    room, camera = build_room(11), Camera(*size, 0.914 * max(size))
    poses = camera_path(room, 11, 1, min(count, VIEWS))
    images = []
    for pose in poses:
        images.append(io.BytesIO())
        Image.fromarray(render_frame(room, pose, camera)[0]).save(images[-1], "PNG")
    paths = []
    for index in range(count):
        sequence = folder / f"seq-0{1 if index else 2}"
        sequence.mkdir(parents=True, exist_ok=True)
        paths.append(sequence / f"frame-{index:06}.color.png")
        paths[-1].write_bytes(images[index % VIEWS].getbuffer())
        np.savetxt(sequence / f"frame-{index:06}.pose.txt", poses[index % VIEWS])
    (folder / "TrainSplit.txt").write_text("sequence1\n")
    (folder / "TestSplit.txt").write_text("sequence2\n")
    return paths
