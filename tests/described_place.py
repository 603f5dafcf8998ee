"""A tiny scene as a place to localise photos in: described, with a network of random weights."""

from dataclasses import replace
from pathlib import Path

import h5py
import torch
from conftest import write_tiny_scene
from PIL import Image
from test_photos_place import write_calibration

from relposegnn.data.frames import Frames
from relposegnn.estimates.aggregation import MEDIAN, LocalizationSettings
from relposegnn.network.checkpoints import save_model
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.photos.localising import localise_photos
from relposegnn.photos.place import Place
from relposegnn.retrieval.descriptors import (
    DescriptorSettings,
    VocabularySettings,
    describe_frames,
    fit_vocabulary,
)
from relposegnn.retrieval.neighbour_choice import SamplingSettings

CPU = torch.device("cpu")
SAMPLING = SamplingSettings(
    neighbours=3, selection="strided", stride=2, drop_probability=0.3, seed=0
)
FITTING = VocabularySettings("vlad", 80, 64, crop=1, clusters=4, seed=0)


def described_place(folder: Path) -> Place:
    """Return a described scene and a model with random weights, whose files are in a folder."""
    frames_file, scene = write_tiny_scene(folder, "tiny").frames, folder / "scene"
    with h5py.File(frames_file, "a") as file:  # the tiny scene's images, as files
        for split in ("train", "test"):
            sources = [f"{name}.png" for name in file[f"{split}/name"].asstr()]
            for source, image in zip(sources, file[f"{split}/images"], strict=True):
                (scene / source).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(scene / source)
            file[f"{split}/source"][:] = sources
    vocabulary, descriptors = folder / "vocabulary.npz", folder / "descriptors.h5"
    fit_vocabulary(frames_file, scene, vocabulary, FITTING)
    describe_frames(
        frames_file, scene, descriptors, DescriptorSettings("vlad", 80, 64, crop=1), vocabulary
    )
    torch.manual_seed(0)
    model = RelPoseGNN(ModelSettings.published(backbone="resnet10", width=16, iterations=1))
    save_model(folder / "model.pt", model, 0, ["tiny"])
    return Place(
        *(folder / "model.pt", frames_file, None, descriptors, vocabulary),
        write_calibration(folder / "calibration.json", folder / "model.pt"),
        SAMPLING,
        candidates=200,
        minimum_confidence=0,
        within=(0.25, 10.0),
        localization=LocalizationSettings(False, MEDIAN),
    )


def write_photos(place: Place, folder: Path) -> Path:
    """Write copies of the test images and, in another folder, a portrait."""
    with Frames(place.frames) as frames:
        images = frames.images("test", range(5))
    (folder / "Walk").mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"test {index}.PNG")
    Image.fromarray(images[0]).resize((90, 160)).save(folder / "Walk/portrait.jpg")
    return folder


def localise(place, folder, output, workers=1, **changes):
    return localise_photos(replace(place, **changes), folder, output, CPU, workers)
