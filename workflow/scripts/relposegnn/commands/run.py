"""The command ``relposegnn run``: Snakemake with a configuration, and with readable output."""

import argparse
import os
import re
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from ..pipeline.configuration_files import check_file
from ..pipeline.experiments import EXPERIMENTS
from ..runtime import InputError, end_as_by_interrupt

PROJECT = Path(__file__).resolve().parents[4]


def main(arguments: Sequence[str]) -> int:
    """Run the workflow; end with Snakemake's exit code, or return 1 if there is nothing to run."""
    arguments = list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = _parser().parse_intermixed_args(arguments[:end])
    own = [argument for argument in arguments[end + 1 :] if argument != "--"]
    try:
        check_options(own, options.configuration)
        project = find_project()
        configurations = find_configurations(options.configuration, project)
        for path in configurations:
            check_file(path)  # Snakemake would name neither the file nor the line
        check_targets(options.targets, project)
    except InputError as error:
        print(f"relposegnn run: {error}", file=sys.stderr)
        return 1
    end_as_by_interrupt()  # until Snakemake runs steps: then it waits at SIGTERM for their end
    os.chdir(PROJECT)
    sys.argv = ["snakemake", "--logger", "relposegnn", "--configfile"]
    sys.argv += map(str, configurations)
    sys.argv += [*(["--dry-run"] if options.dry_run else []), *own]
    sys.argv += ["--", *options.targets]
    # A warning of Snakemake itself, when it makes a report.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    from snakemake.cli import main as snakemake  # takes a second

    return snakemake()


class _Parser(argparse.ArgumentParser):
    """A parser whose errors say what is missing, and where Snakemake's options belong."""

    def error(self, message: str) -> NoReturn:
        """End the program with a message."""
        if "unrecognized arguments" in message:
            message += " (Snakemake's own options go after --)"
        # Without the configuration, argparse also asks for the targets, which are optional.
        message = message.replace("CONFIG, TARGET", "CONFIG")
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="relposegnn run",
        usage="%(prog)s [-h] [-n] CONFIG [TARGET ...] [-- OPTION ...]",
        description="Run the steps whose output is missing or out of date. Options after -- are "
        "passed to Snakemake, for example --cores 4 or --config scenes_dir=places.",
    )
    parser.add_argument("configuration", metavar="CONFIG", help="a file, or a name from "
        "config/; additions follow after commas: small,kitchen_held_out")  # fmt: skip
    parser.add_argument("targets", metavar="TARGET", nargs="*", help="for example models, "
        "tables, table_joint, videos, or a file (default: all tables and figures)")  # fmt: skip
    parser.add_argument("-n", "--dry-run", action="store_true", help="only show what would run")
    return parser


def find_project() -> Path:
    """Return the folder of the Snakefile.

    Raises:
        InputError: the library is installed without it.
    """
    if not (PROJECT / "Snakefile").is_file():
        raise InputError(
            f"{PROJECT}: has no Snakefile, expected a clone of the project, since the workflow is "
            "no part of the installed library; use ./relposegnn there"
        )
    return PROJECT


def find_configurations(names: str, project: Path) -> list[Path]:
    """Return the files of a configuration and its additions, from names separated by commas.

    Raises:
        InputError: as ``find_configuration``.
    """
    parts = [names] if Path(names).is_file() else names.split(",")
    return [find_configuration(name, project) for name in parts]


def check_options(own: Sequence[str], names: str) -> None:
    """Check that no option of Snakemake's replaces the configuration.

    Raises:
        InputError: one does.
    """
    if any(re.match("--configfiles?(=|$)", option) for option in own):
        raise InputError(
            f"--configfile: would replace {names}, expected additions after commas: "
            f"relposegnn run {names},FILE"
        )


def check_targets(targets: Sequence[str], project: Path) -> None:
    """Check that targets that are not files are names of rules.

    Raises:
        InputError: there is no such one; the message has the nearest name.
    """
    texts = [path.read_text() for path in (project / "Snakefile", *project.glob("rules/*.smk"))]
    known = {name for text in texts for name in re.findall(r"^ *rule (\w+):", text, re.MULTILINE)}
    known |= {f"table_{name}" for name in EXPERIMENTS}
    for target in targets:
        if target not in known and not re.search(r"[/.]", target):
            near = "".join(
                f"did you mean {name}? " for name in get_close_matches(target, known, n=1)
            )
            raise InputError(
                f"{target}: is no target, {near}expected one of README.md's list, or a file that a "
                "step makes, such as results/.../model.pt"
            )


def find_configuration(name: str, project: Path) -> Path:
    """Return the file of a configuration, given by path or by name in ``config/``.

    Raises:
        InputError: there is no such file; the message lists the names.
    """
    folder = project / "config"
    candidates = [Path(name), folder / f"{name}.yaml", folder / name]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        names = sorted(path.stem for path in folder.glob("*.yaml") if path.suffixes == [".yaml"])
        raise InputError(
            f"{name}: no such configuration, expected a file or one of {', '.join(names)}; "
            "relposegnn new-place FOLDER writes one for photos of yours"
        )
    return found.resolve()
