"""The authors' checkpoints, brought into this project's own format."""

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

PROFILE_2021 = {"iterations": 3, "knn": 0}  # of the checkpoints that have an unused layer
BLOCK = re.compile(r"feature_extractor\.(layer\d+)\.(\d+)\.")


def import_model(
    checkpoint_file: str | Path, model_file: str | Path, settings: ModelSettings
) -> None:
    """Write one of the authors' checkpoints as a model of ours, to predict with.

    Weights and epoch are taken. The second layer of the 2021 files, which no pass uses, is left
    out, and so are the states of optimizer and criterion. Nothing of the file is run.

    Args:
        checkpoint_file: a dict of ``torch.save`` with ``model_state_dict``.
        model_file: the file to write, see ``save_model``.
        settings: the shape of the network. Rounds of message passing and graph rewiring leave no
            trace in weights: they are believed.

    Raises:
        InputError: the file cannot be read, is no checkpoint of this network, or holds weights of
            other shapes than ``settings`` or that are no finite floating-point numbers.
    """
    contents = read_checkpoint(checkpoint_file)
    state = _model_state(contents, checkpoint_file)
    used = {key: value for key, value in state.items() if not str(key).startswith(UNUSED_PREFIX)}
    model = RelPoseGNN(settings)
    _check_profile(used, model, checkpoint_file)
    _report_unused(len(state) - len(used), settings, checkpoint_file)
    load_weights(model, used, checkpoint_file)
    _check_numbers(used, checkpoint_file)
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
    found, expected = f"holds {list_keys(contents)}", "model_state_dict"
    if isinstance(state, Mapping):
        if isinstance(state.get("proj_edge.weight"), torch.Tensor):
            return state
        found = f"model_state_dict holds {list_keys(state)}"
        expected = "the weights of a RelPose-GNN, proj_edge.weight"
    raise InputError(
        f"{source}: {found}, expected {expected} among them, as in the authors' checkpoints; check "
        "which file authors.models names; if another lies at its address now, delete this one and "
        "run again"
    )


def _check_profile(state: Mapping[str, Any], model: RelPoseGNN, source: str | Path) -> None:
    """Check the two settings that decide on the shapes of nearly all weights.

    Raises:
        InputError: the weights were made with another. The message names the setting.
    """
    own = model.state_dict()
    for name, describe in (("width", _describe_width), ("backbone", _describe_stages)):
        expected, found = describe(own), describe(state)
        if found != expected:
            raise InputError(
                f"authors.profile.{name}: got {getattr(model.settings, name)}, which has "
                f"{expected}, but the weights have {found} ({source})"
            )


def _describe_width(state: Mapping[str, Any]) -> str:
    """Return in words how wide features are."""
    return f"proj_edge.weight of shape {describe_shape(state['proj_edge.weight'])}"


def _describe_stages(state: Iterable[object]) -> str:
    """Return in words how many residual blocks each stage of the image encoder has."""
    blocks = {match.groups() for match in map(BLOCK.match, map(str, state)) if match}
    counts = Counter(stage for stage, _ in sorted(blocks))
    return f"stages of {', '.join(map(str, counts.values())) or 'no'} blocks"


def _report_unused(count: int, settings: ModelSettings, source: str | Path) -> None:
    """Say how much of the file is unused, and what that tells of its profile."""
    if count == 0:
        return
    logger.info("%s: ignored %d tensors of an unused second layer", source, count)
    for name, expected in PROFILE_2021.items():
        got = getattr(settings, name)
        if got != expected:
            logger.warning(
                "authors.profile.%s: got %d, but %s has the unused layer of the 2021 "
                "checkpoints, which were trained with %d",
                *(name, got, source, expected),
            )


def _check_numbers(state: Mapping[str, torch.Tensor], source: str | Path) -> None:
    """Check that weights are finite floating-point numbers; what batch normalisation counts is not.

    Raises:
        InputError: they are not.
    """
    for key, tensor in state.items():
        if not tensor.is_floating_point() and not key.endswith(".num_batches_tracked"):
            raise InputError(
                f"{source}: {key} is {tensor.dtype}, expected floating-point numbers; check which "
                "file authors.models names"
            )
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{source}: {key} holds numbers that are not finite; download it again"
            )
