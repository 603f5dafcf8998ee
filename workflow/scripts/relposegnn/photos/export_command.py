"""The command ``export-map``: write a place of a results folder as one file that works anywhere."""

import argparse
import sys
from pathlib import Path

from ..runtime import InputError, end_as_by_interrupt, log_to_terminal
from ..threads import leave_cores_to_others
from .chosen_place import add_workers, find_place, some_path
from .place import read_place


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 with a message if the user's input is wrong."""
    leave_cores_to_others()  # before torch is loaded
    end_as_by_interrupt()
    options = _parser().parse_args(arguments)
    log_to_terminal()
    try:
        from .map_files import export_map, refuse_other_file  # torch takes seconds

        place = read_place(find_place(options.results, options.scene, options.run))
        output = options.output or Path()
        output = output / f"{options.scene}.map" if output.is_dir() else output
        refuse_other_file(output)
        export_map(place, output, options.workers)
        print(f"{output}: {output.stat().st_size / 1e6:.1f} MB, for localise --map")
    except InputError as error:
        print(f"export-map: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("export-map: interrupted", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="export-map",
        description="Export everything that localising in a scene needs to one file, without "
        "images. On any machine, localise --map SCENE.map PHOTOS uses it.",
    )
    add = parser.add_argument
    add("scene", metavar="SCENE", help="name of the scene")
    add("--run", default="joint", help="run whose trained model is used (default: %(default)s)")
    add("--results", type=some_path, help="folder of results (default: the one in results/ that "
        "has the scene)")  # fmt: skip
    add("--output", type=some_path, help="file to write, or a folder for it (default: SCENE.map)")
    add_workers(parser)
    return parser
