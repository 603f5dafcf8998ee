"""What both kinds of network share: message passing and pose heads (paper, section 3.2).

They differ in how an edge sees its two images. As published, each image becomes one vector, and an
edge starts from two of them (``published_network``); in the other kind, it starts from the match
field of its images (``match_field_network``).

Submodules carry the names of the published checkpoints. Dimensions in tensor names: N nodes of all
graphs of a batch, E directed edges, C feature width.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from .edges import drop_edge_pairs, nearest_edges
from .known_features import KnownFeatures
from .match_fields import Cells, Views
from .model_settings import MATCH_FIELD, ModelSettings

if TYPE_CHECKING:
    from .message_passing import MessagePassingLayer


class PoseEstimates(NamedTuple):
    """What the heads regress.

    Attributes:
        edge_index: (2, E) the edges used, source and target node.
        relative: (E, 6) relative poses of the edges, metres and half radians.
        absolute: (N, 6) pose vectors of the nodes, relative to an origin of the network's own (not
            supervised in the paper); None if the network has none.
    """

    edge_index: Tensor
    relative: Tensor
    absolute: Tensor | None


class PoseNetwork(nn.Module):
    """Graphs of images in, relative camera poses on the edges out: what both kinds share.

    Attributes:
        settings: of the network.
        maps: channels and grid of the feature maps that it takes, to be recorded; None if it takes
            images.
    """

    maps: dict[str, Any] | None = None

    def __init__(self, settings: ModelSettings) -> None:
        """Build rounds and heads with random weights, drawn from torch's global generator."""
        super().__init__()
        self.settings = settings
        width = settings.width
        layers = min(settings.layers, settings.iterations)
        if layers:  # PyTorch Geometric takes as long to load as torch
            from .message_passing import MessagePassingLayer
        for layer in range(layers):
            setattr(self, f"gnn{layer + 1}", MessagePassingLayer(width, settings.attention))
        self.dropout = nn.Dropout(settings.dropout)
        self.fc_xyz_R = nn.Linear(width, 3)
        self.fc_wpqr_R = nn.Linear(width, 3)
        # On the CPU even if the network is built on torch's meta device: no file holds it.
        deviation = torch.tensor(settings.translation_deviation, dtype=torch.float32, device="cpu")
        self.register_buffer("translation_deviation", deviation, persistent=False)
        self.adaptation: nn.Linear | None = None  # to a place, see ``adaptation``
        self.known: KnownFeatures | None = None  # edge features of the training, or of a place

    def add_adaptation(self) -> nn.Linear:
        """Add a linear layer on edge features, whose (6) outputs are added to the heads'."""
        self.adaptation = nn.Linear(self._features, 6).to(self.fc_xyz_R.weight.device)
        return self.adaptation

    def add_known(self) -> KnownFeatures:
        """Add known features, still to be learned, in place of any before."""
        self.known = KnownFeatures(self._features).to(self.fc_xyz_R.weight.device)
        return self.known

    @property
    def _features(self) -> int:
        """Return the number of features of an edge, including those of rotations."""
        own = self.settings.edges == MATCH_FIELD and self.settings.rotation_from_field
        return (2 if own else 1) * self.settings.width

    def encode(self, seen: Tensor | Views) -> Tensor | Cells:
        """Return the features of N images, or of their maps: each kind of network has its input."""
        raise NotImplementedError

    def node_features(self, features: Tensor | Cells) -> Tensor | None:
        """Return the features (N, C) that nodes start from; None if nothing reads them."""
        raise NotImplementedError

    def absolute_poses(self, nodes_NC: Tensor | None) -> Tensor | None:
        """Return the absolute poses (N, 6) of nodes; None if the network does not regress them."""
        return None

    def edge_features(
        self, features: Tensor | Cells, edge_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the features (E, C) that edges start from, and those of rotations.

        If the latter are None, rotations too are regressed from the features of the edges.
        """
        raise NotImplementedError

    def forward(
        self,
        seen: Tensor | Views,
        edge_index: Tensor,
        graph_N: Tensor,
        edge_generator: torch.Generator | None = None,
    ) -> PoseEstimates:
        """Regress the relative poses of a batch of graphs; see ``encode`` and ``relate``."""
        return self.relate(self.encode(seen), edge_index, graph_N, edge_generator)

    def relate(
        self,
        features: Tensor | Cells,
        edge_index: Tensor,
        graph_N: Tensor,
        edge_generator: torch.Generator | None = None,
    ) -> PoseEstimates:
        """Pass messages and regress poses.

        Args:
            features: of N images, from ``encode``.
            edge_index: (2, E); replaced if the settings ask for k nearest neighbours.
            graph_N: (N,) index of each node's graph in the batch, ascending.
            edge_generator: CPU generator of the edge dropout, which acts only in training.
        """
        nodes_NC = self.node_features(features)
        edge_index = self._rewired(nodes_NC, edge_index, graph_N)
        if self.training and self.settings.edge_dropout:
            edge_index = drop_edge_pairs(
                edge_index, graph_N, self.settings.edge_dropout, edge_generator
            )
        edges_EC, rotations_EC = self.edge_features(features, edge_index)
        for layer in self._rounds():
            nodes_NC, edges_EC = layer(nodes_NC, edge_index, edges_EC)
        return PoseEstimates(
            edge_index=edge_index,
            relative=self.regress(edges_EC, rotations_EC),
            absolute=self.absolute_poses(nodes_NC),
        )

    def relate_at(
        self,
        features: Tensor | Cells,
        edge_index: Tensor,
        graph_N: Tensor,
        nodes_N: Tensor,
        both_directions: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Regress the poses on the edges into some nodes, in evaluation mode; see ``edges_at``.

        Returns:
            edge_index (2, T) of these edges, in their order; relative (T, 6); their distances (T,)
            from what the network knows, see ``distance``.
        """
        edge_index, *state = self.edges_at(features, edge_index, graph_N, nodes_N, both_directions)
        return edge_index, self.regress(*state), self.distance(*state)

    def edges_at(
        self,
        features: Tensor | Cells,
        edge_index: Tensor,
        graph_N: Tensor,
        nodes_N: Tensor,
        both_directions: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the heads' inputs for the edges into some nodes, in evaluation mode.

        They are the same as in ``relate``. The last round updates only these edges and no nodes,
        because nothing else reaches the result. Without rounds, only these edges are computed.

        Args:
            features: see ``relate``.
            edge_index: see ``relate``.
            graph_N: see ``relate``.
            nodes_N: (N,) bool, the nodes.
            both_directions: include the edges out of these nodes.

        Returns:
            edge_index (2, T) of these edges, in their order; their features (T, C); those of
            rotations (T, C), None if they have none of their own.
        """
        nodes_NC = self.node_features(features)
        edge_index = self._rewired(nodes_NC, edge_index, graph_N)
        wanted = nodes_N[edge_index[1]]
        if both_directions:
            wanted = wanted | nodes_N[edge_index[0]]
        if not self.settings.iterations:
            edge_index = edge_index[:, wanted]
            return edge_index, *self.edge_features(features, edge_index)
        edges_EC, rotations_EC = self.edge_features(features, edge_index)
        *first, last = self._rounds()
        for layer in first:
            nodes_NC, edges_EC = layer(nodes_NC, edge_index, edges_EC)
        edge_index, edges_EC = edge_index[:, wanted], edges_EC[wanted]
        edges_EC = relu(last.edge_model(nodes_NC, edge_index, edges_EC))
        own = None if rotations_EC is None else rotations_EC[wanted]
        return edge_index, edges_EC, own

    def initialise_kaiming(self) -> None:
        """Draw the weights of the layers that the paper adds anew: Kaiming normal, biases zero.

        These are the encoder's last layer, the edge projection and the heads, as far as the network
        has them. Message passing keeps torch's default initial weights.
        """
        heads = "fc_xyz", "fc_wpqr", "fc_xyz_R", "fc_wpqr_R"
        own = {"feature_extractor.fc", "proj_edge", *heads}
        for name, layer in self.named_modules():
            if name in own:
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def _rounds(self) -> "list[MessagePassingLayer]":
        """Return the layer of each round."""
        settings = self.settings
        return [
            getattr(self, f"gnn{number % settings.layers + 1}")
            for number in range(settings.iterations)
        ]

    def _rewired(self, nodes_NC: Tensor, edge_index: Tensor, graph_N: Tensor) -> Tensor:
        if self.settings.knn:
            return nearest_edges(nodes_NC, graph_N, self.settings.knn)
        return edge_index

    def regress(self, edges_EC: Tensor, rotations_EC: Tensor | None) -> Tensor:
        """Return relative poses (E, 6) from the features of edges, and those of rotations."""
        relative_E6 = self._poses(edges_EC, rotations_EC, self.fc_xyz_R, self.fc_wpqr_R)
        if self.adaptation is None:
            return relative_E6
        with torch.autocast(edges_EC.device.type, enabled=False):
            return relative_E6 + self.adaptation(joined(edges_EC, rotations_EC))

    def distance(self, edges_EC: Tensor, rotations_EC: Tensor | None) -> Tensor:
        """Return the distances (E,) of the edges' features from the known ones.

        See ``KnownFeatures``; 1 if the network has none.
        """
        if self.known is None:
            return torch.ones(len(edges_EC), device=edges_EC.device)
        with torch.autocast(edges_EC.device.type, enabled=False):
            return self.known(joined(edges_EC, rotations_EC))

    def _poses(
        self,
        features: Tensor,
        rotation_features: Tensor | None,
        translation: nn.Linear,
        rotation: nn.Linear,
    ) -> Tensor:
        """Return what two heads regress from features (M, C): (M, 6), metres and half radians."""
        # bfloat16 has three digits, too few for metres.
        with torch.autocast(features.device.type, enabled=False):
            features = self.dropout(features.float())
            turns = features
            if rotation_features is not None:
                turns = self.dropout(rotation_features.float())
            metres = translation(features) * self.translation_deviation
            return torch.cat([metres, rotation(turns)], dim=1)


def joined(edges_EC: Tensor, rotations_EC: Tensor | None) -> Tensor:
    """Return the features (E, D) of edges, followed by those of rotations if there are any."""
    parts = [edges_EC] if rotations_EC is None else [edges_EC, rotations_EC]
    return torch.cat(parts, dim=1).float()
