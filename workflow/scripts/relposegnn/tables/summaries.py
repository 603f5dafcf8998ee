"""Figures of the scenes that a table is made of, their averages, and how they print."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..metrics import REFERENCE, read_scores, summarise
from ..runtime import InputError
from .formats import format_pair
from .literature import AVERAGE

MEDIANS = ["median_translation_m", "median_rotation_deg"]


def summarise_scenes(
    rows: Sequence[tuple[str, str, str | Path]], recall: Sequence[tuple[float, float]]
) -> pd.DataFrame:
    """Return the summary of every scene: ``run``, ``scene``, then as ``metrics.summarise``.

    Raises:
        InputError: no rows, a scene occurs twice, or estimators differ between scenes.
    """
    scenes = [scene for _, scene, _ in rows]
    if not rows or len(set(scenes)) < len(scenes):
        raise InputError(f"got scenes {scenes}, expected at least one, and each of them once")
    parts = []
    for run, scene, scores_file in rows:
        part = summarise(read_scores(scores_file), recall)
        part.insert(0, "run", run)
        part.insert(1, "scene", scene)
        if set(part["estimator"]) != set(parts[0]["estimator"] if parts else part["estimator"]):
            raise InputError(
                f"{scores_file}: has estimators {', '.join(part['estimator'])}, while scene "
                f"{scenes[0]} has {', '.join(parts[0]['estimator'])}; score all scenes again"
            )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def add_averages(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the summary with averages over scenes below, and ratios to the reference neighbour.

    An average is the mean over scenes of their figures (of medians too, as papers do); queries
    and failures are summed. ``ratio_*`` is a median divided by that of the reference neighbour in
    the same scene, below 1 where regression helps; unknown (NaN) without a reference neighbour.
    """
    averages = summary.groupby("estimator", sort=False).mean(numeric_only=True)
    totals = summary.groupby("estimator", sort=False)[["queries", "failed"]].sum()
    averages[["queries", "failed"]] = totals
    averages = averages.reset_index().assign(scene=AVERAGE, run="")
    numbers = pd.concat([summary, averages[summary.columns]], ignore_index=True)
    reference = numbers[numbers["estimator"] == REFERENCE].set_index("scene")[MEDIANS]
    reference = reference.reindex(numbers["scene"]).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = numbers[MEDIANS].to_numpy() / reference
    position = numbers.columns.get_loc("mean_rotation_deg") + 1
    numbers.insert(position, "ratio_translation", ratios[:, 0])
    numbers.insert(position + 1, "ratio_rotation", ratios[:, 1])
    return numbers


def pair_cells(
    numbers: pd.DataFrame,
    metres: str,
    degrees: str,
    decimals: tuple[int, int] = (3, 2),
    sign: str = "",
) -> list[str]:
    """Return the cells of a table column made of two columns of numbers."""
    pairs = numbers[[metres, degrees]].itertuples(index=False)
    return [format_pair(*pair, decimals, sign) for pair in pairs]
