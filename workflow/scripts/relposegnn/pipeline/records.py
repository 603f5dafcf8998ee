"""Records of jobs, beside their logs: inputs, outputs, settings, code and environment.

This module is not part of a script's digest, see ``digest``: it changes no result.
"""

import hashlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from ..files.json_files import write_object
from ..runtime import logging_to, plain

ELSEWHERE = ".../"  # in names of files, the folders outside that where Snakemake runs
MEMORY = Path(".snakemake/digests")  # where Snakemake runs; may be deleted at any time
# In a package's metadata: parsing it in full, for each job, would take long.
NAME_OR_VERSION = re.compile(r"^(Name|Version): *(.*?) *$", re.MULTILINE)
SNAKEMAKES_MARK = ".snakemake_timestamp"  # written into a folder after the job that made it


@contextmanager
def recorded(job: Any) -> Iterator[None]:
    """Run a step as ``logging_to`` does; if it succeeds, write its record beside its log.

    Args:
        job: the object ``snakemake`` of a script.
    """
    with logging_to(job.log[0]):
        yield
        record = {
            "rule": job.rule,
            "settings": {
                name: without_credentials(value)
                for name, value in job.params.items()
                if name != "code"
            },
            "code": job.params.get("code"),
            "commit": commit(),
            "environment": environment(),
            "inputs": digests(job.input),
            "outputs": digests(job.output),
        }
        write_json(record_file(job.log[0]), record)


def without_credentials(value: Any) -> Any:
    """Return a setting, nested or not, with ``plain`` applied to all texts."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(str(key)): without_credentials(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_credentials(each) for each in value]
    return value


def record_file(log: str | Path) -> Path:
    """Return the path of a job's record, from that of its log."""
    return Path(log).with_suffix(".json")


def write_json(path: str | Path, contents: dict[str, Any]) -> None:
    """Write a JSON file whose bytes depend only on its contents."""
    write_object(path, contents, indent=1, sort_keys=True)


def digests(paths: Iterable[str]) -> dict[str, str]:
    """Return the digests of files and folders by their names, see ``digest`` and ``named``."""
    return {named(path): digest(path) for path in paths}


def named(path: str) -> str:
    """Return a path relative to the folder where Snakemake runs; only the name if elsewhere."""
    if not Path(path).is_absolute():
        return path
    if Path(path).is_relative_to(Path.cwd()):
        return Path(path).relative_to(Path.cwd()).as_posix()
    return f"{ELSEWHERE}{Path(path).name}"


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, or that of the names and digests of a folder's files.

    It is remembered until a size or a date of modification changes.
    """
    path = Path(path)
    files = [path] if path.is_file() else sorted(filter(Path.is_file, path.rglob("*")))
    files = [file for file in files if file.name != SNAKEMAKES_MARK]
    names = [file.relative_to(path).as_posix() for file in files]
    stats = [file.stat() for file in files]
    state = of_text([(n, s.st_size, s.st_mtime_ns) for n, s in zip(names, stats, strict=True)])
    memory = MEMORY / of_text(str(path.absolute()))
    known = memory.read_text().split() if memory.is_file() else []
    if known[1:] == [state]:  # it is written last: another job may be writing the file
        return known[0]
    found = [_of_file(file) for file in files]
    whole = found[0] if path.is_file() else of_text(list(zip(names, found, strict=True)))
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(f"{whole} {state}")
    return whole


def environment() -> dict[str, Any]:
    """Return the version of Python and those of all packages that a job may import."""
    # Snakemake repeats folders in a job's path; an interrupted installation leaves folders without
    # metadata.
    installed = distributions(path=list(dict.fromkeys(sys.path)))
    texts = [text for each in installed if (text := each.read_text("METADATA"))]
    heads = [dict(NAME_OR_VERSION.findall(text.partition("\n\n")[0])) for text in texts]
    # Of two packages with one name, the first on the path is imported.
    packages = {head["Name"]: head["Version"] for head in reversed(heads)}
    return {"python": platform.python_version(), "packages": packages}


def commit() -> str | None:
    """Return the commit of the code, with ``-dirty`` if files differ from it; None without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    folder = Path(__file__).parent
    try:  # nothing in the command is the user's
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)  # noqa: S603
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def of_text(contents: Any) -> str:
    """Return the SHA-256 of plain values, written as JSON."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
