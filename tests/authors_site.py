"""All that the authors and Microsoft publish, in small, as a folder to serve on this machine.

Two scenes of 7-Scenes, made of sequences of the shared frames: archives, checkpoints, NetVLAD's and
ImageNet's weights, pre-processed graphs and estimates, under the names that they are published by.
"""

import functools
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from authors_files import (
    write_checkpoint,
    write_graph_archive,
    write_imagenet,
    write_netvlad,
    write_predictions,
    write_scene_archive,
)

from relposegnn.layouts.scenes import Frame
from relposegnn.layouts.seven_scenes import read_pose

# Scene -> numbers of the shared recording's sequences that it is made of.
SEQUENCES = {
    "chess": {"train": [7, 9, 11], "test": [8]},
    "redkitchen": {"train": [1, 3, 5], "test": [2]},
}
FRAMES = {"train": 6, "test": 4}  # taken of each sequence
TRAIN_GRAPHS = 3  # of each scene: they are 8.4 MB each; test queries have one each
NEIGHBOURS, STRIDE = 7, 2
MEDIANS = {"chess": (0.09, 2.9), "redkitchen": (0.20, 3.6)}  # of the estimates, metres, degrees
SCENES_FOLDER, AUTHORS_FOLDER, IMAGENET = "7-scenes", "relpose-gnn", "resnet34-b627a593.pth"
PARTS = ("scenes", "models", "weights", "graphs", "predictions")


@dataclass(frozen=True)
class SiteScene:
    """What is true of a scene.

    Attributes:
        frames: by split, in recorded order.
        graphs: by split the frames of each pre-processed graph, query first, best neighbour next.
        statistics: ``mean`` and ``variance`` of the channels, which graphs are standardised with.
        median_errors: of the authors' estimates, metres and degrees.
    """

    name: str
    frames: dict[str, list[Frame]]
    graphs: dict[str, list[list[Frame]]]
    statistics: dict[str, list[float]]
    median_errors: tuple[float, float]


@dataclass(frozen=True)
class Site:
    """A folder to serve, and what is in it."""

    folder: Path
    width: int
    scenes: dict[str, SiteScene] = field(default_factory=dict)

    def path(self, address: str) -> Path:
        """Return the file behind a path of a request."""
        return self.folder / address.lstrip("/")


def build_site(folder: Path, shared: Path, width: int = 64, parts: tuple[str, ...] = PARTS) -> Site:
    """Write the site; ``parts`` names what of it, ``width`` is the networks' (theirs: 2048)."""
    authors = folder / AUTHORS_FOLDER
    site = Site(folder, width, {name: site_scene(shared, name) for name in SEQUENCES})
    if "models" in parts:
        for file, name in checkpoint_names().items():
            write_checkpoint(authors / "models" / file, shared, width, name)
    if "weights" in parts:
        write_netvlad(authors / "models" / "netvlad_vgg16.tar", shared)
        write_imagenet(folder / "torchvision" / IMAGENET, shared)
    for scene in site.scenes.values():
        if "scenes" in parts:
            sequences = group_by_sequence(scene)
            archive = folder / SCENES_FOLDER / f"{scene.name}.zip"
            write_scene_archive(archive, scene.name, SEQUENCES[scene.name], sequences)
        if "graphs" in parts:
            for split, graphs in scene.graphs.items():
                archive = authors / "data" / f"{scene.name}_fc8_sp5_{split}.tar"
                write_graph_archive(archive, graphs, scene.statistics)
        if "predictions" in parts:
            estimates = authors / "predictions" / prediction_name(scene.name)
            write_predictions(estimates, scene.frames["test"], *scene.median_errors)
    return site


def checkpoint_names() -> dict[str, str]:
    """Return the seed of each checkpoint's weights by its file name; the joint one has none."""
    names = {"relpose_gnn__multi_39.pth.tar": ""}
    for scene in SEQUENCES:
        names[f"6Scenes_{scene}_epoch_039.pth.tar"] = f"6-{scene}-"
        names[f"1Scenes_{scene}_epoch_039.pth.tar"] = f"1-{scene}-"
    return names


