"""The table of photos: its columns, and the values of a row without a pose."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..estimates.predictions import EDGE_SPREADS
from ..scores.metrics import STATED
from .cameras import CAMERA

POSE = ["tx", "ty", "tz", "qw", "qx", "qy", "qz"]
COLUMNS = ["image", *POSE, "confidence", "accepted", *STATED, "similarity", *EDGE_SPREADS]
COLUMNS += ["points", "nearest", *CAMERA]
# Values for a photo that cannot be read; all other columns are NaN.
ABSENT = {"confidence": 0.0, "accepted": False, "points": 0, "nearest": "", "width": 0, "height": 0}
NO_PHOTOS = pd.DataFrame([{"image": "", **ABSENT}]).reindex(columns=COLUMNS)[:0]


class Localised(NamedTuple):
    """Localised photos.

    Attributes:
        table: a row per photo, see ``Localiser.localise``.
        covariances: (N, 3, 3) of the camera centres, up to a factor.
    """

    table: pd.DataFrame
    covariances: np.ndarray
