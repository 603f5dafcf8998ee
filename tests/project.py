"""A copy of the project that tests run and edit, as a user does."""

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PARTS = ("Snakefile", "rules", "config", "envs", "profiles", "workflow", "relposegnn")
TINY = (REPOSITORY / ".test/config/config.yaml").read_text()
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)

# Snakemake's command loads libraries for longer than it plans. It runs in copies of a process that
# has loaded them and nothing of this project, which is read in the folder that it runs in.
COPIES = multiprocessing.get_context("forkserver")
COPIES.set_forkserver_preload(
    [
        *("snakemake.cli", "snakemake.report.html_reporter", "smart_open", "nbformat", "yte"),
        *("jsonschema", "numpy", "tqdm.contrib.logging"),
    ]
)


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
    arguments: Sequence[str], folder: Path, expect: int = 0, name: str = "snakemake"
) -> str:
    """Run Snakemake's command in a folder as ``output_of`` does, without loading it anew.

    Or ``relposegnn``, by its ``name``: that of the project in the folder, which runs it.
    """
    with tempfile.NamedTemporaryFile("r") as output:
        how = (name, arguments, folder, output.name, dict(os.environ))
        copy = COPIES.Process(target=_run_command, args=how)
        copy.start()
        copy.join()
        text = output.read()
    assert copy.exitcode == expect, text[-6000:]
    return text


def _run_command(
    name: str, arguments: Sequence[str], folder: Path, output: str, environment: dict[str, str]
) -> None:
    """Become Snakemake's command, or relposegnn, whose output goes to a file."""
    with Path(output).open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[1:] = arguments
    if name == "relposegnn":
        sys.path.insert(0, str(folder / "workflow/scripts"))
        from relposegnn.commands.main import main
    else:
        from snakemake.cli import main  # has been loaded by then
    sys.exit(main())


class Project:
    """A copy of the project, to run and to edit."""

    def __init__(self, folder: Path, settings: str = TINY) -> None:
        folder.mkdir(exist_ok=True)
        for part in PARTS:
            source = REPOSITORY / part
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / part)
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
        return snakemake_output(arguments, self.folder, expect, "relposegnn")

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
        # An option behind --configfile: it takes every word that follows for a file.
        return ["--configfile", str(self.settings), "--cores", "2", *more]
