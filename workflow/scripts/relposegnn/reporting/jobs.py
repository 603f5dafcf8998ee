"""Time, memory and provenance of jobs, for the report."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from ..files.csv_files import read_csv
from ..files.json_files import READING_ERRORS, read_object, unreadable

COLUMNS = {"seconds": "s", "memory_mb": "max_rss"}  # of Snakemake's benchmark files
# Packages that results depend on most; provenance.json lists the others too.
PACKAGES = ("torch", "torchvision", "torch-geometric", "numpy", "scipy", "opencv-python-headless")


def read_jobs(benchmark_files: Iterable[Path], folder: Path) -> pd.DataFrame:
    """Return each step's name ``step``, number of ``jobs``, total ``seconds``, most ``memory_mb``.

    The longest step is first. Memory of jobs that were too short to be measured is NaN.

    Args:
        benchmark_files: Snakemake's, each in a folder named like the rule, or itself named so.
        folder: that contains them.

    Raises:
        InputError: a file lacks columns.
    """
    rows = []
    for path in benchmark_files:
        table = read_csv(path, list(COLUMNS.values()), sep="\t")
        figures = table[list(COLUMNS.values())].apply(pd.to_numeric, errors="coerce").iloc[-1]
        step = path.relative_to(folder).parts[0].removesuffix(".tsv").replace("_", " ")
        rows.append({"step": step, **dict(zip(COLUMNS, figures, strict=True))})
    jobs = pd.DataFrame(rows, columns=["step", *COLUMNS])
    steps = jobs.groupby("step").agg(
        jobs=("step", "size"), seconds=("seconds", "sum"), memory_mb=("memory_mb", "max")
    )
    return steps.sort_values("seconds", ascending=False).reset_index()


def read_provenance(provenance_file: str | Path) -> dict[str, Any]:
    """Return what the report says about where results come from.

    Returns:
        ``jobs``: their names, rule and wildcards, as in ``train_model/joint``; all ``commits``,
        ``pythons`` and ``packages`` that were used; ``sources`` and ``differing``: names of files;
        ``settings``: text by rule, of its first job.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return _summary(read_object(provenance_file))
    except READING_ERRORS as error:
        remedy = "make it again with the target all"
        raise unreadable(provenance_file, "a list of jobs", error, remedy) from error


def _summary(found: dict[str, Any]) -> dict[str, Any]:
    jobs, environments = found["jobs"].values(), found["environments"].values()
    settings: dict[str, str] = {}
    for job in jobs:
        settings.setdefault(job["rule"], json.dumps(job["settings"], indent=1, sort_keys=True))
    packages = {
        f"{name} {version}"
        for each in environments
        for name, version in each["packages"].items()
        if name in PACKAGES
    }
    return {
        "jobs": [Path(n.rpartition("/logs/")[2]).with_suffix("").as_posix() for n in found["jobs"]],
        "commits": sorted({job["commit"] or "unknown" for job in jobs}),
        "pythons": sorted({each["python"] for each in environments}),
        "packages": sorted(packages),
        "sources": found["sources"],
        "differing": sorted(found["differing"]),
        "settings": {
            rule.replace("_", " "): text for rule, text in sorted(settings.items()) if text != "{}"
        },
    }
