"""Writers of what the authors and Microsoft publish, each in its own layout.

Contents are planted: weights drawn from their names, real frames of the shared folder, estimates
with known errors. ``authors_site`` puts them together.
"""

import functools
import importlib.util
import io
import json
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torchvision
from graph_archives import OlderGraph, saved, write_tar
from PIL import Image
from torch_geometric.data import Data

from relposegnn.data.images import read_image
from relposegnn.layouts.scenes import Frame
from relposegnn.network.edges import complete_edges
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.poses import (
    matrix_from_quaternion,
    pose_from_quaternion,
    quaternion_exp,
    quaternion_from_matrix,
    vector_from_pose,
)

GRAPH_IMAGE_SIZE = (341, 256)  # width, height
TRANSLATION_DIRECTION = np.array([2, -1, 2]) / 3
ROTATION_AXIS = np.array([1, 2, -2]) / 3
# Errors of the planted estimates, in medians of their scene: of any four, the median is 1.
ERROR_PATTERN = np.array([0.5, 0.9, 1.1, 2.0])
SCALAR = np.float64(0).__reduce__()[0]


def draw_weights(
    shared: Path, shapes: dict[str, list[int]], prefix: str = ""
) -> dict[str, torch.Tensor]:
    """Return weights of these shapes, drawn from their names as the reference values' are.

    Another ``prefix`` before the names makes other weights.
    """
    source = shared / "reference" / "weights.py"
    spec = importlib.util.spec_from_file_location("reference_weights", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arrays = {key: module.tensor(prefix + key, tuple(shape)) for key, shape in shapes.items()}
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


def write_scene_archive(path: Path, scene: str, sequences: dict[str, list[int]], frames) -> None:
    """Write a scene as a zip of zips.

    Args:
        path: archive to write.
        scene: name of the folder in it.
        sequences: numbers of the sequences of ``train`` and ``test``.
        frames: folder of a sequence -> its frames, lists of ``Frame``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = depth_image()
    with zipfile.ZipFile(path, "w") as outer:
        for split, numbers in sequences.items():
            lines = "".join(f"sequence{number}\r\n" for number in numbers)
            outer.writestr(f"{scene}/{split.title()}Split.txt", lines)
        outer.writestr(f"{scene}/Thumbs.db", b"\xd0\xcf\x11\xe0 of Windows")
        for sequence, content in frames.items():
            outer.writestr(f"{scene}/{sequence}.zip", sequence_archive(sequence, content, depth))


def sequence_archive(sequence: str, frames: list[Frame], depth: bytes) -> bytes:
    """Return the zip of one sequence: per frame colour, depth and pose; and a Thumbs.db."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for frame in frames:
            name = frame.name  # seq-01/frame-000000
            archive.write(frame.image, f"{name}.color{frame.image.suffix}", zipfile.ZIP_STORED)
            archive.writestr(f"{name}.depth.png", depth)
            pose = frame.image.with_name(f"{Path(name).name}.pose.txt")
            archive.write(pose, f"{name}.pose.txt")
        archive.writestr(f"{sequence}/Thumbs.db", b"\xd0\xcf\x11\xe0 of Windows")
    return buffer.getvalue()


def depth_image() -> bytes:
    """Return a PNG of 16-bit depths in millimetres, some of them invalid."""
    depth = np.full((480, 640), 1500, dtype=np.uint16)
    depth[:20] = 65535
    buffer = io.BytesIO()
    Image.fromarray(depth).save(buffer, "PNG")
    return buffer.getvalue()


def checkpoint_shapes(width: int) -> dict[str, list[int]]:
    """Return the shapes of an authors' checkpoint of 2021, unused second layer included."""
    with torch.device("meta"):
        state = RelPoseGNN(ModelSettings.published(width=width)).state_dict()
    shapes = {key: list(tensor.shape) for key, tensor in state.items()}
    unused = {k.replace("gnn1", "gnn2"): v for k, v in shapes.items() if k.startswith("gnn1")}
    return shapes | unused


@functools.cache
def encoder_weights(shared: Path) -> dict[str, torch.Tensor]:
    """Return the weights of the image encoder without its last layer: the slow part, drawn once."""
    shapes = checkpoint_shapes(8)
    return draw_weights(shared, {key: shape for key, shape in shapes.items() if in_encoder(key)})


def checkpoint_weights(shared: Path, width: int, name: str = "") -> dict[str, torch.Tensor]:
    """Return a model's weights: image encoders are equal, the rest differs by ``name``."""
    shapes = checkpoint_shapes(width)
    own = {key: shape for key, shape in shapes.items() if not in_encoder(key)}
    weights = encoder_weights(shared) | draw_weights(shared, own, name)
    return {key: weights[key] for key in shapes}


def in_encoder(key: str) -> bool:
    """Return whether a weight belongs to the image encoder without its last layer."""
    return key.startswith("feature_extractor.") and ".fc." not in key


def write_checkpoint(path: Path, shared: Path, width: int, name: str = "") -> None:
    """Write a checkpoint of the authors' training: weights, epoch, optimizer and criterion.

    With ``name`` empty the weights are those of the reference values.
    """
    moments = {"step": 1000, "exp_avg": torch.zeros(1), "exp_avg_sq": torch.zeros(1)}
    groups = [{"lr": 5e-7, "betas": (0.9, 0.999), "weight_decay": 5e-4, "params": [0, 1]}]
    contents = {
        "epoch": 39,
        "model_state_dict": checkpoint_weights(shared, width, name),
        "optimizer_state_dict": {"state": {0: moments, 1: moments}, "param_groups": groups},
        "criterion_state_dict": {"sax": torch.tensor([-1.5]), "saq": torch.tensor([-4.2])},
        "loss": np.float64(-3.25),
        "best_loss": np.float32(-3.5),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    old_numpy = SimpleNamespace(__name__="old_numpy", Pickler=OldNumpyPickler)
    torch.save(contents, path, pickle_module=old_numpy)


class OldNumpyPickler(pickle._Pickler):
    """Writes NumPy scalars as NumPy 1 did, by the name that their maker had there."""

    def save_global(self, obj: object, name: str | None = None) -> None:
        """Write the old name of that one function."""
        if obj is not SCALAR:
            super().save_global(obj, name)
            return
        self.write(pickle.GLOBAL + b"numpy.core.multiarray\nscalar\n")
        self.memoize(obj)


def write_netvlad(path: Path, shared: Path) -> None:
    """Write the authors' NetVLAD weights, those of the reference values."""
    shapes = json.loads((shared / "reference" / "shapes-netvlad.json").read_text())
    path.parent.mkdir(parents=True, exist_ok=True)
    state = draw_weights(shared, shapes)
    torch.save({"epoch": 30, "state_dict": state, "best_score": 0.85}, path)


def write_imagenet(path: Path, shared: Path, backbone: str = "resnet34") -> None:
    """Write an image encoder's weights in torchvision's layout."""
    with torch.device("meta"):
        state = torchvision.models.get_model(backbone, weights=None).state_dict()
    shapes = {key: list(tensor.shape) for key, tensor in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(draw_weights(shared, shapes, "imagenet."), path)


def write_graph_archive(
    path: Path, graphs: list[list[Frame]], statistics: dict[str, list[float]]
) -> None:
    """Write pre-processed graphs, each given by its frames, query first, as a tar archive.

    Even ones have the pickle layout of today, odd ones the older. Beside them lie the files that
    torch-geometric leaves in such folders.
    """
    members = {f"pre_{name}.pt": saved("None") for name in ("filter", "transform")}
    for number, frames in enumerate(graphs):
        graph_class = OlderGraph if number % 2 else Data
        attributes = graph_attributes(frames, statistics)
        members[f"data_{number:06}.pt"] = saved(graph_class(**attributes))
    folder = f"{path.stem}/processed"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tar(path, {f"{folder}/{name}": content for name, content in sorted(members.items())})


def graph_attributes(
    frames: list[Frame], statistics: dict[str, list[float]]
) -> dict[str, torch.Tensor]:
    """Return a graph's standardised images (n, 3*256*341), pose vectors (n, 6) and edges."""
    images = np.stack([read_image(frame.image, GRAPH_IMAGE_SIZE) for frame in frames])
    mean, variance = (np.array(statistics[name]) for name in ("mean", "variance"))
    standardised = ((images / 255 - mean) / np.sqrt(variance)).transpose(0, 3, 1, 2)
    poses = vector_from_pose(np.stack([frame.world_from_cam for frame in frames]))
    y = torch.from_numpy(poses).float()
    source, target = edge_index = torch.from_numpy(complete_edges(len(frames)))
    return {
        "x": torch.from_numpy(standardised.reshape(len(frames), -1)).float(),
        "edge_index": edge_index,
        "edge_attr": y[target] - y[source],
        "y": y,
    }


def write_predictions(
    path: Path, frames: list[Frame], median_translation: float, median_rotation_deg: float
) -> None:
    """Write estimates whose errors are ``ERROR_PATTERN`` times these medians, in turn."""
    truth = np.stack([frame.world_from_cam for frame in frames])
    share = np.resize(ERROR_PATTERN, len(frames))[:, None]
    half_angle = np.radians(median_rotation_deg) / 2
    turn = matrix_from_quaternion(quaternion_exp(share * half_angle * ROTATION_AXIS))
    centres = truth[:, :3, 3] + share * median_translation * TRANSLATION_DIRECTION
    estimate = pose_from_quaternion(centres, quaternion_from_matrix(truth[:, :3, :3] @ turn))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        rel_path=np.array([f"{frame.name}.color.png" for frame in frames]),
        abs_t=estimate[:, :3, 3],
        abs_q=quaternion_from_matrix(estimate[:, :3, :3]),
        targ_t=truth[:, :3, 3],
        targ_q=quaternion_from_matrix(truth[:, :3, :3]),
    )
