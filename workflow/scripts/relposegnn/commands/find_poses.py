"""The command ``relposegnn find-poses``: finds the poses of the photos or videos of a place."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ..layouts.colmap import IMAGES, find_model
from ..photos.chosen_place import add_workers, some_path
from ..runtime import InputError, end_as_by_interrupt, log_to_terminal, plain

PER_SECOND = 2.0  # stills of a video
USUAL = (0.4, 2.5)  # focal lengths relative to the longer side: 103 to 23 degrees


def main(arguments: Sequence[str]) -> int:
    """Run the command; return 0, or 1 with a message if the user's input is wrong."""
    options = _parser().parse_args(arguments)
    end_as_by_interrupt()
    log_to_terminal()
    try:
        _find_poses(options)
    except InputError as error:
        print(f"relposegnn find-poses: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        same = "the same command" + " without --video" * (options.force and bool(options.video))
        print(f"relposegnn find-poses: interrupted; {same} resumes it", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relposegnn find-poses",
        description="Find the camera poses of a place's photos with COLMAP, and write them beside "
        "the photos as a COLMAP model, which new-place and localise --map read.",
    )
    add = parser.add_argument
    add("folder", metavar="FOLDER", type=some_path, help="the place; its photos are "
        "in images/")  # fmt: skip
    add("--video", type=some_path, nargs="+", default=[], help="videos to take photos from "
        "first; each gets a folder of its own in images/")  # fmt: skip
    add("--per-second", type=_positive, default=PER_SECOND, metavar="N", help="photos to take per "
        "second of video, the sharpest ones (default: %(default)g)")  # fmt: skip
    add("--distance", nargs=3, metavar=("PHOTO", "PHOTO", "METRES"), action="append", help="two "
        "photos (paths relative to images/) and the distance between their cameras, which scales "
        "the poses to metres; also works for poses found before; repeatable")  # fmt: skip
    add("--force", action="store_true", help="replace photos from videos and poses "
        "that are there already")  # fmt: skip
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
    """Find poses, scale them, or both, as the options say.

    Raises:
        InputError: the input does not allow it.
    """
    from ..reconstruction.mapping import check_free  # COLMAP takes half a second
    from ..reconstruction.photos import check_place

    folder, distances = options.folder, [_read_distance(*each) for each in options.distance or []]
    check_place(folder)
    found = find_model(folder) and not options.force
    same_world = False
    if not found or options.video or not distances:
        check_free(folder, options.force)
        _take_stills(options)
        _check_photos(folder, [name for *pair, _ in distances for name in pair])
        same_world = _reconstruct(options)
    place = shlex.quote(str(folder))
    if not (distances or same_world):
        print(plain(
            "\nThe poses are not in metres: COLMAP does not know the scale. Measure the distance "
            "between the camera\npositions of two photos, then run:\n"
            f"  ./relposegnn find-poses {place} --distance PHOTO PHOTO METRES"
        ))  # fmt: skip
    elif distances:
        from ..reconstruction.scale import scale_model

        factor, apart = scale_model(folder, distances)
        print(plain(f"The poses are in metres now: one unit before was {factor:.4g} m."))
        for (first, second, metres), own in zip(distances, apart, strict=True):
            print(plain(f"  {first}, {second}: {own:.3f} m in the model, {metres:g} m given"))
    print(plain(
        "\nNext, train a network on this place, or localise with the general network:\n"
        f"  ./relposegnn new-place {place}\n  ./relposegnn localise PHOTO --map {place}"
    ))  # fmt: skip


def _read_distance(first: str, second: str, text: str) -> tuple[str, str, float]:
    """Return the names of two photos in the model, and metres; InputError if they are invalid."""
    from ..reconstruction.photos import name_of

    try:
        return name_of(first), name_of(second), _positive(text)
    except argparse.ArgumentTypeError as error:
        raise InputError(f"--distance: {error} of metres") from error


def _check_photos(folder: Path, names: Sequence[str]) -> None:
    """Check that the photos exist before a reconstruction, which may take hours."""
    for name in names:
        if not (folder / IMAGES / name).is_file():
            raise InputError(
                f"{folder / IMAGES / name}: no such file, expected a photo for --distance"
            )


def _take_stills(options: argparse.Namespace) -> None:
    """Take photos from the videos, after checking all of them.

    Raises:
        InputError: one is no video, or two have one name.
    """
    if not options.video:
        return
    from ..photos.sources import CONTAINERS, is_video
    from ..reconstruction.stills import take_stills

    for video in options.video:
        if not (video.is_file() and is_video(video)):
            found = "is no video" if video.exists() else "no such file"
            raise InputError(f"{video}: {found}, expected one of {', '.join(CONTAINERS)}")
    stems = [video.stem for video in options.video]
    if twice := {stem for stem in stems if stems.count(stem) > 1}:
        raise InputError(
            f"--video: {', '.join(sorted(twice))} more than once, expected different names, by "
            "which their folders of photos are named; rename one"
        )
    for video in options.video:
        count = take_stills(video, options.folder / IMAGES, options.per_second, options.force)
        print(plain(f"{video}: {count} photos"))


def _reconstruct(options: argparse.Namespace) -> bool:
    """Find poses and report them; return whether they are in the world frame of previous ones."""
    from ..reconstruction.mapping import find_poses

    replaced = find_model(options.folder)
    found = find_poses(options.folder, options.workers, options.force)
    print(
        f"{found.registered} of {found.photos} photos have poses; the mean reprojection error is "
        f"{found.error:.2f} pixels;\nthe focal length is {found.focal_length:.3f}, relative to the "
        "image's longer side"
    )
    if missing := found.photos - found.registered:
        print(
            f"{missing} photos are left out. {found.others} of them are connected to each other, "
            "but not to the rest. Take photos\nin between, with less blur, and from positions that "
            "are farther apart"
        )
    if missing > found.registered or not USUAL[0] <= found.focal_length <= USUAL[1]:
        print(
            "Do not trust these poses: most photos have none, or the camera's focal length is "
            "unusual"
        )
    if found.alignment:
        print(plain(
            f"The poses are aligned to the previous ones: the {found.alignment.photos} photos in "
            f"both lie {found.alignment.apart:.3g} apart (median).\nThey are in metres if those "
            "were; --distance scales them to metres otherwise"
        ))  # fmt: skip
    elif replaced:
        print("The poses have a new world frame: too little in common with the previous ones")
    return found.alignment is not None
