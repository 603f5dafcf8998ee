"""Figures that papers printed, and ours beside them.

The literature file is a CSV with a row per table, method and scene: ``table`` (dataset and
experiment, such as ``7scenes/joint``), ``method``, ``scene`` (or ``average``), ``translation_m``
and ``rotation_deg`` as printed, ``source``, ``note``.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..estimates.predictions import AFFINE, ALL_EDGES, FIRST_EDGE, MOST_SIMILAR, REFERENCE, REFINED
from ..files.csv_files import read_csv
from ..pipeline.experiments import AVERAGE
from ..runtime import InputError
from .formats import UNKNOWN, Table, format_pairs, join_pair
from .summaries import MEDIANS, SPREADS

FIGURES = ["translation_m", "rotation_deg"]
COLUMNS = ["table", "method", "scene", *FIGURES, "source"]
PAPER = "RelPose-GNN"  # start of the names of the paper's own figures, which ours should reproduce
# Stands for the paper's own figures if the literature file has none.
UNKNOWN_FIGURES = pd.DataFrame(
    {
        "method": [f"{PAPER} (paper)"],
        "scene": AVERAGE,
        **dict.fromkeys(FIGURES, ""),
        "source": "arXiv 2104.02538, figures unknown to this project",
    }
)
DECIMALS = (2, 1)  # of metres and degrees, as papers print them
OURS = {
    FIRST_EDGE: "ours (first edge)",
    ALL_EDGES: "ours (all edges)",
    REFINED: "ours (refined by matches)",
    MOST_SIMILAR: "ours (most similar image)",
    AFFINE: "ours (affine combination)",
    REFERENCE: "ours (reference neighbour)",
}


class Literature(NamedTuple):
    """A literature file, and the name of the dataset in it."""

    file: str | Path
    dataset: str


def read_literature(literature: Literature) -> dict[str, pd.DataFrame]:
    """Return the printed figures of a dataset by experiment, as printed text.

    Raises:
        InputError: the file cannot be read or lacks columns, a figure is not a number, or a method
            has two rows for a scene.
    """
    rows = read_csv(literature.file, COLUMNS, dtype=str, keep_default_na=False)
    rows = rows[rows["table"].str.startswith(f"{literature.dataset}/")]
    _check_figures(rows, literature.file)
    return {
        str(table).removeprefix(f"{literature.dataset}/"): printed
        for table, printed in rows.groupby("table", sort=False)
    }


def _check_figures(rows: pd.DataFrame, literature_file: str | Path) -> None:
    """Check the figures of one dataset.

    Raises:
        InputError: see ``read_literature``.
    """
    for column in FIGURES:
        numbers = pd.to_numeric(rows[column], errors="coerce")
        wrong = rows[numbers.isna() & (rows[column] != "")]
        if not wrong.empty:
            method, scene, got = wrong.iloc[0][["method", "scene", column]]
            raise InputError(
                f"{literature_file}: {column} of {method!r} on {scene} is {got!r}, "
                "expected a number, or an empty field if it is not known"
            )
    twice = rows[rows.duplicated(["table", "method", "scene"])]
    if not twice.empty:
        method, scene = twice.iloc[0][["method", "scene"]]
        raise InputError(
            f"{literature_file}: {method!r} on {scene} is listed twice, expected once; keep one row"
        )


def printed_numbers(printed: pd.DataFrame) -> pd.DataFrame:
    """Return printed figures as numbers, with the columns MEDIANS; NaN is unknown."""
    return printed[FIGURES].apply(pd.to_numeric).set_axis(MEDIANS, axis=1)


def printed_cells(printed: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return cells by method and scene, as printed, with a zero before a bare decimal point."""
    rows: dict[str, dict[str, str]] = {}
    for method, scene, *figures in printed[["method", "scene", *FIGURES]].itertuples(index=False):
        texts = [f"0{text}" if text.startswith(".") else text or UNKNOWN for text in figures]
        rows.setdefault(method, {})[scene] = join_pair(*texts)
    return rows


def our_figures(numbers: pd.DataFrame, scenes: Sequence[str]) -> pd.DataFrame:
    """Return our medians of one estimator by scene and on average, and spreads; NaN is unknown.

    The average is given only if every scene has figures, so that all averages of a table are over
    the same scenes.
    """
    figures = numbers.set_index("scene")[[*MEDIANS, *SPREADS]].reindex([*scenes, AVERAGE])
    if figures[MEDIANS].isna().any(axis=None):
        figures.loc[AVERAGE] = float("nan")
    return figures


def format_figures(figures: pd.DataFrame, decimals: tuple[int, int] = DECIMALS) -> pd.Series:
    """Return ``our_figures`` as cells, by default with as many decimals as papers print."""
    return format_pairs(figures[MEDIANS], decimals, spreads=figures[SPREADS])


def all_scenes(*figures: pd.DataFrame) -> list[str]:
    """Return the scenes of several sets of figures, ours or printed, in order of appearance."""
    scenes = dict.fromkeys(scene for own in figures for scene in own["scene"])
    return [scene for scene in scenes if scene != AVERAGE]


def stack_methods(
    groups: Sequence[Mapping[str, Mapping[str, str] | pd.Series]], columns: Sequence[str]
) -> tuple[pd.DataFrame, list[int]]:
    """Return the cells of groups of methods, one below another, and the rows with rules above."""
    groups = [group for group in groups if group]
    cells = [
        {"method": method} | {column: row.get(column, UNKNOWN) for column in columns}
        for group in groups
        for method, row in group.items()
    ]
    return pd.DataFrame(cells), list(accumulate(map(len, groups)))[:-1]


def compare_with_literature(
    numbers: pd.DataFrame, printed: pd.DataFrame, label: str, texts: Sequence[str]
) -> Table:
    """Return methods by scenes: ours, ours minus the paper's, then the literature.

    Args:
        numbers: ours, of ``summarise_scenes``.
        printed: the figures of one experiment, see ``read_literature``.
        label: LaTeX label.
        texts: the caption, then notes on the protocol of ours.
    """
    scenes = all_scenes(numbers, printed)
    figures = {
        name: our_figures(own, scenes) for name, own in numbers.groupby("estimator", sort=False)
    }
    ours = {OURS[name]: format_figures(figures[name]) for name in OURS if name in figures}
    differences = {}
    for method, own in printed.set_index("scene").groupby("method", sort=False):
        if str(method).startswith(PAPER):
            unrounded = figures[FIRST_EDGE][MEDIANS]
            difference = unrounded - printed_numbers(own)
            differences[f"first edge − {method}"] = format_pairs(difference, DECIMALS, "+")
    groups = [ours, differences, printed_cells(printed)]
    cells, rules = stack_methods(groups, [*scenes, AVERAGE])
    caption, *notes = texts
    notes = [describe_sources(printed), *notes]
    return Table(label, "Beside published results", caption, cells, rules=rules, notes=notes)


def describe_sources(printed: pd.DataFrame) -> str:
    """Return the note that says where each printed figure comes from."""
    sources = [
        f"{', '.join(own['method'].unique())}: {source}"
        for source, own in printed.groupby("source", sort=False)
    ]
    return f"Sources. {'; '.join(sources)}."
