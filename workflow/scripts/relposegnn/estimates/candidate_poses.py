"""Pose estimates of queries, one from each edge of their graphs (paper, section 3.4)."""

from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm

from ..network.edges import complete_edges
from ..network.match_fields import Cells
from ..network.pose_network import PoseNetwork
from ..network.relative_poses import compose, from_other_direction
from ..network.scene_images import CellsByRow, SceneImages
from ..poses import quaternion_from_matrix
from .aggregation import Candidates

GRAPHS_PER_PASS = 32


def estimate_candidates(
    images: SceneImages,
    queries: torch.Tensor | CellsByRow,
    neighbours: np.ndarray,
    both_directions: bool = False,
) -> Candidates:
    """Return the pose estimates of queries (frames or photos) from their graphs; NaN if failed.

    Args:
        images: of the scene.
        queries: G of them, as input of the network.
        neighbours: (G, k) of the queries, indices of training frames.
        both_directions: see ``LocalizationSettings``.
    """
    kind = images.model.settings.pose
    features, nodes = images.graphs(queries, neighbours)
    relative, back, source, distance = relate_graphs(images.model, features, nodes, both_directions)
    told_back = np.isfinite(back).all(axis=-1)
    relative[told_back] += from_other_direction(kind, back[told_back])
    relative[told_back] /= 2
    database = images.frames.poses("train")
    turn = images.scene_from_world
    sources = turn @ database[np.take_along_axis(neighbours, source - 1, axis=1)]
    found = np.isfinite(relative).all(axis=-1, keepdims=True)
    poses = compose(kind, np.where(found, relative, 0), sources)
    motion = np.linalg.norm(poses[..., :3, 3] - sources[..., :3, 3], axis=-1)
    poses = turn.T @ poses  # a rotation about the origin
    translation = np.where(found, poses[..., :3, 3], np.nan)
    quaternion = np.where(found, quaternion_from_matrix(poses[..., :3, :3]), np.nan)
    return Candidates(translation, quaternion, source, distance, motion)


@torch.inference_mode()
def relate_graphs(
    model: PoseNetwork,
    features: torch.Tensor | CellsByRow,
    nodes: np.ndarray,
    both_directions: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Regress the relative poses on the edges into each query, and on those out of it.

    Args:
        model: in evaluation mode, on the device of the features.
        features: of images, by row.
        nodes: (G, n) feature row of each node; node 0 is the query.
        both_directions: see ``LocalizationSettings``.

    Returns:
        relative (G, e, 6) on the edges s -> 0 in edge order, metres and half radians; back
        (G, e, 6) on the edges 0 -> s, NaN if absent or not asked for; source (G, e), the nodes s in
        the graph, 1 <= s < n; distance (G, e) of the edges s -> 0, see ``PoseNetwork.distance``.
    """
    size = nodes.shape[1]
    into, back, source, distance = [], [], [], []
    for start, seen, *graphs in graph_passes(features, nodes):
        count = len(nodes[start : start + GRAPHS_PER_PASS])
        used, regressed, far = model.relate_at(seen, *graphs, both_directions)
        used, regressed, far = used.cpu(), regressed.double().cpu(), far.double().cpu()
        of_query = used[1] % size == 0
        into.append(regressed[of_query].view(count, -1, 6))
        source.append((used[0, of_query] % size).view(count, -1))
        distance.append(far[of_query].view(count, -1))
        out = torch.full((count, size, 6), torch.nan, dtype=torch.float64)
        out[used[0, ~of_query] // size, used[1, ~of_query] % size] = regressed[~of_query]
        back.append(out.gather(1, source[-1][..., None].expand(-1, -1, 6)))
    return tuple(torch.cat(each).numpy() for each in (into, back, source, distance))


def graph_passes(
    features: torch.Tensor | CellsByRow, nodes: np.ndarray
) -> Iterator[tuple[int, torch.Tensor | Cells, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield the network's input for graphs, in passes that fit into memory.

    The arguments are those of ``relate_graphs``.

    Yields:
        index of the first graph; features of the nodes; edges (2, E); index of each node's graph
        (N,) in the pass; whether the node is a query (N,).
    """
    size = nodes.shape[1]
    edges = torch.from_numpy(complete_edges(size))
    for start in tqdm(range(0, len(nodes), GRAPHS_PER_PASS), "relating graphs", disable=None):
        part = torch.from_numpy(nodes[start : start + GRAPHS_PER_PASS])
        offsets = torch.arange(len(part)) * size
        edge_index = (edges[:, None, :] + offsets[:, None]).flatten(1).to(features.device)
        graph = torch.arange(len(part), device=features.device).repeat_interleave(size)
        queries = torch.arange(len(graph), device=features.device) % size == 0
        yield start, features[part.flatten().to(features.device)], edge_index, graph, queries
