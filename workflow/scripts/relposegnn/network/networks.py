"""Construction of either kind of network from its settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runtime import InputError
from .match_field_network import MatchFieldGNN
from .model_settings import KAIMING, MATCH_FIELD, POOLED, ModelSettings
from .pose_network import PoseNetwork


def build_network(
    settings: ModelSettings,
    maps: Mapping[str, Any] | None,
    backbone_weights: str | Path | None = None,
) -> PoseNetwork:
    """Return the network of some settings, with random weights.

    Args:
        settings: of the network.
        maps: ``channels`` and ``grid`` of the maps that a network with match fields takes.
        backbone_weights: torchvision's ImageNet weights, from which the encoder of pooled edges
            starts.

    Raises:
        InputError: the kind of edges is unknown, match fields have no maps, or the weights cannot
            be read.
    """
    network = network_of(settings, maps)
    if backbone_weights is not None and settings.edges == POOLED:
        network.load_backbone(backbone_weights)
    if settings.initialisation == KAIMING:
        network.initialise_kaiming()
    return network


def network_of(settings: ModelSettings, maps: Mapping[str, Any] | None) -> PoseNetwork:
    """Return the network of some settings, with torch's default random weights."""
    if settings.edges == POOLED:
        from .published_network import RelPoseGNN  # torchvision takes as long to load as torch

        return RelPoseGNN(settings)
    if settings.edges != MATCH_FIELD:
        raise InputError(f"model.edges: got {settings.edges!r}, expected {POOLED} or {MATCH_FIELD}")
    if maps is None:
        raise InputError(
            "model.edges is match_field, but there are no features of the images, expected a "
            "features file of each scene; make it with the target features"
        )
    return MatchFieldGNN(settings, maps["channels"], tuple(maps["grid"]))
