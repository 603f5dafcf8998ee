"""Time of importing the authors' pre-processed graphs, compared with reading their archive."""

import argparse
import io
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from inputs import write_scene
from torch_geometric.data import Data

from relposegnn.authors.graph_archives import ArchivedPoses
from relposegnn.authors.graph_matching import import_graphs
from relposegnn.data.scene_files import SceneFiles
from relposegnn.learning.datasets import GraphDataset
from relposegnn.network.relative_poses import WORLD_DIFFERENCE
from relposegnn.network.scene_images import normalise_images
from relposegnn.poses import vector_from_pose

SIZE = (341, 256)
POSES = ArchivedPoses(WORLD_DIFFERENCE, (0, 0, 0), (1, 1, 1))  # unscaled


def write_archive(path: Path, dataset: GraphDataset) -> None:
    """Write a dataset's graphs as the authors did: one pickled object each, with its images."""
    queries, database = (vector_from_pose(dataset.frames.poses(s)) for s in ("test", "train"))
    with tarfile.open(path, "w") as tar:
        for number, graph in enumerate(dataset):
            images = normalise_images(graph.images, graph.mean, graph.deviation)
            poses = np.stack([queries[number], *database[dataset.neighbours[number]]])
            content = io.BytesIO()
            edges = {"edge_index": graph.edge_index, "edge_attr": torch.zeros(56, 6)}
            torch.save(Data(x=images.flatten(1), y=torch.tensor(poses).float(), **edges), content)
            info = tarfile.TarInfo(f"random_fc8_sp5_test/processed/data_{number:06}.pt")
            info.size = content.tell()
            content.seek(0)
            tar.addfile(info, content)


def read_archive(path: Path) -> None:
    """Read and unpickle every graph: the least that an import has to do."""
    with tarfile.open(path) as tar:
        for member in tar:
            content = io.BytesIO(tar.extractfile(member).read())
            torch.load(content, weights_only=False)  # written above


def main() -> None:
    """Print the milliseconds per graph of reading and of importing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=60)
    count = parser.parse_args().graphs
    milliseconds = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        frames, graphs = write_scene(folder, 2 * count, count, SIZE)
        dataset = GraphDataset(SceneFiles(frames, graphs), "test", WORLD_DIFFERENCE)
        archives = {"test": folder / "test.tar"}
        write_archive(archives["test"], dataset)
        for name, run in {
            "reading": lambda: read_archive(archives["test"]),
            "matching": lambda: import_graphs(archives, frames, folder / "m.h5", POSES),
        }.items():
            started = time.perf_counter()
            run()
            milliseconds[name] = (time.perf_counter() - started) / count * 1e3
        size = archives["test"].stat().st_size / count / 1e6
    print(f"{count} graphs of {size:.1f} MB each")
    for name, taken in milliseconds.items():
        ratio = taken / milliseconds["reading"]
        print(f"{name:14} {taken:8.1f} ms a graph, {ratio:5.2f} of reading")


if __name__ == "__main__":
    main()
