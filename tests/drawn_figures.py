"""What tests of several figures plant and read."""

import numpy as np

from relposegnn.files.storage import create_hdf5


def legend_texts(figure) -> list[str]:
    """Return the texts of all legends of a figure."""
    return [t.get_text() for legend in figure.legends for t in legend.get_texts()]


def write_frames(path, *poses: np.ndarray) -> None:
    """Write the frames of training and test poses; frame i is of the grey value 10 i."""
    with create_hdf5(path, "frames", {}) as file:
        for split, world_from_cam in zip(("train", "test"), poses, strict=True):
            group, count = file.create_group(split), len(world_from_cam)
            grey = 10 * np.arange(count, dtype=np.uint8)[:, None, None, None]
            group["images"] = np.broadcast_to(grey, (count, 6, 8, 3))
            group["world_from_cam"] = world_from_cam
            group["name"] = group["source"] = [f"seq-01/frame-{i:06d}" for i in range(count)]
        file.attrs.update(dataset="d", scene="chess", mean=np.zeros(3), variance=np.ones(3))
