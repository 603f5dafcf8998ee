"""Graphs and frames as a PyTorch Geometric dataset."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data, Dataset

from .edges import complete_edges
from .frames import Frames
from .graphs import read_graphs
from .poses import vector_from_pose
from .runtime import numpy_generator


class GraphDataset(Dataset):
    """The retrieval graphs of one split of one scene, with images and poses.

    An item is a ``Data`` of n = 1 + k nodes, the query first:
        images (n, 3, H, W) uint8, as packed;
        poses (n, 6) float32: camera centre in metres, log-quaternion, world frame;
        edge_index (2, n (n - 1)), fully connected;
        mean, deviation (1, 3): the scene's channel statistics for ``normalise_images``.
    """

    def __init__(self, frames_file: str | Path, graphs_file: str | Path, split: str) -> None:
        """Read indices and poses; images are read when asked for."""
        super().__init__()
        self.split, self.graphs_file = split, Path(graphs_file)
        self.frames = Frames(frames_file)
        self.query, self.neighbours = read_graphs(graphs_file, split)
        self.query_poses = vector_from_pose(self.frames.poses(split))
        self.database_poses = vector_from_pose(self.frames.poses("train"))
        self.edge_index = torch.from_numpy(complete_edges(1 + self.neighbours.shape[1]))
        self.mean = torch.tensor(self.frames.mean, dtype=torch.float32)[None]
        self.deviation = torch.tensor(self.frames.variance, dtype=torch.float32)[None].sqrt()
        self._shuffle: tuple[int, int] | None = None

    def shuffle_neighbours(self, seed: int, epoch: int) -> None:
        """Put the neighbours of every graph into a random order, another one each epoch.

        Takes effect in the loader's workers when they start, so with each new iteration.
        """
        self._shuffle = (seed, epoch)

    def fingerprint(self) -> str:
        """Return a hash of what the graphs hold, for recognising a training's data.

        Images enter by their names and channel statistics.
        """
        digest = hashlib.sha256(repr((self.frames.names(self.split), self.split)).encode())
        for array in (self.query, self.neighbours, self.query_poses, self.database_poses):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(self.mean.numpy().tobytes() + self.deviation.numpy().tobytes())
        return digest.hexdigest()

    def len(self) -> int:
        """Return the number of graphs."""
        return len(self.query)

    def get(self, index: int) -> Data:
        """Return one graph."""
        neighbours = self.neighbours[index]
        if self._shuffle is not None:
            seed, epoch = self._shuffle
            purpose = ("neighbours", self.frames.scene, str(epoch), str(index))
            neighbours = numpy_generator(seed, *purpose).permutation(neighbours)
        query = self.query[index]
        images = np.concatenate(
            [self.frames.images(self.split, [query]), self.frames.images("train", neighbours)]
        )
        poses = np.concatenate([self.query_poses[[query]], self.database_poses[neighbours]])
        return Data(
            images=torch.from_numpy(images).permute(0, 3, 1, 2),
            poses=torch.from_numpy(poses).float(),
            edge_index=self.edge_index,
            mean=self.mean,
            deviation=self.deviation,
            num_nodes=len(poses),
        )


def normalise_images(
    images: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor
) -> torch.Tensor:
    """Return uint8 images (N, 3, H, W) as float32, standardised per channel.

    ``mean`` and ``deviation`` are (N, 3) or (1, 3), of images in [0, 1].
    """
    shift, scale = mean[..., None, None], deviation[..., None, None]
    return images.float().div_(255).sub_(shift).div_(scale)
