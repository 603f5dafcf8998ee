"""Rounds of message passing: edges are updated from their nodes, nodes from their messages.

As in the paper, section 3.2. Submodules carry the names of the published checkpoints. Dimensions in
tensor names: N nodes of all graphs of a batch, E directed edges, C feature width.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention
from torch_geometric.utils import scatter


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
        return self.edge_mlp(torch.cat([nodes_NC[source], nodes_NC[target], edges_EC], dim=1))


class MessagePassingLayer(nn.Module):
    """One round: edges are updated from their nodes, nodes from their incoming messages."""

    def __init__(self, width: int, attention: bool) -> None:
        super().__init__()
        self.mlp = _mlp(2 * width, width)
        self.mlp_updating = _mlp(2 * width, width)
        self.edge_model = EdgeModel(width)
        self.att = ChannelAttention(width) if attention else nn.Identity()

    def forward(
        self, nodes_NC: Tensor, edge_index: Tensor, edges_EC: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the updated node features (N, C) and edge features (E, C).

        The mean of a node without incoming edges is 0.
        """
        edges_EC = self.edge_model(nodes_NC, edge_index, edges_EC)
        messages_EC = self.att(self.mlp(torch.cat([nodes_NC[edge_index[0]], edges_EC], dim=1)))
        mean_NC = scatter(messages_EC, edge_index[1], dim_size=len(nodes_NC), reduce="mean")
        nodes_NC = self.mlp_updating(torch.cat([nodes_NC, mean_NC], dim=1))
        return relu(nodes_NC), relu(edges_EC)


def _mlp(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width))
