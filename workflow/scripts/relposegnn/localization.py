"""Query poses from regressed relative poses (paper, section 3.4)."""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from .checkpoints import load_model
from .datasets import normalise_images
from .edges import complete_edges
from .frames import Frames
from .graphs import read_graphs
from .model import RelPoseGNN
from .poses import (
    matrix_from_quaternion,
    nearest_rotation,
    quaternion_exp,
    quaternion_from_matrix,
    vector_from_pose,
)
from .relative_poses import compose
from .runtime import InputError, atomic_path
from .yardsticks import yardstick_poses

logger = logging.getLogger(__name__)

MEDIAN_ITERATIONS = 50
# Images are encoded so many pixels at once: on a CPU as many as its caches like, 4 published ones.
PIXELS_PER_PASS_CPU = 350_000
PIXELS_PER_PASS_GPU = 5_600_000
GRAPHS_PER_PASS = 32


class Candidates(NamedTuple):
    """Pose estimates of queries, one for each edge into them, in edge order.

    Attributes:
        translation: (G, e, 3) camera centres in metres, world frame.
        quaternion: (G, e, 4) camera-to-world.
    """

    translation: np.ndarray
    quaternion: np.ndarray


def predict_poses(
    model_file: str | Path,
    frames_file: str | Path,
    graphs_file: str | Path,
    predictions_file: str | Path,
    device: torch.device,
    retrieval_files: Sequence[str | Path] = (),
) -> None:
    """Estimate the pose of every test query of a scene and write them as ``.npz``.

    The arrays are those of ``localize_queries``, and of ``yardstick_poses`` where there are the
    ``retrieval_files``: the scene's neighbours and descriptors.

    Raises:
        InputError: the scene has no test queries, or its files do not fit the model or each other.
    """
    model = load_model(model_file).to(device, memory_format=torch.channels_last)
    predictions = localize_queries(model, frames_file, graphs_file)
    if retrieval_files:
        query, _ = read_graphs(graphs_file, "test")
        yardsticks = yardstick_poses(frames_file, *retrieval_files)
        predictions |= {name: poses[query] for name, poses in yardsticks.items()}
    with atomic_path(predictions_file) as partial:
        np.savez(partial, **predictions)


def localize_queries(
    model: RelPoseGNN, frames_file: str | Path, graphs_file: str | Path
) -> dict[str, np.ndarray]:
    """Return the estimated and true poses of every test query of a scene.

    Arrays have the published names: ``rel_path`` (N), ``abs_t`` (N, 3) and ``abs_q`` (N, 4) from
    the first edge into the query, ``targ_t`` and ``targ_q`` the truth. Beside them ``robust_t``,
    ``robust_q`` from all edges, ``reference_t``, ``reference_q`` the pose of the neighbour in node
    1, ``train_t`` (M, 3) the database's camera centres.

    The model is in evaluation mode; it is fastest with its weights in ``channels_last``.

    Raises:
        InputError: the scene has no test queries.
    """
    query, neighbours = read_graphs(graphs_file, "test")
    if len(query) == 0:
        raise InputError(f"{graphs_file}: has no test queries, expected at least one")
    with Frames(frames_file) as frames:
        database = vector_from_pose(frames.poses("train"))
        truth = vector_from_pose(frames.poses("test")[query])
        features, row = encode_frames(model, frames, "test", query)
        candidates = estimate_candidates(model, frames, features[row], neighbours)
    robust_t, robust_q = aggregate(candidates)
    if failed := np.isnan(robust_t).any(axis=1).sum():
        logger.warning("%s: %d of %d queries have no finite pose", graphs_file, failed, len(query))
    reference = database[neighbours[:, 0]]
    return {
        "rel_path": np.asarray(frames.names("test"))[query],
        "abs_t": candidates.translation[:, 0],
        "abs_q": candidates.quaternion[:, 0],
        "targ_t": truth[:, :3],
        "targ_q": quaternion_exp(truth[:, 3:]),
        "robust_t": robust_t,
        "robust_q": robust_q,
        "reference_t": reference[:, :3],
        "reference_q": quaternion_exp(reference[:, 3:]),
        "train_t": database[:, :3],
    }


def estimate_candidates(
    model: RelPoseGNN, frames: Frames, features: torch.Tensor, neighbours: np.ndarray
) -> Candidates:
    """Return the pose estimates of queries, frames or photos, by their graphs.

    Args:
        model: in evaluation mode, where the features are.
        frames: of the scene.
        features: (G, C) of the queries.
        neighbours: (G, k) of the queries, in the training frames.
    """
    encoded, row = encode_frames(model, frames, "train", neighbours)
    nodes = np.column_stack([np.arange(len(features)), len(features) + row])
    relative, source = relate_graphs(model, torch.cat([features, encoded]), nodes)
    sources = frames.poses("train")[np.take_along_axis(neighbours, source - 1, axis=1)]
    poses = compose(model.settings.pose, relative, sources)
    return Candidates(poses[..., :3, 3], quaternion_from_matrix(poses[..., :3, :3]))


