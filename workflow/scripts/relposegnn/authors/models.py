"""Converting the authors' checkpoints into this project's own format."""

import logging
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path

import torch

from ..files.weights import check_weights, list_keys, load_weights, read_checkpoint
from ..network.checkpoints import save_model
from ..network.model_settings import ModelSettings
from ..network.published_network import RelPoseGNN
from ..runtime import InputError
from .second_layer import SECOND_LAYER, Finding, examine_second_layer

logger = logging.getLogger(__name__)


def import_model(
    checkpoint_file: str | Path, model_file: str | Path, settings: ModelSettings
) -> None:
    """Write one of the authors' checkpoints as a model of this project, to predict with.

    Weights and epoch are kept. The second layer of the 2021 files is examined, and left out unless
    ``settings`` have two layers. The states of optimizer and criterion are left out. No code in the
    file is run.

    Args:
        checkpoint_file: a dictionary of ``torch.save`` with ``model_state_dict``.
        model_file: the file to write, see ``save_model``.
        settings: the shape of the network. Its rounds of message passing and graph rewiring leave
            no trace in weights, so they cannot be checked.

    Raises:
        InputError: the file cannot be read, is not a checkpoint of this network, or holds weights
            of other shapes than in ``settings``, or weights that are not finite floating-point
            numbers.
    """
    contents = read_checkpoint(checkpoint_file)
    state = contents.get("model_state_dict")
    if not isinstance(state, Mapping):
        raise InputError(
            f"{checkpoint_file}: holds {list_keys(contents)}, expected model_state_dict among "
            "them, as in the authors' checkpoints; check which file authors.models names; if its "
            "address now has another file, delete this one and run again"
        )
    second = {key for key in state if str(key).startswith(SECOND_LAYER)}
    left_out = second if settings.layers == 1 else set()
    used = {key: value for key, value in state.items() if key not in left_out}
    model = _network_with(used, settings, checkpoint_file)
    remarks = {}
    if second:
        finding = examine_second_layer(contents)
        remarks = {"second_layer": finding.text}
        _report_second_layer(finding, settings, checkpoint_file)
    epoch = contents.get("epoch")
    epoch = int(epoch) if isinstance(epoch, Integral) else None
    if epoch is None:
        logger.warning("%s does not say after which epoch it was saved", checkpoint_file)
    save_model(model_file, model, epoch, [], remarks)
    logger.info("%s: %d tensors of epoch %s", checkpoint_file, len(used), epoch)


def _network_with(
    state: Mapping[str, torch.Tensor], settings: ModelSettings, source: str | Path
) -> RelPoseGNN:
    """Return the network with a checkpoint's weights; InputError if these do not fit."""
    with torch.device("meta"):  # without weights of its own
        model = RelPoseGNN(settings)
    try:
        check_weights(model, state, source)
    except InputError as error:
        raise InputError(
            f"{error}\nauthors.profile has backbone {settings.backbone} and width "
            f"{settings.width}: check both, and which file authors.models names; if its address "
            "now has another file, delete this one and run again"
        ) from error
    load_weights(model, state, source)
    return model


def _report_second_layer(finding: Finding, settings: ModelSettings, source: str | Path) -> None:
    """Log what the second layer shows; warn if that is contradictory, or the profile disagrees."""
    used, text = finding
    level = logging.WARNING if used is None else logging.INFO
    logger.log(level, "%s: the second layer of message passing: %s", source, text)
    if used is None or used == (settings.layers > 1):
        published = ModelSettings.published()  # of 2021, like the files with that layer
        expected = {"iterations": 2 if used else published.iterations, "knn": published.knn}
        for name, value in expected.items():
            if getattr(settings, name) != value:
                logger.warning(
                    "authors.profile.%s: got %d, but %s has the second layer of the 2021 "
                    "checkpoints, which were trained with %d",
                    *(name, getattr(settings, name), source, value),
                )
        return
    logger.warning(
        "authors.profile.layers: got %d, but the second layer was %s; that would be {iterations: "
        "%d, layers: %d}",
        *(settings.layers, text, 2 if used else 3, 2 if used else 1),
    )
