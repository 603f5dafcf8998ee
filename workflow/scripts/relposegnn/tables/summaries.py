"""Figures of the scenes that a table is made of, and their averages."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..metrics import copied_image, read_scores, summarise

AVERAGE = "average"  # stands for a scene
MEDIANS = ["median_translation_m", "median_rotation_deg"]
DIFFERENCES = ["difference_translation_m", "difference_rotation_deg"]
RATIOS = ["ratio_translation", "ratio_rotation"]


def average_scenes(numbers: pd.DataFrame) -> dict[str, str | float]:
    """Return the row that stands below those of the scenes.

    A figure is the mean over scenes (of their medians too, as papers do), counts are summed, and
    text is empty.
    """
    counts = numbers.select_dtypes("integer").sum().to_dict()
    means = numbers.mean(numeric_only=True, skipna=False).to_dict()
    return dict.fromkeys(numbers, "") | {"scene": AVERAGE} | means | counts


def summarise_scenes(
    rows: Sequence[tuple[str, str, str | Path]], recall: Sequence[tuple[float, float]]
) -> pd.DataFrame:
    """Return a row per scene (then the average) and estimator.

    The columns are ``run``, ``scene``, then as of ``metrics.summarise``, and among them
    ``ratio_*``: a median divided by that of the ``copied_image`` in the same scene, below 1 where
    an estimate is better than copying; unknown (NaN) where no image was copied.

    Args:
        rows: (run, scene, scores file) per scene.
        recall: pairs of thresholds (metres, degrees).

    Raises:
        InputError: a file cannot be read, or an error is missing or negative.
    """
    parts = {(run, scene): summarise(read_scores(path), recall) for run, scene, path in rows}
    scenes = pd.concat(parts, names=["run", "scene"]).reset_index(["run", "scene"])
    averages = [
        average_scenes(own) | {"estimator": name}
        for name, own in scenes.groupby("estimator", sort=False)
    ]
    numbers = pd.concat([scenes, pd.DataFrame(averages)], ignore_index=True)
    copied = numbers["estimator"] == copied_image(numbers["estimator"].to_list())
    base = numbers[copied].set_index("scene")[MEDIANS]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = numbers[MEDIANS].to_numpy() / base.reindex(numbers["scene"]).to_numpy()
    position = numbers.columns.get_loc("mean_rotation_deg") + 1
    for column, name in enumerate(RATIOS):
        numbers.insert(position + column, name, ratios[:, column])
    return numbers
