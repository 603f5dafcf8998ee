"""Localise a folder of new photos in a place: a table, a map, and lists for other programs."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..data.images import troubles_of
from ..runtime import InputError, atomic_path, make_folder
from .exporting import check_output, remove_earlier, write_formats, write_lists, written_table
from .files import PhotoError, check_names, photo_error, requested_photos
from .localiser import Localiser
from .picture import plot_photos
from .place import Place
from .table import ABSENT, NO_PHOTOS, Localised

logger = logging.getLogger(__name__)

PICTURE = "photos.png"  # of the results
AT_A_TIME = 500  # photos, some minutes of work; the results so far are written after each such part


def localise_photos(
    place: Place,
    photos: str | Path | Sequence[str | Path],
    output_folder: str | Path,
    device: torch.device,
    workers: int = 1,
    focal_length: float | None = None,
    formats: Collection[str] = (),
) -> pd.DataFrame:
    """Estimate the pose of every photo in a folder, write the results and return their table.

    ``poses.csv`` has a row for each photo, see ``Localiser.localise``. Photos that cannot be read
    have no pose, no similarity and no nearest image, and are reported in the log. The map
    ``photos.png`` shows the others; ``poses.txt`` (TUM) and ``images.txt`` (COLMAP) hold the
    accepted ones. All three lists are written after every ``AT_A_TIME`` photos, so that an
    interrupted run leaves its results up to then.

    Args:
        place: that the photos show.
        photos: a folder with JPEG, PNG and HEIC files, also in sub-folders; one such file; a
            pattern; or several of these.
        output_folder: to write to, not among the photos.
        device: to compute on.
        workers: threads that read and refine photos.
        focal_length: of the photos, in longer sides; None: from EXIF, else that of the database.
        formats: further formats for accepted photos, see ``exporting.write_formats``.

    Raises:
        InputError: there is no photo, or none that can be read; the place's files do not belong
            together; a format is unknown; or the output folder holds a COLMAP model of the user's.
    """
    check_output(output_folder, formats)
    photo_folder, names = _requested_photos(photos, output_folder)
    readable = _readable(photo_folder, names, workers)
    make_folder(output_folder)  # before any work that would be lost if this fails
    found: list[Localised] = []
    with Localiser(place, device, workers) as localiser:
        for first in range(0, len(readable), AT_A_TIME):
            end = first + AT_A_TIME
            found += _localise(localiser, photo_folder, readable[first:end], focal_length)
            (localised, covariances), waiting = _joined(found), set(readable[end:])
            table = _with_all(localised, [name for name in names if name not in waiting])
            if not first:
                remove_earlier(output_folder)
            _write(table, Path(output_folder))
        picture, least = Path(output_folder, PICTURE), place.minimum_confidence
        plot_photos(localised, photo_folder, localiser.frames, least, picture, covariances)
    write_formats(localised, output_folder, formats)
    logger.info("%d of %d photos accepted", table["accepted"].sum(), len(table))
    return table


def _requested_photos(
    photos: str | Path | Sequence[str | Path], output_folder: str | Path
) -> tuple[Path, list[str]]:
    """Check the request; return the photos' folder and their names."""
    output = Path(output_folder).resolve()
    for given in [photos] if isinstance(photos, str | Path) else photos:
        if Path(given).is_dir() and output.is_relative_to(Path(given).resolve()):
            raise InputError(
                f"{output_folder}: lies among the photos of {given}, so the next run would "
                f"localise its {PICTURE}, too; choose another output folder"
            )
    folder, names = requested_photos(photos)
    if any((folder / name).resolve() == output / PICTURE for name in names):
        raise InputError(
            f"{output / PICTURE}: is among the photos, but the picture of the results is written "
            "there, expected another file; leave it out, or choose another output folder"
        )
    return folder, names


def _readable(folder: Path, names: list[str], workers: int) -> list[str]:
    """Return the photos that can be read; log what is wrong with each of the others.

    Raises:
        InputError: none can be read.
    """
    troubles = zip(names, troubles_of([folder / name for name in names], workers), strict=True)
    found = {name: _trouble_of_name(folder, name) or error for name, error in troubles}
    bad = {name: photo_error(error) for name, error in found.items() if error is not None}
    for error in bad.values():
        logger.error("%s", error)
    if len(bad) == len(names):
        raise InputError(
            f"{folder}: none of {len(names)} photos can be read, expected at least one; the first: "
            f"{bad[names[0]]}"
        )
    return [name for name in names if name not in bad]


def _trouble_of_name(folder: Path, name: str) -> InputError | None:
    """Return why a photo's name cannot stand in the lists of results; None: it can."""
    try:
        check_names(folder, [name])
    except InputError as error:
        return error
    return None


def _localise(
    localiser: Localiser, folder: Path, names: list[str], focal_length: float | None
) -> list[Localised]:
    """Localise photos; log those that have become unreadable meanwhile, and leave them out."""
    try:
        return [localiser.localise([folder / name for name in names], names, focal_length)]
    except PhotoError as error:
        if len(names) == 1:
            logger.error("%s", error)
            return []
    middle = len(names) // 2  # a photo's pose does not depend on the other photos
    halves = names[:middle], names[middle:]
    return [part for half in halves for part in _localise(localiser, folder, half, focal_length)]


def _joined(found: Sequence[Localised]) -> Localised:
    """Return the parts joined into one."""
    if not found:
        return Localised(NO_PHOTOS, np.empty((0, 3, 3)))
    tables, covariances = zip(*found, strict=True)
    return Localised(pd.concat(tables, ignore_index=True), np.concatenate(covariances))


def _with_all(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return a table with a row for each photo, also for those that were not localised.

    Bytes of a name that are not valid text are escaped; such a photo has no pose.
    """
    rows = table.set_index("image").reindex(names)
    rows.index = [name.encode(errors="backslashreplace").decode() for name in names]
    rows = rows.astype(object).fillna(ABSENT).astype(table.drop(columns="image").dtypes)
    return rows.reset_index(names="image")[list(table.columns)]


def _write(table: pd.DataFrame, folder: Path) -> None:
    """Write the table and the lists of accepted poses."""
    write_lists(table, folder)
    with atomic_path(folder / "poses.csv") as partial:
        partial.write_bytes(written_table(table))
