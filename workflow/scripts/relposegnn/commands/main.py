"""The command ``relposegnn``: loads the module of a subcommand, and runs it."""

import sys
from collections.abc import Sequence
from importlib import import_module

from ..version import VERSION

# By name: the module whose function ``main`` it is, and what it does.
COMMANDS = {
    "run": (
        "relposegnn.commands.run",
        "run the workflow, from photos to tables and figures",
    ),
    "find-poses": (
        "relposegnn.commands.find_poses",
        "find the poses of your photos or video frames with COLMAP",
    ),
    "new-place": ("relposegnn.commands.new_place", "write the configuration of your own place"),
    "localise": ("relposegnn.photos.command", "localise new photos: estimate their poses"),
    "export-map": (
        "relposegnn.photos.export_command",
        "export a place to one file, to localise photos elsewhere",
    ),
    "serve": ("relposegnn.serving.command", "localise photos over HTTP, with a web page"),
}
HELP, VERSION_OPTION = ("-h", "--help"), "--version"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code, or 2 if there is no command of this name."""
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
    if name in COMMANDS:
        return import_module(COMMANDS[name][0]).main(rest[:-1])
    if name in HELP:
        print(usage())
        return 0
    if name == VERSION_OPTION:
        print(f"relposegnn {VERSION}")
        return 0
    got = f"got {name!r}, expected one of {', '.join(COMMANDS)}" if name else "expected a command"
    print(f"{usage()}\n\nrelposegnn: {got}", file=sys.stderr)
    return 2


def usage() -> str:
    """Return the help text: all commands."""
    lines = [f"  {name:<12}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: relposegnn COMMAND ...",
            "",
            *lines,
            "",
            "relposegnn COMMAND --help lists the options of a command.",
        ]
    )