def encode_frames(
    model: RelPoseGNN, frames: Frames, split: str, indices: np.ndarray
) -> tuple[torch.Tensor, np.ndarray]:
    """Encode every frame that is among some of a split, once.

    Returns:
        features (F, C) of the F distinct ones, where the model is; the row in them of each of the
        ``indices``, of their shape.
    """
    distinct, row = np.unique(indices, return_inverse=True)
    count = images_per_pass(model, frames)
    passes = tqdm(range(0, len(distinct), count), f"encoding {split} frames", disable=None)
    packed = (frames.images(split, distinct[start : start + count]) for start in passes)
    features = torch.cat([encode_images(model, images, frames) for images in packed])
    return features, row.reshape(indices.shape)


@torch.inference_mode()
def encode_images(model: RelPoseGNN, images: np.ndarray, frames: Frames) -> torch.Tensor:
    """Return the features (n, C) of images (n, H, W, 3) uint8, standardised as the frames are."""
    device = _device(model)
    mean = torch.tensor(frames.mean, dtype=torch.float32, device=device)[None]
    deviation = torch.tensor(frames.variance, dtype=torch.float32, device=device)[None].sqrt()
    # Packed row by row of pixels: already what torch calls channels_last.
    packed = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    return model.encode(normalise_images(packed, mean, deviation))


def images_per_pass(model: RelPoseGNN, frames: Frames) -> int:
    """Return how many images of the frames' size are encoded at once, where the model is."""
    pixels = PIXELS_PER_PASS_CPU if _device(model).type == "cpu" else PIXELS_PER_PASS_GPU
    return max(1, pixels // math.prod(frames.image_shape))


def _device(model: RelPoseGNN) -> torch.device:
    return next(model.parameters()).device


@torch.inference_mode()
def relate_graphs(
    model: RelPoseGNN, features: torch.Tensor, nodes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Regress the relative poses on the edges into each query.

    Args:
        model: in evaluation mode, where the features are.
        features: (F, C) image features.
        nodes: (G, n) feature row of each node; node 0 is the query.

    Returns:
        relative (G, e, 6) on the edges s -> 0 in edge order, metres and half radians; source
        (G, e), their nodes s in the graph, 1 <= s < n.
    """
    size = nodes.shape[1]
    edges = torch.from_numpy(complete_edges(size))
    relative, source = [], []
    for start in tqdm(range(0, len(nodes), GRAPHS_PER_PASS), "relating graphs", disable=None):
        part = torch.from_numpy(nodes[start : start + GRAPHS_PER_PASS])
        offsets = torch.arange(len(part)) * size
        edge_index = (edges[:, None, :] + offsets[:, None]).flatten(1).to(features.device)
        graph = torch.arange(len(part), device=features.device).repeat_interleave(size)
        queries = torch.arange(len(graph), device=features.device) % size == 0
        part = part.flatten().to(features.device)
        used, regressed = model.relate_into(features[part], edge_index, graph, queries)
        relative.append(regressed.view(len(offsets), -1, 6).double().cpu())
        source.append((used[0] % size).view(len(offsets), -1).cpu())
    return torch.cat(relative).numpy(), torch.cat(source).numpy()


def aggregate(candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Return one pose per query that outlying edges move little: t (G, 3), q (G, 4).

    The geometric median of the camera centres, and the rotation of least summed chordal distance
    (Hartley et al. 2013, section 5; L1 averaging), both by Weiszfeld's iteration. NaN for a query
    with a candidate that is not finite.
    """
    found = np.isfinite(candidates.translation).all((1, 2))
    found &= np.isfinite(candidates.quaternion).all((1, 2))
    translation, quaternion = np.full((len(found), 3), np.nan), np.full((len(found), 4), np.nan)
    translation[found] = _weiszfeld(candidates.translation[found], lambda mean: mean)
    rotations = matrix_from_quaternion(candidates.quaternion[found])
    median = _weiszfeld(
        rotations.reshape(*rotations.shape[:2], 9),
        lambda mean: nearest_rotation(mean.reshape(-1, 3, 3)).reshape(-1, 9),
    )
    quaternion[found] = quaternion_from_matrix(median.reshape(-1, 3, 3))
    return translation, quaternion


def _weiszfeld(points: np.ndarray, project: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the medians (G, d) of point sets (G, e, d), each weighted mean mapped by project."""
    median = project(points.mean(axis=1))
    for _ in range(MEDIAN_ITERATIONS):
        distance = np.linalg.norm(points - median[:, None], axis=-1, keepdims=True)
        weight = 1 / np.maximum(distance, 1e-9)  # a median may fall on a point
        median = project((weight * points).sum(axis=1) / weight.sum(axis=1))
    return median
