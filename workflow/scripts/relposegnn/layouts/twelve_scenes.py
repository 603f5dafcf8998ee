"""Reader of 12-Scenes' layout: one folder of frames, and a list of the sequences in it.

Lines of ``split.txt`` read ``sequence0 [frames=357]  [start=0 ; end=356]``. As published, the first
sequence holds the queries, and all others are the database; a single one is the database, without
queries. The camera's matrix is in ``info.txt``, if there is one:
``m_calibrationColorIntrinsic = 1158.3 0 649 0 0 1153.5 483.5 ...``.
"""

import logging
import math
import re
from pathlib import Path

from ..runtime import InputError
from .files import TWELVE_SCENES_SPLIT
from .posed_images import FOCAL_LENGTHS, parse_numbers, read_lines
from .scenes import Frame, Scene
from .seven_scenes import paired_files, posed_frame

logger = logging.getLogger(__name__)

DATA, INFO = "data", "info.txt"
INTRINSICS, SIZES = "m_calibrationColorIntrinsic", ("m_colorWidth", "m_colorHeight")
COLUMNS = "sequence0 [frames=357] [start=0 ; end=356]"
SEQUENCE = re.compile(
    r"sequence(\d{1,6})\s*\[frames=(\d{1,9})\]\s*\[start=(\d{1,9})\s*;\s*end=(\d{1,9})\]"
)


def read_twelve_scenes(folder: Path) -> Scene:
    """Read a scene in 12-Scenes' layout; frames are in the order of their numbers.

    Frames that are in no sequence are left out and counted in the log.

    Raises:
        InputError: the list has a bad line, no sequence, or a frame twice; or a frame has no image
            or no pose.
    """
    files = paired_files([folder / DATA], [folder / DATA])
    length = _focal_length(folder / INFO)
    sequences: dict[int, list[Frame]] = {}
    used: dict[int, str] = {}
    for where, line in read_lines(folder / TWELVE_SCENES_SPLIT):
        if not line:
            continue
        number, frames = _read_line(line, where)
        if number in sequences:
            raise InputError(
                f"{where}: names sequence {number} a second time, expected each once; remove one"
            )
        for frame in frames:
            if frame not in files:
                raise InputError(
                    f"{where}: has frame {frame}, expected its image and pose in {folder / DATA}; "
                    "extract the scene again"
                )
            if frame in used:
                raise InputError(
                    f"{where}: has frame {frame}, as {used[frame]} does, expected each once; "
                    "correct the line"
                )
            used[frame] = where
        sequences[number] = [posed_frame(number, row, *files[row], length) for row in frames]
    if not sequences:
        raise InputError(
            f"{folder / TWELVE_SCENES_SPLIT}: names no sequence, expected at least one of the "
            f"database, as {COLUMNS}; extract the scene again"
        )
    if len(files) > len(used):
        logger.warning(
            "%s: %d frames are in no sequence and left out", folder, len(files) - len(used)
        )
    return _scene_of(folder, sequences)


def _scene_of(folder: Path, sequences: dict[int, list[Frame]]) -> Scene:
    """Return the scene of one or more sequences by their numbers."""
    first, *others = (sequences[number] for number in sorted(sequences))
    if others:
        return Scene(folder.name, [frame for frames in others for frame in frames], first)
    logger.info(
        "%s: a single sequence in %s, so this scene has no queries", folder, TWELVE_SCENES_SPLIT
    )
    return Scene(folder.name, first, [])


def _read_line(line: str, where: str) -> tuple[int, range]:
    """Return the number and the frames of a sequence."""
    match = SEQUENCE.fullmatch(line)
    if match is None:
        raise InputError(f"{where}: says {line!r}, expected {COLUMNS}; correct the line")
    number, count, start, end = map(int, match.groups())
    if count != end - start + 1 or count < 1:
        raise InputError(
            f"{where}: says {count} frames from {start} to {end}, expected end - start + 1 frames, "
            "at least 1; correct the line"
        )
    return number, range(start, end + 1)


def _focal_length(path: Path) -> float:
    """Return the focal length of a scene's camera in longer sides; NaN if there is no file."""
    if not path.is_file():
        return math.nan
    lines = [(where, *line.partition("=")[::2]) for where, line in read_lines(path)]
    told = {name.strip(): (where, values.split()) for where, name, values in lines}
    if missing := {INTRINSICS, *SIZES} - told.keys():
        raise InputError(
            f"{path}: lacks {', '.join(sorted(missing))}, expected a line for each, such as "
            f"{INTRINSICS} = 1158.3 0 649 0 0 1153.5 483.5 0 ...; extract it again, or remove it"
        )
    where, numbers = told[INTRINSICS]
    expected = "numbers of a camera's matrix and of pixels; correct it, or remove the file"
    matrix = parse_numbers(numbers, where, expected)
    sizes = [parse_numbers(told[name][1], told[name][0], expected) for name in SIZES]
    side = max(size.max(initial=0) for size in sizes)
    length = (matrix[0] + matrix[5]) / 2 / side if len(matrix) > 5 and side > 0 else math.nan
    if not FOCAL_LENGTHS[0] <= length <= FOCAL_LENGTHS[1]:
        raise InputError(
            f"{where}: says {' '.join(numbers)} for images with {side:g} pixels along the longer "
            "side, expected the rows of a camera matrix; correct it, or remove the file"
        )
    return float(length)
