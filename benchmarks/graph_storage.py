"""Graphs as indices into a frames file, compared with the published image tensors per graph."""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from inputs import write_scene

from relposegnn.data.scene_files import SceneFiles
from relposegnn.learning.datasets import GraphDataset
from relposegnn.network.relative_poses import WORLD_DIFFERENCE

GRAPHS, SIZE = 40, (341, 256)


def main() -> None:
    """Print bytes and milliseconds per graph of both, and the ratios of the bytes."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        frames, graphs = write_scene(folder, GRAPHS, GRAPHS, SIZE)
        dataset = GraphDataset(SceneFiles(frames, graphs), "test", WORLD_DIFFERENCE)
        for index, graph in enumerate(dataset):
            tensors = {"x": graph.images.float().flatten(1), "y": graph.relative[0]}
            torch.save({**tensors, "edge_index": graph.edge_index}, folder / f"{index}.pt")
        size = {
            "tensors": sum(path.stat().st_size for path in folder.glob("*.pt")) / GRAPHS,
            "indices": (dataset.query.nbytes + dataset.neighbours.nbytes) / GRAPHS,
            "indices and images": (graphs.stat().st_size + frames.stat().st_size) / (2 * GRAPHS),
        }
        started = time.perf_counter()
        for index in range(GRAPHS):
            torch.load(folder / f"{index}.pt")
        milliseconds = {"tensors": (time.perf_counter() - started) / GRAPHS * 1e3}
        started = time.perf_counter()
        for _ in dataset:
            pass
        milliseconds["indices and images"] = (time.perf_counter() - started) / GRAPHS * 1e3
    for name, count in size.items():
        reading = f"{milliseconds[name]:8.2f} ms to read" if name in milliseconds else ""
        ratio = size["tensors"] / count
        print(f"{name:20} {count:12.0f} bytes a graph, 1/{ratio:.0f} {reading}")


if __name__ == "__main__":
    main()
