"""Provenance: the chain from each result back to its sources, from the records of jobs."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..files.json_files import READING_ERRORS, read_object, unreadable
from .records import ELSEWHERE, digest, of_text, write_json

NOW = "now"  # in the place of a job that made or read a file: the file as it is today
ENVIRONMENT_LENGTH = 16  # hexadecimal digits

logger = logging.getLogger(__name__)


def collect_provenance(
    results: Iterable[str], record_files: Iterable[str | Path], provenance_file: str | Path
) -> None:
    """Write the jobs behind results, what they read and made, and which files have changed since.

    Args:
        results: files that the chain starts from.
        record_files: of all jobs, see ``records``; jobs that led to no result are left out.
        provenance_file: JSON to write, see docs/file-formats.md.

    Raises:
        InputError: a record cannot be read.
    """
    results = list(results)
    # By age: if two jobs have written a file, the later one made it.
    paths = sorted(map(Path, record_files), key=lambda path: (path.stat().st_mtime_ns, path))
    records = {path.as_posix(): read_record(path) for path in paths}
    makers = {output: name for name, record in records.items() for output in record["outputs"]}
    pending, jobs, files = [*results], {}, set()
    while pending:
        path = pending.pop()
        files.add(path)
        maker = makers.get(path)
        if maker is not None and maker not in jobs:
            jobs[maker] = records[maker]
            pending += [*records[maker]["inputs"], *records[maker]["outputs"]]
    differing = changed_files(jobs, files)
    for path in sorted(differing):
        logger.warning("%s: has changed since it was written or read, see differing", path)
    contents = {
        "results": sorted(results),
        "sources": sorted(files - makers.keys()),
        "differing": differing,
        "environments": _share_environments(jobs),
        "jobs": jobs,
    }
    write_json(provenance_file, contents)


def read_record(path: Path) -> dict[str, Any]:
    """Return the record of a job.

    Raises:
        InputError: the file is not one.
    """
    try:
        record = read_object(path)
        if missing := {"rule", "inputs", "outputs", "environment"} - record.keys():
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except READING_ERRORS as error:
        remedy = "delete it: the output of its job then counts as a source"
        raise unreadable(path, "the record of a job", error, remedy) from error
    return record


def changed_files(jobs: dict[str, Any], files: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the digests of files that have several, by the job that saw each.

    Files that no longer exist, or are elsewhere, are compared only between jobs. Those elsewhere
    only have the last part of their path: two read by one rule are two files of one name.
    """
    seen: dict[str, dict[str, str]] = defaultdict(dict)
    by_rule: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, record in jobs.items():
        for path, found in [*record["inputs"].items(), *record["outputs"].items()]:
            seen[path][name] = found
            by_rule[path, record["rule"]].add(found)
    for (path, _), digests in by_rule.items():
        if path.startswith(ELSEWHERE) and len(digests) > 1:
            seen.pop(path, None)
    for path in files:
        if Path(path).exists():
            seen[path][NOW] = digest(path)
    return {path: found for path, found in seen.items() if len(set(found.values())) > 1}


def _share_environments(jobs: dict[str, Any]) -> dict[str, Any]:
    """Return the distinct environments of jobs by name, and replace them by their names in jobs."""
    environments = {}
    for record in jobs.values():
        name = of_text(record["environment"])[:ENVIRONMENT_LENGTH]
        environments[name] = record["environment"]
        record["environment"] = name
    return environments
