"""Files of networks: trained models, and states of unfinished trainings."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ..files.weights import check_weights, list_keys, load_weights, read_checkpoint
from ..runtime import InputError, atomic_path
from ..version import VERSION
from .model_settings import ModelSettings
from .networks import network_of
from .pose_network import PoseNetwork

logger = logging.getLogger(__name__)

MOST_ROUNDS = 100  # of message passing, as in the configuration's schema


def save_model(
    path: str | Path,
    model: PoseNetwork,
    epoch: int | None,
    scenes: list[str],
    remarks: Mapping[str, str] | None = None,
) -> None:
    """Write a trained model in the published layout, with its settings beside the weights.

    ``epoch`` is None if an imported model does not tell it; ``remarks`` are further facts about its
    origin.
    """
    contents = {
        "model_state_dict": model.state_dict(),
        "epoch": epoch,
        "settings": asdict(model.settings),
        "maps": model.maps,
        "scenes": list(scenes),
        "remarks": dict(remarks or {}),
        "version": VERSION,
    }
    _save(contents, path)


def load_model(path: str | Path) -> PoseNetwork:
    """Return the model of a file written by ``save_model``, on the CPU, in evaluation mode.

    Raises:
        InputError: the file cannot be read, was not written by ``save_model``, or holds settings
            that this version does not know.
    """
    contents = read_checkpoint(path)
    if not {"settings", "maps", "model_state_dict"} <= contents.keys():
        raise InputError(f"{path}: {_explain_foreign(contents)}")
    try:
        settings = ModelSettings(**contents["settings"])
    except TypeError as error:
        raise InputError(
            f"{path}: holds settings of another version ({error}); train or import it again"
        ) from error
    if settings.iterations not in range(MOST_ROUNDS + 1):
        raise InputError(
            f"{path}: has model.iterations {settings.iterations}, expected 0 to {MOST_ROUNDS}; use "
            "a model from a place that you trust"
        )
    weights = contents["model_state_dict"]
    try:
        with torch.device("meta"):  # only shapes: settings may ask for more memory than there is
            model = _network(settings, contents["maps"], weights)
        check_weights(model, weights, path)
    except (RuntimeError, OverflowError, TypeError) as error:  # sizes that no array can have
        raise InputError(
            f"{path}: holds settings that no network can have ({error}); train it again"
        ) from error
    load_weights(model, weights, path)
    return model.eval()


def copy_model(path: str | Path, copy: str | Path) -> None:
    """Copy the file of a model, which is read first, so that an error names the original.

    Raises:
        InputError: as ``load_model``.
    """
    load_model(path)
    with atomic_path(copy) as unfinished:
        shutil.copyfile(path, unfinished)


def _network(
    settings: ModelSettings, maps: Mapping[str, Any] | None, weights: Mapping[str, torch.Tensor]
) -> PoseNetwork:
    """Return the network of some settings, with the optional layers that ``weights`` have."""
    model = network_of(settings, maps)
    if any(name.startswith("adaptation.") for name in weights):
        model.add_adaptation()
    if any(name.startswith("known.") for name in weights):
        model.add_known()
    return model


def _explain_foreign(contents: Mapping[str, Any]) -> str:
    """Return why a file is not one of ``save_model``, and what to do."""
    if "model_state_dict" in contents:
        return (
            "holds weights without settings, as the authors' checkpoints do; import it as a "
            "published-... run (authors.models in the configuration), which adds them"
        )
    return f"holds {list_keys(contents)}, expected model_state_dict, settings and maps"


def save_state(
    path: str | Path, key: str, history: list[dict[str, float]], **parts: nn.Module | Optimizer
) -> None:
    """Save the state of an unfinished training, replacing the one before.

    ``key`` identifies everything that the training depends on; ``history`` has a row per epoch.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    _save({"key": key, "history": history, "states": states}, path)


def _save(contents: Mapping[str, Any], path: str | Path) -> None:
    # Through a Python file: torch's own writer does not say why a file cannot be written.
    with atomic_path(path) as partial, partial.open("wb") as file:
        torch.save(contents, file)


def restore_state(
    path: str | Path, key: str, **parts: nn.Module | Optimizer
) -> list[dict[str, float]]:
    """Restore the saved state of the parts of a training; return its history.

    Without a file, the parts stay as they are and the history is empty. The same holds for a
    damaged file or another key, and the reason is logged.
    """
    if not Path(path).exists():
        return []
    try:
        contents = read_checkpoint(path)
    except InputError as error:
        logger.warning("%s; the training starts over", error)
        return []
    if contents.get("key") != key:
        logger.warning(
            "%s belongs to a training with other settings, code or data; the training starts over",
            path,
        )
        return []
    for name, part in parts.items():
        part.load_state_dict(contents["states"][name])
    return contents["history"]
