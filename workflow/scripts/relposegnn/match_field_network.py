"""The network whose edges start from match fields; and either kind of network by its settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import relu

from .match_fields import Cells, MatchFieldEdge, Views, image_cells
from .model import KAIMING, MATCH_FIELD, POOLED, ModelSettings, PoseNetwork, RelPoseGNN
from .runtime import InputError


class MatchFieldGNN(PoseNetwork):
    """A network whose edges see both images: they start from match fields of frozen features."""

    def __init__(self, settings: ModelSettings, channels: int, grid: tuple[int, int]) -> None:
        """Build the network for features of ``channels`` in ``grid`` = (rows, columns) of cells."""
        super().__init__(settings)
        self.maps = {"channels": channels, "grid": list(grid)}
        if settings.iterations or settings.knn:
            self.node_projection = nn.Linear(channels, settings.width)
        self.match = MatchFieldEdge(
            channels,
            grid,
            settings.width,
            rotation_from_field=settings.rotation_from_field,
        )

    def encode(self, seen: Views) -> Cells:
        """Return the cells of images."""
        return self.match.look(image_cells(seen))

    def node_features(self, features: Cells) -> Tensor | None:
        """Return a projection of each image's mean over its cells, where rounds or knn read it."""
        if not (self.settings.iterations or self.settings.knn):
            return None
        return relu(self.node_projection(features.means))

    def edge_features(self, features: Cells, edge_index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what the match fields of the edges tell."""
        return self.match(features, edge_index)


def build_network(
    settings: ModelSettings,
    maps: Mapping[str, Any] | None,
    backbone_weights: str | Path | None = None,
) -> PoseNetwork:
    """Return the network of some settings, with random weights.

    Args:
        settings: of the network.
        maps: what a network with match fields sees of images: ``channels`` and ``grid``.
        backbone_weights: torchvision's ImageNet weights that pooled edges' encoder starts from.

    Raises:
        InputError: the kind of edges is unknown, match fields have no maps, or the weights cannot
            be read.
    """
    network = _build(settings, maps)
    if backbone_weights is not None and settings.edges == POOLED:
        network.load_backbone(backbone_weights)
    if settings.initialisation == KAIMING:
        network.initialise_kaiming()
    return network


def _build(settings: ModelSettings, maps: Mapping[str, Any] | None) -> PoseNetwork:
    """Return the network with torch's own random weights."""
    if settings.edges == POOLED:
        return RelPoseGNN(settings)
    if settings.edges != MATCH_FIELD:
        raise InputError(f"model.edges: got {settings.edges!r}, expected {POOLED} or {MATCH_FIELD}")
    if maps is None:
        raise InputError(
            "model.edges is match_field, but there are no features of the images; expected a "
            "features file of each scene"
        )
    return MatchFieldGNN(settings, maps["channels"], tuple(maps["grid"]))
