"""The table of our estimates beside the published ones, query by query."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..authors.comparison import (
    ANGLE,
    DISTANCE,
    THEIR_ROTATION,
    THEIR_TRANSLATION,
    read_comparison,
)
from ..metrics import ROTATION, TRANSLATION
from ..runtime import InputError
from .experiments import EXPERIMENTS
from .formats import Table, write_tables
from .literature import AVERAGE
from .summaries import pair_cells

CAPTION = (
    "Estimates of this code and the estimates that the authors published, of the same test "
    "queries, matched by name or true pose; queries in one of the two alone are left out. Ours: "
    "{experiment}; first edge, the published protocol, but with dropout off at test time, and with "
    "a fixed seed where this code samples the graphs. Published: the authors' joint model. Medians "
    "over queries, in metres / degrees. Difference: our median minus theirs, negative where ours "
    "is better. Between: median distance and angle between the two estimates of a query. Better: "
    "share of the queries in % where our error is the smaller, in translation / rotation. A failed "
    "query counts as an infinite error. Average: mean over scenes, queries summed."
)


def tabulate_predictions(
    rows: Sequence[tuple[str, str, str | Path]],
    csv_file: str | Path,
    markdown_file: str | Path,
    latex_file: str | Path,
    dataset: str,
    experiment: str,
) -> None:
    """Write what the comparisons of single queries come to, per scene.

    Args:
        rows: (run, scene, comparison file) per scene, see ``compare_predictions``.
        csv_file: figures as numbers, a row per scene, then their average.
        markdown_file: the same to read.
        latex_file: the same for a paper.
        dataset: name of the dataset.
        experiment: a key of ``EXPERIMENTS``: what ours are.

    Raises:
        InputError: no rows, a scene occurs twice, or a file cannot be read.
    """
    scenes = [scene for _, scene, _ in rows]
    if not rows or len(set(scenes)) < len(scenes):
        raise InputError(f"got scenes {scenes}, expected at least one, and each of them once")
    numbers = pd.DataFrame(
        [
            {"run": run, "scene": scene} | _summarise(read_comparison(path))
            for run, scene, path in rows
        ]
    )
    average = numbers.mean(numeric_only=True, skipna=False).to_dict()
    totals = {"run": "", "scene": AVERAGE, "queries": numbers["queries"].sum()}
    numbers = pd.concat([numbers, pd.DataFrame([average | totals])], ignore_index=True)
    table = _prediction_table(numbers, dataset, experiment)
    write_tables(numbers, [table], csv_file, markdown_file, latex_file)


def _summarise(comparison: pd.DataFrame) -> dict[str, float]:
    """Return the figures of one scene."""
    names = [TRANSLATION, ROTATION, THEIR_TRANSLATION, THEIR_ROTATION, DISTANCE, ANGLE]
    ours_m, ours_deg, their_m, their_deg, metres, degrees = (
        float(np.median(comparison[name])) for name in names
    )
    with np.errstate(invalid="ignore"):
        difference = np.subtract([ours_m, ours_deg], [their_m, their_deg])
    return {
        "queries": len(comparison),
        "median_translation_m": ours_m,
        "median_rotation_deg": ours_deg,
        "published_median_translation_m": their_m,
        "published_median_rotation_deg": their_deg,
        "difference_translation_m": difference[0],
        "difference_rotation_deg": difference[1],
        "median_distance_m": metres,
        "median_angle_deg": degrees,
        "better_translation": (comparison[TRANSLATION] < comparison[THEIR_TRANSLATION]).mean(),
        "better_rotation": (comparison[ROTATION] < comparison[THEIR_ROTATION]).mean(),
    }


def _prediction_table(numbers: pd.DataFrame, dataset: str, experiment: str) -> Table:
    """Return the table to read."""
    shares = 100 * numbers[["better_translation", "better_rotation"]]
    columns = ("median_translation_m", "median_rotation_deg")
    theirs = [f"published_{name}" for name in columns]
    differences = ("difference_translation_m", "difference_rotation_deg")
    cells = pd.DataFrame(
        {
            "scene": numbers["scene"],
            "queries": numbers["queries"].astype(str),
            "ours": pair_cells(numbers, *columns),
            "published": pair_cells(numbers, *theirs),
            "difference": pair_cells(numbers, *differences, sign="+"),
            "between": pair_cells(numbers, "median_distance_m", "median_angle_deg"),
            "better": pair_cells(shares, *shares, (1, 1)),
        }
    )
    label = f"{dataset}-predictions-{experiment}".replace("_", "-")
    title = f"{dataset}, {experiment.replace('_', ' ')}, beside published predictions"
    caption = CAPTION.format(experiment=EXPERIMENTS[experiment])
    return Table(label, title, caption, cells, rules=(len(numbers) - 1,))
