"""Brightening of images that are too dark for encoders and for the search of key points."""

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Grey = TypeVar("Grey", "np.float64", "Tensor")

# Darker images are brightened to this mean grey level, 0 to 255. Every image of the kitchen and of
# generated rooms has more than 85 and does not change. A higher level is no better, see
# docs/experiments.md.
LEAST = 64.0
MOST_TIMES = 64.0  # largest factor: a black image stays black


def brightening(mean: Grey) -> Grey:
    """Return the factors, 1 or more, by which images are brightened, from their mean grey levels.

    ``mean`` is a number, or an array of any shape. Key points are found by contrast, and encoders
    were trained on usual photos: both fail on dark images that still show much.
    """
    return LEAST / mean.clip(LEAST / MOST_TIMES, LEAST)
