"""Graphs and frames as a PyTorch Geometric dataset, and batches of them for training."""

import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset
from torch_geometric.data import Batch, Data, Dataset
from torch_geometric.loader import DataLoader

from ..data.frames import Frames
from ..data.scene_files import SceneFiles
from ..encoding.feature_maps import FeatureMaps
from ..network.edges import complete_edges
from ..network.match_fields import Views
from ..network.positions import IMAGE, frame_scales
from ..network.relative_poses import relative_pose, scene_from_world
from ..processes import process_count
from ..retrieval.graphs import VALIDATION, read_graphs, split_of
from ..runtime import InputError, numpy_generator, torch_generator
from ..split_batches import PartSampler
from .training_settings import TrainingSettings

logger = logging.getLogger(__name__)

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (only its size is asked for)


class GraphDataset(Dataset):
    """The retrieval graphs of one part of one scene, with images and poses.

    An item is a ``Data`` of n = 1 + k nodes, the query first:
        images (n, 3, H, W) uint8, as packed; or, with a features file,
        fine, coarse (n, C, h, w) float32, scales (n, 2), see ``match_fields.Views``;
        relative (n, n, 6) float32: [s, t] is the relative pose of the edge s -> t, metres and half
            radians;
        edge_index (2, n (n - 1)), fully connected;
        mean, deviation (1, 3): channel statistics of the scene, see ``normalise_images``.
    """

    def __init__(self, scene: SceneFiles, part: str, pose: str, positions: str = IMAGE) -> None:
        """Read indices and poses; images or maps are read on demand.

        Args:
            scene: its files; those of retrieval are not read.
            part: of its graphs, see ``graphs.read_graphs``.
            pose: kind of the relative poses, see ``relative_poses``.
            positions: kind of the positions in match fields, see ``positions``.
        """
        super().__init__()
        self.graphs_file, self.pose = Path(scene.graphs), pose
        self.split = split_of(part)  # of the queries
        self.frames = Frames(scene.frames, scene.camera)
        self.scene_from_world = scene_from_world(pose, self.frames.poses("train"))
        self.features = FeatureMaps(scene.features) if scene.features else None
        if self.features:
            self.features.check_frames(self.frames)
            self._scales = {
                each: frame_scales(positions, self.frames, each, self.features.grid)
                for each in ("train", self.split)
            }
        self.query, self.neighbours = read_graphs(scene.graphs, part, self.frames)
        self.edge_index = torch.from_numpy(complete_edges(1 + self.neighbours.shape[1]))
        self.mean = torch.tensor(self.frames.mean, dtype=torch.float32)[None]
        self.deviation = torch.tensor(self.frames.variance, dtype=torch.float32)[None].sqrt()
        self._shuffle: tuple[int, int] | None = None

    def shuffle_neighbours(self, seed: int, epoch: int) -> None:
        """Put the neighbours of every graph into a random order that depends on the epoch.

        Workers of a loader take it over when they start, that is with each new iteration.
        """
        self._shuffle = (seed, epoch)

    @property
    def maps(self) -> dict[str, Any] | None:
        """Return channels and grid of the images' maps; None without a features file."""
        return self.features and {"channels": self.features.channels, "grid": self.features.grid}

    def fingerprint(self) -> str:
        """Return a hash of the graphs and poses, by which a training's data are recognised.

        Of images, it covers names, packing, file sizes and channel statistics.
        """
        told = self.frames.names(self.split), self.split, self.frames.packed_from()
        digest = hashlib.sha256(repr(told).encode())
        poses = self.frames.poses(self.split), self.frames.poses("train")
        for array in (self.query, self.neighbours, *poses):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(self.mean.numpy().tobytes() + self.deviation.numpy().tobytes())
        if self.features:
            digest.update(repr(self.features.made_by).encode())
            for scales in self._scales.values():
                digest.update(scales.numpy().tobytes())
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
        poses = self.scene_from_world @ np.concatenate(
            [self.frames.poses(self.split)[[query]], self.frames.poses("train")[neighbours]]
        )
        relative = relative_pose(self.pose, poses[:, None], poses[None])
        return Data(
            **self._seen(query, neighbours),
            relative=torch.from_numpy(relative).float(),
            edge_index=self.edge_index,
            mean=self.mean,
            deviation=self.deviation,
            num_nodes=len(poses),
        )

    def _seen(self, query: int, neighbours: np.ndarray) -> dict[str, torch.Tensor]:
        """Return the network's input for a graph's images."""
        if self.features is None:
            images = (
                self.frames.images(self.split, [query]),
                self.frames.images("train", neighbours),
            )
            return {"images": torch.from_numpy(np.concatenate(images)).permute(0, 3, 1, 2)}
        views = [
            Views(*self.features.maps(split, rows), self._scales[split][rows])
            for split, rows in ((self.split, [query]), ("train", neighbours))
        ]
        return {name: torch.cat([getattr(each, name) for each in views]) for name in Views._fields}


