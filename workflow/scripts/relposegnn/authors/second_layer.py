"""Was the second layer of message passing in the authors' 2021 checkpoints ever used?

Their keys fit two networks: one repeats the first layer and never uses the second, the other uses
both. A file shows which one it is, because an unused layer got no gradient: its weights still are
as torch initialised them, uniform within 1 / sqrt(inputs), and Adam's state has no entry for them.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

FIRST_LAYER, SECOND_LAYER = "gnn1.", "gnn2."  # prefixes of their keys
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # in the weights, but not trained
# The deviation of a thousand uniform samples is that of the distribution to within 3 %.
DEVIATION_TOLERANCE, FEWEST_NUMBERS = 0.05, 1000


class Finding(NamedTuple):
    """What a checkpoint shows about its second layer.

    Attributes:
        used: whether it was used in training; None if the evidence is contradictory.
        text: the evidence in words.
    """

    used: bool | None
    text: str


def examine_second_layer(contents: Mapping[str, Any]) -> Finding:
    """Return what a checkpoint with a second layer shows about it.

    Args:
        contents: with ``model_state_dict``, and maybe Adam's state in ``optimizer_state_dict``.
    """
    state = contents["model_state_dict"]
    untouched = _as_drawn({k: v for k, v in state.items() if str(k).startswith(SECOND_LAYER)})
    weights = "weights as torch draws them" if untouched else "weights not as torch draws them"
    updated = _updated_by_adam(state, contents.get("optimizer_state_dict"))
    if updated is None:
        used, adam = not untouched, "Adam's state unknown"
    else:
        used = updated if updated != untouched else None
        adam = f"{'an entry' if updated else 'no entry'} in Adam's state"
    verdict = {True: "used", False: "unused", None: "unclear, the evidence is contradictory"}
    return Finding(used, f"{verdict[used]} ({weights}, {adam})")


def _as_drawn(layer: Mapping[str, torch.Tensor]) -> bool:
    """Return whether weights and biases are uniform within 1 / sqrt(inputs) of their layer."""
    for key, values in layer.items():
        weight = layer.get(f"{str(key).rpartition('.')[0]}.weight")
        if not all(isinstance(t, torch.Tensor) and t.is_floating_point() for t in (weight, values)):
            return False
        bound = 1 / math.sqrt(weight.shape[-1])
        if values.abs().max() > bound * (1 + 1e-6):
            return False
        deviation = values.float().std() / (bound / math.sqrt(3))
        if values.numel() >= FEWEST_NUMBERS and abs(deviation - 1) > DEVIATION_TOLERANCE:
            return False
    return True


def _updated_by_adam(state: Mapping[str, torch.Tensor], optimizer: object) -> bool | None:
    """Return whether Adam has an entry for the second layer; None if that cannot be determined.

    Adam numbers parameters in the order of the weights, without buffers; those of the loss follow.
    This order is verified: moments must have their parameters' shapes, and the first layer, which
    is always used, must have an entry.
    """
    try:
        entries = {number: entry["exp_avg"].shape for number, entry in optimizer["state"].items()}
        numbers = [number for group in optimizer["param_groups"] for number in group["params"]]
    except (TypeError, KeyError, AttributeError):
        return None
    parameters = [key for key in state if str(key).rpartition(".")[2] not in BUFFERS]
    if len(numbers) < len(parameters):
        return None
    shapes = {key: entries.get(number) for key, number in zip(parameters, numbers, strict=False)}
    if any(
        shape is not None and shape != getattr(state[key], "shape", None)
        for key, shape in shapes.items()
    ):
        return None

    def updated(layer: str) -> bool:
        """Return whether the optimizer has updated a parameter of a layer."""
        return any(shapes[key] is not None for key in parameters if str(key).startswith(layer))

    return updated(SECOND_LAYER) if updated(FIRST_LAYER) else None
