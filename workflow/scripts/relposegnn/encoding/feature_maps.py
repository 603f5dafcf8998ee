"""A scene's features file: maps of every frame by a frozen encoder, computed once.

Groups ``train`` and ``test`` hold ``fine`` float16 (N, C8, h, w) and ``coarse`` float16
(N, C16, h/2, w/2), in the order of the frames file. Root datasets
``fine_mean``, ``fine_deviation`` (C8) and ``coarse_mean``, ``coarse_deviation`` (C16) are the
channels' mean and deviation over the database. Root attributes: ``dataset``, ``scene``.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..data.frames import Frames
from ..data.images import image_size, read_image
from ..files.limits import checked_size
from ..files.storage import SPLITS, RowWriter, StoredFrames, create_hdf5, open_hdf5, read_settings
from ..files.whole_files import reading
from ..runtime import InputError, select_device
from ..threads import map_in_threads
from .encoders import COARSE_STRIDE, FINE_STRIDE, encoded_size, load_encoder

MAPS = "fine", "coarse"  # of each image


class FeatureMaps(StoredFrames):
    """Reader of a features file; ``with FeatureMaps(path) as maps`` closes it.

    Attributes:
        encoder: name of the encoder, see ``encoders.load_encoder``.
        made_by: the settings of ``encode_frames``, and the encoder's weights.
        image_size: (width, height) in pixels of the encoded images.
        channels: C8 + C16.
        grid: (h, w) of the fine maps.

    Raises:
        InputError: not a features file of this schema.
    """

    def __init__(self, path: str | Path) -> None:
        """Read everything but the maps."""
        super().__init__(path, "features")
        with open_hdf5(path, "features") as file, reading(path, "features"):
            self.dataset, self.scene = str(file.attrs["dataset"]), str(file.attrs["scene"])
            settings = self.made_by = read_settings(file)
            self.encoder: str = settings["encoder"]
            self.image_size = checked_size(path, settings["width"], settings["height"])
            self.channels = sum(file[f"train/{name}"].shape[1] for name in MAPS)
            self.grid: tuple[int, int] = file["train/fine"].shape[2:]
            self._counts = {split: len(file[f"{split}/fine"]) for split in SPLITS}
            self._mean, deviation = (
                [torch.from_numpy(file[f"{name}_{kind}"][:])[:, None, None] for name in MAPS]
                for kind in ("mean", "deviation")
            )
            # A channel that is constant over the database carries no information: it becomes 0.
            self._factor = [torch.where(d > 0, 1 / d, 0) for d in deviation]

    def count(self, split: str) -> int:
        """Return the number of frames of ``train`` or ``test``."""
        return self._counts[split]

    def maps(self, split: str, indices: np.ndarray | list[int]) -> tuple[Tensor, Tensor]:
        """Return standardised maps, fine and coarse, of frames by indices (n) in any order.

        Raises:
            IndexError: an index is negative or beyond the last frame.
        """
        stored = (self.rows(f"{split}/{name}", indices) for name in MAPS)
        return self.standardise(map(torch.from_numpy, stored))

    def standardise(self, maps: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        """Return maps of this encoder, float32, standardised by the database's channels."""
        return tuple(
            (part.float() - mean.to(part.device)) * factor.to(part.device)
            for part, mean, factor in zip(maps, self._mean, self._factor, strict=True)
        )

    def check_frames(self, frames: Frames) -> None:
        """Raise an InputError unless these are the maps of ``frames``."""
        found, expected = (
            (each.dataset, each.scene, *(each.count(split) for split in SPLITS))
            for each in (self, frames)
        )
        if found != expected:
            raise InputError(
                f"{self.path}: data set, scene, database images and queries are {found}, expected "
                f"{expected} as in {frames.path}; make it again"
            )


def encode_frames(
    frames_file: str | Path,
    scene_folder: str | Path,
    features_file: str | Path,
    encoder: str,
    size: Sequence[int] | None = None,
    device: str | None = None,
    workers: int = 1,
) -> None:
    """Encode every frame of a scene and write the features file.

    Args:
        frames_file: frames of the scene, for the paths of the images.
        scene_folder: folder that these paths are relative to. The original images are read and
            resized.
        features_file: HDF5 file to write.
        encoder: name of an encoder, see ``encoders.load_encoder``.
        size: (width, height) in pixels of the encoded images, multiples of 16; None: 128 for the
            shorter side, and about the scene's aspect ratio.
        device: of the encoder, see ``runtime.select_device``.
        workers: threads, each of which decodes and encodes images.

    Raises:
        InputError: an image cannot be read, the encoder cannot be loaded or has no maps at strides
            8 and 16, or a value does not fit into float16.
    """
    used = select_device(device, threads=1)
    network = load_encoder(encoder).to(used)
    cv2.setNumThreads(1)  # ``workers`` is the number of threads
    with Frames(frames_file) as frames:
        paths = {split: frames.paths(split, scene_folder) for split in SPLITS}
        size = tuple(size or encoded_size(*image_size(paths["train"][0])))
        settings = {"encoder": encoder, "weights": network.weights}
        settings |= {"width": size[0], "height": size[1]}
        with create_hdf5(features_file, "features", settings) as file:
            file.attrs.update(dataset=frames.dataset, scene=frames.scene)
            encode = partial(_encode_image, network, used, size)
            for split in SPLITS:
                maps = map_in_threads(encode, paths[split], workers)
                _write_maps(file.create_group(split), maps, len(paths[split]))
            for name in MAPS:
                mean, deviation = channel_statistics(file[f"train/{name}"])
                file[f"{name}_mean"], file[f"{name}_deviation"] = mean, deviation


def channel_statistics(maps: h5py.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation (C), float32, of each channel of maps (N, C, h, w).

    A constant channel has deviation 0, exactly.
    """
    origin = maps[0][:, :1, :1].astype(np.float64)
    mean = square = np.zeros(len(origin))
    for index in range(len(maps)):
        values = maps[index] - origin
        mean = mean + values.mean(axis=(1, 2)) / len(maps)
        square = square + np.square(values).mean(axis=(1, 2)) / len(maps)
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return (origin[:, 0, 0] + mean).astype(np.float32), deviation.astype(np.float32)


def _encode_image(
    network: nn.Module, device: torch.device, size: tuple[int, int], path: Path
) -> list[np.ndarray]:
    """Return the fine and the coarse map of an image, float16."""
    image = torch.from_numpy(read_image(path, size)).to(device)
    with np.errstate(over="ignore"):
        maps = [part[0].cpu().numpy().astype(np.float16) for part in network(image[None])]
    found = [part.shape[1:] for part in maps]
    expected = [(size[1] // stride, size[0] // stride) for stride in (FINE_STRIDE, COARSE_STRIDE)]
    if found != expected:
        raise InputError(
            f"{path}: the encoder's maps have {found} rows and columns, expected {expected}, those "
            f"of strides {FINE_STRIDE} and {COARSE_STRIDE}; take another encoder, or correct it"
        )
    if not all(np.isfinite(part).all() for part in maps):
        raise InputError(
            f"{path}: the encoder's maps have values that float16 cannot hold; use another encoder"
        )
    return maps


def _write_maps(group: h5py.Group, maps: Iterator[list[np.ndarray]], count: int) -> None:
    """Write maps one by one, so that they are not all in memory."""
    split = Path(group.name).name
    written = [RowWriter(group, name, count) for name in MAPS]
    for parts in tqdm(maps, f"encode {split}", count, unit="img", disable=None):
        for rows, part in zip(written, parts, strict=True):
            rows.append(part)
