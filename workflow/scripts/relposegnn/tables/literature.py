"""Published results, and ours beside them.

The file of published results is a CSV with a row per table, method and scene: ``table`` (such as
``7scenes/joint``), ``method``, ``scene`` (or ``average``), ``translation_m`` and ``rotation_deg``
as printed, ``source``, ``note``.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..metrics import ALL_EDGES, FIRST_EDGE, REFERENCE
from ..runtime import InputError
from .formats import UNKNOWN, Table, format_pair

AVERAGE = "average"
COLUMNS = ["table", "method", "scene", "translation_m", "rotation_deg", "source"]
PAPER = "RelPose-GNN"  # methods named so are the paper's own figures, which ours should repeat
OURS = {
    FIRST_EDGE: "ours (first edge)",
    ALL_EDGES: "ours (all edges)",
    REFERENCE: "ours (reference neighbour)",
}


def read_published(published_file: str | Path, table: str) -> pd.DataFrame:
    """Return the rows of one published table, figures as the text that was printed.

    Raises:
        InputError: the file cannot be read or lacks columns; a figure is no number; a method has
            two figures for one scene.
    """
    rows = _read_rows(published_file)
    rows = rows[rows["table"] == table].reset_index(drop=True)
    _check_figures(rows, published_file)
    return rows


def names_dataset(published_file: str | Path, dataset: str) -> bool:
    """Return whether any published table is of a dataset."""
    return bool(_read_rows(published_file)["table"].str.startswith(f"{dataset}/").any())


def unknown_figures(table: str, scenes: Sequence[str]) -> pd.DataFrame:
    """Return rows as ``read_published`` does, of the paper's method, every figure unknown."""
    unknown = dict.fromkeys(COLUMNS, "") | {
        "table": table,
        "method": f"{PAPER} (paper)",
        "source": "arXiv 2104.02538, figures unknown to this project",
    }
    return pd.DataFrame([unknown | {"scene": scene} for scene in [*scenes, AVERAGE]])


def published_numbers(rows: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """Return published figures as numbers, ``metres`` and ``degrees``; NaN is unknown."""
    numbers = rows.set_index(index)[["translation_m", "rotation_deg"]]
    return numbers.apply(pd.to_numeric).set_axis(["metres", "degrees"], axis=1)


def _read_rows(published_file: str | Path) -> pd.DataFrame:
    """Return all rows of a file of published results, as text.

    Raises:
        InputError: the file cannot be read or lacks columns.
    """
    try:
        rows = pd.read_csv(published_file, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{published_file}: cannot be read as CSV ({error})") from error
    missing = [name for name in COLUMNS if name not in rows]
    if missing:
        raise InputError(
            f"{published_file}: lacks {', '.join(missing)}; expected columns {', '.join(COLUMNS)}"
        )
    return rows


def _check_figures(rows: pd.DataFrame, published_file: str | Path) -> None:
    """Check the figures of one published table.

    Raises:
        InputError: see ``read_published``.
    """
    for column in ("translation_m", "rotation_deg"):
        numbers = pd.to_numeric(rows[column], errors="coerce")
        wrong = rows[numbers.isna() & (rows[column] != "")]
        if not wrong.empty:
            method, scene, got = wrong.iloc[0][["method", "scene", column]]
            raise InputError(
                f"{published_file}: {column} of {method!r} on {scene} is {got!r}, "
                "expected a number, or nothing where it is not known"
            )
    twice = rows[rows.duplicated(["method", "scene"])]
    if not twice.empty:
        method, scene = twice.iloc[0][["method", "scene"]]
        raise InputError(f"{published_file}: {method!r} on {scene} stands twice; keep one row")


def compare_with_published(
    medians: pd.DataFrame, published: pd.DataFrame, label: str, caption: str
) -> Table:
    """Return methods by scenes: ours, ours minus the paper's, then what was published.

    An average stands only where every scene of the table has a figure, so that all averages are
    over the same scenes.

    Args:
        medians: ours, one row per scene and estimator with ``median_translation_m`` and
            ``median_rotation_deg``; the average not among them.
        published: rows of ``read_published``.
        label: LaTeX label.
        caption: the protocol behind ours.
    """
    scenes = [s for s in published["scene"].unique() if s != AVERAGE]
    scenes = list(dict.fromkeys([*medians["scene"], *scenes]))
    columns = [*scenes, AVERAGE]
    ours = our_figures(medians, scenes)
    rows = {OURS[name]: our_cells(figures) for name, figures in ours.items()}
    differences = _difference_cells(ours[FIRST_EDGE], published)
    theirs = {str(m): published_cells(own) for m, own in published.groupby("method", sort=False)}
    cells = pd.DataFrame(
        [
            {"method": name} | {scene: row.get(scene, UNKNOWN) for scene in columns}
            for name, row in [*rows.items(), *differences.items(), *theirs.items()]
        ]
    )
    rules = (len(rows), len(rows) + len(differences)) if differences else (len(rows),)
    return Table(
        label,
        "Beside published results",
        caption,
        cells,
        rules=rules,
        notes=[describe_sources(published)],
    )


def our_figures(medians: pd.DataFrame, scenes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return per estimator a row (metres, degrees) per scene and the average; NaN is unknown."""
    figures = {}
    for name in (n for n in OURS if n in set(medians["estimator"])):
        own = medians[medians["estimator"] == name].set_index("scene")
        own = own[["median_translation_m", "median_rotation_deg"]].reindex(scenes)
        own.columns = ["metres", "degrees"]
        own.loc[AVERAGE] = own.mean(skipna=False)
        figures[name] = own
    return figures


def our_cells(figures: pd.DataFrame, sign: str = "") -> dict[str, str]:
    """Return one row of cells, with the decimals that papers print."""
    return {
        str(scene): format_pair(metres, degrees, (2, 1), sign)
        for scene, metres, degrees in figures.itertuples()
    }


def _difference_cells(ours: pd.DataFrame, published: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return rows of ours minus each of the paper's own figures, from our unrounded medians."""
    rows = {}
    for method, own in published.groupby("method", sort=False):
        if str(method).startswith(PAPER):
            numbers = published_numbers(own, ["scene"]).reindex(ours.index)
            rows[f"first edge − {method}"] = our_cells(ours - numbers, "+")
    return rows


def published_cells(rows: pd.DataFrame) -> dict[str, str]:
    """Return one row of cells: figures as printed, with the zero before a bare point."""
    cells = {}
    for scene, *figures in rows[["scene", "translation_m", "rotation_deg"]].itertuples(index=False):
        texts = [f"0{text}" if text.startswith(".") else text or UNKNOWN for text in figures]
        cells[scene] = UNKNOWN if set(texts) == {UNKNOWN} else " / ".join(texts)
    return cells


def describe_sources(published: pd.DataFrame) -> str:
    """Return the note that says where each published figure comes from."""
    sources = []
    for source, own in published.groupby("source", sort=False):
        sources.append(f"{', '.join(own['method'].unique())}: {source}")
    return f"Sources. {'; '.join(sources)}."
