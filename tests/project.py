"""A copy of the project that tests run and edit, as a user does."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from prepared_python import prepared_output

from relposegnn.pipeline.digest import Library

REPOSITORY = Path(__file__).parents[1]
PARTS = ("Snakefile", "rules", "config", "envs", "profiles", "workflow", "relposegnn")
TINY = (REPOSITORY / ".test/config/config.yaml").read_text()
SNAKEMAKE, COMMAND = ("-m", "snakemake"), ("relposegnn",)
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


def snakemake(*arguments: str) -> list[str]:
    """Return the command that runs Snakemake with the tests' own Python."""
    return [sys.executable, "-m", "snakemake", *arguments]


def output_of(
    command: list[str], folder: Path, expect: int = 0, environment: dict[str, str] | None = None
) -> str:
    """Run a command in a folder, check its exit code, return what it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stdout[-6000:]
    return done.stdout


def snakemake_output(
    arguments: Sequence[str], folder: Path, expect: int = 0, command: Sequence[str] = SNAKEMAKE
) -> str:
    """Run Snakemake in a folder as ``output_of`` does, without loading it anew.

    Or another ``command`` that runs it, such as the folder's own ``relposegnn``.
    """
    return prepared_output([*command, *arguments], folder, expect)


@cache
def keep_definitions() -> None:
    """Let copies of the project have what its files define, which each would read anew."""
    scripts = REPOSITORY / "workflow/scripts"
    library = Library(scripts)
    for script in scripts.glob("*.py"):
        library.digest(script.name)


UNFINISHED = shutil.ignore_patterns(".*.partial-*")  # what another process just writes


class Project:
    """A copy of the project, to run and to edit."""

    def __init__(self, folder: Path, settings: str = TINY) -> None:
        folder.mkdir(exist_ok=True)
        keep_definitions()
        for part in PARTS:
            source = REPOSITORY / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=UNFINISHED)
            else:
                shutil.copy(source, folder / part)
        self.folder = folder
        self.settings = folder / "tiny.yaml"
        self.settings.write_text(settings)

    @classmethod
    def made(cls, folder: Path) -> "Project":
        """Return the copy that is in a folder."""
        project = cls.__new__(cls)
        project.folder, project.settings = folder, folder / "tiny.yaml"
        return project

    def command(self, *arguments: str) -> list[str]:
        return snakemake(*self._arguments(arguments))

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run Snakemake, check its exit code, return what it printed."""
        return snakemake_output(self._arguments(arguments), self.folder, expect)

    def command_output(self, *arguments: str, expect: int = 0) -> str:
        """Run ``./relposegnn``, check its exit code, return what it printed."""
        return snakemake_output(arguments, self.folder, expect, COMMAND)

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return how often each rule would run."""
        text = self.run("--dry-run", *arguments)
        table = re.search(r"^job +count\n[- ]+\n(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
        rows = [line.split() for line in table[1].splitlines()] if table else []
        return {name: int(count) for name, count in rows if name not in ("all", "total")}

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def _arguments(self, more: Sequence[str]) -> list[str]:
        # An option behind --configfile: it takes every word that follows for a file. Two jobs side
        # by side make more of two cores than two threads of one, which wait for each other.
        cores = ("--cores", "2", "--max-threads", "1")
        return ["--configfile", str(self.settings), *cores, *more]
