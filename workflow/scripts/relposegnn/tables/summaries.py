"""The figures of a table's scenes, their averages, and their spread over seeds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..estimates.predictions import copied_image
from ..pipeline.experiments import AVERAGE
from ..runtime import InputError
from ..scores.metrics import read_scores, summarise

# Run, scene, and its files of scores, one or more.
ScoresRow = tuple[str, str, *tuple[str | Path, ...]]
MEDIANS = ["median_translation_m", "median_rotation_deg"]
SPREADS = ["spread_translation_m", "spread_rotation_deg"]
DIFFERENCES = ["difference_translation_m", "difference_rotation_deg"]
EQUAL = 1e-9  # metres or degrees; medians that differ by less are equal
RATIOS = ["ratio_translation", "ratio_rotation"]


def average_scenes(numbers: pd.DataFrame) -> dict[str, str | float]:
    """Return the row of averages, below those of the scenes.

    Figures are averaged over scenes (medians too, as papers do), counts are summed, and text is
    empty.
    """
    counts = numbers.select_dtypes("integer").sum().to_dict()
    means = numbers.mean(numeric_only=True, skipna=False).to_dict()
    return dict.fromkeys(numbers, "") | {"scene": AVERAGE} | means | counts


def summarise_scenes(
    rows: Sequence[ScoresRow], recall: Sequence[tuple[float, float]]
) -> pd.DataFrame:
    """Return a row per scene (then the average) and estimator: means over seeds.

    The columns are ``run``, ``scene``, ``seeds`` (how many), and those of ``metrics.summarise``.
    Added are ``spread_*``, the sample standard deviation of a median over seeds (NaN for one
    seed), and ``ratio_*``, a median divided by that of the ``copied_image`` in the same scene:
    below 1 if an estimate is better than copying; unknown (NaN) if no image was copied. An average
    is also unknown if a scene lacks the estimator.

    Args:
        rows: one or more per scene; the k-th rows of all scenes have the same seed.
        recall: pairs of thresholds (metres, degrees).

    Raises:
        InputError: a file cannot be read, an error is missing or negative, or seeds differ in their
            estimators.
    """
    of_scenes: dict[str, list[ScoresRow]] = {}
    for row in rows:
        of_scenes.setdefault(row[1], []).append(row)
    seeds = list(zip(*of_scenes.values(), strict=True))
    repeats = [_summarise_seed(own, recall) for own in seeds]
    for own, figures in zip(seeds, repeats, strict=True):
        _check_alike(own, figures, repeats[0])
    numbers, medians = repeats[0], np.stack([own[MEDIANS] for own in repeats])
    spreads = np.full(medians.shape[1:], np.nan)
    if len(repeats) > 1:
        figures = numbers.select_dtypes("number").columns.drop("queries")
        means = np.mean([own[figures] for own in repeats], axis=0)  # NaN if one of them is
        numbers = numbers.assign(**dict(zip(figures, means.T, strict=True)))
        with np.errstate(invalid="ignore"):  # infinite medians have no spread
            spreads = medians.std(axis=0, ddof=1)
            spreads[np.ptp(medians, axis=0) < EQUAL] = 0  # seeds change these only by rounding
    numbers.insert(2, "seeds", len(repeats))
    position = numbers.columns.get_loc(MEDIANS[-1]) + 1
    for column, name in enumerate(SPREADS):
        numbers.insert(position + column, name, spreads[:, column])
    return numbers


def _check_alike(rows: Sequence[ScoresRow], numbers: pd.DataFrame, first: pd.DataFrame) -> None:
    """Check that a seed has the same estimators as the first seed in each scene."""
    for _, scene, *files in rows:
        found, expected = (
            own.loc[own["scene"] == scene, "estimator"].tolist() for own in (numbers, first)
        )
        if found != expected:
            raise InputError(
                f"{files[0]}: has the estimators {', '.join(found)}, expected those of the other "
                f"seeds, {', '.join(expected)}; predict and score all seeds with one configuration"
            )


def seeds_text(numbers: pd.DataFrame) -> str:
    """Return what a caption says about figures over several seeds; '' for one seed."""
    least, most = numbers["seeds"].min(), numbers["seeds"].max()
    if most == 1:
        return ""
    count, where = f"{most}", ""
    if least < most:
        count, where = f"{least} to {most}", " where there are several"
    return (
        f" Figures are means over {count} seeds of training, ± the standard deviation over them"
        f"{where}."
    )


def _summarise_seed(
    rows: Sequence[ScoresRow], recall: Sequence[tuple[float, float]]
) -> pd.DataFrame:
    """Return the figures of one seed: those of ``summarise_scenes`` without seeds and spreads."""
    parts = {
        (run, scene): summarise(pd.concat(read_scores(file, scene) for file in files), recall)
        for run, scene, *files in rows
    }
    scenes = pd.concat(parts, names=["run", "scene"]).reset_index(["run", "scene"])
    averages = []
    for name, own in scenes.groupby("estimator", sort=False):
        # A mean over only some of the scenes would mislead: it is unknown.
        unknown = [] if len(own) == len(parts) else own.select_dtypes("floating")
        averages.append(average_scenes(own) | dict.fromkeys(unknown, np.nan) | {"estimator": name})
    numbers = pd.concat([scenes, pd.DataFrame(averages)], ignore_index=True)
    copied = numbers["estimator"] == copied_image(numbers["estimator"].to_list())
    base = numbers[copied].set_index("scene")[MEDIANS]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = numbers[MEDIANS].to_numpy() / base.reindex(numbers["scene"]).to_numpy()
    position = numbers.columns.get_loc("mean_rotation_deg") + 1
    for column, name in enumerate(RATIOS):
        numbers.insert(position + column, name, ratios[:, column])
    return numbers
