"""CSV files, checked when they are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .runtime import InputError


def read_csv(path: str | Path, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """Return a CSV file that has at least ``columns`` and one row; ``options`` are of pandas.

    Raises:
        InputError: it has not, or cannot be read.
    """
    try:
        frame = pd.read_csv(path, **options)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise InputError(
            f"{path}: cannot be read as CSV ({error}); mend it or make it again"
        ) from error
    missing = [name for name in columns if name not in frame]
    if missing or frame.empty:
        found = f"{len(frame)} rows of {', '.join(frame)}"
        raise InputError(
            f"{path}: holds {found}; expected at least one row of {', '.join(columns)}; "
            "mend it or make it again"
        )
    return frame


def read_errors(path: str | Path, labels: Sequence[str], errors: Sequence[str]) -> pd.DataFrame:
    """Return a CSV file of errors with these columns, checked.

    Raises:
        InputError: as ``read_csv``, or an error is missing or negative.
    """
    frame = read_csv(path, [*labels, *errors])
    wrong = ~(frame[errors] >= 0).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: errors of row {row + 2} are {frame.loc[row, errors].tolist()}, expected "
            "numbers >= 0, or inf for a failed query; make it again"
        )
    return frame
