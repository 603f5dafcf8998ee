"""The architecture of a network: input of its edges, width, depth, and what it regresses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..runtime import InputError
from .positions import IMAGE
from .relative_poses import WORLD_DIFFERENCE

POOLED, MATCH_FIELD = "pooled", "match_field"  # kinds of edges
KAIMING = "kaiming"  # initial weights


@dataclass(frozen=True)
class ModelSettings:
    """The architecture of a network.

    Attributes:
        edges: how an edge sees its images: ``pooled``, as published, or ``match_field``.
        backbone: image encoder of pooled edges, see ``image_encoder``.
        encoder: frozen encoder of match fields, see ``encoders.load_encoder``.
        positions: kind of positions in match fields, ``image`` or ``rays``, see ``positions``.
        rotation_from_field: rotations are regressed from the match field alone, not appearance.
        width: length C of node and edge features.
        iterations: rounds of message passing. 0 is an ablation, "without GNN": each relative pose
            is regressed from its two images alone.
        layers: of message passing, which the rounds use in turn. Published, as far as is known:
            one, whose weights all rounds share.
        attention: over the channels of each message; False is an ablation.
        knn: edges to each node from its k nearest in feature space; 0 keeps all.
        dropout: on node and edge features before the heads.
        edge_dropout: share of node pairs whose edges are dropped in training.
        initialisation: of the layers that the paper adds to the encoder: ``kaiming``, as
            published, see ``PoseNetwork.initialise_kaiming``, or ``default``, torch's own.
        pose: kind of an edge's relative pose, one of ``relative_poses.KINDS``. Published:
            ``world_difference`` on 7-Scenes, ``world_to_camera`` on Cambridge.
        translation_deviation: metres per axis of one unit of the network's translations. Published:
            1 on 7-Scenes; on Cambridge, translations are standardised by this deviation and a mean,
            which cancels in relative poses.
    """

    edges: str
    backbone: str
    encoder: str
    positions: str
    rotation_from_field: bool
    width: int
    iterations: int
    layers: int
    attention: bool
    knn: int
    dropout: float
    edge_dropout: float
    initialisation: str
    pose: str
    translation_deviation: Sequence[float]

    def __post_init__(self) -> None:
        """Make the deviation a tuple.

        Raises:
            InputError: it does not consist of three positive numbers.
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
        """Return the settings of the models published for 7-Scenes in 2021, with changes."""
        shape = {
            "edges": POOLED, "backbone": "resnet34", "width": 2048, "iterations": 3,
            "encoder": "efficientnet_lite0", "positions": IMAGE,  # only for match fields
            "rotation_from_field": True,  # likewise
            "layers": 1, "attention": True, "knn": 0, "dropout": 0.5, "edge_dropout": 0.0,
            "initialisation": KAIMING, "pose": WORLD_DIFFERENCE,
            "translation_deviation": (1.0, 1.0, 1.0),
        }  # fmt: skip
        return cls(**{**shape, **changes})
