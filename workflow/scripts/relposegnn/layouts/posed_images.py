"""Reading and checking lists of posed images: one image and one pose per line."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from ..poses import check_pose, pose_from_quaternion
from ..runtime import InputError
from .scenes import Frame, Scene, in_recorded_order

FOCAL_LENGTHS = 0.1, 10  # the range of a lens, in longer sides of the image
LENGTH_ADVICE = "divide pixels by the longer side, or millimetres on 35 mm film by 35"
UNIT_TOLERANCE = 1e-3  # how far the length of a quaternion may be from 1
# How Windows programs write numbers that are not finite: 1.#INF, -1.#QNAN0.
WINDOWS_NAN = re.compile(r"[+-]?\d\.#(?:INF|IND|QNAN|SNAN)\d*", re.IGNORECASE)
TIME = re.compile(r"\d+(?:\.\d*)?")


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8.

    Raises:
        InputError: the file cannot be read, or is not UTF-8 text.
    """
    try:
        content = path.read_bytes()
        if b"\0" in content:  # every other byte of ASCII text in UTF-16
            raise InputError(
                f"{path}: is not text, or text in UTF-16 (it has zero bytes), expected UTF-8; "
                "save it as UTF-8"
            )
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not text ({error}), expected UTF-8; save it as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}), expected a text file"
        ) from error


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ``file:line`` (from 1) and the stripped text of every line, blank ones too.

    Raises:
        InputError: see ``read_text``.
    """
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        yield f"{path}:{number}", line.strip()


def split_line(line: str, where: str, columns: str) -> tuple[str, list[str]]:
    """Return the image, whose name may have spaces, and the seven numbers of a line.

    Raises:
        InputError: there are fewer fields; the message names the expected ``columns``.
    """
    image, *numbers = line.rsplit(maxsplit=7)
    if len(numbers) != 7:
        raise InputError(f"{where}: says {line!r}, expected {columns}; correct the line")
    return image, numbers


def parse_numbers(
    fields: Sequence[str],
    where: str,
    expected: str = "the numbers of a pose; correct it, or remove the frame",
) -> np.ndarray:
    """Return text fields as float64 numbers, which need not be finite.

    An error says what was ``expected``, and what to do.

    Raises:
        InputError: a field is not a number.
    """
    try:
        if any("_" in field for field in fields):  # Python accepts it between digits
            raise ValueError(f"{' '.join(fields)!r} has an underscore")
        return np.array([WINDOWS_NAN.sub("nan", field) for field in fields], dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{where}: {error}, expected {expected}") from error


def parse_pose(fields: Sequence[str], where: str, inverse: bool = False) -> np.ndarray:
    """Return the pose ``world_from_cam`` (4, 4) of seven fields, camera centre and quaternion.

    The pose is NaN if a number is not finite, see ``reading.read_scene``. With ``inverse``, the
    quaternion is the world-to-camera rotation.

    Raises:
        InputError: the fields are not numbers, the quaternion has not unit length, or the pose is
            invalid (see ``poses.check_pose``).
    """
    numbers = parse_numbers(fields, where)
    if not np.isfinite(numbers).all():
        return np.full((4, 4), np.nan)
    check_quaternion(numbers[3:], where)
    pose = pose_from_quaternion(numbers[:3], numbers[3:] * ([1, -1, -1, -1] if inverse else 1))
    check_pose(pose, where)
    return pose


def check_quaternion(quaternion: Sequence[float], where: str) -> None:
    """Check that four numbers are a unit quaternion, as far as numbers of four decimals can be.

    Raises:
        InputError: they are not.
    """
    length = math.hypot(*quaternion)
    if not abs(length - 1) <= UNIT_TOLERANCE:  # also true for NaN
        shown = " ".join(f"{number:.6g}" for number in quaternion)
        raise InputError(
            f"{where}: the quaternion {shown} has length {length:.4g}, expected 1; are the columns "
            "in the order of this layout?"
        )


def listed_frame(
    folder: Path,
    image: str,
    world_from_cam: np.ndarray,
    where: str,
    focal_length: float = math.nan,
) -> Frame:
    """Return the frame of an image, named by its path in ``folder`` without the suffix.

    Raises:
        InputError: the path leads out of the folder, is too long, or there is no such file.
    """
    path = PurePosixPath(image)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(
            f"{where}: names {image!r}, expected a path inside {folder}; make it relative to that"
        )
    try:
        found = (folder / path).is_file()
    except OSError as error:
        raise InputError(
            f"{where}: names {image[:40]!r}..., {len(image)} characters, which cannot be opened "
            f"({error.strerror}), expected a path inside {folder}; shorten it"
        ) from error
    if not found:
        raise InputError(
            f"{where}: names {image!r}, but there is no image {folder / path}{_advice(image)}"
        )
    name = path.with_suffix("").as_posix()
    return Frame(name, folder / path, world_from_cam, focal_length, where)


def _advice(image: str) -> str:
    """Return advice on the name of a missing image: what it seems to be, and what to do."""
    if TIME.fullmatch(image):
        return (
            "; this is a time, as in TUM's trajectories, expected the path of the image that was "
            "taken then, such as rgb/0001.png; or name the trajectory groundtruth.txt, and list "
            "the times of the images in rgb.txt"
        )
    if "\\" in image:
        return "; folders are separated by backslashes, expected slashes: replace each \\ by /"
    if TIME.fullmatch(image.split(" ")[-1]):
        return "; are there more than seven numbers after the image? expected only those of a pose"
    return ", expected its file there; correct the name, or remove the frame"


def scene_of_lists(
    folder: Path, train: list[Frame], test: list[Frame], timed: bool = False
) -> Scene:
    """Return the scene of two lists: ``timed`` ones keep their order, others are sorted by name.

    Raises:
        InputError: the database is empty, or two images have the same name.
    """
    if not train:
        raise InputError(f"{folder}: its database is empty, expected images with poses")
    first: dict[str, str] = {}
    for frame in train + test:
        if frame.name in first:
            raise InputError(
                f"{frame.where}: {frame.image.relative_to(folder)} is already listed as "
                f"{frame.name} in {first[frame.name]}, expected every image once, in one split, "
                "and names that differ before the suffix; remove one"
            )
        first[frame.name] = frame.where
    lists = (train, test) if timed else map(in_recorded_order, (train, test))
    return Scene(folder.name, *lists)
