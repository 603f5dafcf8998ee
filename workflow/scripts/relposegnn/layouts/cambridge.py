"""Reader of Cambridge Landmarks' layout: two lists of images with their poses.

After three header lines, each line is ``seq1/frame00001.png tx ty tz qw qx qy qz``: the camera
centre in metres and the world-to-camera rotation.
"""

import logging
from pathlib import Path

from ..runtime import InputError
from .files import CAMBRIDGE_HEADER, CAMBRIDGE_SPLITS
from .posed_images import listed_frame, parse_pose, read_lines, scene_of_lists, split_line
from .scenes import Frame, Scene

logger = logging.getLogger(__name__)

COLUMNS = "seq1/frame00001.png tx ty tz qw qx qy qz"


def read_cambridge(folder: Path) -> Scene:
    """Read a scene in Cambridge Landmarks' layout; frames are in the order of their names.

    If the list of the queries is missing or empty, there are none.

    Raises:
        InputError: the list of the database is missing or empty, a list has a bad line, an image is
            missing, listed twice or in both lists.
    """
    paths = {split: folder / name for split, name in CAMBRIDGE_SPLITS.items()}
    if not paths["train"].is_file():
        raise InputError(
            f"{paths['train']}: no such file, expected three header lines, then lines like "
            f"{COLUMNS}; is this a scene of Cambridge Landmarks, completely extracted?"
        )
    train, test = (_read_list(folder, paths[split]) for split in ("train", "test"))
    if not train:
        raise InputError(f"{paths['train']}: lists no image, expected lines like {COLUMNS}")
    if not test:
        logger.info("%s: no image in %s, so this scene has no queries", folder, paths["test"].name)
    return scene_of_lists(folder, train, test)


def _read_list(folder: Path, path: Path) -> list[Frame]:
    """Return the listed frames; none if there is no such list."""
    lines = list(read_lines(path)) if path.is_file() else []
    for where, line in lines[:CAMBRIDGE_HEADER]:
        if _is_pose(line):
            raise InputError(
                f"{where}: is already a pose ({line!r}), expected {CAMBRIDGE_HEADER} header lines "
                "first"
            )
    return [_read_line(folder, line, where) for where, line in lines[CAMBRIDGE_HEADER:] if line]


def _read_line(folder: Path, line: str, where: str) -> Frame:
    image, numbers = split_line(line, where, COLUMNS)
    return listed_frame(folder, image, parse_pose(numbers, where, inverse=True), where)


def _is_pose(line: str) -> bool:
    try:
        parse_pose(split_line(line, "", COLUMNS)[1], "")
    except ValueError:  # from a blank line; InputError is a ValueError too
        return False
    return True
