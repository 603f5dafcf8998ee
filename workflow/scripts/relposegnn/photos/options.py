"""The options of the command ``localise``, and which of them go together."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..exchange.pose_formats import FORMATS
from .chosen_place import add_place_options, check_place_options, some_path, whole_number

MOST_APART = 1_000_000  # frames
MOST_CAMERAS = 999


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; end the program with a message if they do not go together."""
    parser = _parser()
    options = parser.parse_args(arguments)
    check_place_options(parser, options)
    given = [bool(options.photos), options.camera is not None, options.watch is not None]
    if sum(given) != 1:
        parser.error("expected exactly one of: photos or a video, --camera, --watch")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localise",
        description="Estimate the camera poses of new photos: of a scene with a trained run or an "
        "exported map, or of any place with the general network and images with poses.",
    )
    add = parser.add_argument
    add("photos", type=some_path, nargs="*", help="photos (JPEG, PNG or HEIC), folders of photos, "
        "file patterns, or one video")  # fmt: skip
    add(
        "--camera",
        type=whole_number(0, MOST_CAMERAS, "as a camera"),
        metavar="N",
        help="localise frames of this camera (0 is the first), until Ctrl-C",
    )
    add("--watch", type=some_path, metavar="FOLDER", help="localise the photos in this folder "
        "and those added to it, until Ctrl-C")  # fmt: skip
    add("--every", type=whole_number(1, MOST_APART, "frames"), default=1, metavar="N", help="take "
        "every N-th frame of a video or camera (default: %(default)s)")  # fmt: skip
    add("--output", type=some_path, default=Path("localised"), metavar="FOLDER", help="folder "
        "for the results (default: %(default)s)")  # fmt: skip
    add("--format", action="append", choices=FORMATS, default=[], help="also write accepted "
        "photos as a complete COLMAP model, or as poses for hloc or ACE; repeatable")  # fmt: skip
    add_place_options(parser)
    return parser
