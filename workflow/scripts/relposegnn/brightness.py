"""Images too dark for what looks at them: as many times brighter as they need."""

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Grey = TypeVar("Grey", "np.float64", "Tensor")

# Mean grey level, 0 to 255, that darker images are brought to. Every image of the kitchen and of
# generated rooms has more than 85 and stays as it is. Brighter is no better: docs/experiments.md.
LEAST = 64.0
MOST_TIMES = 64.0  # brighter, at most: a black image stays black


def brightening(mean: Grey) -> Grey:
    """Return the factors that images are brightened by, 1 or more, from their mean grey levels.

    A number or any shape of them. Key points are found by contrast, and encoders were trained on
    images as people take them: in the dark, both see nothing where there is much to see.
    """
    return LEAST / mean.clip(LEAST / MOST_TIMES, LEAST)
