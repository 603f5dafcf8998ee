"""Files of the network: trained models, resumable trainings, pretrained encoders."""

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .model import ModelSettings, RelPoseGNN
from .runtime import InputError, atomic_path
from .version import VERSION
from .weights import list_keys, load_weights, read_checkpoint

logger = logging.getLogger(__name__)

UNUSED_PREFIX = "gnn2."  # a second layer in the published 2021 checkpoints that no pass uses


def load_backbone(model: RelPoseGNN, path: str | Path) -> None:
    """Start the image encoder from torchvision's ImageNet weights, all but the last layer."""
    pretrained = read_checkpoint(path)
    own = model.feature_extractor.state_dict()
    last = {key: own[key] for key in ("fc.weight", "fc.bias")}
    load_weights(model.feature_extractor, {**pretrained, **last}, path)


def save_model(path: str | Path, model: RelPoseGNN, epoch: int | None, scenes: list[str]) -> None:
    """Write a trained model in the published layout, with its settings beside the weights.

    ``epoch`` is None where an imported model does not tell it.
    """
    contents = {
        "model_state_dict": model.state_dict(),
        "epoch": epoch,
        "settings": asdict(model.settings),
        "scenes": list(scenes),
        "version": VERSION,
    }
    with atomic_path(path) as partial:
        torch.save(contents, partial)


def load_model(path: str | Path) -> RelPoseGNN:
    """Return the model of a file written by ``save_model``, on the CPU, in evaluation mode.

    Raises:
        InputError: the file cannot be read, is no model of ours, or holds settings that this
            version does not know.
    """
    contents = read_checkpoint(path)
    if "settings" not in contents or "model_state_dict" not in contents:
        raise InputError(f"{path}: {_explain_foreign(contents)}")
    try:
        settings = ModelSettings(**contents["settings"])
    except TypeError as error:
        raise InputError(
            f"{path}: holds settings of another version ({error}); train or import it again"
        ) from error
    model = RelPoseGNN(settings)
    state = contents["model_state_dict"]
    used = {key: value for key, value in state.items() if not key.startswith(UNUSED_PREFIX)}
    load_weights(model, used, path)
    return model.eval()


def _explain_foreign(contents: Mapping[str, Any]) -> str:
    """Return why a file is no model of ours, and what to do."""
    if "model_state_dict" in contents:
        return (
            "holds weights without settings, as published checkpoints do; import it as a "
            "published-... run (authors.models in the configuration), which adds them"
        )
    return f"holds {list_keys(contents)}, expected model_state_dict and settings"


class TrainingCheckpoint:
    """The state of an unfinished training, in a folder beside its output.

    The folder ``<model file>.ckpt`` is unknown to Snakemake, which thus keeps it when a training is
    killed. ``key`` stands for everything that the training depends on: a state with another key is
    not resumed.
    """

    def __init__(self, model_file: str | Path, key: str) -> None:
        """Name the checkpoint of ``model_file``; nothing is read or written yet."""
        self.folder = Path(f"{model_file}.ckpt")
        self.path = self.folder / "last.pt"
        self.key = key

    def load(self) -> dict[str, Any] | None:
        """Return the state to resume from; None, with the reason logged, to start over."""
        if not self.path.exists():
            return None
        try:
            contents = read_checkpoint(self.path)
        except InputError as error:
            logger.warning("%s; the training starts over", error)
            return None
        if contents["key"] != self.key:
            logger.warning(
                "%s belongs to a training with other settings, code or data; the training starts "
                "over",
                self.path,
            )
            return None
        return contents["state"]

    def save(self, state: dict[str, Any]) -> None:
        """Replace the stored state, in one step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        torch.save({"key": self.key, "state": state}, partial)
        os.replace(partial, self.path)

    def remove(self) -> None:
        """Remove the folder, once the final output is in place."""
        shutil.rmtree(self.folder, ignore_errors=True)
