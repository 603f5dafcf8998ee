"""The table of our estimates beside the authors', query by query."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..authors.comparison import FIGURES
from ..files.csv_files import read_errors
from ..pipeline.experiments import EXPERIMENTS
from .formats import Table, TableFiles, format_pairs, write_tables
from .summaries import DIFFERENCES, MEDIANS, average_scenes

THEIR_MEDIANS = [f"published_{name}" for name in MEDIANS]
BETWEEN = ["median_distance_m", "median_angle_deg"]
BETTER = ["better_translation", "better_rotation"]
CAPTION = (
    "Our estimates and those that the authors published, of the same test queries. Medians over "
    "queries, in metres / degrees. Ours: {experiment}; first edge. Published: their joint model."
)
NOTES = (
    "Queries are matched by name or true pose; those that only one of the two has are left out. "
    "Ours follow the published protocol, but with dropout off at test time, and with a fixed seed "
    "where this code samples the graphs. A failed query counts as an infinite error.",
    "Difference: our median minus theirs, negative where ours is better. Between: median distance "
    "and angle between the two estimates of a query. Better: share of the queries in % where our "
    "error is the smaller, in translation / rotation. Average: mean over scenes; queries are "
    "summed.",
)


def tabulate_predictions(
    rows: Sequence[tuple[str, str, str | Path]],
    files: TableFiles,
    dataset: str,
    experiment: str,
) -> None:
    """Write the table that summarises the comparisons of single queries, per scene.

    Args:
        rows: (run, scene, comparison file) per scene, see ``compare_predictions``.
        files: to write; a row per scene, then their average.
        dataset: name of the dataset.
        experiment: of our estimates, a key of ``EXPERIMENTS``.

    Raises:
        InputError: a file cannot be read, or a figure is missing or negative.
    """
    numbers = pd.DataFrame(
        [
            {"run": run, "scene": scene} | _summarise(read_errors(path, ["query"], FIGURES, scene))
            for run, scene, path in rows
        ]
    )
    numbers.loc[len(numbers)] = average_scenes(numbers)
    cells = pd.DataFrame(
        {
            "scene": numbers["scene"],
            "queries": numbers["queries"].astype(str),
            "ours": format_pairs(numbers[MEDIANS]),
            "published": format_pairs(numbers[THEIR_MEDIANS]),
            "difference": format_pairs(numbers[DIFFERENCES], sign="+"),
            "between": format_pairs(numbers[BETWEEN]),
            "better": format_pairs(100 * numbers[BETTER], (1, 1)),
        }
    )
    label = f"{dataset}-predictions-{experiment}"
    title = f"{dataset}, {experiment.replace('_', ' ')}, beside published predictions"
    caption = CAPTION.format(experiment=EXPERIMENTS[experiment])
    table = Table(label, title, caption, cells, rules=[len(rows)], notes=NOTES)
    write_tables(files, numbers, table)


def _summarise(comparison: pd.DataFrame) -> dict[str, float]:
    """Return the figures of one scene."""
    figures = comparison[FIGURES].to_numpy().reshape(-1, 3, 2)  # ours, theirs, between them
    ours, theirs, between = np.median(figures, axis=0)
    with np.errstate(invalid="ignore"):  # both infinite: the difference is unknown, NaN
        difference = ours - theirs
    better = (figures[:, 0] < figures[:, 1]).mean(axis=0)
    names = [*MEDIANS, *THEIR_MEDIANS, *DIFFERENCES, *BETWEEN, *BETTER]
    values = np.concatenate([ours, theirs, difference, between, better])
    return {"queries": len(comparison)} | dict(zip(names, values, strict=True))
