"""Localising a scene: encoding each distinct image once, compared with all images per graph."""

import argparse
import tempfile
from pathlib import Path

import torch
from inputs import write_scene
from measuring import by_turns

from relposegnn.data.scene_files import SceneFiles
from relposegnn.estimates.aggregation import MEDIAN, LocalizationSettings
from relposegnn.estimates.localization import localize_queries
from relposegnn.learning.datasets import GraphDataset
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.network.relative_poses import WORLD_DIFFERENCE
from relposegnn.network.scene_images import normalise_images
from relposegnn.runtime import select_device

SETTINGS = LocalizationSettings(both_directions=False, aggregation=MEDIAN)


@torch.inference_mode()
def predict_graph_by_graph(model: RelPoseGNN, frames: Path, graphs: Path) -> None:
    """Pass the eight images of every graph through the whole network."""
    device = next(model.parameters()).device
    for graph in GraphDataset(SceneFiles(frames, graphs), "test", WORLD_DIFFERENCE):
        graph = graph.to(device)
        images = normalise_images(graph.images, graph.mean, graph.deviation)
        nodes = torch.zeros(graph.num_nodes, dtype=torch.long, device=device)
        model(images, graph.edge_index, nodes).relative.cpu()


def parse_arguments() -> argparse.Namespace:
    """Return the sizes of the benchmark; the defaults are a published network's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--database", type=int, default=40)
    parser.add_argument("--width", type=int, default=341)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Print queries per second of both, the best of several alternating passes, and the ratio."""
    arguments = parse_arguments()
    device = select_device()
    torch.manual_seed(0)
    settings = ModelSettings.published(width=arguments.features)
    plain = RelPoseGNN(settings).eval().to(device)
    model = RelPoseGNN(settings).eval().to(device, memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory() as folder:
        size = (arguments.width, arguments.height)
        files = write_scene(Path(folder), arguments.database, arguments.queries, size)
        methods = {
            "graph by graph": lambda: predict_graph_by_graph(plain, *files),
            "distinct images": lambda: localize_queries(model, SceneFiles(*files), SETTINGS),
        }
        seconds = by_turns(arguments.repeats, *methods.values(), warm_up=False)
    print(f"{arguments.queries} queries, {arguments.database} database images, {device}")
    for name, taken in zip(methods, seconds, strict=True):
        print(f"{name:16} {arguments.queries / min(taken):8.2f} queries/s")
    graph_by_graph, distinct = map(min, seconds)
    print(f"ratio            {graph_by_graph / distinct:8.2f}")


if __name__ == "__main__":
    main()
