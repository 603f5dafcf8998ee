"""The network: image encoder, message passing, pose heads (paper, section 3.2).

Submodules carry the names of the published checkpoints. Dimensions in tensor names: N nodes of all
graphs of a batch, E directed edges, C feature width.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import scatter, to_dense_batch
from torchvision.models.resnet import BasicBlock, ResNet


@dataclass(frozen=True)
class ModelSettings:
    """The shape of the network; the defaults are the published 7-Scenes models'."""

    backbone: str = "resnet34"
    width: int = 2048
    iterations: int = 3
    knn: int = 0
    dropout: float = 0.5
    edge_dropout: float = 0.5


class PoseEstimates(NamedTuple):
    """What the heads regress.

    Attributes:
        edge_index: (2, E) the edges used, source and target node.
        relative: (E, 6) p_source - p_target of the pose vectors, metres and half radians.
        absolute: (N, 6) pose vectors of the nodes (not supervised in the paper).
    """

    edge_index: Tensor
    relative: Tensor
    absolute: Tensor


class ChannelAttention(nn.Module):
    """Self-attention over the channels of each message z: z + W softmax(phi theta^T) g."""

    def __init__(self, width: int) -> None:
        """Make the three projections to C/8 channels and the one back."""
        super().__init__()
        self.g = nn.Linear(width, width // 8)
        self.theta = nn.Linear(width, width // 8)
        self.phi = nn.Linear(width, width // 8)
        self.W = nn.Linear(width // 8, width)

    def forward(self, messages_EC: Tensor) -> Tensor:
        """Return messages (E, C) with attention added."""
        # One head of dimension 1 whose sequence is the C/8 channels: the (C/8, C/8) attention
        # matrix of each edge need not be stored.
        query, key, value = (
            layer(messages_EC)[:, None, :, None] for layer in (self.phi, self.theta, self.g)
        )
        attended = scaled_dot_product_attention(query, key, value, scale=1.0)
        return messages_EC + self.W(attended[:, 0, :, 0])


class EdgeModel(nn.Module):
    """Edge update e'_st = MLP([x_s; x_t; e_st])."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.edge_mlp = _mlp(3 * width, width)

    def forward(self, source_EC: Tensor, target_EC: Tensor, edges_EC: Tensor) -> Tensor:
        """Return the updated edge features (E, C)."""
        return self.edge_mlp(torch.cat([source_EC, target_EC, edges_EC], dim=1))


class MessagePassingLayer(MessagePassing):
    """One round: edges are updated from their nodes, nodes from their incoming messages."""

    def __init__(self, width: int) -> None:
        super().__init__(aggr="mean")
        self.mlp = _mlp(2 * width, width)
        self.mlp_updating = _mlp(2 * width, width)
        self.edge_model = EdgeModel(width)
        self.att = ChannelAttention(width)

    def forward(
        self, nodes_NC: Tensor, edge_index: Tensor, edges_EC: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the updated node features (N, C) and edge features (E, C)."""
        source, target = edge_index
        edges_EC = self.edge_model(nodes_NC[source], nodes_NC[target], edges_EC)
        nodes_NC = self.propagate(edge_index, x=nodes_NC, edges=edges_EC)
        return relu(nodes_NC), relu(edges_EC)

    def message(self, x_j: Tensor, edges: Tensor) -> Tensor:
        """Return the messages (E, C) of the source nodes along their edges."""
        return self.att(self.mlp(torch.cat([x_j, edges], dim=1)))

    def update(self, aggregated: Tensor, x: Tensor) -> Tensor:
        """Return the nodes (N, C) updated by the mean of their incoming messages."""
        return self.mlp_updating(torch.cat([x, aggregated], dim=1))


class RelPoseGNN(nn.Module):
    """RelPose-GNN: images and edges in, relative camera poses on the edges out."""

    def __init__(self, settings: ModelSettings) -> None:
        """Build the network with random weights, drawn from torch's global generator."""
        super().__init__()
        self.settings = settings
        width = settings.width
        self.feature_extractor = image_encoder(settings.backbone)
        self.feature_extractor.fc = nn.Linear(self.feature_extractor.fc.in_features, width)
        self.proj_edge = nn.Linear(2 * width, width)
        self.gnn1 = MessagePassingLayer(width)
        self.dropout = nn.Dropout(settings.dropout)
        self.fc_xyz = nn.Linear(width, 3)
        self.fc_wpqr = nn.Linear(width, 3)
        self.fc_xyz_R = nn.Linear(width, 3)
        self.fc_wpqr_R = nn.Linear(width, 3)

    def forward(
        self,
        images_N3HW: Tensor,
        edge_index: Tensor,
        graph_N: Tensor,
        edge_generator: torch.Generator | None = None,
    ) -> PoseEstimates:
        """Regress the relative poses of a batch of graphs; see ``encode`` and ``relate``."""
        features_NC = self.encode(images_N3HW)
        return self.relate(features_NC, edge_index, graph_N, edge_generator)

    def encode(self, images_N3HW: Tensor) -> Tensor:
        """Return the features (N, C) of standardised images (N, 3, H, W)."""
        return self.feature_extractor(images_N3HW)

    def relate(
        self,
        features_NC: Tensor,
        edge_index: Tensor,
        graph_N: Tensor,
        edge_generator: torch.Generator | None = None,
    ) -> PoseEstimates:
        """Pass messages and regress poses.

        Args:
            features_NC: (N, C) from ``encode``.
            edge_index: (2, E); replaced where the settings ask for k nearest neighbours.
            graph_N: (N,) index of each node's graph in the batch, ascending.
            edge_generator: CPU generator of the edge dropout, which acts in training only.
        """
        if self.settings.knn:
            edge_index = nearest_edges(features_NC, graph_N, self.settings.knn)
        if self.training and self.settings.edge_dropout:
            edge_index = drop_edge_pairs(
                edge_index, graph_N, self.settings.edge_dropout, edge_generator
            )
        nodes_NC, edges_EC = features_NC, self._initial_edges(features_NC, edge_index)
        for _ in range(self.settings.iterations):
            nodes_NC, edges_EC = self.gnn1(nodes_NC, edge_index, edges_EC)
        # bfloat16 has three digits, too few for metres.
        with torch.autocast(features_NC.device.type, enabled=False):
            nodes_NC, edges_EC = self.dropout(nodes_NC.float()), self.dropout(edges_EC.float())
            return PoseEstimates(
                edge_index=edge_index,
                relative=torch.cat([self.fc_xyz_R(edges_EC), self.fc_wpqr_R(edges_EC)], dim=1),
                absolute=torch.cat([self.fc_xyz(nodes_NC), self.fc_wpqr(nodes_NC)], dim=1),
            )

    def _initial_edges(self, nodes_NC: Tensor, edge_index: Tensor) -> Tensor:
        lower, upper = edge_index.amin(dim=0), edge_index.amax(dim=0)
        return relu(self.proj_edge(torch.cat([nodes_NC[lower], nodes_NC[upper]], dim=1)))


def image_encoder(name: str) -> ResNet:
    """Return torchvision's residual network of a name, with random weights.

    ``resnet10`` is not among torchvision's own: one block in each of the four stages, for CPUs.
    """
    if name == "resnet10":
        return ResNet(BasicBlock, [1, 1, 1, 1])
    return torchvision.models.get_model(name, weights=None)


def nearest_edges(features_NC: Tensor, graph_N: Tensor, k: int) -> Tensor:
    """Return the edges (2, N k) to each node from its k nearest in its graph.

    By Euclidean distance in feature space, without self-loops, ordered by target, then distance.
    Every graph needs more than k nodes.
    """
    dense_BMC, present_BM = to_dense_batch(features_NC, graph_N)
    nodes_BM, _ = to_dense_batch(torch.arange(len(features_NC), device=graph_N.device), graph_N)
    distance_BMM = torch.cdist(dense_BMC.float(), dense_BMC.float())
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
    """Return ``edge_index`` without some pairs of nodes, both directions of each.

    Each pair is dropped with ``probability``; one pair of every graph always stays.
    """
    lower, upper = edge_index.amin(dim=0), edge_index.amax(dim=0)
    pairs, pair_of_edge = torch.unique(lower * len(graph_N) + upper, return_inverse=True)
    graph_of_pair = graph_N[pairs // len(graph_N)]
    score = torch.rand(len(pairs), generator=generator).to(edge_index.device)
    best = scatter(score, graph_of_pair, dim_size=int(graph_N[-1]) + 1, reduce="max")
    keep = (score >= probability) | (score == best[graph_of_pair])
    return edge_index[:, keep[pair_of_edge]]


def _mlp(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width))
