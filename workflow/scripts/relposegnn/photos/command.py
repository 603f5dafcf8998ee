"""The command ``localise``: photos in a folder, their poses out, by files in a results folder."""

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..runtime import InputError, select_device
from .place import read_place

PLACES = "runs/*/places"  # in a dataset's folder of results
REMEDY = 'Run the pipeline ("snakemake models" does)'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 with a message where the user's input is wrong."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)
    try:
        _run(options)
    except InputError as error:
        print(f"localise: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localise",
        description="Estimate the camera poses of new photos of a scene, with a trained run.",
    )
    add = parser.add_argument
    add("photos", type=Path, help="folder of photos, JPEG or PNG")
    add("--scene", required=True, help="scene that they show")
    add("--run", default="joint", help="trained model to use (default: %(default)s)")
    add("--results", type=Path, help="folder of the pipeline's results; default: the one in "
        "results/ that has the scene")  # fmt: skip
    add("--output", type=Path, default=Path("localised"), help="folder to write to "
        "(default: %(default)s)")  # fmt: skip
    add("--min-confidence", type=float, help="photos below it are marked, and left out of "
        "poses.txt and images.txt (default: as the pipeline was configured)")  # fmt: skip
    add("--netvlad", type=Path, help="NetVLAD's checkpoint, where it is no longer in "
        "resources/weights/")  # fmt: skip
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    add("--workers", type=_positive, default=os.cpu_count() or 1, help="threads (default: "
        "%(default)s)")  # fmt: skip
    return parser


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"got {text}, expected a number of threads")
    return int(text)


def _run(options: argparse.Namespace) -> None:
    results = options.results or find_results(Path("results"), options.scene)
    place = read_place(find_place(results, options.scene, options.run))
    if options.netvlad is not None:
        place = replace(place, describer=options.netvlad)
    if options.min_confidence is not None:
        place = replace(place, minimum_confidence=options.min_confidence)
    from .localising import localise_photos  # torch takes seconds: after the checks

    device = select_device(options.device, options.workers)
    table = localise_photos(place, options.photos, options.output, device, options.workers)
    columns = ["image", "tx", "ty", "tz", "confidence", "accepted"]
    formats = dict.fromkeys(columns[1:5], "{:.2f}".format)
    print(table[columns].to_string(index=False, formatters=formats))
    print(f"\nIn {options.output}:")
    print("  poses.csv    all photos: camera-to-world poses, confidence")
    print("  poses.txt    accepted photos: TUM trajectory")
    print("  images.txt   accepted photos: COLMAP, world-to-camera")
    print("  photos.png   the photos on a map")


def find_results(parent: Path, scene: str) -> Path:
    """Return the dataset's folder in ``parent`` that has a scene.

    Raises:
        InputError: none has it, or several have.
    """
    found = sorted({path.parents[3] for path in parent.glob(f"*/{PLACES}/{scene}.json")})
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"scene {scene!r} is in several folders: {_listed(found)}; choose one with --results"
        )
    scenes = {path.stem for path in parent.glob(f"*/{PLACES}/*.json")}
    raise InputError(
        f"{parent}: has no scene {scene!r}; there are: {_listed(scenes)}. {REMEDY}, or name its "
        "results with --results"
    )


def find_place(results: Path, scene: str, run: str) -> Path:
    """Return the file of a place, a scene and a run, in a dataset's folder of results.

    Raises:
        InputError: it is missing; the message lists the scenes and runs that there are.
    """
    if not results.is_dir():
        raise InputError(f"{results}: no such folder, expected a dataset's results")
    place_file = results / f"runs/{run}/places/{scene}.json"
    if not place_file.is_file():
        places = list(results.glob(f"{PLACES}/*.json"))
        scenes, runs = {path.stem for path in places}, {path.parents[1].name for path in places}
        raise InputError(
            f"{place_file}: no such file; {results} has these scenes: {_listed(scenes)}; and these "
            f"runs: {_listed(runs)}. {REMEDY}, or choose one of them"
        )
    return place_file


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, sorted(names))) or "none"
