"""What the tests of tables share: planted scores, and reading what was written."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from relposegnn.estimates.predictions import ALL_EDGES, FIRST_EDGE, MOST_SIMILAR, REFERENCE
from relposegnn.scores.metrics import ROTATION, STATED, TRANSLATION
from relposegnn.tables.experiments import tabulate_experiment
from relposegnn.tables.formats import TableFiles
from relposegnn.tables.literature import Literature

LITERATURE = """table,method,scene,translation_m,rotation_deg,source,note
7scenes/joint,RelPose-GNN (poster),chess,.09,2.7,the poster,
7scenes/joint,RelPose-GNN (poster),fire,.24,7.5,the poster,
7scenes/joint,RelPose-GNN (poster),average,.17,5.2,the poster,
7scenes/joint,RelPose-GNN (slides),average,.16,5.1,the slides,
7scenes/joint,A_B & C*,average,.034,1.02,"table 4, quoted",
7scenes/ablation,"50% & {x}, without_GNN",chess,.30,14.2,the poster,
7scenes/ablation,"50% & {x}, without_GNN",average,.36,15.8,the poster,
7scenes/ablation,older,fire,.31,10,elsewhere,
7scenes/other,Nobody,chess,9.99,99.9,elsewhere,
"""
RECALL = [(0.05, 5.0), (0.25, 10.0)]
# Medians planted per scene and estimator: metres, degrees.
MEDIANS = {
    "chess": {REFERENCE: (0.40, 16.0), FIRST_EDGE: (0.10, 4.0), ALL_EDGES: (0.08, 3.0)},
    "fire": {REFERENCE: (0.20, 10.0), FIRST_EDGE: (0.14, 6.0), ALL_EDGES: (0.10, 5.0)},
}


def write_scores(
    path: Path,
    medians: dict[str, tuple[float, float]],
    failed: int = 0,
    sigma: tuple[float, float] | None = None,
) -> Path:
    """Write scores of five queries per estimator with these medians, ``failed`` infinite.

    With a ``sigma``, it is stated of all estimators but copied images.
    """
    spread = np.array([0.5, 0.75, 1.0, 2.0, 4.0])
    spread[5 - failed :] = np.inf
    parts = [
        pd.DataFrame(
            {
                "query": [f"seq-01/frame-{i:06d}" for i in range(5)],
                "estimator": name,
                TRANSLATION: metres * spread,
                ROTATION: degrees * spread,
            }
        )
        for name, (metres, degrees) in medians.items()
    ]
    for part, name in zip(parts, medians, strict=True):
        if sigma:
            copied = name in (REFERENCE, MOST_SIMILAR)
            part[STATED] = np.nan if copied else np.outer([1, 2], sigma).ravel()
    path.parent.mkdir(parents=True, exist_ok=True)
    scene = "fire" if "fire" in path.stem else "chess"  # the two that are planted
    pd.concat(parts).assign(dataset="d", scene=scene).to_csv(path, index=False)
    return path


def outputs(folder: Path) -> TableFiles:
    """Return where a table goes."""
    return TableFiles(*(folder / f"out.{form}" for form in ("csv", "md", "tex", "html")))


def read_outputs(folder: Path) -> tuple[pd.DataFrame, str, str]:
    """Return a table's numbers, Markdown and LaTeX."""
    csv, markdown, latex, _ = outputs(folder)
    return pd.read_csv(csv), markdown.read_text(), latex.read_text()


def markdown_rows(text: str) -> list[list[str]]:
    """Return the cells of every table row of Markdown."""
    lines = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def row_of(text: str, name: str) -> list[str]:
    """Return the other cells of the one row whose first cell is ``name``."""
    (row,) = [cells[1:] for cells in markdown_rows(text) if cells[0] == name]
    return row


def assert_sound_latex(latex: str) -> None:
    """Check that braces and environments balance, rows have equal columns, and all is ASCII."""
    assert latex.isascii()
    bare = re.sub(r"\\[{}]", "", latex)
    assert bare.count("{") == bare.count("}")
    assert latex.count(r"\begin{") == latex.count(r"\end{")
    assert not re.search(r"(?<!\\)[%#_](?![^{}]*\\label)", re.sub(r"\\label\{[^}]*\}", "", latex))
    assert len(re.findall(r"(?<!\\)\$", latex)) % 2 == 0
    for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", latex, re.DOTALL):
        lines = [line for line in body.splitlines() if line != r"\midrule"]
        assert all(line.endswith(r"\\") for line in lines)
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1


def planted_rows(folder: Path) -> list[tuple[str, str, Path]]:
    """Return the planted scores of two scenes."""
    return [("joint", s, write_scores(folder / f"{s}.csv", m)) for s, m in MEDIANS.items()]


def planted_literature(folder: Path) -> Literature:
    """Return planted figures of papers."""
    path = folder / "literature.csv"
    path.write_text(LITERATURE)
    return Literature(path, "7scenes")


def tabulate(
    rows, folder, dataset="7scenes", experiment="joint", **options
) -> tuple[pd.DataFrame, str, str]:
    """Tabulate an experiment; return its numbers, Markdown and LaTeX."""
    tabulate_experiment(rows, outputs(folder), dataset, experiment, RECALL, **options)
    return read_outputs(folder)


def comparison_of(markdown: str) -> str:
    """Return the part of Markdown that compares with the literature."""
    return markdown[markdown.index("## Beside published") :]
