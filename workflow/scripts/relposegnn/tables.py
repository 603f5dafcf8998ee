"""Tables of the experiments and of retrieval, each as CSV, Markdown and LaTeX."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .metrics import REFERENCE, read_csv, read_scores, recall_column, summarise
from .published import AVERAGE, compare_with_published, read_published
from .runtime import InputError
from .table_formats import Table, format_number, format_pair, write_tables

EXPERIMENTS = {
    "joint": "one model trained on all scenes",
    "leave_one_out": "per scene, one model trained on the other scenes",
    "single_scene": "per scene, one model trained on it alone",
}
ESTIMATORS_TEXT = (
    "First edge: the pose from the best-ranked neighbour, as published; all edges: the aggregate "
    "of every neighbour's estimate; reference neighbour: the pose of the best-ranked neighbour "
    "itself, nothing regressed."
)
PROTOCOL_TEXT = (
    "Unlike the published protocol, dropout is off at test time, the graphs are sampled with a "
    "fixed seed, and edge dropout, where set, takes effect in training."
)
IMAGES = {
    "top-1": "the most similar database image",
    REFERENCE: "the best-ranked image of the graph",
    "oracle": "the nearest database image by pose",
}
IMAGE_COLUMNS = {"top-1": "top1", REFERENCE: "reference", "oracle": "oracle"}


def tabulate_experiment(
    rows: Sequence[tuple[str, str, str | Path]],
    csv_file: str | Path,
    markdown_file: str | Path,
    latex_file: str | Path,
    dataset: str,
    experiment: str,
    recall: Sequence[tuple[float, float]],
    published_file: str | Path | None = None,
    remarks: str = "",
) -> None:
    """Write the table of one experiment, beside published results where there are any.

    Args:
        rows: (run, scene, scores file) per scene.
        csv_file: all figures as numbers, a row per scene and estimator, then their averages.
        markdown_file: the same to read, and the comparison.
        latex_file: the same for a paper.
        dataset: name of the dataset.
        experiment: a key of ``EXPERIMENTS``.
        recall: pairs of thresholds (metres, degrees).
        published_file: CSV of published results; None for no comparison. Without rows of its table
            ``{dataset}/{experiment}`` there is none either.
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
    published_table = f"{dataset}/{experiment}"
    if published_file:
        published = read_published(published_file, published_table)
        if published.empty:
            logging.info("%s has no table %s: no comparison", published_file, published_table)
        else:
            caption = _comparison_caption(experiment, published_table, remarks)
            tables.append(compare_with_published(summary, published, f"{label}-published", caption))
    write_tables(numbers, tables, csv_file, markdown_file, latex_file)


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
    medians = ["median_translation_m", "median_rotation_deg"]
    reference = numbers[numbers["estimator"] == REFERENCE].set_index("scene")[medians]
    reference = reference.reindex(numbers["scene"]).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = numbers[medians].to_numpy() / reference
    position = numbers.columns.get_loc("mean_rotation_deg") + 1
    numbers.insert(position, "ratio_translation", ratios[:, 0])
    numbers.insert(position + 1, "ratio_rotation", ratios[:, 1])
    return numbers


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
            "median": _pairs(numbers, "median_translation_m", "median_rotation_deg"),
            "mean": _pairs(numbers, "mean_translation_m", "mean_rotation_deg"),
            "ratio": _pairs(numbers, "ratio_translation", "ratio_rotation", (2, 2)),
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


def _pairs(
    numbers: pd.DataFrame, metres: str, degrees: str, decimals: tuple[int, int] = (3, 2)
) -> list[str]:
    """Return cells of two columns."""
    return [
        format_pair(*pair, decimals) for pair in numbers[[metres, degrees]].itertuples(index=False)
    ]


def _sentence(text: str) -> str:
    """Return text as a sentence."""
    return f"{text[0].upper()}{text[1:]}."


def _comparison_caption(experiment: str, published_table: str, remarks: str) -> str:
    """Return what one must know to read ours beside published figures."""
    return (
        "Median error over the test queries, in metres / degrees. "
        f"Ours: {EXPERIMENTS[experiment]}. "
        f"Published: table {published_table}, as printed by the sources below; — where "
        "nothing is published. Average: mean over all scenes of this table. Differences are from "
        "unrounded medians of ours (first edge, the published protocol), negative where ours is "
        f"better. {PROTOCOL_TEXT} {remarks}".rstrip()
    )


def tabulate_retrieval(
    rows: Sequence[tuple[str, str | Path]],
    csv_file: str | Path,
    markdown_file: str | Path,
    latex_file: str | Path,
    dataset: str,
) -> None:
    """Write how near the retrieved images are to the queries: medians per scene.

    Args:
        rows: (scene, retrieval quality file) per scene. A file has a row per query with
            ``{image}_distance_m`` and ``{image}_angle_deg`` for the images top1, reference, oracle.
        csv_file: medians as numbers, a row per scene, then their average.
        markdown_file: the same to read.
        latex_file: the same for a paper.
        dataset: name of the dataset.

    Raises:
        InputError: no rows, or a file cannot be read, lacks columns or figures.
    """
    if not rows:
        raise InputError("got no scenes to tabulate retrieval of, expected at least one")
    columns = [
        f"{i}_{part}" for i in IMAGE_COLUMNS.values() for part in ("distance_m", "angle_deg")
    ]
    parts = []
    for scene, path in rows:
        quality = read_csv(path, ["query", *columns])
        if quality[columns].isna().any(axis=None):
            raise InputError(f"{path}: lacks figures, expected all of every query; make it again")
        medians = {name: np.median(quality[name]) for name in columns}
        parts.append({"scene": scene, "queries": len(quality)} | medians)
    numbers = pd.DataFrame(parts)
    average = numbers[columns].mean().to_dict()
    total = {"scene": AVERAGE, "queries": numbers["queries"].sum()}
    numbers.loc[len(numbers)] = total | average
    table = _retrieval_table(numbers, dataset)
    write_tables(numbers, [table], csv_file, markdown_file, latex_file)


def _retrieval_table(numbers: pd.DataFrame, dataset: str) -> Table:
    """Return the table of retrieval to read."""
    cells = pd.DataFrame({"scene": numbers["scene"], "queries": numbers["queries"].astype(str)})
    for name, image in IMAGE_COLUMNS.items():
        cells[name] = _pairs(numbers, f"{image}_distance_m", f"{image}_angle_deg")
    explained = "; ".join(f"{name}: {text}" for name, text in IMAGES.items())
    caption = (
        "Median distance and angle between a test query and a database image, in metres / "
        f"degrees. {_sentence(explained)} Average: mean over scenes, queries summed."
    )
    title = f"{dataset}, retrieval"
    label = f"{dataset}-retrieval"
    return Table(label, title, caption, cells, rules=(len(numbers) - 1,))
