"""The training loss: weighted L1 error of relative poses (paper, section 3.3)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class RelativePoseLoss(NamedTuple):
    """A batch's loss and its parts.

    Attributes:
        total: the weighted loss that is minimised.
        translation: mean absolute error per coordinate in metres; ``total`` has it divided by the
            translation deviation.
        rotation: mean absolute error per coordinate of the log-quaternion, half radians.
    """

    total: Tensor
    translation: Tensor
    rotation: Tensor


class RelativePoseCriterion(nn.Module):
    """L1 loss with learned weights of translation and rotation (Kendall & Cipolla 2017, eq. 4)."""

    def __init__(
        self,
        initial_s_t: float,
        initial_s_q: float,
        translation_deviation: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        """Start from the given logarithms of the variances.

        Translation errors are minimised in units of ``translation_deviation``, metres per axis, so
        s_t refers to standardised translations.
        """
        super().__init__()
        self.s_t = nn.Parameter(torch.tensor(float(initial_s_t)))
        self.s_q = nn.Parameter(torch.tensor(float(initial_s_q)))
        deviation = torch.tensor(translation_deviation, dtype=torch.float32)
        self.register_buffer("translation_deviation", deviation, persistent=False)

    def forward(self, relative_E6: Tensor, true_E6: Tensor) -> RelativePoseLoss:
        """Compare regressed with true relative poses, metres and half radians."""
        error_E6 = (relative_E6 - true_E6).abs()
        metres, rotation = error_E6[:, :3], error_E6[:, 3:].mean()
        translation = (metres / self.translation_deviation).mean()
        total = (
            translation * torch.exp(-self.s_t) + self.s_t
            + rotation * torch.exp(-self.s_q) + self.s_q
        )  # fmt: skip
        return RelativePoseLoss(total, metres.mean(), rotation)
