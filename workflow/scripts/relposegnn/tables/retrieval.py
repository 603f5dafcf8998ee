"""The table of retrieval quality."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..metrics import REFERENCE, read_csv
from ..runtime import InputError
from .formats import Table, write_tables
from .literature import AVERAGE
from .summaries import pair_cells

IMAGES = {
    "top-1": "the most similar database image",
    REFERENCE: "the best-ranked image of the graph",
    "oracle": "the nearest database image by pose",
}
IMAGE_COLUMNS = {"top-1": "top1", REFERENCE: "reference", "oracle": "oracle"}


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
        cells[name] = pair_cells(numbers, f"{image}_distance_m", f"{image}_angle_deg")
    explained = "; ".join(f"{name}: {text}" for name, text in IMAGES.items())
    caption = (
        "Median distance and angle between a test query and a database image, in metres / "
        f"degrees. {explained}. Average: mean over scenes, queries summed."
    )
    title = f"{dataset}, retrieval"
    label = f"{dataset}-retrieval"
    return Table(label, title, caption, cells, rules=(len(numbers) - 1,))
