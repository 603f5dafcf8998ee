"""The edges of graphs: complete, nearest in feature space, and edge dropout in training.

Dimensions in tensor names: N nodes of all graphs, C feature width, B graphs, M most nodes of one.
"""

import numpy as np
import torch
from torch import Tensor

from ..runtime import InputError
from ..split_batches import drawn_for_rows


def complete_edges(nodes: int) -> np.ndarray:
    """Return both directions of every pair of ``nodes`` nodes as edges (2, n (n - 1)).

    The order is that of the published graphs: pairs (i, i + d) by d, then by i; then all reversed.
    The first edge into node 0 comes from node 1, the best-ranked neighbour.
    """
    source = np.concatenate([np.arange(nodes - d) for d in range(1, nodes)])
    target = np.concatenate([np.arange(d, nodes) for d in range(1, nodes)])
    forward = np.stack([source, target])
    return np.concatenate([forward, forward[::-1]], axis=1)


def nearest_edges(features_NC: Tensor, graph_N: Tensor, k: int) -> Tensor:
    """Return the edges (2, N k) to each node from its k nearest nodes in its graph.

    Distances are Euclidean in feature space. There are no self-loops. Edges are ordered by target,
    then by distance.

    Raises:
        InputError: a graph has k nodes or fewer.
    """
    from torch_geometric.utils import to_dense_batch  # it takes as long to load as torch

    dense_BMC, present_BM = to_dense_batch(features_NC, graph_N)
    fewest = int(present_BM.sum(dim=1).min())
    if fewest <= k:
        raise InputError(
            f"a graph has {fewest} nodes, expected more than knn = {k}; lower knn or raise "
            "graphs.neighbours"
        )
    nodes_BM, _ = to_dense_batch(torch.arange(len(features_NC), device=graph_N.device), graph_N)
    # Of more than 25 nodes, torch would take differences of large squares.
    direct = {"compute_mode": "donot_use_mm_for_euclid_dist"}
    distance_BMM = torch.cdist(dense_BMC.float(), dense_BMC.float(), **direct)
    itself = torch.eye(distance_BMM.shape[1], dtype=torch.bool, device=graph_N.device)
    distance_BMM = distance_BMM.masked_fill(itself | ~present_BM[:, None, :], torch.inf)
    nearest_BMk = distance_BMM.topk(k, dim=2, largest=False, sorted=True).indices
    offset_B11 = nodes_BM[:, :1, None]  # the nodes of a graph are consecutive
    source = (nearest_BMk + offset_B11)[present_BM].flatten()
    target = nodes_BM[present_BM].repeat_interleave(k)
    return torch.stack([source, target])


def drop_edge_pairs(
    edge_index: Tensor, graph_N: Tensor, probability: float, generator: torch.Generator | None
) -> Tensor:
    """Return ``edge_index`` without both directions of some pairs of nodes.

    Each pair is dropped with ``probability``; one pair of every graph always stays.
    """
    from torch_geometric.utils import scatter  # it takes as long to load as torch

    lower, upper = edge_index.amin(dim=0), edge_index.amax(dim=0)
    pairs, pair_of_edge = torch.unique(lower * len(graph_N) + upper, return_inverse=True)
    graph_of_pair = graph_N[pairs // len(graph_N)]
    score = drawn_for_rows(lambda count: torch.rand(count, generator=generator), len(pairs))
    score = score.to(edge_index.device)
    best = scatter(score, graph_of_pair, dim_size=int(graph_N[-1]) + 1, reduce="max")
    keep = (score >= probability) | (score == best[graph_of_pair])
    return edge_index[:, keep[pair_of_edge]]