def true_relative(batch: Batch, edge_index: torch.Tensor) -> torch.Tensor:
    """Return the true relative poses (E, 6) of some edges (2, E) of a batch of graphs."""
    source, target = edge_index
    return batch.relative[source, target - batch.ptr[batch.batch[target]]]


def read_training_graphs(
    scenes: dict[str, SceneFiles], pose: str, positions: str = IMAGE
) -> tuple[ConcatDataset, ConcatDataset]:
    """Return training and validation graphs of scenes, by name.

    ``pose`` and ``positions`` are those of ``GraphDataset``.

    Raises:
        InputError: a scene has no training graphs, scenes have images or features of different
            shapes, or a focal length that rays need is unknown.
    """
    datasets, validation = (
        [GraphDataset(files, part, pose, positions) for files in scenes.values()]
        for part in ("train", VALIDATION)
    )
    for dataset in datasets:
        if len(dataset) == 0:
            raise InputError(
                f"{dataset.graphs_file}: has no training graphs, expected at least one; import the "
                "training part of the graphs too, or do not train on this scene"
            )
    shapes = {dataset.frames.path: dataset.frames.image_shape for dataset in datasets}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{path} {w}x{h}" for path, (h, w) in shapes.items())
        raise InputError(
            f"scenes of different image sizes cannot share a batch: {listed}; train on each of "
            "them alone (experiments: [single_scene])"
        )
    if len({repr(dataset.maps) for dataset in datasets}) > 1:
        listed = ", ".join(f"{each.graphs_file} {each.maps}" for each in datasets)
        raise InputError(
            f"scenes whose features have different shapes cannot share a batch: {listed}; train on "
            "each of them alone (experiments: [single_scene])"
        )
    return ConcatDataset(datasets), ConcatDataset(validation)


def shuffled_batches(
    graphs: ConcatDataset, settings: TrainingSettings, device: torch.device, epoch: int
) -> DataLoader:
    """Return the batches of one epoch: graphs in random order, neighbours too."""
    for dataset in graphs.datasets:
        dataset.shuffle_neighbours(settings.seed, 0 if settings.shuffle_once else epoch)
    order = torch_generator(settings.seed, "order", str(epoch))
    return batches(graphs, settings.batch_size, device, order, settings.drop_last_batch)


def reading_processes(graphs: ConcatDataset | GraphDataset, size: int) -> int:
    """Return how many processes read batches of ``size`` graphs, besides the one that computes.

    One for each thread of torch's but one, and no more than shared memory has room for: each
    process keeps three batches there, two ready ones and one that it is filling. A container may
    have only 64 MB of it.
    """
    wanted = min(torch.get_num_threads() - 1, len(graphs))
    if wanted < 1 or not SHARED_MEMORY.is_dir():
        return max(wanted, 0)
    tensors = [value for value in graphs[0].to_dict().values() if isinstance(value, torch.Tensor)]
    each = 3 * size * sum(tensor.nbytes for tensor in tensors)
    free = shutil.disk_usage(SHARED_MEMORY).free
    fitting = min(wanted, free // each)
    if fitting < wanted:
        logger.warning(
            "%s: has %d MB free, expected %d MB for %d processes that read graphs; only %d are "
            "started, which may be slower. Give the container more (docker run --shm-size=8g)",
            *(SHARED_MEMORY, free // 10**6, wanted * each // 10**6, wanted, fitting),
        )
    return fitting


def batches(
    graphs: ConcatDataset | GraphDataset,
    size: int,
    device: torch.device,
    order: torch.Generator | None = None,
    drop_last: bool = False,
) -> DataLoader:
    """Return batches of ``size`` graphs, in an order drawn from the generator, if one is given.

    The last batch may be shorter, unless ``drop_last`` drops it. Each of several processes gets its
    part of each batch, see ``split_batches``.

    With a GPU, all but one of torch's threads are replaced by processes that read graphs, see
    ``reading_processes``. On a CPU, the network needs all threads.
    """
    gpu = device.type == "cuda"
    workers = reading_processes(graphs, size) if gpu else 0
    how = {"generator": order, "num_workers": workers, "pin_memory": gpu}
    shuffle = order is not None
    whole = DataLoader(graphs, batch_size=size, shuffle=shuffle, drop_last=drop_last, **how)
    if process_count() == 1:
        return whole
    return DataLoader(graphs, batch_sampler=PartSampler(whole.batch_sampler), **how)
