"""Reader of the plain layout for your own places: images, and tables of their poses.

Images are anywhere in the scene's folder. Their camera-to-world poses (metres, OpenCV camera axes)
are in ``train.csv`` and ``test.csv``, with a header that names the columns, or in ``train.txt`` and
``test.txt`` in TUM's order, in which the quaternion's real part comes last.
"""

import csv
import logging
from collections.abc import Iterator
from pathlib import Path

from ..runtime import InputError
from .posed_images import listed_frame, parse_pose, read_lines, scene_of_lists, split_line
from .scenes import Frame, Scene

logger = logging.getLogger(__name__)

TRANSLATION = ("tx", "ty", "tz")
QUATERNION = ("qw", "qx", "qy", "qz")
CSV_COLUMNS = ("image", *TRANSLATION, *QUATERNION)
TXT_COLUMNS = "image tx ty tz qx qy qz qw"


def read_pose_tables(folder: Path) -> Scene:
    """Read a scene in the plain layout; frames are in the order of their names.

    If the table of the queries is missing, there are none.

    Raises:
        InputError: there is no table of the database, there are two of one split, a table has no
            images or a bad line, or an image is missing, outside the folder, listed twice or in
            both splits.
    """
    train = _read_split(folder, "train")
    if train is None:
        raise InputError(f"{folder}: holds neither train.csv nor train.txt, expected one of them")
    test = _read_split(folder, "test")
    if test is None:
        logger.info("%s: no test.csv or test.txt, so this scene has no queries", folder)
    return scene_of_lists(folder, train, test or [])


def _read_split(folder: Path, split: str) -> list[Frame] | None:
    """Return the listed frames of a split; None if it has no table."""
    paths = [path for suffix in ("csv", "txt") if (path := folder / f"{split}.{suffix}").is_file()]
    if not paths:
        return None
    if len(paths) > 1:
        raise InputError(f"{folder}: holds {split}.csv and {split}.txt, expected one; remove one")
    rows = _csv_rows(paths[0]) if paths[0].suffix == ".csv" else _txt_rows(paths[0])
    listed = [
        listed_frame(folder, image, parse_pose(numbers, where), where)
        for where, image, numbers in rows
    ]
    if not listed:
        raise InputError(f"{paths[0]}: lists no image, expected at least one; or remove the file")
    return listed


def _csv_rows(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield ``file:line``, image and numbers (tx ty tz qw qx qy qz) of each row of a CSV."""
    lines = [(where, line) for where, line in read_lines(path) if line]
    fields = (_csv_fields(line, where) for where, line in lines)
    header = [name.strip() for name in next(fields, [])]
    for column in CSV_COLUMNS:
        if header.count(column) != 1:
            raise InputError(
                f"{path}: has {header.count(column)} columns {column!r} in its header "
                f"{','.join(header)!r}, expected one each of {','.join(CSV_COLUMNS)}; separate "
                "them by commas"
            )
    for (where, _), values in zip(lines[1:], fields, strict=True):
        if len(values) != len(header):
            raise InputError(
                f"{where}: has {len(values)} fields, expected {len(header)}, as many as the "
                "header; correct the line"
            )
        row = dict(zip(header, values, strict=True))
        yield where, row["image"].strip(), [row[column].strip() for column in CSV_COLUMNS[1:]]


def _csv_fields(line: str, where: str) -> list[str]:
    """Return the fields of one line: an unclosed quote must not swallow the next line."""
    try:
        return next(csv.reader([line], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise InputError(
            f"{where}: is not a row of a CSV ({error}), expected {','.join(CSV_COLUMNS)}; write "
            "each row on one line"
        ) from error


def _txt_rows(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield ``file:line``, image and numbers (tx ty tz qw qx qy qz) of lines in TUM's order."""
    for where, line in read_lines(path):
        if not line or line.startswith("#"):
            continue
        image, numbers = split_line(line, where, TXT_COLUMNS)
        yield where, image, [*numbers[:3], numbers[6], *numbers[3:6]]
