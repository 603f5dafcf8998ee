"""The command ``localise``: find the poses of photos, with a results folder, a map or a place."""

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from ..exchange.pose_formats import FORMATS
from ..files.folders import refuse_no_folder
from ..runtime import InputError, end_as_by_interrupt, log_to_terminal, plain, select_device
from ..scores.calibration import read_calibration
from ..threads import leave_cores_to_others
from .chosen_place import (
    add_place_options,
    check_place_options,
    chosen_place,
    listed,
    some_path,
    whole_number,
)
from .files import find_photos
from .place import Place
from .preparing import tell_quality

MOST_APART = 1_000_000  # frames
MOST_CAMERAS = 999
FILES = """
  poses.csv    all photos: camera-to-world poses, their errors, confidence
  poses.txt    accepted photos: TUM trajectory
  images.txt   accepted photos: COLMAP, world-to-camera"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 with a message if the user's input is wrong."""
    leave_cores_to_others()  # before torch is loaded
    options = read_options(arguments)
    end_as_by_interrupt()
    log_to_terminal()
    try:
        stream = options.camera is not None or options.watch is not None or _a_video(options)
        if options.every > 1 and (not stream or options.watch is not None):
            raise InputError(
                f"--every {options.every}: got photos, expected a video or a camera; leave it out"
            )
        if options.map is not None:
            _refuse_missing(options, stream)  # now, because making a place may take minutes
        with chosen_place(options) as place:
            print(f"{tell_quality(read_calibration(place.calibration))}\n", flush=True)
            (_localise_stream if stream else _localise)(options, place)
    except InputError as error:
        print(f"localise: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("localise: interrupted", file=sys.stderr)
        return 1
    return 0


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


def _a_video(options: argparse.Namespace) -> bool:
    """Return whether the input is a single video."""
    if len(options.photos) != 1:
        return False
    from .sources import is_video

    return is_video(options.photos[0])


def _refuse_missing(options: argparse.Namespace, stream: bool) -> None:
    """Raise InputError if the photos, the video or the watched folder do not exist."""
    if options.watch is not None:
        refuse_no_folder(options.watch, "the folder that photos come to")
    elif not stream:
        for photos in options.photos:
            find_photos(photos, logging.DEBUG)
    elif options.camera is None and not options.photos[0].exists():
        raise InputError(f"{options.photos[0]}: no such file, expected a video")


def _localise(options: argparse.Namespace, place: Place) -> None:
    from .localising import localise_photos  # torch takes seconds: after the checks

    device = select_device(options.device, options.workers)
    photos = options.photos[0] if len(options.photos) == 1 else options.photos
    how = options.workers, options.focal_length, options.format
    table = localise_photos(place, photos, options.output, device, *how)
    columns = ["image", "tx", "ty", "tz", "sigma_m", "sigma_deg", "confidence", "accepted"]
    formats = dict.fromkeys(columns[1:7], "{:.2f}".format) | {"sigma_m": "{:.3f}".format}
    print(plain(table[columns].to_string(index=False, formatters=formats)))
    _tell_files(options, "\n  photos.png   the photos on a map")
    _refuse_unread(listed(options.photos), table["similarity"].isna().sum(), len(table))


def _tell_files(options: argparse.Namespace, more: str = "") -> None:
    """Print which files hold the results, and what each holds."""
    print(f"\nIn {options.output}:{FILES}{more}")
    for name in dict.fromkeys(options.format):
        file = "colmap/" if name == "colmap" else f"{name}.txt"
        print(f"  {file:<12} accepted photos, see docs/formats.md")


def _refuse_unread(source: str, unread: int, photos: int) -> None:
    """Raise InputError if some of the photos could not be read."""
    if unread:
        raise InputError(
            f"{source}: {unread} of {photos} photos cannot be read and have no pose, see above; "
            "replace them or leave them out"
        )


def _localise_stream(options: argparse.Namespace, place: Place) -> None:
    """Localise what a video, a camera or a watched folder delivers; print each pose at once."""
    from .localiser import Localiser
    from .sources import camera_frames, video_frames, watched_photos
    from .streaming import localise_stream

    if options.camera is not None:
        source, items = "--camera", camera_frames(options.camera, options.every)
    elif options.watch is not None:
        source, items = str(options.watch), watched_photos(options.watch)
    else:
        source, items = str(options.photos[0]), video_frames(options.photos[0], options.every)
    how = options.output, options.focal_length, options.format
    unread = photos = 0
    device = select_device(options.device, options.workers)
    with (
        Localiser(place, device, options.workers) as localiser,
        suppress(KeyboardInterrupt),
        closing(localise_stream(localiser, items, *how)) as rows,
    ):
        for row in rows:
            photos += 1
            unread += math.isnan(row["similarity"])
            numbers = "{tx:.2f} {ty:.2f} {tz:.2f}  {sigma_m:.3f} m  {confidence:.2f}".format(**row)
            mark = "accepted" if row["accepted"] else "not accepted"
            print(plain(f"{row['image']}  {row['seconds']:.2f} s  {numbers}  {mark}"), flush=True)
    _tell_files(options)
    _refuse_unread(source, unread, photos)
