"""Localising a scene: each distinct image encoded once, against the images of every graph."""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from inputs import write_scene

from relposegnn.checkpoints import save_model
from relposegnn.datasets import GraphDataset, normalise_images
from relposegnn.localization import predict_poses
from relposegnn.model import ModelSettings, RelPoseGNN
from relposegnn.runtime import select_device


@torch.inference_mode()
def predict_graph_by_graph(model: RelPoseGNN, frames: Path, graphs: Path) -> None:
    """Pass the eight images of every graph through the whole network."""
    device = next(model.parameters()).device
    for graph in GraphDataset(frames, graphs, "test"):
        graph = graph.to(device)
        images = normalise_images(graph.images, graph.mean, graph.deviation)
        nodes = torch.zeros(graph.num_nodes, dtype=torch.long, device=device)
        model(images, graph.edge_index, nodes).relative.cpu()


def main() -> None:
    """Print queries per second of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--database", type=int, default=60)
    parser.add_argument("--width", type=int, default=341)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--features", type=int, default=2048)
    arguments = parser.parse_args()
    device = select_device()
    model = RelPoseGNN(ModelSettings(width=arguments.features)).eval().to(device)
    with tempfile.TemporaryDirectory() as folder:
        size = (arguments.width, arguments.height)
        files = write_scene(Path(folder), arguments.database, arguments.queries, size)
        save_model(Path(folder) / "model.pt", model, 0, [])
        seconds = {}
        for name, run in {
            "graph by graph": lambda: predict_graph_by_graph(model, *files),
            "distinct images": lambda: predict_poses(
                Path(folder) / "model.pt", *files, Path(folder) / "p.npz", device
            ),
        }.items():
            started = time.perf_counter()
            run()
            seconds[name] = time.perf_counter() - started
    print(f"{arguments.queries} queries, {arguments.database} database images, {device}")
    for name, taken in seconds.items():
        print(f"{name:16} {arguments.queries / taken:8.2f} queries/s")
    print(f"ratio            {seconds['graph by graph'] / seconds['distinct images']:8.2f}")


if __name__ == "__main__":
    main()
