"""One vector per frame: fitting vocabularies and projections, describing all frames of a scene.

Descriptors are computed from the original images, because the packed frames may be smaller.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from ..data.frames import Frames
from ..data.images import read_images
from ..files.storage import SPLITS, RowWriter, create_hdf5, tell_scene
from ..runtime import InputError, numpy_generator, select_device
from ..threads import map_in_threads
from .describers import Descriptor, load_describer, save_projected, unknown_descriptor
from .projection import WELL_TOLD, check_dimensions, principal_components
from .vlad import local_features
from .vocabulary import POINTS_PER_CLUSTER, fit_centroids, save_vocabulary

logger = logging.getLogger(__name__)

VOCABULARY_IMAGES = 300  # training images that a vocabulary is fitted on, at most
PROJECTION_IMAGES = 8192  # the same for a projection: 1 GB of NetVLAD's descriptors


@dataclass(frozen=True)
class DescriptorSettings:
    """How an image becomes one vector, apart from the vocabulary or checkpoint.

    Attributes:
        descriptor: ``vlad`` or ``netvlad``.
        width: to which images are resized, in pixels.
        height: likewise.
        crop: share, 0 to 1, of their width and height that is described, at the centre.
    """

    descriptor: Descriptor
    width: int
    height: int
    crop: float

    @property
    def size(self) -> tuple[int, int]:
        """Return (width, height)."""
        return self.width, self.height


@dataclass(frozen=True)
class VocabularySettings(DescriptorSettings):
    """How a descriptor's vocabulary is fitted.

    Attributes:
        clusters: number of visual words.
        seed: of k-means, of the choice of images and local features, and of a random encoder.
    """

    clusters: int
    seed: int


@dataclass(frozen=True)
class ProjectionSettings(DescriptorSettings):
    """How the projection of descriptors is fitted.

    Attributes:
        dimensions: length of a projected descriptor.
        whitening: whether all components get equal weight.
        seed: of the choice of images.
    """

    dimensions: int
    whitening: bool
    seed: int


def fit_vocabulary(
    frames_file: str | Path,
    scene_folder: str | Path,
    vocabulary_file: str | Path,
    settings: VocabularySettings,
    vgg16_weights: str | Path | None = None,
    device: str | None = None,
    workers: int = 1,
) -> None:
    """Fit a descriptor's vocabulary on training images of a scene and write its file.

    For NetVLAD, the file holds the whole network, including the encoder.

    Args:
        frames_file: frames of the scene, for the paths of the training images.
        scene_folder: from which these paths start.
        vocabulary_file: npz to write, see ``vocabulary``.
        settings: how it is fitted.
        vgg16_weights: torchvision's VGG16 for NetVLAD's encoder; None: random weights.
        device: on which NetVLAD runs, see ``runtime.select_device``.
        workers: threads that decode images, and for VLAD describe them.

    Raises:
        InputError: an image or weights cannot be read, or there are too few local features.
    """
    generator = numpy_generator(settings.seed, "vocabulary", "images")
    paths = _training_images(frames_file, scene_folder, VOCABULARY_IMAGES, generator)
    images = read_images(paths, settings.size, workers, settings.crop)
    with Frames(frames_file) as frames:
        recorded = asdict(settings) | {"dataset": frames.dataset, "scene": frames.scene}
    del recorded["descriptor"]  # the file has it by itself
    sample, scene = partial(_sample, images=len(paths), settings=settings), str(scene_folder)
    if settings.descriptor == "vlad":
        drawn = sample(map_in_threads(local_features, images, workers))
        centroids = fit_centroids(drawn, settings.clusters, settings.seed, scene)
        arrays = {"centroids": centroids}
    elif settings.descriptor == "netvlad":
        from .netvlad import fit_netvlad  # needs torch, which VLAD does not

        where = select_device(device, workers)
        arrays, more = fit_netvlad(
            images, sample, settings.clusters, settings.seed, scene, vgg16_weights, where
        )
        recorded |= more
    else:
        raise unknown_descriptor(settings.descriptor)
    save_vocabulary(vocabulary_file, settings.descriptor, arrays, recorded)
    logger.info("%s: %d words from %d images", settings.descriptor, settings.clusters, len(paths))


def fit_projection(
    frames_file: str | Path,
    scene_folder: str | Path,
    projected_file: str | Path,
    describer_file: str | Path,
    settings: ProjectionSettings,
    device: str | None = None,
    workers: int = 1,
) -> None:
    """Fit a projection of descriptors on training images of a scene; write a describer with it.

    Args:
        frames_file: frames of the scene, for the paths of the training images.
        scene_folder: from which these paths start.
        projected_file: npz to write, a vocabulary with a projection.
        describer_file: vocabulary or checkpoint, see ``describers.load_describer``.
        settings: how it is fitted.
        device: on which NetVLAD runs, see ``runtime.select_device``.
        workers: threads that decode images, and for VLAD describe them.

    Raises:
        InputError: an image or the describer cannot be read, or there are too few images.
    """
    dimensions, generator = settings.dimensions, numpy_generator(settings.seed, "projection")
    paths = _training_images(frames_file, scene_folder, PROJECTION_IMAGES, generator)
    check_dimensions(dimensions, len(paths) - 1, str(frames_file))
    if settings.whitening and len(paths) < WELL_TOLD * dimensions:
        logger.warning(
            "%s: %d whitened components of %d images are partly noise, expected at least %d images "
            "per component; set fewer retrieval.dimensions, or retrieval.whitening to false",
            *(frames_file, dimensions, len(paths), WELL_TOLD),
        )
    describer = load_describer(settings.descriptor, describer_file, device, workers)
    rows = describer.rows(read_images(paths, settings.size, workers, settings.crop))
    progress = tqdm(rows, "describe for a projection", len(paths), unit="img", disable=None)
    described = np.stack(list(progress))
    projection = principal_components(described, dimensions, settings.whitening, str(frames_file))
    recorded = asdict(settings) | {"images": len(paths)}
    del recorded["descriptor"]  # the file has it by itself
    save_projected(projected_file, settings.descriptor, describer_file, projection, recorded)
    logger.info("%d components of %d images' descriptors", dimensions, len(paths))


def describe_frames(
    frames_file: str | Path,
    scene_folder: str | Path,
    descriptors_file: str | Path,
    settings: DescriptorSettings,
    describer_file: str | Path,
    device: str | None = None,
    workers: int = 1,
) -> None:
    """Describe every frame of a scene and write the descriptors file.

    Groups ``train`` and ``test`` hold ``descriptor`` float32 (N, D), unit rows.

    Args:
        frames_file: frames of the scene, for the paths of the images.
        scene_folder: from which these paths start.
        descriptors_file: HDF5 file to write.
        settings: how images are described.
        describer_file: vocabulary or checkpoint, see ``describers.load_describer``.
        device: on which NetVLAD runs, see ``runtime.select_device``.
        workers: threads that decode images, and for VLAD describe them.

    Raises:
        InputError: an image, the vocabulary or the checkpoint cannot be read, or the vocabulary is
            for another descriptor or scene.
    """
    describer = load_describer(settings.descriptor, describer_file, device, workers)
    recorded = asdict(settings) | describer.made_by
    with Frames(frames_file) as frames, create_hdf5(descriptors_file, "descriptors", recorded) as f:
        tell_scene(f, frames)
        fitted = describer.made_by.get("vocabulary", {}).get("scene", frames.scene)
        if fitted != frames.scene:
            raise InputError(
                f"{describer_file}: was fitted to the scene {fitted!r}, expected a vocabulary for "
                f"{frames.scene!r} as in {frames_file}; give the right one, or fit it again"
            )
        for split in SPLITS:
            paths = frames.paths(split, scene_folder)
            rows = describer.rows(read_images(paths, settings.size, workers, settings.crop))
            _write_rows(f.create_group(split), rows, len(paths))


def _training_images(
    frames_file: str | Path, scene_folder: str | Path, most: int, generator: np.random.Generator
) -> list[Path]:
    """Return training images of a scene: all, or a sample of ``most``."""
    with Frames(frames_file) as frames:
        paths = frames.paths("train", scene_folder)
    chosen = np.sort(generator.choice(len(paths), min(most, len(paths)), replace=False))
    return [paths[index] for index in chosen]


def _sample(
    features: Iterable[np.ndarray], images: int, settings: VocabularySettings
) -> np.ndarray:
    """Return local features (N, D), about equally many of each image's (n, D)."""
    generator = numpy_generator(settings.seed, "vocabulary", "features")
    share = -(-POINTS_PER_CLUSTER * settings.clusters // images)
    progress = tqdm(features, "local features", images, unit="img", disable=None)
    return np.concatenate([generator.permutation(local)[:share] for local in progress])


def _write_rows(group: h5py.Group, rows: Iterator[np.ndarray], count: int) -> None:
    """Write descriptors one by one, so that they need not all be in memory."""
    written, name = RowWriter(group, "descriptor", count), Path(group.name).name
    for row in tqdm(rows, f"describe {name}", count, unit="img", disable=None):
        written.append(row)
