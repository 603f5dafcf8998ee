"""The command ``localise``: photos in, their poses out, by files in a results folder or a map."""

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ..calibration import read_calibration
from ..runtime import InputError, PlainFormatter, leave_cores_to_others, plain, select_device
from .files import find_photos
from .new_place import prepare_place, tell_quality
from .options import read_options
from .place import Place, read_place

FILES = """
  poses.csv    all photos: camera-to-world poses, their errors, confidence
  poses.txt    accepted photos: TUM trajectory
  images.txt   accepted photos: COLMAP, world-to-camera"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 with a message where the user's input is wrong."""
    leave_cores_to_others()  # before torch is loaded
    options = read_options(arguments)
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("faiss").setLevel(logging.WARNING)
    try:
        with _asked_place(options) as place:
            print(f"{tell_quality(read_calibration(place.calibration))}\n", flush=True)
            if options.netvlad is not None:
                place = replace(place, describer=options.netvlad)
            if options.min_confidence is not None:
                place = replace(place, minimum_confidence=options.min_confidence)
            stream = options.camera is not None or options.watch is not None
            (_localise_stream if stream or _a_video(options) else _localise)(options, place)
    except InputError as error:
        print(f"localise: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _asked_place(options: argparse.Namespace) -> Iterator[Place]:
    """Yield the place of a scene and a run, of a map, or one that is made of images."""
    if options.map is None:
        yield read_place(find_place(options.results, options.scene, options.run or "joint"))
    elif options.map.is_file():
        from .map_files import opened_place  # torch takes seconds

        with opened_place(options.map) as place:
            yield place
    else:
        for photos in [] if _a_video(options) else options.photos:
            find_photos(photos)  # to make a place may take minutes
        asked = options.map, options.model, options.workers, options.lost_poses
        yield read_place(prepare_place(*asked))


def _a_video(options: argparse.Namespace) -> bool:
    """Return whether the one thing to localise is a video."""
    if len(options.photos) != 1:
        return False
    from .sources import is_video

    return is_video(options.photos[0])


def _localise(options: argparse.Namespace, place: Place) -> None:
    from .localising import localise_photos  # torch takes seconds: after the checks

    device = select_device(options.device, options.workers)
    photos = options.photos[0] if len(options.photos) == 1 else options.photos
    asked = photos, options.output, device, options.workers, options.focal_length
    table = localise_photos(place, *asked)
    columns = ["image", "tx", "ty", "tz", "sigma_m", "sigma_deg", "confidence", "accepted"]
    formats = dict.fromkeys(columns[1:7], "{:.2f}".format) | {"sigma_m": "{:.3f}".format}
    print(plain(table[columns].to_string(index=False, formatters=formats)))
    print(f"\nIn {options.output}:{FILES}\n  photos.png   the photos on a map")
    if unread := table["similarity"].isna().sum():
        raise InputError(
            f"{_listed(options.photos)}: {unread} of {len(table)} photos cannot be read and have "
            "no pose, see above; replace them or leave them out"
        )


def _localise_stream(options: argparse.Namespace, place: Place) -> None:
    """Localise what comes from a video, a camera or a folder, and print each pose at once."""
    from .localiser import Localiser
    from .sources import camera_frames, video_frames, watched_photos
    from .streaming import localise_stream

    if options.camera is not None:
        items = camera_frames(options.camera, options.every)
    elif options.watch is not None:
        items = watched_photos(options.watch)
    else:
        items = video_frames(options.photos[0], options.every)
    device = select_device(options.device, options.workers)
    with (
        suppress(KeyboardInterrupt),
        Localiser(place, device, options.workers) as localiser,
        closing(localise_stream(localiser, items, options.output, options.focal_length)) as rows,
    ):
        for row in rows:
            numbers = "{tx:.2f} {ty:.2f} {tz:.2f}  {sigma_m:.3f} m  {confidence:.2f}".format(**row)
            mark = "accepted" if row["accepted"] else "not accepted"
            print(plain(f"{row['image']}  {row['seconds']:.2f} s  {numbers}  {mark}"), flush=True)
    print(f"\nIn {options.output}:{FILES}")


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