def prediction_name(scene: str) -> str:
    """Return the name of the estimates, which ends in their median errors."""
    translation, rotation = MEDIANS[scene]
    return f"relpose_gnn__multi_39_{scene}_{translation:.2f}_{rotation:.1f}.npz"


def site_scene(shared: Path, name: str) -> SiteScene:
    """Return the frames and graphs of a scene."""
    recording = shared / "data" / "7scenes" / "redkitchen"
    frames = {
        split: [
            read_frame(recording, f"seq-{number:02}/frame-{frame:06}")
            for number in SEQUENCES[name][split]
            for frame in range(count)
        ]
        for split, count in FRAMES.items()
    }
    graphs = {
        "train": [make_graph(query, frames["train"]) for query in frames["train"][:TRAIN_GRAPHS]],
        "test": [make_graph(query, frames["train"]) for query in frames["test"]],
    }
    statistics = json.loads((shared / "reference" / "normalisation.json").read_text())[name]
    return SiteScene(name, frames, graphs, statistics, MEDIANS[name])


def read_frame(recording: Path, name: str) -> Frame:
    """Return a frame of the shared recording."""
    image = recording / f"{name}.color.jpg"
    return Frame(name, image, read_pose(recording / f"{name}.pose.txt"))


def make_graph(query: Frame, database: list[Frame]) -> list[Frame]:
    """Return the query and a stride of the database's images, those recorded nearest first."""
    others = [frame for frame in database if frame.name != query.name]
    centres = np.stack([frame.world_from_cam[:3, 3] for frame in others])
    distance = np.linalg.norm(centres - query.world_from_cam[:3, 3], axis=1)
    nearest = np.argsort(distance)[::STRIDE][:NEIGHBOURS]
    return [query, *(others[i] for i in nearest)]


def group_by_sequence(scene: SiteScene) -> dict[str, list[Frame]]:
    """Return the frames of both splits by the folder of their sequence."""
    sequences: dict[str, list[Frame]] = {}
    for frame in scene.frames["train"] + scene.frames["test"]:
        sequences.setdefault(frame.name.split("/")[0], []).append(frame)
    return sequences


def site_config(site: Site, url: str) -> dict[str, Any]:
    """Return settings whose addresses are all at ``url``, for the networks of the site."""
    authors = f"{url}/{AUTHORS_FOLDER}"
    models = f"{authors}/models"
    return {
        "scenes": list(site.scenes),
        "source": "download",
        "archive_url": f"{url}/{SCENES_FOLDER}/{{scene}}.zip",
        "frames": {"statistics": {name: scene.statistics for name, scene in site.scenes.items()}},
        "weights": {
            "netvlad": f"{models}/netvlad_vgg16.tar",
            "resnet34": f"{url}/torchvision/{IMAGENET}",
        },
        "authors": {
            "models": {
                "joint": f"{models}/relpose_gnn__multi_39.pth.tar",
                "leave_one_out": f"{models}/6Scenes_{{scene}}_epoch_039.pth.tar",
                "single_scene": f"{models}/1Scenes_{{scene}}_epoch_039.pth.tar",
            },
            "profile": {"width": site.width},
            "graphs": {"url": f"{authors}/data/{{scene}}_fc8_sp5_{{split}}.tar"},
            "predictions": {
                name: f"{authors}/predictions/{prediction_name(name)}" for name in site.scenes
            },
        },
    }


@functools.cache
def session_site(config: pytest.Config, base: Path, shared: Path) -> Site:
    """Return a site that all test modules of a session share; it is removed at the end.

    Args:
        config: pytest's, which runs the removal.
        base: folder of the session, from ``tmp_path_factory.getbasetemp()``.
        shared: folder of reference values and real frames.
    """
    folder = base / "authors-site"
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    return build_site(folder, shared)
