"""The table of retrieval quality."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..estimates.predictions import REFERENCE
from ..files.csv_files import read_errors
from .formats import Table, TableFiles, format_pairs, write_tables
from .summaries import average_scenes

# Database images: name, prefix of their columns in a file of retrieval quality, description.
IMAGES = {
    "top-1": ("top1", "the most similar database image"),
    REFERENCE: ("reference", "the best-ranked image of the graph"),
    "oracle": ("oracle", "the nearest database image by pose"),
}


def tabulate_retrieval(
    rows: Sequence[tuple[str, str | Path]], files: TableFiles, dataset: str
) -> None:
    """Write the table of how near retrieved images are to the queries: medians per scene.

    Args:
        rows: (scene, retrieval quality file) per scene. A file has a row per query with
            ``{image}_distance_m`` and ``{image}_angle_deg`` for the images top1, reference, oracle.
        files: to write; a row per scene, then their average.
        dataset: name of the dataset.

    Raises:
        InputError: a file cannot be read, or lacks columns or figures.
    """
    pairs = {
        name: [f"{image}_distance_m", f"{image}_angle_deg"] for name, (image, _) in IMAGES.items()
    }
    columns = [name for pair in pairs.values() for name in pair]
    parts = []
    for scene, path in rows:
        quality = read_errors(path, ["query"], columns, scene)
        medians = quality[columns].median().to_dict()
        parts.append({"scene": scene, "queries": len(quality)} | medians)
    numbers = pd.DataFrame(parts)
    numbers.loc[len(numbers)] = average_scenes(numbers)
    cells = pd.DataFrame({"scene": numbers["scene"], "queries": numbers["queries"].astype(str)})
    for name, pair in pairs.items():
        cells[name] = format_pairs(numbers[pair])
    explained = "; ".join(f"{name}: {text}" for name, (_, text) in IMAGES.items())
    caption = (
        "Median distance and angle between a test query and a database image, in metres / degrees."
    )
    notes = [f"{explained}. Average: mean over scenes; queries are summed."]
    label, title = f"{dataset}-retrieval", f"{dataset}, retrieval"
    table = Table(label, title, caption, cells, rules=[len(rows)], notes=notes)
    write_tables(files, numbers, table)
