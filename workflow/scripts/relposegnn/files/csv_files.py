"""CSV files, checked when they are read; files of errors name their data set and scene."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..runtime import InputError, atomic_path
from .owners import OfScene

LABELS = ["dataset", "scene"]  # first columns of files with a row per query
# Options of pandas: NA or nan may be a name; only empty fields are missing.
AS_WRITTEN = {"keep_default_na": False, "na_values": [""]}


def read_csv(path: str | Path, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """Return a CSV file that has at least ``columns`` and one row; ``options`` are of pandas.

    Raises:
        InputError: it cannot be read, or lacks a column or rows.
    """
    try:
        frame = pd.read_csv(path, **options)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise InputError(
            f"{path}: cannot be read as CSV ({error}); correct it or make it again"
        ) from error
    missing = [name for name in columns if name not in frame]
    if missing or frame.empty:
        found = f"{len(frame)} rows of {', '.join(frame)}"
        raise InputError(
            f"{path}: holds {found}, expected at least one row of {', '.join(columns)}; "
            "correct it or make it again"
        )
    return frame


def write_errors(path: str | Path, frame: pd.DataFrame, owner: OfScene) -> None:
    """Write a CSV file with a row per query, and its data set and scene in front."""
    frame = frame.assign(dataset=owner.dataset, scene=owner.scene)[[*LABELS, *frame]]
    with atomic_path(path) as partial:
        frame.to_csv(partial, index=False, float_format="%.9g")


def read_errors(
    path: str | Path, labels: Sequence[str], errors: Sequence[str], scene: str
) -> pd.DataFrame:
    """Return a CSV file of ``write_errors`` with these columns, checked; labels are text.

    Raises:
        InputError: as ``read_csv``, or it is of another scene, or an error is missing or negative.
    """
    labels = [*LABELS, *labels]
    types = dict.fromkeys(labels, str) | dict.fromkeys(errors, float)
    frame = read_csv(path, [*labels, *errors], dtype=types, **AS_WRITTEN)
    others = frame.loc[frame["scene"] != scene, "scene"]
    if len(others):
        raise InputError(
            f"{path}: is of the scene {others.iloc[0]!r}, expected {scene!r}; give the right file, "
            "or make it again"
        )
    wrong = ~(frame[errors] >= 0).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: errors of row {row + 2} are {frame.loc[row, errors].tolist()}, expected "
            "numbers >= 0, or inf for a failed query; make it again"
        )
    return frame
