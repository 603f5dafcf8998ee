"""Checkpoints as the authors published them, brought into this project's own format."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import torch

from ..checkpoints import UNUSED_PREFIX, save_model
from ..model import ModelSettings, RelPoseGNN
from ..runtime import InputError
from ..weights import describe_shape, list_keys, load_weights, read_checkpoint

logger = logging.getLogger(__name__)

BLOCK = re.compile(r"feature_extractor\.(layer\d+)\.(\d+)\.")


def import_model(
    checkpoint_file: str | Path, model_file: str | Path, settings: ModelSettings
) -> None:
    """Write a published checkpoint as a model of ours, to predict with.

    Weights and epoch are taken. The second layer of the 2021 files, which no pass uses, is left
    out, and so are the states of optimizer and criterion. Nothing of the file is run.

    Args:
        checkpoint_file: a dict of ``torch.save`` with ``model_state_dict``.
        model_file: the file to write, see ``save_model``.
        settings: the shape of the published network. Rounds of message passing and graph rewiring
            leave no trace in weights: they are believed.

    Raises:
        InputError: the file cannot be read, is no checkpoint of this network, or holds weights of
            other shapes than ``settings`` or that are no floating-point numbers.
    """
    contents = read_checkpoint(checkpoint_file)
    state = _model_state(contents, checkpoint_file)
    used = {key: value for key, value in state.items() if not key.startswith(UNUSED_PREFIX)}
    _check_types(used, checkpoint_file)
    _check_width(used, settings, checkpoint_file)
    _check_backbone(used, settings, checkpoint_file)
    _report_unused(len(state) - len(used), settings, checkpoint_file)
    model = RelPoseGNN(settings)
    load_weights(model, used, checkpoint_file)
    _check_finite(model, checkpoint_file)
    epoch = contents.get("epoch")
    if not isinstance(epoch, Integral):
        logger.warning("%s does not say after which epoch it was saved", checkpoint_file)
    save_model(model_file, model, int(epoch) if isinstance(epoch, Integral) else None, [])
    logger.info("%s: %d tensors of epoch %s", checkpoint_file, len(used), epoch)


def _model_state(contents: Mapping[str, Any], source: str | Path) -> Mapping[str, Any]:
    """Return the weights of a checkpoint by key.

    Raises:
        InputError: there are none, or not those of a RelPose-GNN.
    """
    state = contents.get("model_state_dict")
    if not isinstance(state, Mapping):
        raise InputError(
            f"{source}: holds {list_keys(contents)}, expected model_state_dict among them, as in "
            "the published checkpoints of RelPose-GNN; check which file published_models "
            "names; if another lies at its address now, delete this one and run again"
        )
    unnamed = [key for key in state if not isinstance(key, str)]
    if unnamed:
        raise InputError(
            f"{source}: model_state_dict has the key {unnamed[0]!r}, a {type(unnamed[0]).__name__}"
            f" ({len(unnamed)} of {len(state)} keys are no text), expected names of weights; check "
            "which file published_models names"
        )
    if not isinstance(state.get("proj_edge.weight"), torch.Tensor):
        raise InputError(
            f"{source}: model_state_dict holds {list_keys(state)}, expected the weights of a "
            "RelPose-GNN, proj_edge.weight among them; check which file published_models "
            "names; if another lies at its address now, delete this one and run again"
        )
    return state


def _check_types(state: Mapping[str, Any], source: str | Path) -> None:
    """Check that weights are floating-point numbers; what batch normalisation counts is not.

    Raises:
        InputError: they are not.
    """
    wrong = [
        f"{key} is {value.dtype}"
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
        and not value.is_floating_point()
        and not key.endswith(".num_batches_tracked")
    ]
    if wrong:
        raise InputError(
            f"{source}: {list_keys(wrong)}, expected floating-point numbers; check which file "
            "published_models names"
        )


def _check_width(state: Mapping[str, Any], settings: ModelSettings, source: str | Path) -> None:
    """Check the width of the features.

    Raises:
        InputError: the weights have another.
    """
    projection = state["proj_edge.weight"]
    if projection.ndim != 2 or projection.shape[1] != 2 * projection.shape[0]:
        raise InputError(
            f"{source}: proj_edge.weight is {describe_shape(projection)}, expected (width, 2 width)"
        )
    if len(projection) != settings.width:
        raise InputError(
            f"published_models.profile.width: got {settings.width}, but the weights have "
            f"{len(projection)} ({source})"
        )


def _check_backbone(state: Mapping[str, Any], settings: ModelSettings, source: str | Path) -> None:
    """Check the depth of the image encoder.

    Raises:
        InputError: the weights have another, or no image encoder.
    """
    with torch.device("meta"):
        expected = _blocks(RelPoseGNN(settings).state_dict())
    found = _blocks(state)
    if found != expected:
        raise InputError(
            f"published_models.profile.backbone: got {settings.backbone}, which has "
            f"{_show(expected)}, but the weights have {_show(found)} ({source})"
        )


def _blocks(state: Iterable[str]) -> dict[str, int]:
    """Return how many residual blocks each stage of the image encoder has."""
    blocks = {match.groups() for match in map(BLOCK.match, state) if match}
    return dict(sorted(Counter(stage for stage, _ in blocks).items()))


def _show(blocks: Mapping[str, int]) -> str:
    """Return numbers of residual blocks in words."""
    return f"stages of {', '.join(map(str, blocks.values()))} blocks" if blocks else "no stages"


def _report_unused(count: int, settings: ModelSettings, source: str | Path) -> None:
    """Say how much of the file is unused, and what that tells of its profile."""
    if count == 0:
        return
    logger.info("%s: ignored %d tensors of an unused second layer", source, count)
    published = ModelSettings()
    for name in ("iterations", "knn"):
        got, expected = getattr(settings, name), getattr(published, name)
        if got != expected:
            logger.warning(
                "published_models.profile.%s: got %d, but %s has the unused layer of the 2021 "
                "checkpoints, which were trained with %d",
                *(name, got, source, expected),
            )


def _check_finite(model: RelPoseGNN, source: str | Path) -> None:
    """Check the weights.

    Raises:
        InputError: a tensor is not finite throughout.
    """
    for key, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{source}: {key} holds numbers that are not finite; download it again"
            )
