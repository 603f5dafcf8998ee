"""Posed images as a file lists them: one image and one pose a line, checked."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ..runtime import InputError
from ..scenes import Frame, Scene

UNIT_TOLERANCE = 1e-3  # how far the length of a quaternion may be from 1


class Listed(NamedTuple):
    """A frame, and where it is listed: file and line, for messages."""

    where: str
    frame: Frame


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where (``file:line``, from 1) and the text of every line, blank ones too.

    Raises:
        InputError: the file is not text in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text ({error}), expected UTF-8") from error
    for number, line in enumerate(text.splitlines(), start=1):
        yield f"{path}:{number}", line.strip()


def split_line(line: str, where: str, columns: str) -> tuple[str, list[str]]:
    """Return the image, whose name may hold blanks, and the seven numbers of a line.

    Raises:
        InputError: there are fewer fields; ``columns`` is what they should have been.
    """
    image, *numbers = line.rsplit(maxsplit=7)
    if len(numbers) != 7:
        raise InputError(f"{where}: says {line!r}, expected {columns}")
    return image, numbers


def parse_pose(fields: Sequence[str], where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return translation (3) and quaternion (4) of seven fields, in their order.

    Raises:
        InputError: not finite numbers, or no unit quaternion.
    """
    try:
        numbers = np.array(fields, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{where}: {error}, expected seven numbers of a pose") from error
    if not np.isfinite(numbers).all():
        raise InputError(f"{where}: holds numbers that are not finite, expected a pose")
    length = np.linalg.norm(numbers[3:])
    if abs(length - 1) > UNIT_TOLERANCE:
        raise InputError(
            f"{where}: the quaternion {' '.join(fields[3:])} has length {length:.4g}, expected 1; "
            "are the columns in the order that this layout has?"
        )
    return numbers[:3], numbers[3:]


def listed_frame(
    folder: Path,
    image: str,
    world_from_cam: np.ndarray,
    where: str,
    focal_length: float = math.nan,
) -> Listed:
    """Return the frame of an image, named by its path in ``folder`` without the suffix.

    Raises:
        InputError: the path leads out of the folder, or there is no such file or none can be.
    """
    path = PurePosixPath(image)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{where}: names {image!r}, expected a path inside {folder}")
    try:
        found = (folder / path).is_file()
    except OSError as error:
        raise InputError(
            f"{where}: names {image[:40]!r}..., {len(image)} characters, which cannot be opened "
            f"({error.strerror}), expected a path inside {folder}"
        ) from error
    if not found:
        raise InputError(f"{where}: names {image!r}, but there is no image {folder / path}")
    name = path.with_suffix("").as_posix()
    return Listed(where, Frame(name, folder / path, world_from_cam, focal_length))


def scene_of_lists(folder: Path, train: list[Listed], test: list[Listed]) -> Scene:
    """Return the scene of two lists.

    Raises:
        InputError: the database is empty, or two images have one name.
    """
    if not train:
        raise InputError(f"{folder}: its database is empty, expected images with poses")
    first: dict[str, str] = {}
    for where, frame in train + test:
        if frame.name in first:
            raise InputError(
                f"{where}: {frame.image.name} is listed before as {frame.name} in "
                f"{first[frame.name]}, expected every image once, in one split, with a name of its "
                "own before the suffix"
            )
        first[frame.name] = where
    return Scene(folder.name, [frame for _, frame in train], [frame for _, frame in test])
