"""Query poses from regressed relative poses (paper, section 3.4)."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from .checkpoints import load_model
from .datasets import normalise_images
from .frames import Frames
from .graphs import complete_edges, read_graphs
from .model import RelPoseGNN
from .poses import (
    matrix_from_quaternion,
    quaternion_exp,
    quaternion_from_matrix,
    vector_from_pose,
)
from .runtime import InputError, atomic_path

logger = logging.getLogger(__name__)

MEDIAN_ITERATIONS = 50
# Images are encoded so many pixels at once: on a CPU as many as its caches like, 4 published ones.
PIXELS_PER_PASS_CPU = 350_000
PIXELS_PER_PASS_GPU = 5_600_000


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
    graphs_per_pass: int = 32,
) -> None:
    """Estimate the pose of every test query of a scene and write them as ``.npz``.

    The arrays are those of ``localize_queries``.

    Raises:
        InputError: the scene has no test queries, or its files do not fit the model.
    """
    model = load_model(model_file).to(device, memory_format=torch.channels_last)
    predictions = localize_queries(model, frames_file, graphs_file, device, graphs_per_pass)
    with atomic_path(predictions_file) as partial:
        np.savez(partial, **predictions)


def localize_queries(
    model: RelPoseGNN,
    frames_file: str | Path,
    graphs_file: str | Path,
    device: torch.device,
    graphs_per_pass: int = 32,
) -> dict[str, np.ndarray]:
    """Return the estimated and true poses of every test query of a scene.

    Arrays have the published names: ``rel_path`` (N), ``abs_t`` (N, 3) and ``abs_q`` (N, 4) from
    the first edge into the query, ``targ_t`` and ``targ_q`` the truth. Beside them ``robust_t``,
    ``robust_q`` from all edges, ``reference_t``, ``reference_q`` the pose of the neighbour in node
    1, ``train_t`` (M, 3) the database's camera centres.

    Args:
        model: in evaluation mode, on ``device``; fastest with its weights in ``channels_last``.
        frames_file: of the scene.
        graphs_file: of the scene.
        device: where the model is.
        graphs_per_pass: graphs in a batch.

    Raises:
        InputError: the scene has no test queries.
    """
    query, neighbours = read_graphs(graphs_file, "test")
    if len(query) == 0:
        raise InputError(f"{graphs_file}: has no test queries, expected at least one")
    with Frames(frames_file) as frames:
        database = vector_from_pose(frames.poses("train"))
        truth = vector_from_pose(frames.poses("test")[query])
        features, nodes = encode_distinct_frames(model, frames, query, neighbours, device)
    relative, source = relate_graphs(model, features, nodes, graphs_per_pass)
    source_poses = np.take_along_axis(database[neighbours], source[..., None] - 1, axis=1)
    candidates = candidates_from_relative(relative, source_poses)
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


def candidates_from_relative(relative: np.ndarray, source_poses: np.ndarray) -> Candidates:
    """Return the query poses p_0 = p_s - r_s0.

    Both arguments are (G, e, 6) pose vectors: regressed on the edges s -> 0, known of the sources.
    """
    vector = source_poses - relative
    return Candidates(vector[..., :3], quaternion_exp(vector[..., 3:]))


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
    median = _weiszfeld(rotations.reshape(*rotations.shape[:2], 9), _nearest_rotation)
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


def _nearest_rotation(matrices: np.ndarray) -> np.ndarray:
    """Return the rotations (G, 9) nearest to matrices (G, 9) in the Frobenius norm."""
    u, _, vt = np.linalg.svd(matrices.reshape(-1, 3, 3))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    return (u @ vt).reshape(-1, 9)


def encode_distinct_frames(
    model: RelPoseGNN,
    frames: Frames,
    query: np.ndarray,
    neighbours: np.ndarray,
    device: torch.device,
) -> tuple[torch.Tensor, np.ndarray]:
    """Encode every image of a scene's test graphs once.

    Returns:
        features (F, C) of the F distinct images, on the device; nodes (G, 1 + k), the feature row
        of each node of each graph.
    """
    features, nodes = [], []
    for split, used in (("test", query[:, None]), ("train", neighbours)):
        distinct, row = np.unique(used, return_inverse=True)
        nodes.append(row.reshape(used.shape) + sum(map(len, features)))
        features.append(encode_frames(model, frames, split, distinct, device))
    return torch.cat(features), np.concatenate(nodes, axis=1)


def encode_frames(
    model: RelPoseGNN, frames: Frames, split: str, indices: np.ndarray, device: torch.device
) -> torch.Tensor:
    """Return the features (n, C) of a split's frames by their indices (n,), on the device."""
    count = images_per_pass(frames, device)
    passes = tqdm(range(0, len(indices), count), f"encoding {split} frames", disable=None)
    packed = (frames.images(split, indices[start : start + count]) for start in passes)
    return torch.cat([encode_images(model, images, frames, device) for images in packed])


@torch.inference_mode()
def encode_images(
    model: RelPoseGNN, packed: np.ndarray, frames: Frames, device: torch.device
) -> torch.Tensor:
    """Return the features (n, C) of images (n, H, W, 3) uint8, standardised as the frames are."""
    mean = torch.tensor(frames.mean, dtype=torch.float32, device=device)[None]
    deviation = torch.tensor(frames.variance, dtype=torch.float32, device=device)[None].sqrt()
    features = []
    for part in np.array_split(packed, -(-len(packed) // images_per_pass(frames, device))):
        # Packed row by row of pixels: already what torch calls channels_last.
        images = torch.from_numpy(part).to(device).permute(0, 3, 1, 2)
        features.append(model.encode(normalise_images(images, mean, deviation)))
    return torch.cat(features)


def images_per_pass(frames: Frames, device: torch.device) -> int:
    """Return how many images of the frames' size are encoded at once."""
    pixels = PIXELS_PER_PASS_CPU if device.type == "cpu" else PIXELS_PER_PASS_GPU
    return max(1, pixels // math.prod(frames.image_shape))


@torch.inference_mode()
def relate_graphs(
    model: RelPoseGNN, features: torch.Tensor, nodes: np.ndarray, graphs_per_pass: int
) -> tuple[np.ndarray, np.ndarray]:
    """Regress the relative poses on the edges into each query.

    Args:
        model: in evaluation mode, where the features are.
        features: (F, C) image features.
        nodes: (G, n) feature row of each node; node 0 is the query.
        graphs_per_pass: graphs in a batch.

    Returns:
        relative (G, e, 6) on the edges s -> 0 in edge order, metres and half radians; source
        (G, e), their nodes s in the graph, 1 <= s < n.
    """
    size = nodes.shape[1]
    edges = torch.from_numpy(complete_edges(size))
    relative, source = [], []
    for start in tqdm(range(0, len(nodes), graphs_per_pass), "relating graphs", disable=None):
        part = torch.from_numpy(nodes[start : start + graphs_per_pass])
        offsets = torch.arange(len(part)) * size
        edge_index = (edges[:, None, :] + offsets[:, None]).flatten(1).to(features.device)
        graph = torch.arange(len(part), device=features.device).repeat_interleave(size)
        queries = torch.arange(len(graph), device=features.device) % size == 0
        part = part.flatten().to(features.device)
        used, regressed = model.relate_into(features[part], edge_index, graph, queries)
        relative.append(regressed.view(len(offsets), -1, 6).double().cpu())
        source.append((used[0] % size).view(len(offsets), -1).cpu())
    return torch.cat(relative).numpy(), torch.cat(source).numpy()
