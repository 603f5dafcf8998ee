"""Checkpoints of a tiny network, as the authors' are."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.published_network import RelPoseGNN

TINY = ModelSettings.published(backbone="resnet10", width=16)


def write_checkpoint(path: Path, state: dict) -> Path:
    """Write weights in the authors' layout, with states of optimizer and criterion."""
    contents = {
        "epoch": 39,
        "model_state_dict": OrderedDict(state),
        "optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []},
        "criterion_state_dict": {"sax": torch.zeros(1), "saq": torch.full((1,), -3.0)},
        "loss": np.float64(0.25),
    }
    torch.save(contents, path)
    return path


def tiny_state() -> dict[str, torch.Tensor]:
    """Return weights of the tiny network and of an unused second layer."""
    torch.manual_seed(0)
    return with_second_layer(RelPoseGNN(TINY).state_dict())


def with_second_layer(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights with a copy of their layer as the unused one of the 2021 files."""
    copies = {f"gnn2.{k[5:]}": v for k, v in state.items() if k.startswith("gnn1.")}
    return {**state, **copies}
