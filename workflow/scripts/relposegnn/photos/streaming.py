"""Localise a stream of photos as they arrive: a table that grows, and a trajectory."""

import io
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import accumulate, chain, islice
from pathlib import Path

import pandas as pd

from ..runtime import InputError, atomic_path, disk_errors_named, make_folder
from .exporting import check_output, remove_earlier, write_formats, write_lists, written_table
from .files import PhotoError
from .localiser import Localiser
from .sources import Item
from .table import ABSENT, COLUMNS, NO_PHOTOS

logger = logging.getLogger(__name__)

TIE = 1e-6  # seconds between photos of the same time: in a trajectory, times must differ


def localise_stream(
    localiser: Localiser,
    items: Iterable[Item],
    output_folder: str | Path,
    focal_length: float | None = None,
    formats: Collection[str] = (),
) -> Iterator[dict[str, object]]:
    """Yield a row for each item as it comes: that of ``Localiser.localise``, with ``seconds``.

    ``poses.csv`` grows with each row; items without a pose have a row too, and the log has the
    reason. ``poses.txt`` (TUM, with the items' own seconds) and ``images.txt`` (COLMAP) hold the
    accepted poses, ordered by time. They are written at the end, also if the user interrupts.

    What an earlier run left is replaced when the first row is found. If there is none, it stays,
    and the log says so; without an earlier run, the files are written without poses.

    Args:
        localiser: of the place.
        items: of one of ``sources``.
        output_folder: to write to.
        focal_length: in longer sides; None: from EXIF, else that of the database.
        formats: further formats for accepted poses, written at the end, see
            ``exporting.write_formats``.

    Raises:
        InputError: the source cannot be read at all, no photo can be localised, see
            ``Localiser.localise``, or the output folder holds a COLMAP model of the user's.
    """
    check_output(output_folder, formats)
    folder = Path(output_folder)
    make_folder(folder)
    found = (_row_of(localiser, item, focal_length) for item in items)
    first = _first(found)
    if not first and (folder / "poses.csv").exists():
        logger.warning(
            "%s: nothing was localised, and what an earlier run left there stays", folder
        )
        return
    remove_earlier(folder)
    yield from _written(chain(first, found), folder, formats)


def _first(rows: Iterator[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return the first row; none if there is none, or if the user interrupts before it."""
    try:
        return list(islice(rows, 1))
    except KeyboardInterrupt:
        logger.info("interrupted before anything was localised")
        return []


def _written(
    rows: Iterable[pd.DataFrame], folder: Path, formats: Collection[str]
) -> Iterator[dict[str, object]]:
    """Write rows as they come and yield them; write the lists at the end."""
    none = NO_PHOTOS.assign(seconds=0.0)
    kept = []  # of accepted poses, as tuples to save memory: a camera may run for weeks
    told: list[type[Exception]] = []  # errors that are not raised after another one
    table = folder / "poses.csv"
    try:
        with atomic_path(table) as unfinished:
            unfinished.write_bytes(written_table(none))
        with disk_errors_named(table), table.open("ab", buffering=0) as file:
            for row in rows:
                _append(file, written_table(row, header=False))
                if row["accepted"].iloc[0]:
                    kept += row.itertuples(index=False, name=None)
                yield row.iloc[0].to_dict()
    except KeyboardInterrupt:
        logger.info("interrupted: the results so far are kept")
    except InputError:
        told.append(InputError)
        raise
    finally:  # also if the caller stops taking rows
        accepted = pd.DataFrame(kept, columns=none.columns).astype(none.dtypes)
        accepted = accepted.sort_values("seconds", kind="stable")
        with suppress(*told):
            write_lists(accepted, folder, _ascending(accepted["seconds"]))
            write_formats(accepted, folder, formats)


def _append(file: io.FileIO, line: bytes) -> None:
    """Add a line to a file, whole or not at all."""
    whole = os.fstat(file.fileno()).st_size
    try:
        while line:
            line = line[file.write(line) :]
    except OSError:
        file.truncate(whole)
        raise


def _ascending(seconds: Iterable[float]) -> list[float]:
    """Return sorted times, made strictly ascending: equal ones are set ``TIE`` apart."""
    return list(accumulate(seconds, lambda before, own: max(own, before + TIE)))


def _row_of(localiser: Localiser, item: Item, focal_length: float | None) -> pd.DataFrame:
    """Return the row of an item, without a pose if it cannot be read."""
    trouble = item.photo
    if not isinstance(trouble, InputError):
        try:
            row = localiser.localise([item.photo], [item.name], focal_length).table
            return row.assign(seconds=item.seconds)
        except PhotoError as error:
            trouble = error
    logger.error("%s", trouble)
    row = pd.DataFrame([{"image": item.name, **ABSENT}]).reindex(columns=COLUMNS)
    return row.assign(seconds=item.seconds)
