"""Checks that the text files of a COLMAP model are complete, and reads the names of its images.

pycolmap does not check: it skips half of the images if the empty lines between them are missing,
takes a quaternion of zeros for no rotation, and ends the name of an image at its first space.
"""

import re
from pathlib import Path

from ..runtime import InputError
from .posed_images import check_quaternion, parse_numbers, read_lines

# A comment that COLMAP writes above the records.
COUNT = re.compile(r"# Number of (?:cameras|images|points|frames|rigs): (\d+)(?:,.*)?")
IMAGE = "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME"
POINTS = "X Y POINT3D_ID of each key point"
AGAIN = "export the model again, as text or binary"
Line = tuple[str, str]  # where (file:line), and its text


def check_text(model: Path) -> dict[int, str]:
    """Return the whole names of a model's images, spaces included, by their IDs.

    Raises:
        InputError: a text file of the model is cut off, lacks lines, or has an invalid rotation.
            Missing files are ignored.
    """
    names: dict[int, str] = {}
    for file, check in RECORDS.items():
        path = model / file
        if not path.is_file():
            continue
        lines = list(read_lines(path))
        if check is None:
            names = _image_names(lines)
            _check_count(path, lines, len(names))
            continue
        rows = [(where, line.split()) for where, line in lines if _is_record(line)]
        for where, fields in rows:
            check(where, fields)
        _check_count(path, lines, len(rows))
    return names


def _is_record(line: str) -> bool:
    return bool(line) and not line.startswith("#")


def _check_count(path: Path, lines: list[Line], count: int) -> None:
    """Compare the number of records with the one in the comments above them, if there is one."""
    for _, line in lines:
        told = COUNT.fullmatch(line)
        if told and int(told[1]) != count:
            raise InputError(
                f"{path}: has {count} records, expected {told[1]}, as the comment on top says; "
                f"{AGAIN}, or correct the comment where some were removed on purpose"
            )


def _image_names(lines: list[Line]) -> dict[int, str]:
    """Return the names of the images by ID; each record and its line of key points is checked."""
    names: dict[int, str] = {}
    rest = iter(lines)
    for where, line in rest:
        if not _is_record(line):
            continue
        fields = line.split(maxsplit=9)
        if len(fields) < 10:
            raise InputError(f"{where}: says {line!r}, expected {IMAGE}; {AGAIN}")
        number, name = _integer(fields[0], where), fields[9]
        if number in names:
            raise InputError(
                f"{where}: has the same ID as {names[number]}, expected each once; {AGAIN}"
            )
        _check_rotation(fields[1:8], where)
        _integer(fields[8], where)
        place, points = next(rest, (where, None))
        if points is None:
            raise InputError(
                f"{where}: is the last line, expected one more with {POINTS}, empty where {name} "
                f"has none; {AGAIN}"
            )
        if len(points.split()) % 3 or not _are_numbers(points.split()):
            raise InputError(
                f"{place}: says {points[:80]!r}, expected {POINTS}, or an empty line; were the "
                f"empty lines between the images removed? {AGAIN}"
            )
        names[number] = name
    return names


def _check_camera(where: str, fields: list[str]) -> None:
    if len(fields) < 5 or not _are_numbers(fields[2:]):
        _refuse(where, fields, "CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]")
    _integer(fields[0], where)


def _check_point(where: str, fields: list[str]) -> None:
    if len(fields) < 8 or len(fields) % 2 or not _are_numbers(fields):
        _refuse(where, fields, "POINT3D_ID X Y Z R G B ERROR and (IMAGE_ID POINT2D_IDX)s")


def _check_frame(where: str, fields: list[str]) -> None:
    if len(fields) < 10 or len(fields) != 10 + 3 * _integer(fields[9], where):
        columns = "FRAME_ID RIG_ID QW QX QY QZ TX TY TZ NUM_DATA_IDS"
        _refuse(where, fields, f"{columns} and as many (SENSOR_TYPE SENSOR_ID DATA_ID)s")
    _check_rotation(fields[2:9], where)


def _check_rig(where: str, fields: list[str]) -> None:
    sensors = _integer(fields[1], where) if len(fields) > 1 else -1
    end = 2 if sensors == 0 else 4
    for _ in range(min(sensors, len(fields)) - 1):
        posed = fields[end + 2 : end + 3] == ["1"]
        if posed and len(fields) >= end + 10:
            _check_rotation(fields[end + 3 : end + 10], where)
        end += 10 if posed else 3
    if sensors < 0 or len(fields) != end:
        _refuse(where, fields, "RIG_ID NUM_SENSORS and as many sensors, all but the first posed")


def _check_rotation(fields: list[str], where: str) -> None:
    """Check the first four of the seven numbers of a pose."""
    check_quaternion(parse_numbers(fields, where)[:4], where)


def _are_numbers(fields: list[str]) -> bool:
    try:
        parse_numbers(fields, "")
    except InputError:
        return False
    return True


def _integer(field: str, where: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,20}", field):
        raise InputError(f"{where}: says {field!r}, expected an integer; {AGAIN}")
    return int(field)


def _refuse(where: str, fields: list[str], expected: str) -> None:
    raise InputError(f"{where}: says {' '.join(fields)[:80]!r}, expected {expected}; {AGAIN}")


RECORDS = {
    "cameras.txt": _check_camera,
    "images.txt": None,  # two lines per image, see _image_names
    "points3D.txt": _check_point,
    "frames.txt": _check_frame,
    "rigs.txt": _check_rig,
}
