"""A network's input for the images of a scene: its own encoder's features, or stored maps."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ..data.frames import Frames
from ..encoding.encoders import load_encoder
from ..encoding.feature_maps import FeatureMaps
from ..files.storage import StoredFrames
from ..runtime import InputError
from .match_fields import Cells, Views
from .model_settings import MATCH_FIELD
from .pose_network import PoseNetwork
from .positions import frame_scales, image_scales
from .relative_poses import scene_from_world

# Pixels of the images encoded at once; on a CPU, few enough for its caches: 4 published images.
PIXELS_PER_PASS_CPU = 350_000
PIXELS_PER_PASS_GPU = 5_600_000
ENCODED = "encoded"  # a map's group: ``train`` (M, C) float32, features of images by the network


@dataclass(frozen=True)
class CellsByRow:
    """Cells of images, computed from their maps when a graph needs them.

    The maps of a whole scene do not fit into memory: they take 0.2 MB per image.

    Attributes:
        device: of the cells.
        count: of the images.
        compute: returns the cells (1, ...) of each of some images, by distinct rows in ascending
            order.
    """

    device: torch.device
    count: int
    compute: Callable[[np.ndarray], list[Cells]]

    def __len__(self) -> int:
        """Return the number of images."""
        return self.count

    def __getitem__(self, rows: torch.Tensor) -> Cells:
        """Return the cells of rows (n), repeats allowed; each distinct one is computed once."""
        distinct, place = np.unique(rows.cpu().numpy(), return_inverse=True)
        images = self.compute(distinct)
        # Copies each array once: 2 MB for a photo and its neighbours.
        return Cells(*(torch.cat(each) for each in zip(*(images[i] for i in place), strict=True)))


class SceneImages:
    """The images of a scene as input of a network: through its encoder, or as stored maps.

    Raises:
        InputError: a network with match fields gets no features, or those of another encoder, of
            another shape or of other frames; or its positions are rays and a focal length is
            unknown.
    """

    def __init__(
        self,
        model: PoseNetwork,
        frames: Frames,
        features_file: str | Path | None,
        kept: int = 0,
    ) -> None:
        """Use the frames of a scene, and its features if the network needs them.

        Features of the ``kept`` database images used last stay in memory, for queries that come one
        at a time.
        """
        self.model, self.frames, self.features = model, frames, None
        self.device = next(model.parameters()).device
        self._kept = lru_cache(kept)(self._database_image) if kept else None
        self.scene_from_world = scene_from_world(model.settings.pose, frames.poses("train"))
        self._encoded: StoredFrames | None = None
        if model.settings.edges != MATCH_FIELD:
            if features_file is not None:  # a map file, which has no images to encode
                self._encoded = StoredFrames(features_file, ENCODED)
            return
        if features_file is None:
            raise InputError(
                f"{frames.path}: got no features file of this scene, expected one, since the "
                "model's edges are match fields; make it with the target features"
            )
        self.features = FeatureMaps(features_file)
        self.features.check_frames(frames)
        found = self.features.encoder, self.features.channels, list(self.features.grid)
        expected = model.settings.encoder, *model.maps.values()
        if found != expected:
            raise InputError(
                f"{features_file}: encoder, channels and grid are {found}, expected {expected} as "
                "in the training of the model; make the features again, or train again"
            )
        positions, grid = model.settings.positions, self.features.grid
        self._scales = cache(lambda split: frame_scales(positions, frames, split, grid))
        self._scales("train")  # may raise

    @property
    def size(self) -> tuple[int, int]:
        """Return (width, height) in pixels of the images that are encoded."""
        return self.features.image_size if self.features else self.frames.image_shape[::-1]

    @property
    def at_once(self) -> int:
        """Return how many images are encoded at once on the model's device."""
        pixels = PIXELS_PER_PASS_CPU if self.device.type == "cpu" else PIXELS_PER_PASS_GPU
        return max(1, pixels // math.prod(self.size))

    def of_frames(self, split: str, indices: np.ndarray) -> torch.Tensor | CellsByRow:
        """Return the features or cells of frames of a split, in the order of ``indices``."""
        if self.features is not None:
            return self._by_row(len(indices), lambda rows: self._stored(split, indices[rows]))
        distinct, row = np.unique(indices, return_inverse=True)
        starts = range(0, len(distinct), self.at_once)
        passes = tqdm(starts, f"encoding {split} frames", disable=None)
        parts = (distinct[start : start + self.at_once] for start in passes)
        return torch.cat([self.encode(self.frames.images(split, part)) for part in parts])[row]

    def join(self, parts: Sequence[torch.Tensor | Views]) -> torch.Tensor | CellsByRow:
        """Return the features or cells of batches of images, from results of ``encode``."""
        if self.features is None:
            return torch.cat(parts)
        views = Views(*(torch.cat(each) for each in zip(*parts, strict=True)))
        return self._by_row(len(views.fine), lambda rows: Views(*(each[rows] for each in views)))

    @torch.inference_mode()
    def encode(
        self, images: np.ndarray, focal_lengths: np.ndarray | None = None
    ) -> torch.Tensor | Views:
        """Return features (n, C), or views, of images (n, H, W, 3) uint8.

        ``focal_lengths`` (n), in longer sides of the images, are needed if positions are rays.
        """
        packed = torch.from_numpy(images).to(self.device)
        if self.features is not None:
            maps = self.features.standardise(self._encoder(packed))
            cameras = focal_lengths, self.frames.image_shape, self.features.grid
            scales = image_scales(self.model.settings.positions, *cameras)
            return Views(*(each.cpu() for each in maps), scales)
        mean, variance = (
            torch.tensor(each, dtype=torch.float32, device=self.device)[None]
            for each in (self.frames.mean, self.frames.variance)
        )
        # Pixels are stored with their channels together, which torch calls channels_last.
        images = normalise_images(packed.permute(0, 3, 1, 2), mean, variance.sqrt())
        return self._encoder(images)

    @cached_property
    def _encoder(self) -> nn.Module:
        """Return the network's own encoder, or the one that made the features.

        Raises:
            InputError: the weights of the latter have changed since.
        """
        if self.features is None:
            return self.model.folded_encoder()
        encoder = load_encoder(self.features.encoder).to(self.device)
        if encoder.weights != self.features.made_by["weights"]:
            raise InputError(
                f"{self.features.path}: was made with {self.features.made_by['weights']}, expected "
                f"{encoder.weights}, which the encoder has now; make the features again"
            )
        return encoder

    def graphs(
        self, queries: torch.Tensor | CellsByRow, neighbours: np.ndarray
    ) -> tuple[torch.Tensor | CellsByRow, np.ndarray]:
        """Return arguments of ``relate_graphs``: features by row, and the rows (G, n) of nodes.

        Each distinct training frame among the neighbours (G, k) is encoded once.
        """
        distinct, row = np.unique(neighbours, return_inverse=True)
        count = len(queries)
        nodes = np.arange(count)[:, None], count + row.reshape(neighbours.shape)
        if self.features is None:
            features = torch.cat([queries, *self._database(distinct)])
        else:  # rows of queries, then of the distinct training frames
            features = CellsByRow(
                *(self.device, count + len(distinct)),
                lambda rows: (
                    queries.compute(rows[rows < count])
                    + self._database(distinct[rows[rows >= count] - count])
                ),
            )
        return features, np.concatenate(nodes, axis=1)

    @torch.inference_mode()
    def _database(self, indices: np.ndarray) -> list[torch.Tensor] | list[Cells]:
        """Return features or cells of database images by distinct indices (n), in a list."""
        if self._kept is not None:
            return [self._kept(index) for index in indices.tolist()]
        seen = self.of_frames("train", indices)
        return [seen] if self.features is None else seen.compute(np.arange(len(indices)))

    def _database_image(self, index: int) -> torch.Tensor | Cells:
        """Return the features (1, C), or the cells, of a database image."""
        if self._encoded is not None:
            return torch.from_numpy(self._encoded.rows("train", [index])).to(self.device)
        if self.features is None:
            return self.encode(self.frames.images("train", [index]))
        return self.of_frames("train", np.array([index])).compute(np.array([0]))[0]

    def _by_row(self, count: int, read: Callable[[np.ndarray], Views]) -> CellsByRow:
        """Return the cells of ``count`` images, of which ``read`` returns the views by rows."""

        def compute(rows: np.ndarray) -> list[Cells]:
            """Return the cells of each of some images."""
            cells = self.model.encode(Views(*(each.to(self.device) for each in read(rows))))
            return [Cells(*each) for each in zip(*(part.split(1) for part in cells), strict=True)]

        return CellsByRow(self.device, count, compute)

    def _stored(self, split: str, indices: np.ndarray) -> Views:
        """Return the stored maps of frames of a split."""
        return Views(*self.features.maps(split, indices), self._scales(split)[indices])


def normalise_images(
    images: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor
) -> torch.Tensor:
    """Return uint8 images (N, 3, H, W) as float32, standardised per channel.

    ``mean`` and ``deviation`` are (N, 3) or (1, 3), of images in [0, 1].
    """
    shift, scale = mean[..., None, None], deviation[..., None, None]
    return images.float().div_(255).sub_(shift).div_(scale)
