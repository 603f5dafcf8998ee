"""Reader of 7-Scenes' layout: two split files and one folder per sequence."""

import logging
import math
import re
from pathlib import Path

import numpy as np

from ..files.limits import refuse_special_file
from ..files.storage import SPLITS
from ..poses import check_pose
from ..runtime import InputError
from .files import SEVEN_SCENES_SPLITS
from .posed_images import parse_numbers, read_lines, read_text
from .scenes import Frame, Scene

logger = logging.getLogger(__name__)

IMAGE_FOLDERS = ("", "rgb")  # beside the poses, or in a folder of their own
POSE_FOLDERS = ("", "poses")

SEQUENCE = re.compile(r"seq(?:uence)?[-_ ]*0*(\d+)", re.IGNORECASE)  # a folder, or a split's line
COLOUR_FILE = re.compile(r"frame-(\d+)(?:\.color)?\.(?:png|jpe?g)", re.IGNORECASE)
POSE_FILE = re.compile(r"frame-(\d+)\.pose\.txt", re.IGNORECASE)


def read_seven_scenes(folder: Path) -> Scene:
    """Read a scene in 7-Scenes' layout: two split files and one folder per sequence.

    Colour images are PNG or JPEG; images and poses are side by side or in ``rgb`` and ``poses``.
    If the split file of the queries is missing or empty, there are none.

    Raises:
        InputError: the split file of the database is missing or empty, a sequence is missing, empty
            or in both splits, a frame has no image or pose, or a pose is invalid.
    """
    splits = {split: _read_split(folder / name) for split, name in SEVEN_SCENES_SPLITS.items()}
    _refuse_no_database(folder / SEVEN_SCENES_SPLITS["train"], splits["train"])
    if not splits["test"]:
        logger.info(
            "%s: no sequence in %s, so this scene has no queries",
            *(folder, SEVEN_SCENES_SPLITS["test"]),
        )
    shared = sorted(set(splits["train"]) & set(splits["test"]))
    if shared:
        raise InputError(
            f"{folder}: sequence {shared[0]} is named in both {SEVEN_SCENES_SPLITS['train']} and "
            f"{SEVEN_SCENES_SPLITS['test']}, expected in one; remove it from the other"
        )
    sequences = _numbered([folder], SEQUENCE)
    frames = {split: [] for split in SPLITS}
    for split, numbers in splits.items():
        for number in numbers:
            if number not in sequences:
                raise InputError(
                    f"{folder / SEVEN_SCENES_SPLITS[split]}: names sequence {number}, expected a "
                    f"folder {folder / _sequence_name(number)}; extract the scene again"
                )
            frames[split] += _read_sequence(sequences[number], number)
    return Scene(folder.name, frames["train"], frames["test"])


def read_pose(path: str | Path) -> np.ndarray:
    """Return the camera-to-world pose (4, 4), float64, of a text file.

    Four rows of four numbers, separated by spaces, tabs or commas; they need not be finite.

    Raises:
        InputError: the file is missing, or holds no numbers or an invalid pose (see
            ``poses.check_pose``).
    """
    refuse_special_file(path)
    lines = read_text(Path(path)).replace(",", " ").splitlines()
    rows = [line.split() for line in lines if line.strip()]
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise InputError(
            f"{path}: has rows of {min(lengths)} and {max(lengths)} numbers, expected a 4x4 "
            "camera-to-world pose; extract or export it again"
        )
    pose = np.array([parse_numbers(row, str(path)) for row in rows])
    if pose.shape != (4, 4) or np.isfinite(pose).all():
        check_pose(pose, str(path))
    return pose


def _read_split(path: Path) -> list[int]:
    """Return the sequence numbers of a split file, increasing; none if there is no such file."""
    numbers = []
    if not path.is_file():
        return numbers
    for where, line in read_lines(path):
        if not line:
            continue
        match = SEQUENCE.fullmatch(line)
        if match is None:
            raise InputError(f"{where}: says {line!r}, expected sequence1 or similar, one per line")
        if int(match[1]) in numbers:
            raise InputError(
                f"{where}: names sequence {match[1]} a second time, expected each once; remove one"
            )
        numbers.append(int(match[1]))
    return sorted(numbers)


def _refuse_no_database(path: Path, numbers: list[int]) -> None:
    """Refuse a split file of the database that is missing, or names no sequence."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, expected the sequences of this split, one per line "
            "(sequence1); is this a scene of 7-Scenes, completely extracted?"
        )
    if not numbers:
        raise InputError(f"{path}: names no sequence, expected at least one (sequence1)")


def _read_sequence(folder: Path, number: int) -> list[Frame]:
    """Return the frames of one sequence, by frame number."""
    images, poses = ([folder / place for place in each] for each in (IMAGE_FOLDERS, POSE_FOLDERS))
    return [
        posed_frame(number, frame, *files) for frame, files in paired_files(images, poses).items()
    ]


def paired_files(image_folders: list[Path], pose_folders: list[Path]) -> dict[int, list[Path]]:
    """Return the image and the pose of each frame in some folders, by its number, increasing.

    Raises:
        InputError: there are no frames, or an image or a pose is missing or exists twice.
    """
    images = _numbered(image_folders, COLOUR_FILE)
    poses = _numbered(pose_folders, POSE_FILE)
    if not images:
        raise InputError(
            f"{image_folders[0]}: holds no frames, expected frame-000000.color.png or .jpg; "
            "extract the scene again"
        )
    for frame in sorted(images.keys() ^ poses.keys()):
        if frame in images:
            raise InputError(
                f"{images[frame]}: has no pose, expected frame-{frame:06d}.pose.txt; extract it, "
                "or remove the image"
            )
        raise InputError(
            f"{poses[frame]}: has no image, expected frame-{frame:06d}.color.png; extract it, or "
            "remove the pose"
        )
    return {frame: [images[frame], poses[frame]] for frame in sorted(images)}


def posed_frame(
    sequence: int, number: int, image: Path, pose: Path, focal_length: float = math.nan
) -> Frame:
    """Return a frame of a sequence from its two files; the focal length is in longer sides."""
    name = f"{_sequence_name(sequence)}/frame-{number:06d}"
    return Frame(name, image, read_pose(pose), focal_length, str(pose))


def _numbered(places: list[Path], pattern: re.Pattern) -> dict[int, Path]:
    """Return what is in ``places`` by the number in its name; names must match ``pattern``."""
    found: dict[int, Path] = {}
    for path in sorted(path for place in places if place.is_dir() for path in place.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is None:
            continue
        number = int(match[1])
        if number in found:
            raise InputError(
                f"{path}: has the same number as {found[number]}, expected each once; remove one"
            )
        found[number] = path
    return found


def _sequence_name(number: int) -> str:
    return f"seq-{number:02d}"
