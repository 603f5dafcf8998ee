"""What the command ``localise`` is asked: its options, and which of them go together."""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path

from ..exchange.pose_formats import FORMATS

MOST_THREADS = 1024


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; end the program with a message where they do not go together."""
    parser = _parser()
    options = parser.parse_args(arguments)
    made = options.map is not None and not options.map.is_file()
    if not made and (options.model or options.lost_poses):
        parser.error(
            "--model and --lost-poses are for --map FOLDER; a run's own network is chosen with "
            "--run"
        )
    if options.map is not None and (options.run or options.results):
        parser.error("--run and --results are for --scene, expected neither with --map")
    given = [bool(options.photos), options.camera is not None, options.watch is not None]
    if sum(given) != 1:
        parser.error("expected photos or a video, --camera or --watch, one of them")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localise",
        description="Estimate the camera poses of new photos: of a scene, with a trained run or a "
        "map, or of any place that there are images with poses of, with the general network.",
    )
    add = parser.add_argument
    add("photos", type=Path, nargs="*", help="photos (JPEG, PNG or HEIC), folders of photos, "
        "patterns, or one video")  # fmt: skip
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--scene", help="scene that they show")
    place.add_argument("--map", type=Path, help="map of the place that they show, a file of "
        "export-map; or a folder of images with poses: nothing is trained")  # fmt: skip
    add("--camera", type=int, help="take pictures from this camera, 0 is the first, until Ctrl-C")
    add("--watch", type=Path, metavar="FOLDER", help="localise the photos of a folder and those "
        "that come into it, until Ctrl-C")  # fmt: skip
    add("--every", type=_whole, default=1, metavar="N", help="take every N-th frame of a video or "
        "camera (default: %(default)s)")  # fmt: skip
    add("--model", type=Path, help="general network for --map FOLDER (default: of make "
        "general-model)")  # fmt: skip
    add("--lost-poses", choices=("refuse", "leave_out"), help="what becomes of images of --map "
        "FOLDER whose pose is not finite (frames.lost_poses)")  # fmt: skip
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
    add("--workers", type=thread_count, default=os.cpu_count() or 1, help="threads (default: "
        "%(default)s)")  # fmt: skip
    return parser


def _whole(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"got {text}, expected a whole number above 0")
    return int(text)


def thread_count(text: str) -> int:
    """Return a number of threads; argparse's error where it is none."""
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
