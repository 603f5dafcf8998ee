"""The options by which a command chooses a place, and the place that they choose."""

import argparse
import errno
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..layouts.posed_images import FOCAL_LENGTHS, LENGTH_ADVICE
from ..layouts.reading import LEAVE_OUT, REFUSE
from ..runtime import InputError
from .place import Place, read_place
from .preparing import prepare_place

MOST_THREADS = 1024


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the place and the computer; then call ``check_place_options``."""
    add = parser.add_argument
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--scene", help="scene that the photos show")
    place.add_argument("--map", type=some_path, help="place that the photos show: a file of "
        "export-map, or a folder of images with poses, which needs no training")  # fmt: skip
    add("--model", type=some_path, help="general network for --map FOLDER (default: that of "
        "make general-model)")  # fmt: skip
    add("--lost-poses", choices=(REFUSE, LEAVE_OUT), help="what to do with images of "
        "--map FOLDER whose pose is not finite (as frames.lost_poses)")  # fmt: skip
    add("--database-focal-length", type=_focal_length, metavar="F", help="focal length of the "
        "images of --map FOLDER, relative to their longer side (as frames.focal_lengths; default: "
        "from their files, or estimated)")  # fmt: skip
    add("--run", help="run whose trained model is used (default: joint)")
    add("--results", type=some_path, help="folder of results (default: the one in results/ that "
        "has the scene)")  # fmt: skip
    add("--min-confidence", type=_share, metavar="P", help="poses with less confidence are not "
        "accepted (default: photos.minimum_confidence of the run)")  # fmt: skip
    add("--focal-length", type=_focal_length, metavar="F", help="exact focal length of the "
        "photos, relative to their longer side; makes poses more accurate (default: from EXIF or "
        "the database, corrected by matches)")  # fmt: skip
    add("--netvlad", type=some_path, help="NetVLAD's weights, if they are no longer in "
        "resources/weights/")  # fmt: skip
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    add_workers(parser)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the option for the number of threads."""
    parser.add_argument(
        "--workers",
        type=whole_number(1, MOST_THREADS, "threads"),
        default=os.cpu_count() or 1,
        metavar="N",
        help="number of threads (default: %(default)s)",
    )


def check_place_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End the program with a message if options do not go together."""
    made = options.map is not None and not options.map.is_file()
    if not made and (options.model or options.lost_poses or options.database_focal_length):
        parser.error(
            "--model, --lost-poses and --database-focal-length are for --map FOLDER; a run's own "
            "network is chosen with --run"
        )
    if options.map is not None and (options.run or options.results):
        parser.error("--run and --results are for --scene, expected neither with --map")


def some_path(text: str) -> Path:
    """Read an option that is a path; an empty one (an unset shell variable) is refused."""
    if not text:
        raise argparse.ArgumentTypeError("got nothing, expected a path")
    try:
        Path(text).stat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):  # not handled by later steps
            raise argparse.ArgumentTypeError(f"got {text:.200}: {error.strerror}") from error
    return Path(text)


def whole_number(least: int, most: int, unit: str) -> Callable[[str], int]:
    """Return a function that reads an option that is a whole number."""

    def read(text: str) -> int:
        """Return the number that a text stands for, for argparse."""
        if not (text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"got {text}, expected {least} to {most} {unit}")
        return int(text)

    return read


def _focal_length(text: str) -> float:
    return _between(text, *FOCAL_LENGTHS, f" longer sides; {LENGTH_ADVICE}")


def _share(text: str) -> float:
    return _between(text, 0.0, 1.0)


def _between(text: str, least: float, most: float, unit: str = "") -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"got {text}, expected {least:g} to {most:g}{unit}")
    return value


@contextmanager
def chosen_place(options: argparse.Namespace) -> Iterator[Place]:
    """Yield the place of a scene and a run, of a map, or of a folder of images with poses.

    Raises:
        InputError: there is none, or it cannot be made.
    """
    if options.map is not None and options.map.is_file():
        from .map_files import opened_place  # torch takes seconds

        with opened_place(options.map) as place:
            yield _as_asked(place, options)
        return
    if options.map is None:
        path = find_place(options.results, options.scene, options.run or "joint")
    else:
        asked = options.map, options.model, options.workers
        path = prepare_place(*asked, options.lost_poses, options.database_focal_length)
    yield _as_asked(read_place(path), options)


def _as_asked(place: Place, options: argparse.Namespace) -> Place:
    if options.netvlad is not None:
        place = replace(place, describer=options.netvlad)
    if options.min_confidence is not None:
        place = replace(place, minimum_confidence=options.min_confidence)
    return place


def find_place(results: Path | None, scene: str, run: str) -> Path:
    """Return the file of the place of a scene and a run.

    Args:
        results: a dataset's folder of results; None: the one in ``results/`` that has both.
        scene: name.
        run: name.

    Raises:
        InputError: no folder has them, or several have; the message lists what there is.
    """
    folders = [results] if results else list(Path("results").glob("*"))
    places = [path for folder in folders for path in folder.glob("runs/*/places/*.json")]
    found = [path for path in places if (path.stem, path.parents[1].name) == (scene, run)]
    if len(found) > 1:
        raise InputError(
            f"scene {scene!r} and run {run!r} are in several folders: "
            f"{listed(path.parents[3] for path in found)}; choose one with --results"
        )
    if not found:
        raise InputError(
            f"{results or 'results'}: has no scene {scene!r} with a run {run!r}; found the scenes: "
            f"{listed(path.stem for path in places)}; and the runs: "
            f"{listed(path.parents[1].name for path in places)}. Choose one of them, run the "
            "pipeline (./relposegnn run CONFIG models), or name the results folder with --results"
        )
    return found[0]


def listed(names: Iterable[object]) -> str:
    """Return names as a list for a message."""
    return ", ".join(sorted({str(name) for name in names})) or "none"
