"""The table of an experiment, and the one beside what was published of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..metrics import recall_column
from ..runtime import InputError
from .formats import Table, format_number, write_tables
from .literature import (
    compare_with_published,
    names_dataset,
    read_published,
    unknown_figures,
)
from .summaries import add_averages, pair_cells, summarise_scenes

EXPERIMENTS = {
    "joint": "one model trained on all scenes",
    "leave_one_out": "per scene, one model trained on the other scenes",
    "single_scene": "per scene, one model trained on it alone",
    "published": "the authors' joint model, run by this code",
    "published_leave_one_out": (
        "per scene, the authors' model trained on the other scenes, run by this code"
    ),
    "published_single_scene": (
        "per scene, the authors' model trained on it alone, run by this code"
    ),
}
IN_PAPER = {
    "joint": "Table 1",
    "leave_one_out": "Table 2",
    "single_scene": "Table 1 of the supplement",
}
ESTIMATORS_TEXT = (
    "First edge: the pose by the first edge into the query, as published: from the best-ranked "
    "neighbour, or with knn edges from the one nearest in feature space; all edges: the aggregate "
    "of all of them; reference neighbour: the pose of the best-ranked neighbour itself, nothing "
    "regressed."
)
TESTING_TEXT = (
    "Unlike in the published protocol, dropout is off at test time, and graphs that this code "
    "samples have a fixed seed."
)
TRAINING_TEXT = "Unlike in the released code, edge dropout, where set, takes effect in training."


def tabulate_experiment(
    rows: Sequence[tuple[str, str, str | Path]],
    csv_file: str | Path,
    markdown_file: str | Path,
    latex_file: str | Path,
    dataset: str,
    experiment: str,
    recall: Sequence[tuple[float, float]],
    published_file: str | Path | None = None,
    published_dataset: str | None = None,
    remarks: str = "",
) -> None:
    """Write the table of one experiment, and beside it what was published.

    Args:
        rows: (run, scene, scores file) per scene.
        csv_file: all figures as numbers, a row per scene and estimator, then their averages.
        markdown_file: the same to read, and the comparison.
        latex_file: the same for a paper.
        dataset: name of the dataset.
        experiment: a key of ``EXPERIMENTS``.
        recall: pairs of thresholds (metres, degrees).
        published_file: CSV of published results; None for no comparison. Where it has no rows of
            the experiment's table, the paper's figures are shown as unknown.
        published_dataset: name of the dataset in that file; None: as ``dataset``.
        remarks: settings worth knowing beside the published ones, added to the captions.

    Raises:
        InputError: a scene occurs twice, estimators differ between scenes, a file cannot be read.
    """
    if experiment not in EXPERIMENTS:
        known = ", ".join(EXPERIMENTS)
        raise InputError(f"experiment {experiment!r} is unknown; expected one of {known}")
    summary = summarise_scenes(rows, recall)
    numbers = add_averages(summary)
    label = f"{dataset}-{experiment}".replace("_", "-")
    tables = [_experiment_table(numbers, label, dataset, experiment, recall, remarks)]
    if published_file:
        name = published_dataset or dataset
        published, text = _published_figures(
            published_file, name, experiment, summary["scene"].unique()
        )
        caption = _comparison_caption(experiment, text, remarks)
        tables.append(compare_with_published(summary, published, f"{label}-published", caption))
    write_tables(numbers, tables, csv_file, markdown_file, latex_file)


def trained_experiment(experiment: str) -> str:
    """Return the experiment whose models an experiment tests: the authors' or our own."""
    return "joint" if experiment == "published" else experiment.removeprefix("published_")


def _published_figures(
    published_file: str | Path, dataset: str, experiment: str, scenes: Sequence[str]
) -> tuple[pd.DataFrame, str]:
    """Return what was published of an experiment, and what to say of it in a caption."""
    kind = trained_experiment(experiment)
    published = read_published(published_file, f"{dataset}/{kind}")
    if not published.empty:
        text = f"table {dataset}/{kind}, as printed by the sources below; — where nothing is known"
        return published, text
    text = "figures of this dataset are not known to this project"
    if names_dataset(published_file, dataset):
        text = (
            f"the figures of this experiment are in the paper ({IN_PAPER[kind]}), but not known to "
            "this project"
        )
    return unknown_figures(f"{dataset}/{kind}", scenes), f"{text}, and shown as —"


def _experiment_table(
    numbers: pd.DataFrame,
    label: str,
    dataset: str,
    experiment: str,
    recall: Sequence[tuple[float, float]],
    remarks: str,
) -> Table:
    """Return the table of scenes and estimators to read."""
    first = ~numbers["scene"].duplicated()
    cells = pd.DataFrame(
        {
            "scene": numbers["scene"].where(first, ""),
            "estimator": numbers["estimator"],
            "queries": numbers["queries"].astype(str),
            "failed": numbers["failed"].astype(str),
            "median": pair_cells(numbers, "median_translation_m", "median_rotation_deg"),
            "mean": pair_cells(numbers, "mean_translation_m", "mean_rotation_deg"),
            "ratio": pair_cells(numbers, "ratio_translation", "ratio_rotation", (2, 2)),
        }
    )
    for metres, degrees in recall:
        shares = 100 * numbers[recall_column(metres, degrees)]
        cells[f"{100 * metres:.4g} cm {degrees:.4g}°"] = [format_number(s, 1) for s in shares]
    caption = (
        f"{_sentence(EXPERIMENTS[experiment])} Median and mean error over the test queries, in "
        "metres / degrees; ratio of the median to that of the reference neighbour; recall in % of "
        "the queries within both thresholds. A failed query counts as an infinite error. Average: "
        f"mean over scenes, queries and failures summed. {ESTIMATORS_TEXT} {remarks}".rstrip()
    )
    rules = tuple(np.flatnonzero(first.to_numpy())[1:].tolist())
    title = f"{dataset}, {experiment.replace('_', ' ')}"
    return Table(label, title, caption, cells, text_columns=2, rules=rules)


def _sentence(text: str) -> str:
    """Return text as a sentence."""
    return f"{text[0].upper()}{text[1:]}."


def _comparison_caption(experiment: str, published: str, remarks: str) -> str:
    """Return what one must know to read ours beside published figures."""
    own_training = trained_experiment(experiment) == experiment
    protocol = f"{TESTING_TEXT} {TRAINING_TEXT}" if own_training else TESTING_TEXT
    return (
        "Median error over the test queries, in metres / degrees. "
        f"Ours: {EXPERIMENTS[experiment]}. Published: {published}. "
        "Average: mean over all scenes of this table. Differences are from "
        "unrounded medians of ours (first edge, the published protocol), negative where ours is "
        f"better. {protocol} {remarks}".rstrip()
    )
