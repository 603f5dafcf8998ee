"""The network as published: an image is one vector, an edge starts from two of them.

Submodules carry the names of the published checkpoints. Dimensions in tensor names: N nodes of all
graphs of a batch, E directed edges, C feature width.
"""

import copy
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import relu
from torchvision.models.resnet import BasicBlock, ResNet

from ..encoding.encoders import fold_norms
from ..files.weights import load_weights, read_checkpoint
from .model_settings import ModelSettings
from .pose_network import PoseNetwork


class RelPoseGNN(PoseNetwork):
    """The network as published: an image is one vector, an edge starts from two of them."""

    def __init__(self, settings: ModelSettings) -> None:
        """Build the network with random weights, drawn from torch's global generator."""
        super().__init__(settings)
        width = settings.width
        self.feature_extractor = image_encoder(settings.backbone)
        self.feature_extractor.fc = nn.Linear(self.feature_extractor.fc.in_features, width)
        self.proj_edge = nn.Linear(2 * width, width)
        self.fc_xyz = nn.Linear(width, 3)
        self.fc_wpqr = nn.Linear(width, 3)

    def load_backbone(self, path: str | Path) -> None:
        """Load torchvision's ImageNet weights into the image encoder, except its last layer."""
        own = self.feature_extractor.state_dict()
        last = {key: own[key] for key in ("fc.weight", "fc.bias")}
        load_weights(self.feature_extractor, {**read_checkpoint(path), **last}, path)

    def encode(self, seen: Tensor) -> Tensor:
        """Return the features (N, C) of standardised images (N, 3, H, W)."""
        return self.feature_extractor(seen)

    def folded_encoder(self) -> nn.Module:
        """Return a copy of the image encoder without batch norms: faster, in evaluation mode."""
        encoder = copy.deepcopy(self.feature_extractor)
        fold_norms(encoder)
        return encoder

    def node_features(self, features: Tensor) -> Tensor:
        """Return the features of the images, unchanged."""
        return features

    def absolute_poses(self, nodes_NC: Tensor) -> Tensor:
        """Return the poses (N, 6) that the two heads of nodes regress."""
        return self._poses(nodes_NC, None, self.fc_xyz, self.fc_wpqr)

    def edge_features(self, features: Tensor, edge_index: Tensor) -> tuple[Tensor, None]:
        """Return ReLU(proj_edge([x_min(s,t); x_max(s,t)])): both directions of a pair start equal.

        The rounds tell source from target. Without rounds, nothing would tell the two poses of a
        pair apart, each the negative of the other, so the input is [x_s; x_t].
        """
        if self.settings.iterations:
            first, second = edge_index.amin(dim=0), edge_index.amax(dim=0)
        else:
            first, second = edge_index
        return relu(self.proj_edge(torch.cat([features[first], features[second]], dim=1))), None


def image_encoder(name: str) -> ResNet:
    """Return torchvision's residual network of this name, with random weights.

    ``resnet10``, which torchvision lacks, has one block in each of the four stages, for CPUs.
    """
    if name == "resnet10":
        return ResNet(BasicBlock, [1, 1, 1, 1])
    return torchvision.models.get_model(name, weights=None)
