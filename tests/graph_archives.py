"""Archives of graphs in the authors' layouts, made from the frames of a test's scene."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from frames_file import write_frames_file
from torch_geometric.data import Data

from relposegnn.authors.graph_archives import ArchivedPoses
from relposegnn.data.frames import Frames
from relposegnn.network.edges import complete_edges
from relposegnn.network.relative_poses import WORLD_DIFFERENCE
from relposegnn.poses import vector_from_pose

PLAIN = ArchivedPoses(WORLD_DIFFERENCE, [0, 0, 0], [1, 1, 1])


class OlderGraph:
    """Is pickled as PyTorch Geometric 1 pickled its graphs: attributes in the graph itself."""

    def __init__(self, **attributes: object) -> None:
        self.attributes = {**attributes, "pos": None, "norm": None, "face": None}

    def __reduce_ex__(self, protocol: int) -> tuple:
        return object.__new__, (Data,), self.attributes


def saved(content: object) -> bytes:
    """Return what ``torch.save`` writes."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def saved_graph(images: np.ndarray, poses: np.ndarray, older: bool = False) -> bytes:
    """Return a pickled graph of standardised images (n, 3, H, W) and poses (n, 6)."""
    edges = torch.from_numpy(complete_edges(len(poses)))
    y = torch.from_numpy(poses.astype(np.float32))
    x = torch.from_numpy(images.reshape(len(images), -1).astype(np.float32))
    edge_attr = y[edges[1]] - y[edges[0]]  # target less source
    graph_class = OlderGraph if older else Data
    return saved(graph_class(x=x, edge_index=edges, edge_attr=edge_attr, y=y))


def write_tar(path: Path, members: Mapping[str, bytes], mode: str = "w") -> Path:
    """Write a tar archive of files by name, in their order."""
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def member_name(number: int) -> str:
    """Return the path of a graph in its archive."""
    return f"tiny_fc8_sp5_test/processed/data_{number:06}.pt"


def standardised(images: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return uint8 images (n, H, W, 3) as the network gets them (n, 3, H, W)."""
    scaled = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    shift, scale = (
        torch.as_tensor(v, dtype=torch.float32)[:, None, None] for v in (mean, variance)
    )
    return ((scaled - shift) / scale.sqrt()).numpy()


def graphs_of_frames(
    frames_file: Path,
    split: str,
    query: np.ndarray,
    neighbours: np.ndarray,
    cambridge: ArchivedPoses | None = None,
) -> dict[str, bytes]:
    """Return the members of an archive of a scene's graphs, every third one in the older layout.

    Their poses are camera-to-world, or those of ``cambridge``, written down anew: t = -R^T c and
    the rotation R^T, where R turns camera into world axes, standardised.
    """
    members = {"tiny_fc8_sp5_test/processed/pre_filter.pt": b"not read"}
    with Frames(frames_file) as frames:
        for number, (node, others) in enumerate(zip(query, neighbours, strict=True)):
            pixels = [frames.images(split, [node]), frames.images("train", others)]
            images = standardised(np.concatenate(pixels), frames.mean, frames.variance)
            poses = np.concatenate([frames.poses(split)[[node]], frames.poses("train")[others]])
            if cambridge:
                poses = np.linalg.inv(poses)
            vectors = vector_from_pose(poses)
            if cambridge:
                vectors[:, :3] -= cambridge.translation_mean
                vectors[:, :3] /= cambridge.translation_deviation
            content = saved_graph(images, vectors, older=number % 3 == 2)
            members[member_name(number)] = content
    return members


def planted_graphs(count: int, database: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a query per graph (G,), shuffled, and 7 of the database frames (G, 7)."""
    rng = np.random.default_rng(seed)
    neighbours = [rng.choice(database, 7, replace=False) for _ in range(count)]
    return rng.permutation(count), np.array(neighbours)


def write_archive(frames: Path, split: str, query: np.ndarray, neighbours: np.ndarray) -> Path:
    members = graphs_of_frames(frames, split, query, neighbours)
    return write_tar(frames.with_name(f"{split}.tar"), members)


def write_frames(path: Path, images: np.ndarray, poses: np.ndarray, queries: np.ndarray) -> Path:
    """Write a frames file with a database of these frames, and some of them as queries."""
    splits = {
        split: {
            "images": images[chosen],
            "world_from_cam": poses[chosen],
            "name": [f"{split}-{index}" for index in chosen],
        }
        for split, chosen in (("train", np.arange(len(poses))), ("test", queries))
    }
    return write_frames_file(path, **splits, dataset="tiny", scene="attic")
