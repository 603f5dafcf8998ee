"""The command ``relposegnn serve``: a place as a small web service, for this machine."""

import argparse
import logging
import math
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..calibration import read_calibration
from ..photos.command import MOST_THREADS, find_place
from ..photos.new_place import prepare_place, tell_quality
from ..photos.place import Place, read_place
from ..runtime import InputError, PlainFormatter, leave_cores_to_others, select_device

LIMIT, QUEUE = 30_000_000, 32  # phones' photos have up to some 25 MB
MOST_BYTES, MOST_WAITING = 1 << 32, 100_000


def main(arguments: list[str] | None = None) -> int:
    """Run the command until it is interrupted; return 0, or 1 where the user's input is wrong."""
    leave_cores_to_others()  # before torch is loaded
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.map is None and options.model:
        parser.error("--model is for --map; a run's own network is chosen with --run")
    if options.map is not None and (options.run or options.results):
        parser.error("--run and --results are for --scene, expected neither with --map")
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in ("faiss", "uvicorn.error"):  # of ways tried, of each stage of a start
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        _serve(options)
    except InputError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # raised again when the work is done
        print("ended")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relposegnn serve",
        description="Serve a place to browsers and programs: a page to drop photos on, and "
        "POST /localise, which answers a photo with its pose. See docs/live.md.",
    )
    add = parser.add_argument
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--scene", help="scene that photos show")
    place.add_argument("--map", type=Path, help="folder of images with poses, of the place that "
        "they show; nothing is trained")  # fmt: skip
    add("--model", type=Path, help="general network for --map (default: of make general-model)")
    add("--run", help="trained model to use (default: joint)")
    add("--results", type=Path, help="folder of the pipeline's results; default: the one in "
        "results/ that has the scene")  # fmt: skip
    add("--min-confidence", type=float, help="poses below it are refused (default: as the "
        "pipeline was configured)")  # fmt: skip
    add("--focal-length", type=_focal_length, help="of the photos' camera, in longer sides of "
        "the photo, for networks that see rays (default: by EXIF, or the database's)")  # fmt: skip
    add("--netvlad", type=Path, help="NetVLAD's checkpoint, where it is no longer in "
        "resources/weights/")  # fmt: skip
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    add("--workers", type=_whole(1, MOST_THREADS, "threads"), default=os.cpu_count() or 1,
        help="threads (default: %(default)s)")  # fmt: skip
    add("--host", default="127.0.0.1", help="address to serve at (default: %(default)s, for this "
        "machine alone)")  # fmt: skip
    add("--port", type=_whole(0, 65535, "as a port"), default=8000, help="0: any that is free "
        "(default: %(default)s)")  # fmt: skip
    add("--limit", type=_whole(1, MOST_BYTES, "bytes"), default=LIMIT, help="bytes of a photo "
        "(default: %(default)s)")  # fmt: skip
    add("--queue", type=_whole(1, MOST_WAITING, "photos"), default=QUEUE, help="photos that may "
        "wait, each in memory (default: %(default)s)")  # fmt: skip
    return parser


def _whole(least: int, most: int, unit: str) -> Callable[[str], int]:
    """Return what reads an option that is a whole number."""

    def read(text: str) -> int:
        if not (text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"got {text}, expected {least} to {most} {unit}")
        return int(text)

    return read


def _focal_length(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0")
    return value


def _serve(options: argparse.Namespace) -> None:
    try:
        from . import running  # told before a place is loaded, which may take minutes
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name}: is not installed, expected for a service: pip install "
            "'relposegnn[serve]', or make environment"
        ) from error
    with bind(options.host, options.port) as listening:
        place = _find(options)
        print(f"{tell_quality(read_calibration(place.calibration))}\n", flush=True)
        from ..photos.localiser import Localiser  # torch takes seconds: after the checks
        from .answers import LoadedPlace
        from .application import Bounds

        device = select_device(options.device, options.workers)
        with Localiser(place, device, options.workers) as localiser:
            loaded = LoadedPlace(localiser, options.focal_length)
            running.serve(loaded, Bounds(options.limit, options.queue), listening)


def _find(options: argparse.Namespace) -> Place:
    """Return the place that the options tell of."""
    if options.map is None:
        place = read_place(find_place(options.results, options.scene, options.run or "joint"))
    else:
        place = read_place(prepare_place(options.map, options.model, options.workers))
    if options.netvlad is not None:
        place = replace(place, describer=options.netvlad)
    if options.min_confidence is not None:
        place = replace(place, minimum_confidence=options.min_confidence)
    return place


def bind(host: str, port: int) -> socket.socket:
    """Return a socket with an address, to which nobody connects yet.

    Raises:
        InputError: there is no such address here, or another program has the port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(
            f"--host {host}: is no address ({error}), expected one of this machine's"
        ) from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise InputError(
            f"--host {host} --port {port}: cannot be served at ({error.strerror}); choose another "
            "port, 0 for any that is free, or an address of this machine"
        ) from error
    return listening
