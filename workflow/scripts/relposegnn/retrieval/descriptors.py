"""One vector per frame: fitting vocabularies, describing all frames of a scene.

Descriptors are made of the original images at their own size, as the packed frames may be smaller.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch
from tqdm import tqdm

from ..frames import Frames
from ..images import read_images
from ..runtime import map_in_threads, numpy_generator, select_device
from ..storage import SPLITS, create_hdf5
from .describers import Descriptor, image_batches, load_describer
from .netvlad import NetVLAD, encoder_input, initialise_from_data, load_vgg16, randomise_vgg16
from .vlad import local_features
from .vocabulary import POINTS_PER_CLUSTER, fit_centroids, save_vocabulary

logger = logging.getLogger(__name__)

Size = tuple[int, int]  # (width, height) in pixels

VOCABULARY_IMAGES = 300  # a vocabulary is fitted on at most so many training images


def fit_vocabulary(
    frames_file: str | Path,
    scene_folder: str | Path,
    vocabulary_file: str | Path,
    descriptor: Descriptor,
    clusters: int,
    size: Size,
    seed: int,
    vgg16_weights: str | Path | None = None,
    device: str | None = None,
    workers: int = 1,
) -> None:
    """Fit a descriptor's vocabulary on training images of a scene and write its file.

    For NetVLAD the file holds the whole network, the encoder included.

    Args:
        frames_file: frames of the scene, for the paths of the training images.
        scene_folder: that these paths start from.
        vocabulary_file: npz to write, see ``vocabulary``.
        descriptor: ``vlad`` or ``netvlad``.
        clusters: number of visual words.
        size: (width, height) in pixels that images are resized to.
        seed: of k-means, the choice of images and local features, and of a random encoder.
        vgg16_weights: torchvision's VGG16 for NetVLAD's encoder; None: random weights.
        device: that NetVLAD runs on, see ``runtime.select_device``.
        workers: threads that decode images, and for VLAD describe them.

    Raises:
        InputError: an image or weights cannot be read, or there are too few local features.
    """
    paths = _vocabulary_images(frames_file, scene_folder, seed)
    settings = {"clusters": clusters, "width": size[0], "height": size[1], "seed": seed}
    if descriptor == "vlad":
        sample = _sample(_vlad_features(paths, size, workers), len(paths), clusters, seed)
        arrays = {"centroids": fit_centroids(sample, clusters, seed, str(scene_folder))}
    else:
        model = _untrained_netvlad(clusters, seed, vgg16_weights)
        features = _netvlad_features(model, paths, size, select_device(device, workers), workers)
        sample = _sample(features, len(paths), clusters, seed)
        settings["alpha"] = initialise_from_data(model.cpu(), sample, seed, str(scene_folder))
        settings["vgg16"] = Path(vgg16_weights).name if vgg16_weights else "random"
        arrays = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    save_vocabulary(vocabulary_file, descriptor, arrays, settings)
    logger.info("%s: %d words from %d images", descriptor, clusters, len(paths))


def describe_frames(
    frames_file: str | Path,
    scene_folder: str | Path,
    descriptors_file: str | Path,
    descriptor: Descriptor,
    size: Size,
    vocabulary_file: str | Path | None = None,
    netvlad_checkpoint: str | Path | None = None,
    device: str | None = None,
    workers: int = 1,
) -> None:
    """Describe every frame of a scene and write the descriptors file.

    Groups ``train`` and ``test`` hold ``descriptor`` float32 (N, D), unit rows.

    Args:
        frames_file: frames of the scene, for the paths of the images.
        scene_folder: that these paths start from.
        descriptors_file: HDF5 file to write.
        descriptor: ``vlad`` or ``netvlad``.
        size: (width, height) in pixels that images are resized to.
        vocabulary_file: of ``fit_vocabulary``; None where there is a checkpoint.
        netvlad_checkpoint: trained NetVLAD in the published layout; None where there is a
            vocabulary.
        device: that NetVLAD runs on, see ``runtime.select_device``.
        workers: threads that decode images, and for VLAD describe them.

    Raises:
        InputError: an image, the vocabulary or the checkpoint cannot be read, or it is not
            one of ``descriptor``.
    """
    describer = load_describer(descriptor, vocabulary_file, netvlad_checkpoint, device, workers)
    settings = {"descriptor": descriptor, "width": size[0], "height": size[1], **describer.made_by}
    with Frames(frames_file) as frames, create_hdf5(descriptors_file, "descriptors", settings) as f:
        for split in SPLITS:
            paths = [Path(scene_folder) / source for source in frames.sources(split)]
            rows = describer.rows(read_images(paths, size, workers))
            _write_rows(f.create_group(split), rows, len(paths))


def _vocabulary_images(frames_file: str | Path, scene_folder: str | Path, seed: int) -> list[Path]:
    """Return the training images that a vocabulary is fitted on."""
    with Frames(frames_file) as frames:
        sources = frames.sources("train")
    generator = numpy_generator(seed, "vocabulary", "images")
    count = min(VOCABULARY_IMAGES, len(sources))
    chosen = np.sort(generator.choice(len(sources), count, replace=False))
    return [Path(scene_folder) / sources[index] for index in chosen]


def _sample(features: Iterable[np.ndarray], images: int, clusters: int, seed: int) -> np.ndarray:
    """Return local features (N, D), about equally many of each image's (n, D)."""
    generator = numpy_generator(seed, "vocabulary", "features")
    share = -(-POINTS_PER_CLUSTER * clusters // images)
    progress = tqdm(features, "local features", images, unit="img", disable=None)
    return np.concatenate([generator.permutation(local)[:share] for local in progress])


def _vlad_features(paths: list[Path], size: Size, workers: int) -> Iterator[np.ndarray]:
    """Yield the local features (n, 128) of each image."""
    cv2.setNumThreads(1)  # ``workers`` says how many there are
    return map_in_threads(local_features, read_images(paths, size, workers), workers)


def _untrained_netvlad(clusters: int, seed: int, vgg16_weights: str | Path | None) -> NetVLAD:
    """Return NetVLAD with an encoder, its pooling layer yet to be initialised."""
    model = NetVLAD(clusters)
    if vgg16_weights is None:
        randomise_vgg16(model, seed)
    else:
        load_vgg16(model, vgg16_weights)
    return model


def _netvlad_features(
    model: NetVLAD, paths: list[Path], size: Size, device: torch.device, workers: int
) -> Iterator[np.ndarray]:
    """Yield the local descriptors (P, 512) of each image."""
    model.to(device)
    for images in image_batches(read_images(paths, size, workers)):
        with torch.inference_mode():
            local_BCP = model.local_descriptors(encoder_input(images, device))
        yield from local_BCP.mT.cpu().numpy()


def _write_rows(group: h5py.Group, rows: Iterator[np.ndarray], count: int) -> None:
    """Write descriptors as they come, so that not all of them are in memory."""
    name = Path(group.name).name
    if count == 0:  # a scene without queries
        length = group.parent["train/descriptor"].shape[1]
        group.create_dataset("descriptor", (0, length), dtype=np.float32)
    for index, row in enumerate(tqdm(rows, f"describe {name}", count, unit="img", disable=None)):
        if index == 0:
            group.create_dataset("descriptor", (count, len(row)), dtype=np.float32)
        group["descriptor"][index] = row
