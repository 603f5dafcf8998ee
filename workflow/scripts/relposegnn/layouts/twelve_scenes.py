"""Reader of 12-Scenes' layout: one folder of frames, and a list of the sequences in it.

Lines of ``split.txt`` read ``sequence0 [frames=357]  [start=0 ; end=356]``. As published, the first
sequence holds the queries, all others are the database.
"""

import logging
import re
from pathlib import Path

from ..runtime import InputError
from ..scenes import Frame, Scene
from .files import TWELVE_SCENES_SPLIT
from .posed_images import read_lines
from .seven_scenes import paired_files, posed_frame

logger = logging.getLogger(__name__)

DATA = "data"
COLUMNS = "sequence0 [frames=357] [start=0 ; end=356]"
SEQUENCE = re.compile(
    r"sequence(\d{1,6})\s*\[frames=(\d{1,9})\]\s*\[start=(\d{1,9})\s*;\s*end=(\d{1,9})\]"
)


def read_twelve_scenes(folder: Path) -> Scene:
    """Read a scene in 12-Scenes' layout; frames are in the order of their numbers.

    Frames that are in no sequence are left out and counted in the log.

    Raises:
        InputError: the list has a bad line, names fewer than two sequences or a frame twice, or a
            frame has no image or no pose.
    """
    files = paired_files([folder / DATA], [folder / DATA])
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
        sequences[number] = [posed_frame(number, frame, *files[frame]) for frame in frames]
    if len(sequences) < 2:
        raise InputError(
            f"{folder / TWELVE_SCENES_SPLIT}: names {len(sequences)} sequences, expected queries "
            f"and at least one of the database, as {COLUMNS}; extract the scene again"
        )
    if len(files) > len(used):
        logger.warning("%s: %d frames are in no sequence", folder, len(files) - len(used))
    first = min(sequences)
    database = [frame for n in sorted(sequences) if n != first for frame in sequences[n]]
    return Scene(folder.name, database, sequences[first])


def _read_line(line: str, where: str) -> tuple[int, range]:
    """Return the number and the frames of a sequence."""
    match = SEQUENCE.fullmatch(line)
    if match is None:
        raise InputError(f"{where}: says {line!r}, expected {COLUMNS}; correct the line")
    number, count, start, end = map(int, match.groups())
    if count != end - start + 1 or count < 1:
        raise InputError(
            f"{where}: has {count} frames from {start} to {end}, expected as many as that is; "
            "correct the line"
        )
    return number, range(start, end + 1)
