"""The command ``relposegnn run``: Snakemake on a configuration, with a terminal for people."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from ..runtime import InputError

PROJECT = Path(__file__).resolve().parents[4]


def main(arguments: Sequence[str]) -> int:
    """Run the workflow; end with Snakemake's exit code, or return 1 where there is none to run."""
    arguments = list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = _parser().parse_intermixed_args(arguments[:end])
    try:
        configuration = find_configuration(options.configuration, find_project())
    except InputError as error:
        print(f"relposegnn run: {error}", file=sys.stderr)
        return 1
    os.chdir(PROJECT)
    sys.argv = ["snakemake", "--logger", "relposegnn", "--configfile", str(configuration)]
    own = [argument for argument in arguments[end + 1 :] if argument != "--"]
    sys.argv += [*(["--dry-run"] if options.dry_run else []), *own]
    sys.argv += ["--", *options.targets]
    # Snakemake's own, as it makes a report.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    from snakemake.cli import main as snakemake  # takes a second

    return snakemake()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relposegnn run",
        usage="%(prog)s [-h] [-n] CONFIG [TARGET ...] [-- OPTION ...]",
        description="Make what is missing or out of date: tables and figures, or TARGET. Options "
        "behind -- are Snakemake's own, such as --cores 4 or --config scenes_dir=places.",
    )
    parser.add_argument(
        "configuration", metavar="CONFIG", help="file, or the name of one in config/"
    )
    parser.add_argument("targets", metavar="TARGET", nargs="*", help="such as models, tables, "
        "table_joint, videos, or a file (default: all tables and figures)")  # fmt: skip
    parser.add_argument("-n", "--dry-run", action="store_true", help="only tell what would be done")
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


def find_configuration(name: str, project: Path) -> Path:
    """Return the file of a configuration, by its path or its name in ``config/``.

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
