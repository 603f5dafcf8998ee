"""The command ``localise``: photos in, their poses out, by files in a results folder."""

import argparse
import logging
import math
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..calibration import read_calibration
from ..exchange.pose_formats import FORMATS
from ..runtime import InputError, PlainFormatter, leave_cores_to_others, plain, select_device
from .files import find_photos
from .new_place import prepare_place, tell_quality
from .place import read_place

MOST_THREADS = 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 with a message where the user's input is wrong."""
    leave_cores_to_others()  # before torch is loaded
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.map is None and options.model:
        parser.error("--model is for --map; a run's own network is chosen with --run")
    if options.map is not None and (options.run or options.results):
        parser.error("--run and --results are for --scene, expected neither with --map")
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("faiss").setLevel(logging.WARNING)
    try:
        _run(options)
    except InputError as error:
        print(f"localise: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localise",
        description="Estimate the camera poses of new photos: of a scene, with a trained run, or "
        "of any place that there are images with poses of, with the general network.",
    )
    add = parser.add_argument
    add("photos", type=Path, help="photo, or folder of photos, JPEG or PNG")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--scene", help="scene that they show")
    place.add_argument("--map", type=Path, help="folder of images with poses, of the place that "
        "they show; nothing is trained")  # fmt: skip
    add("--model", type=Path, help="general network for --map (default: of make general-model)")
    add("--run", help="trained model to use (default: joint)")
    add("--results", type=Path, help="folder of the pipeline's results; default: the one in "
        "results/ that has the scene")  # fmt: skip
    add("--output", type=Path, default=Path("localised"), help="folder to write to "
        "(default: %(default)s)")  # fmt: skip
    add("--min-confidence", type=float, help="photos below it are marked, and left out of "
        "poses.txt and images.txt (default: as the pipeline was configured)")  # fmt: skip
    add("--focal-length", type=_focal_length, help="of the photos' camera, in longer sides of "
        "the photo, for networks that see rays (default: by EXIF, or the database's)")  # fmt: skip
    add("--format", action="append", choices=FORMATS, default=[], help="further format for "
        "accepted photos: a complete COLMAP model, hloc's or ACE's poses; repeatable")  # fmt: skip
    add("--netvlad", type=Path, help="NetVLAD's checkpoint, where it is no longer in "
        "resources/weights/")  # fmt: skip
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    add("--workers", type=_threads, default=os.cpu_count() or 1, help="threads (default: "
        "%(default)s)")  # fmt: skip
    return parser


def _threads(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= MOST_THREADS):
        raise argparse.ArgumentTypeError(f"got {text}, expected 1 to {MOST_THREADS} threads")
    return int(text)


def _focal_length(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0")
    return value


def _run(options: argparse.Namespace) -> None:
    if options.map is None:
        place = read_place(find_place(options.results, options.scene, options.run or "joint"))
    else:
        find_photos(options.photos)  # to make a place may take minutes
        place = read_place(prepare_place(options.map, options.model, options.workers))
    print(f"{tell_quality(read_calibration(place.calibration))}\n", flush=True)
    if options.netvlad is not None:
        place = replace(place, describer=options.netvlad)
    if options.min_confidence is not None:
        place = replace(place, minimum_confidence=options.min_confidence)
    from .localising import localise_photos  # torch takes seconds: after the checks

    device = select_device(options.device, options.workers)
    paths = options.photos, options.output
    how = options.workers, options.focal_length, options.format
    table = localise_photos(place, *paths, device, *how)
    columns = ["image", "tx", "ty", "tz", "sigma_m", "sigma_deg", "confidence", "accepted"]
    formats = dict.fromkeys(columns[1:7], "{:.2f}".format) | {"sigma_m": "{:.3f}".format}
    print(plain(table[columns].to_string(index=False, formatters=formats)))
    print(f"\nIn {options.output}:")
    print("  poses.csv    all photos: camera-to-world poses, their errors, confidence")
    print("  poses.txt    accepted photos: TUM trajectory")
    print("  images.txt   accepted photos: COLMAP, world-to-camera")
    print("  photos.png   the photos on a map")
    for name in dict.fromkeys(options.format):
        file = "colmap/" if name == "colmap" else f"{name}.txt"
        print(f"  {file:<12} accepted photos, see docs/formats.md")
    if unread := table["similarity"].isna().sum():
        raise InputError(
            f"{options.photos}: {unread} of {len(table)} photos cannot be read and have no pose, "
            "see above; replace them or leave them out"
        )


def find_place(results: Path | None, scene: str, run: str) -> Path:
    """Return the file of a place, a scene and a run.

    Args:
        results: a dataset's folder of results; by default the one in ``results/`` that has both.
        scene: name.
        run: name.

    Raises:
        InputError: none has them, or several have; the message lists what there is.
    """
    folders = [results] if results else list(Path("results").glob("*"))
    places = [path for folder in folders for path in folder.glob("runs/*/places/*.json")]
    found = [path for path in places if (path.stem, path.parents[1].name) == (scene, run)]
    if len(found) > 1:
        raise InputError(
            f"scene {scene!r} and run {run!r} are in several folders: "
            f"{_listed(path.parents[3] for path in found)}; choose one with --results"
        )
    if not found:
        raise InputError(
            f"{results or 'results'}: has no scene {scene!r} with a run {run!r}; there are scenes: "
            f"{_listed(path.stem for path in places)}; and runs: "
            f"{_listed(path.parents[1].name for path in places)}. Choose one of them, run the "
            'pipeline ("snakemake models" does), or name its results with --results'
        )
    return found[0]


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted({str(name) for name in names})) or "none"
