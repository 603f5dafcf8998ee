"""The network: image encoder, message passing, pose heads (paper, section 3.2).

Submodules carry the names of the published checkpoints. Dimensions in tensor names: N nodes of all
graphs of a batch, E directed edges, C feature width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import linear, relu, scaled_dot_product_attention
from torch_geometric.nn import MessagePassing
from torchvision.models.resnet import BasicBlock, ResNet

from .edges import drop_edge_pairs, nearest_edges
from .relative_poses import WORLD_DIFFERENCE
from .runtime import InputError


@dataclass(frozen=True)
class ModelSettings:
    """The shape of the network.

    Attributes:
        backbone: image encoder, see ``image_encoder``.
        width: length C of node and edge features.
        iterations: rounds of message passing with shared weights. 0 is an ablation, "without GNN":
            each relative pose is regressed from its two images alone.
        attention: over the channels of each message; False is an ablation.
        knn: edges to each node from its k nearest in feature space; 0 keeps all.
        dropout: on node and edge features before the heads.
        edge_dropout: share of node pairs whose edges are dropped in training.
        pose: what an edge's six numbers are, one of ``relative_poses.KINDS``. Published:
            ``world_difference`` on 7-Scenes, ``world_to_camera`` on Cambridge.
        translation_deviation: metres per axis that one unit of the network's own translations
            stands for. Published: 1 on 7-Scenes; on Cambridge translations are standardised by a
            mean, which relative poses do not depend on, and this deviation.
    """

    backbone: str
    width: int
    iterations: int
    attention: bool
    knn: int
    dropout: float
    edge_dropout: float
    pose: str
    translation_deviation: Sequence[float]

    def __post_init__(self) -> None:
        """Take the deviation as any sequence; refuse what is none.

        Raises:
            InputError: the deviation does not consist of three positive numbers.
        """
        deviation = tuple(map(float, self.translation_deviation))
        if len(deviation) != 3 or not all(0 < axis < float("inf") for axis in deviation):
            raise InputError(
                f"model.translation_deviation is {list(deviation)}, expected three positive "
                "numbers: metres along x, y and z"
            )
        object.__setattr__(self, "translation_deviation", deviation)

    @classmethod
    def published(cls, **changes: Any) -> "ModelSettings":
        """Return the shape of the models published for 7-Scenes in 2021, with changes."""
        shape = {
            "backbone": "resnet34", "width": 2048, "iterations": 3, "attention": True, "knn": 0,
            "dropout": 0.5, "edge_dropout": 0.5, "pose": WORLD_DIFFERENCE,
            "translation_deviation": (1.0, 1.0, 1.0),
        }  # fmt: skip
        return cls(**{**shape, **changes})


class PoseEstimates(NamedTuple):
    """What the heads regress.

    Attributes:
        edge_index: (2, E) the edges used, source and target node.
        relative: (E, 6) relative poses of the edges, metres and half radians.
        absolute: (N, 6) pose vectors of the nodes, from an origin of the network's own (not
            supervised in the paper).
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

    def forward(self, nodes_NC: Tensor, edge_index: Tensor, edges_EC: Tensor) -> Tensor:
        """Return the updated edge features (E, C)."""
        source, target = edge_index
        parts = ((nodes_NC, source), (nodes_NC, target), (edges_EC, None))
        return self.edge_mlp[1:](linear_of_rows(self.edge_mlp[0], *parts))


