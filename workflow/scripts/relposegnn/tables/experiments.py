"""The table of an experiment, and the one that compares it with the literature."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..estimates.predictions import (
    AFFINE,
    ALL_EDGES,
    FIRST_EDGE,
    MOST_SIMILAR,
    REFERENCE,
    REFINED,
    copied_image,
)
from ..estimates.yardsticks import COMBINED
from ..pipeline.experiments import AVERAGE, EXPERIMENTS, trained_experiment
from ..scores.metrics import KEPT, WITHIN, recall_column
from .formats import Table, TableFiles, format_count, format_number, format_pairs, write_tables
from .literature import UNKNOWN_FIGURES, Literature, compare_with_literature, read_literature
from .summaries import MEDIANS, RATIOS, SPREADS, ScoresRow, seeds_text, summarise_scenes

IN_PAPER = {
    "joint": "Table 1",
    "leave_one_out": "Table 2",
    "single_scene": "Table 1 of the supplement",
}
ESTIMATOR_TEXTS = {
    MOST_SIMILAR: "the pose of the database image with the most similar descriptor, copied",
    AFFINE: (
        f"of the poses of the {COMBINED} most similar images, with the weights that best "
        "reconstruct the query's descriptor from theirs; a baseline without a network, like copying"
    ),
    REFERENCE: "the pose of the graph's first neighbour, copied",
    FIRST_EDGE: (
        "the pose from the first edge into the query (the published protocol), which comes from "
        "the best-ranked neighbour, or with knn edges from the one nearest in feature space"
    ),
    ALL_EDGES: "the poses from all edges into the query, aggregated",
    REFINED: (
        "that aggregate, refined by SIFT matches with database images, without a stored 3D model. "
        "Kept: queries with too few matches, which keep the aggregate"
    ),
}
STATED_TEXT = (
    "68 %, 95 %: queries, in %, whose errors in metres / degrees are within those that are stated "
    "for 68 % and for 95 %. "
)
COUNTING_TEXT = (
    "A failed query counts as an infinite error. Average: mean over scenes; queries and failures "
    "are summed."
)
TESTING_TEXT = (
    "Unlike in the published protocol, dropout is off at test time, and graphs that this code "
    "samples have a fixed seed."
)
TRAINING_TEXT = (
    "Unlike in the released code, edge dropout, if set, takes effect in training, and training "
    "uses bfloat16 on GPUs that support it, unless training.mixed_precision is off."
)


def tabulate_experiment(
    rows: Sequence[ScoresRow],
    files: TableFiles,
    dataset: str,
    experiment: str,
    recall: Sequence[tuple[float, float]],
    literature: Literature | None = None,
    remarks: str = "",
) -> None:
    """Write the table of one experiment, and a comparison with the figures that papers printed.

    Args:
        rows: (run, scene, scores file) per scene; further rows of a scene are further seeds.
        files: to write; the numbers have a row per scene (then the average) and estimator.
        dataset: name of the dataset.
        experiment: a key of ``EXPERIMENTS``.
        recall: pairs of thresholds (metres, degrees).
        literature: figures of papers; None for no comparison. If it lacks the experiment, the
            paper's figures are shown as unknown.
        remarks: settings that matter for the comparison, added to the notes.

    Raises:
        InputError: a file cannot be read.
    """
    numbers = summarise_scenes(rows, recall)
    tables = [_experiment_table(numbers, dataset, experiment, recall, remarks)]
    if literature:
        printed, text = _printed_figures(literature, experiment)
        notes = _comparison_notes(experiment, f"{seeds_text(numbers)} {remarks}".strip())
        caption = (
            "Median error over the test queries, in metres / degrees. Ours: "
            f"{EXPERIMENTS[experiment]}. Published: {text}."
        )
        label = f"{tables[0].label}-published"
        tables.append(compare_with_literature(numbers, printed, label, (caption, *notes)))
    write_tables(files, numbers, *tables)


def _printed_figures(literature: Literature, experiment: str) -> tuple[pd.DataFrame, str]:
    """Return the printed figures of an experiment, and a text about them for a caption."""
    kind = trained_experiment(experiment)
    known = read_literature(literature)
    if kind in known:
        table = f"{literature.dataset}/{kind}"
        text = f"table {table}, as printed in the sources below; — is unknown"
        return known[kind], text
    text = "figures of this dataset are not known to this project"
    if known:
        text = "the paper has no such experiment"
        if kind in IN_PAPER:
            text = (
                f"the figures of this experiment are in the paper ({IN_PAPER[kind]}), but not "
                "known to this project"
            )
    return UNKNOWN_FIGURES, f"{text}, and shown as —"


def _experiment_table(
    numbers: pd.DataFrame,
    dataset: str,
    experiment: str,
    recall: Sequence[tuple[float, float]],
    remarks: str,
) -> Table:
    """Return the table to read, of scenes and estimators."""
    about, known = EXPERIMENTS[experiment], numbers["estimator"].tolist()
    copied = copied_image(known)
    ratio = f"ratio of the median to that of the {copied}; " if copied else ""
    caption = (
        f"{about[0].upper()}{about[1:]}. Median and mean error over the test queries, in "
        f"metres / degrees; {ratio}recall in % of the queries within both thresholds."
    )
    explained = [
        f"{name[0].upper()}{name[1:]}: {text}."
        for name, text in ESTIMATOR_TEXTS.items()
        if name in known
    ]
    stated = STATED_TEXT if numbers[WITHIN].notna().any(axis=None) else ""
    notes = [f"{stated}{COUNTING_TEXT}{seeds_text(numbers)}", " ".join(explained), remarks]
    return Table(
        f"{dataset}-{experiment}",
        f"{dataset}, {experiment.replace('_', ' ')}",
        caption,
        _experiment_cells(numbers, recall),
        text_columns=2,
        rules=np.flatnonzero(~numbers["scene"].duplicated())[1:].tolist(),
        notes=[note for note in notes if note],
        hint=gain_hint(numbers),
    )


def _experiment_cells(numbers: pd.DataFrame, recall: Sequence[tuple[float, float]]) -> pd.DataFrame:
    """Return the cells of the table, by column."""
    first = ~numbers["scene"].duplicated()
    means = ["mean_translation_m", "mean_rotation_deg"]
    cells = pd.DataFrame(
        {
            "scene": numbers["scene"].where(first, ""),
            "estimator": numbers["estimator"],
            "queries": numbers["queries"].astype(str),
            "failed": [format_count(failed) for failed in numbers["failed"]],
            "median": format_pairs(numbers[MEDIANS], spreads=numbers[SPREADS]),
            "mean": format_pairs(numbers[means]),
            "ratio": format_pairs(numbers[RATIOS], (2, 2)),
        }
    )
    if REFINED in cells["estimator"].to_list():
        kept = [format_count(count) for count in numbers[KEPT]]
        cells[KEPT] = pd.Series(kept).where(numbers["estimator"] == REFINED, "")
    for metres, degrees in recall:
        shares = 100 * numbers[recall_column(metres, degrees)]
        cells[f"{100 * metres:.4g} cm {degrees:.4g}°"] = [format_number(s, 1) for s in shares]
    stated = numbers[WITHIN].notna().any(axis=None)
    for column, names in zip(("68 %", "95 %"), (WITHIN[:2], WITHIN[2:]), strict=True):
        if stated:
            cells[column] = format_pairs(100 * numbers[names], (0, 0))
    return cells


def gain_hint(numbers: pd.DataFrame) -> str:
    """Return a hint if regression gains nothing over copying an image's pose in some scenes, or ''.

    It gains nothing if the better of the two regressed estimates has a median translation error
    that is not below that of the ``copied_image``.
    """
    copied = copied_image(numbers["estimator"].tolist())
    regressed = numbers[numbers["estimator"].isin([FIRST_EDGE, ALL_EDGES])]
    regressed = regressed[regressed["scene"] != AVERAGE]
    ratios = regressed.groupby("scene", sort=False)["ratio_translation"].min()
    lost = ratios[ratios >= 1].index.tolist()
    if not lost:
        return ""
    return (
        f"In {', '.join(lost)} the network gains nothing over copying the pose of the {copied}: "
        "the ratio of its median is not below 1. More epochs or a denser database may help; until "
        "then, take the copied pose or the affine combination."
    )


def _comparison_notes(experiment: str, remarks: str) -> list[str]:
    """Return notes that explain the comparison of our figures with published ones."""
    own_training = trained_experiment(experiment) == experiment
    protocol = f"{TESTING_TEXT} {TRAINING_TEXT}" if own_training else TESTING_TEXT
    averages = (
        "Average: mean over all scenes of this table. Differences: our unrounded median (first "
        "edge, the published protocol) minus the published one, negative where ours is better."
    )
    return [averages, f"{protocol} {remarks}".rstrip()]
