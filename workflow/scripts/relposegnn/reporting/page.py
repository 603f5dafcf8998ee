"""Writing the report's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from ..estimates.predictions import shown_estimator
from ..figures.curves import HISTORY_COLUMNS
from ..files.csv_files import AS_WRITTEN, read_csv
from ..pipeline.experiments import EXPERIMENTS
from ..runtime import InputError, atomic_path
from ..tables.experiments import gain_hint
from ..tables.formats import HTML_HEAD, UNKNOWN, format_pairs
from ..tables.summaries import MEDIANS, SPREADS, seeds_text
from ..version import VERSION
from .charts import job_charts, training_charts
from .jobs import read_jobs, read_provenance
from .places import PlaceFiles, read_place

TABLE_COLUMNS = ["scene", "estimator", "seeds", *MEDIANS, *SPREADS, "ratio_translation"]


@dataclass(frozen=True)
class ReportFiles:
    """The files of a report.

    Attributes:
        places: shown one by one.
        numbers: CSV of each experiment's table, named like the experiment.
        tables: HTML of all tables.
        histories: CSV of trainings, each in a folder named like its run.
        benchmarks: folder of Snakemake's benchmark files.
        provenance: JSON of ``provenance.collect_provenance``.
    """

    places: Sequence[PlaceFiles]
    numbers: Sequence[str | Path]
    tables: Sequence[str | Path]
    histories: Sequence[str | Path]
    benchmarks: str | Path
    provenance: str | Path


def write_report(files: ReportFiles, dataset: str, page_file: str | Path) -> None:
    """Write the results of a dataset as one page that needs no other file and no network.

    Args:
        files: what is shown.
        dataset: its name.
        page_file: HTML to write.

    Raises:
        InputError: a file cannot be read, or files do not belong together.
    """
    benchmarks, provenance = Path(files.benchmarks), read_provenance(files.provenance)
    behind = set(provenance["jobs"])
    taken = [
        path
        for path in sorted(benchmarks.rglob("*.tsv"))
        if path.relative_to(benchmarks).with_suffix("").as_posix() in behind
    ]
    jobs = read_jobs(taken, benchmarks)
    histories = {
        Path(path).parent.name: read_csv(path, HISTORY_COLUMNS) for path in files.histories
    }
    templates = PackageLoader("relposegnn.reporting")
    environment = Environment(
        loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    contents = {
        "dataset": dataset,
        "version": VERSION,
        "results": [read_medians(path) for path in files.numbers],
        "tables": {Path(path).stem: read_table(path) for path in files.tables},
        "places": [read_place(each) for each in files.places],
        "trainings": training_charts(histories) if histories else [],
        "jobs": job_charts(jobs) if len(jobs) else [],
        "job_count": int(jobs["jobs"].sum()),
        "seconds": float(jobs["seconds"].sum()),
        "provenance": provenance,
        "plotly": get_plotlyjs(),
    }
    page = environment.get_template("report.html").render(contents)
    with atomic_path(page_file) as partial:
        partial.write_text(page, encoding="utf-8")


def read_medians(table_file: str | Path) -> dict[str, Any]:
    """Return the medians of an experiment: estimators by scenes, and the best of each scene.

    Args:
        table_file: CSV of ``tabulate_experiment``, named like the experiment.
    """
    numbers = read_csv(table_file, TABLE_COLUMNS, dtype={"scene": str}, **AS_WRITTEN)
    numbers["cell"] = format_pairs(numbers[MEDIANS], spreads=numbers[SPREADS])
    scenes = numbers["scene"].unique().tolist()
    medians = numbers.pivot(index="estimator", columns="scene", values=MEDIANS[0])
    cells = numbers.pivot(index="estimator", columns="scene", values="cell").fillna(UNKNOWN)
    best = medians == medians.min()
    estimators = numbers["estimator"].unique().tolist()
    name = Path(table_file).stem
    return {
        "name": name,
        "about": EXPERIMENTS.get(name, name),
        "scenes": scenes,
        "seeds": seeds_text(numbers),
        "shown": shown_estimator(estimators),
        "rows": [
            (each, [(cells.loc[each, scene], bool(best.loc[each, scene])) for scene in scenes])
            for each in estimators
        ],
        "hint": gain_hint(numbers),
    }


def read_table(table_file: str | Path) -> str:
    """Return the tables in an HTML file of ``tables.formats``, without the head of its page.

    Raises:
        InputError: it starts with another head.
    """
    text = Path(table_file).read_text(encoding="utf-8")
    if not text.startswith(HTML_HEAD):
        raise InputError(
            f"{table_file}: does not start like tables of this version, expected a file of the "
            "tabulating steps; delete it and make it again"
        )
    return text.removeprefix(HTML_HEAD)
