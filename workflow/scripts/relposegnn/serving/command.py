"""The command ``relposegnn serve``: serve a place over HTTP, by default to this machine only."""

import argparse
import logging
import os
import sys
from tempfile import TemporaryDirectory

from ..photos.chosen_place import (
    add_place_options,
    check_place_options,
    chosen_place,
    whole_number,
)
from ..photos.preparing import tell_quality
from ..runtime import InputError, end_as_by_interrupt, log_to_terminal, select_device
from ..scores.calibration import read_calibration
from ..threads import leave_cores_to_others
from .addresses import bind

LIMIT, QUEUE = 30_000_000, 32  # phones' photos have up to some 25 MB
MOST_BYTES, MOST_WAITING = 1 << 32, 100_000


def main(arguments: list[str] | None = None) -> int:
    """Run the command until it is interrupted; return 0, or 1 if the user's input is wrong."""
    leave_cores_to_others()  # before torch is loaded
    end_as_by_interrupt()
    parser = _parser()
    options = parser.parse_args(arguments)
    check_place_options(parser, options)
    log_to_terminal(logging.INFO, "%(asctime)s %(message)s", "%H:%M:%S")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # hides the stages of the start
    try:
        _serve(options)
    except InputError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:  # raised after the work is finished
        print("ended", flush=True)
        if interrupt.args:  # work is left: a normal exit would wait for its thread
            os._exit(1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relposegnn serve",
        description="Serve a place over HTTP: a web page to drop photos on, and POST /localise, "
        "which returns the pose of a photo. See docs/live.md.",
    )
    add = parser.add_argument
    add_place_options(parser)
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, which "
        "only this machine reaches)")  # fmt: skip
    add("--port", type=whole_number(0, 65535, "as a port"), default=8000, metavar="N", help="port "
        "to listen on, 0 for any that is free (default: %(default)s)")  # fmt: skip
    add("--limit", type=whole_number(1, MOST_BYTES, "bytes"), default=LIMIT, metavar="BYTES",
        help="largest size of a photo (default: %(default)s)")  # fmt: skip
    add("--queue", type=whole_number(1, MOST_WAITING, "photos"), default=QUEUE, metavar="N",
        help="most photos held in memory, with the one in work (default: %(default)s)")  # fmt: skip
    return parser


def _serve(options: argparse.Namespace) -> None:
    try:
        from . import running  # first, because loading a place may take minutes
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name}: is not installed, expected for a service: run pip install "
            "'relposegnn[serve]', or make environment"
        ) from error
    with bind(options.host, options.port) as listening, chosen_place(options) as place:
        print(f"{tell_quality(read_calibration(place.calibration))}\n", flush=True)
        from ..photos.localiser import Localiser  # torch takes seconds: after the checks
        from .answers import LoadedPlace
        from .application import Bounds

        device = select_device(options.device, options.workers)
        with (
            Localiser(place, device, options.workers) as localiser,
            TemporaryDirectory(prefix="relposegnn-photos-") as folder,
        ):
            loaded = LoadedPlace(localiser, options.focal_length, folder)
            running.serve(loaded, Bounds(options.limit, options.queue), listening)