class MessagePassingLayer(MessagePassing):
    """One round: edges are updated from their nodes, nodes from their incoming messages."""

    def __init__(self, width: int, attention: bool) -> None:
        super().__init__(aggr="mean")
        self.mlp = _mlp(2 * width, width)
        self.mlp_updating = _mlp(2 * width, width)
        self.edge_model = EdgeModel(width)
        self.att = ChannelAttention(width) if attention else nn.Identity()

    def forward(
        self, nodes_NC: Tensor, edge_index: Tensor, edges_EC: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the updated node features (N, C) and edge features (E, C)."""
        edges_EC = self.edge_model(nodes_NC, edge_index, edges_EC)
        parts = ((nodes_NC, edge_index[0]), (edges_EC, None))
        messages_EC = self.att(self.mlp[1:](linear_of_rows(self.mlp[0], *parts)))
        size = (len(nodes_NC), len(nodes_NC))  # edge dropout may leave the last nodes without edges
        nodes_NC = self.propagate(edge_index, size=size, x=nodes_NC, messages=messages_EC)
        return relu(nodes_NC), relu(edges_EC)

    def message(self, messages: Tensor) -> Tensor:
        """Return the messages (E, C) along the edges."""
        return messages

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
        if settings.iterations:
            self.gnn1 = MessagePassingLayer(width, settings.attention)
        self.dropout = nn.Dropout(settings.dropout)
        self.fc_xyz = nn.Linear(width, 3)
        self.fc_wpqr = nn.Linear(width, 3)
        self.fc_xyz_R = nn.Linear(width, 3)
        self.fc_wpqr_R = nn.Linear(width, 3)
        deviation = torch.tensor(settings.translation_deviation, dtype=torch.float32)
        self.register_buffer("translation_deviation", deviation, persistent=False)

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
        edge_index = self._rewired(features_NC, edge_index, graph_N)
        if self.training and self.settings.edge_dropout:
            edge_index = drop_edge_pairs(
                edge_index, graph_N, self.settings.edge_dropout, edge_generator
            )
        nodes_NC, edges_EC = features_NC, self._initial_edges(features_NC, edge_index)
        for _ in range(self.settings.iterations):
            nodes_NC, edges_EC = self.gnn1(nodes_NC, edge_index, edges_EC)
        return PoseEstimates(
            edge_index=edge_index,
            relative=self._poses(edges_EC, self.fc_xyz_R, self.fc_wpqr_R),
            absolute=self._poses(nodes_NC, self.fc_xyz, self.fc_wpqr),
        )

    def relate_into(
        self, features_NC: Tensor, edge_index: Tensor, graph_N: Tensor, targets_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Regress the poses on the edges into some nodes, in evaluation mode.

        The same numbers as those of ``relate``. In the last round only these edges are updated,
        and no node: nothing else reaches the result.

        Args:
            features_NC: see ``relate``.
            edge_index: see ``relate``.
            graph_N: see ``relate``.
            targets_N: (N,) bool, the nodes.

        Returns:
            edge_index (2, T) of the edges into these nodes, in their order; relative (T, 6).
        """
        edge_index = self._rewired(features_NC, edge_index, graph_N)
        nodes_NC, edges_EC = features_NC, self._initial_edges(features_NC, edge_index)
        for _ in range(self.settings.iterations - 1):
            nodes_NC, edges_EC = self.gnn1(nodes_NC, edge_index, edges_EC)
        into = targets_N[edge_index[1]]
        edge_index, edges_EC = edge_index[:, into], edges_EC[into]
        if self.settings.iterations:
            edges_EC = relu(self.gnn1.edge_model(nodes_NC, edge_index, edges_EC))
        return edge_index, self._poses(edges_EC, self.fc_xyz_R, self.fc_wpqr_R)

    def _rewired(self, features_NC: Tensor, edge_index: Tensor, graph_N: Tensor) -> Tensor:
        if self.settings.knn:
            return nearest_edges(features_NC, graph_N, self.settings.knn)
        return edge_index

    def _initial_edges(self, nodes_NC: Tensor, edge_index: Tensor) -> Tensor:
        """Return ReLU(proj_edge([x_min(s,t); x_max(s,t)])): both directions of a pair start equal.

        The rounds tell source from target. Without a round nothing would, and a pair's two poses,
        each the other's negative, could not be told apart: there it is [x_s; x_t].
        """
        if self.settings.iterations:
            first, second = edge_index.amin(dim=0), edge_index.amax(dim=0)
        else:
            first, second = edge_index
        return relu(linear_of_rows(self.proj_edge, (nodes_NC, first), (nodes_NC, second)))

    def _poses(self, features: Tensor, translation: nn.Linear, rotation: nn.Linear) -> Tensor:
        """Return what two heads regress from features (M, C), (M, 6) in metres, half radians."""
        # bfloat16 has three digits, too few for metres.
        with torch.autocast(features.device.type, enabled=False):
            features = self.dropout(features.float())
            metres = translation(features) * self.translation_deviation
            return torch.cat([metres, rotation(features)], dim=1)


def image_encoder(name: str) -> ResNet:
    """Return torchvision's residual network of a name, with random weights.

    ``resnet10`` is not among torchvision's own: one block in each of the four stages, for CPUs.
    """
    if name == "resnet10":
        return ResNet(BasicBlock, [1, 1, 1, 1])
    return torchvision.models.get_model(name, weights=None)


def linear_of_rows(layer: nn.Linear, *parts: tuple[Tensor, Tensor | None]) -> Tensor:
    """Return ``layer`` of some rows of several features, concatenated.

    Each part (n_i, c_i) is multiplied by its columns of the weights before its rows (E,) are taken
    (None: all), so that a node's product is computed once and not for each of its edges.
    """
    weights = layer.weight.split([features.shape[1] for features, _ in parts], dim=1)
    pairs = zip(parts, weights, strict=True)
    products = [linear(features, weight) for (features, _), weight in pairs]
    products[0] = products[0] + layer.bias  # float32, and so the sum, under autocast too
    taken = zip(products, parts, strict=True)
    return sum(product if rows is None else product[rows] for product, (_, rows) in taken)


def _mlp(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width))
