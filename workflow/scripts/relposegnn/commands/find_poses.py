"""The command ``relposegnn find-poses``: photos or a video of a place in, their poses out."""

import argparse
import logging
import shlex
import signal
import sys
from collections.abc import Sequence

from ..layouts.colmap import IMAGES
from ..photos.chosen_place import add_workers, some_path
from ..runtime import InputError, PlainFormatter, plain

PER_SECOND = 2.0  # stills of a video


def main(arguments: Sequence[str]) -> int:
    """Run the command; return 0, or 1 with a message where the user's input is wrong."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("faiss").setLevel(logging.WARNING)
    try:
        _find_poses(options)
    except InputError as error:
        print(f"relposegnn find-poses: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("relposegnn find-poses: interrupted; the same command goes on", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relposegnn find-poses",
        description="Find the poses of photos of a place by COLMAP, and write them beside these as "
        "a model that new-place and localise --map read.",
    )
    add = parser.add_argument
    add("folder", metavar="FOLDER", type=some_path, help="of the place; its photos are in images/")
    add("--video", type=some_path, nargs="+", default=[], help="videos that photos are taken from "
        "first, into images/ with a folder for each")  # fmt: skip
    add("--per-second", type=_positive, default=PER_SECOND, help="photos from a second of video, "
        "the sharpest (default: %(default)g)")  # fmt: skip
    add("--distance", nargs=3, metavar=("PHOTO", "PHOTO", "METRES"), help="two photos, relative to "
        "images/, and how far apart their cameras were: lengths are metres then; also of poses "
        "that were found before")  # fmt: skip
    add("--force", action="store_true", help="find anew what was found before")
    add_workers(parser)
    return parser


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0")
    return number


def _find_poses(options: argparse.Namespace) -> None:
    """Do what is asked for.

    Raises:
        InputError: it cannot be done.
    """
    from ..reconstruction.mapping import MODELS, scale_model  # COLMAP takes half a second

    metres = None if options.distance is None else _metres(options.distance[2])
    there = (options.folder / MODELS).exists()
    if there and not options.force and (options.video or metres is None):
        raise InputError(
            f"{options.folder / MODELS}: has poses already; --force finds them anew, and "
            "--distance alone tells how long a metre is in them"
        )
    if options.force or not there:
        _reconstruct(options)
    if metres is None:
        print(plain(
            "\nLengths are in a unit of COLMAP's own, and 5 cm or a metre mean nothing in it. "
            "Measure how far apart\nthe camera was at two of the photos, then:\n  ./relposegnn "
            f"find-poses {shlex.quote(str(options.folder))} --distance PHOTO PHOTO METRES"
        ))  # fmt: skip
    else:
        factor = scale_model(options.folder, *options.distance[:2], metres)
        print(plain(f"Lengths are metres now: a unit of before was {factor:.4g}."))
    folder = shlex.quote(str(options.folder))
    print(plain(
        "\nThen one of these, to train a network on the place or to do without:\n"
        f"  ./relposegnn new-place {folder}\n  ./relposegnn localise PHOTO --map {folder}"
    ))  # fmt: skip


def _metres(text: str) -> float:
    """Return a distance; InputError where it is none."""
    try:
        return _positive(text)
    except argparse.ArgumentTypeError as error:
        raise InputError(f"--distance: {error} of metres") from error


def _reconstruct(options: argparse.Namespace) -> None:
    """Take photos from videos, find the poses of all, and tell what was found."""
    from ..reconstruction.mapping import find_poses
    from ..reconstruction.stills import take_stills

    stems = [video.stem for video in options.video]
    if twice := {stem for stem in stems if stems.count(stem) > 1}:
        raise InputError(
            f"--video: {', '.join(sorted(twice))} more than once, expected names of their own, by "
            "which their folders of photos are called; rename one"
        )
    for video in options.video:
        count = take_stills(video, options.folder / IMAGES, options.per_second)
        print(plain(f"{video}: {count} photos"))
    found = find_poses(options.folder, options.workers)
    print(
        f"{found.registered} of {found.photos} photos have poses; key points are "
        f"{found.error:.2f} pixels from where their points\nshould be seen; the camera's focal "
        f"length is {found.focal_length:.3f} longer sides"
    )
    if found.others:
        print(
            f"{found.others} others see one another, but not the rest, and are left out: take "
            "photos of the way between"
        )
