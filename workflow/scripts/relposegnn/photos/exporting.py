"""Write the table of photos, and accepted photos in other programs' formats: docs/formats.md."""

import logging
import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from ..exchange.models import write_model
from ..exchange.pose_formats import (
    FORMATS,
    GUESSED_LENGTH,
    Pinhole,
    PoseList,
    write_ace,
    write_hloc,
    write_images,
    write_tum,
)
from ..runtime import InputError, disk_errors_named
from .cameras import CAMERA
from .table import POSE

logger = logging.getLogger(__name__)

REMARK = "Photos that were accepted, estimated by relposegnn."
# Files beside ``poses.csv``, by folder. The first line of the last one shows that they are ours.
LISTS = {
    "colmap": ("cameras.txt", "points3D.txt", "images.txt"),
    "": ("poses.txt", "hloc.txt", "ace.txt", "photos.png", "images.txt"),
}


def check_output(output_folder: str | Path, formats: Collection[str]) -> None:
    """Check what a run is to write, before any work.

    Raises:
        InputError: a format is not in ``FORMATS``; or a COLMAP model that no earlier run wrote,
            maybe that of a place, would be replaced.
    """
    asked = [formats] if isinstance(formats, str) else list(formats)
    if unknown := ", ".join(name for name in asked if name not in FORMATS):
        raise InputError(f"formats: got {unknown}, expected some of {', '.join(FORMATS)}")
    for below in (".", "colmap") if "colmap" in asked else (".",):
        images = Path(output_folder, below, "images.txt")
        if images.is_file() and not _is_ours(images):
            raise InputError(
                f"{images}: is of a COLMAP model that no earlier run wrote, and would be replaced; "
                "move it away, or choose another output folder"
            )


def remove_earlier(output_folder: str | Path) -> None:
    """Remove what an earlier run, possibly of other photos, left beside ``poses.csv``.

    Other files stay, and so does a COLMAP model that the user has put there.
    """
    for below, names in LISTS.items():
        folder = Path(output_folder, below)
        if not _is_ours(folder / names[-1]):
            continue
        for path in map(folder.joinpath, names):
            with disk_errors_named(path):
                path.unlink(missing_ok=True)
        if below:
            with suppress(OSError):  # the folder holds other files
                folder.rmdir()


def _is_ours(images: Path) -> bool:
    """Return whether an ``images.txt`` was written by a run of ours."""
    try:
        with images.open(encoding="utf-8", errors="replace") as file:
            return file.readline().strip() == f"# {REMARK}"
    except OSError:
        return False


def accepted_poses(table: pd.DataFrame) -> PoseList:
    """Return the accepted poses of a table of photos, see ``Localiser.localise``."""
    accepted = table[table["accepted"]]
    poses = accepted[POSE].to_numpy()
    return PoseList(list(accepted["image"]), poses[:, :3], poses[:, 3:], REMARK)


def written_table(table: pd.DataFrame, header: bool = True) -> bytes:
    """Return rows of ``poses.csv``, see ``Localiser.localise``, with numbers in full precision."""
    written = table.assign(accepted=table["accepted"].map({True: "true", False: "false"}))
    return written.to_csv(index=False, header=header).encode("utf-8", "backslashreplace")


def write_lists(
    table: pd.DataFrame, output_folder: str | Path, seconds: Sequence[float] | None = None
) -> None:
    """Write accepted photos as ``poses.txt`` (TUM) and ``images.txt`` (COLMAP).

    Args:
        table: of photos, see ``Localiser.localise``.
        output_folder: to write to.
        seconds: of each accepted photo, ascending; None: running numbers are written.
    """
    poses, folder = accepted_poses(table), Path(output_folder)
    clock = () if seconds is None else (seconds, "in seconds")
    write_tum(folder / "poses.txt", poses, *clock)
    write_images(folder / "images.txt", poses)


def write_formats(table: pd.DataFrame, output_folder: str | Path, formats: Collection[str]) -> None:
    """Write accepted photos as a COLMAP model ``colmap/``, and as ``hloc.txt`` and ``ace.txt``.

    ACE's confidence is the number of points by which the pose was refined. Cameras are those of the
    photos turned as their poses have it.

    Args:
        table: of photos, see ``Localiser.localise``.
        output_folder: to write to.
        formats: to write, of ``exchange.pose_formats.FORMATS``.
    """
    if not formats:
        return
    poses, folder, accepted = accepted_poses(table), Path(output_folder), table[table["accepted"]]
    cameras = [Pinhole(*row) for row in accepted[CAMERA].itertuples(index=False)]
    if unknown := sum(math.isnan(camera.fx) for camera in cameras):
        logger.warning(
            "%s: the focal lengths of %d photos are unknown, and written as %s longer sides; "
            "give --focal-length",
            *(folder, unknown, GUESSED_LENGTH),
        )
        cameras = [Pinhole.of_image(c[:2], c.fx) if math.isnan(c.fx) else c for c in cameras]
    if "colmap" in formats:
        write_model(folder / "colmap", poses, cameras)
    if "hloc" in formats:
        write_hloc(folder / "hloc.txt", poses)
    if "ace" in formats:
        write_ace(folder / "ace.txt", poses, cameras, accepted["points"])
