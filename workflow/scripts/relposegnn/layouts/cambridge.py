"""Reader of Cambridge Landmarks' layout: two lists of images with their poses.

After three header lines, each line is ``seq1/frame00001.png tx ty tz qw qx qy qz``: the camera
centre in metres and the world-to-camera rotation.
"""

from pathlib import Path

from ..runtime import InputError
from ..scenes import Frame, Scene
from .files import CAMBRIDGE_SPLITS
from .posed_images import listed_frame, parse_pose, read_lines, scene_of_lists, split_line

HEADER_LINES = 3
COLUMNS = "seq1/frame00001.png tx ty tz qw qx qy qz"


def read_cambridge(folder: Path) -> Scene:
    """Read a scene in Cambridge Landmarks' layout; frames are in the order of their names.

    Raises:
        InputError: a list is missing or has a bad line, an image is missing, listed twice or in
            both lists.
    """
    train, test = (_read_list(folder, folder / name) for name in CAMBRIDGE_SPLITS.values())
    return scene_of_lists(folder, train, test)


def _read_list(folder: Path, path: Path) -> list[Frame]:
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, expected three header lines, then lines like {COLUMNS}; is "
            "this a scene of Cambridge Landmarks, completely extracted?"
        )
    lines = list(read_lines(path))
    for where, line in lines[:HEADER_LINES]:
        if _is_pose(line):
            raise InputError(
                f"{where}: is already a pose ({line!r}), expected {HEADER_LINES} header lines first"
            )
    listed = [_read_line(folder, line, where) for where, line in lines[HEADER_LINES:] if line]
    if not listed:
        raise InputError(f"{path}: lists no image, expected lines like {COLUMNS}")
    return listed


def _read_line(folder: Path, line: str, where: str) -> Frame:
    image, numbers = split_line(line, where, COLUMNS)
    return listed_frame(folder, image, parse_pose(numbers, where, inverse=True), where)


def _is_pose(line: str) -> bool:
    try:
        parse_pose(split_line(line, "", COLUMNS)[1], "")
    except ValueError:  # from a blank line; InputError is a ValueError too
        return False
    return True
