"""The authors' checkpoints, brought into this project's own format."""

import logging
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path

import torch

from ..checkpoints import UNUSED_PREFIX, save_model
from ..model import ModelSettings, RelPoseGNN
from ..runtime import InputError
from ..weights import list_keys, load_weights, read_checkpoint

logger = logging.getLogger(__name__)


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
    state = contents.get("model_state_dict")
    if not isinstance(state, Mapping):
        raise InputError(
            f"{checkpoint_file}: holds {list_keys(contents)}, expected model_state_dict among "
            "them, as in the authors' checkpoints; check which file authors.models names; if "
            "another lies at its address now, delete this one and run again"
        )
    used = {key: value for key, value in state.items() if not str(key).startswith(UNUSED_PREFIX)}
    model = RelPoseGNN(settings)
    try:
        load_weights(model, used, checkpoint_file)
    except InputError as error:
        raise InputError(
            f"{error}\nauthors.profile has backbone {settings.backbone} and width "
            f"{settings.width}: check both, and which file authors.models names; if another lies "
            "at its address now, delete this one and run again"
        ) from error
    _report_unused(len(state) - len(used), settings, checkpoint_file)
    _check_numbers(used, checkpoint_file)
    epoch = contents.get("epoch")
    if not isinstance(epoch, Integral):
        logger.warning("%s does not say after which epoch it was saved", checkpoint_file)
    save_model(model_file, model, int(epoch) if isinstance(epoch, Integral) else None, [])
    logger.info("%s: %d tensors of epoch %s", checkpoint_file, len(used), epoch)


def _report_unused(count: int, settings: ModelSettings, source: str | Path) -> None:
    """Say how much of the file is unused, and what that tells of its profile."""
    if count == 0:
        return
    logger.info("%s: ignored %d tensors of an unused second layer", source, count)
    published = ModelSettings.published()  # in 2021, as the files with that layer
    for name in ("iterations", "knn"):
        got, expected = getattr(settings, name), getattr(published, name)
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
