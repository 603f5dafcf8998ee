"""Reader of 7-Scenes' layout: two split files and one folder per sequence."""

import re
from pathlib import Path

import numpy as np

from ..limits import refuse_special_file
from ..poses import check_pose
from ..runtime import InputError
from ..scenes import Frame, Scene
from ..storage import SPLITS
from .files import SEVEN_SCENES_SPLITS
from .posed_images import read_lines

IMAGE_FOLDERS = ("", "rgb")  # beside the poses, or apart
POSE_FOLDERS = ("", "poses")

SEQUENCE = re.compile(r"seq(?:uence)?[-_ ]*0*(\d+)", re.IGNORECASE)  # a folder, a split's line
COLOUR_FILE = re.compile(r"frame-(\d+)(?:\.color)?\.(?:png|jpe?g)", re.IGNORECASE)
POSE_FILE = re.compile(r"frame-(\d+)\.pose\.txt", re.IGNORECASE)


def read_seven_scenes(folder: Path) -> Scene:
    """Read a scene in 7-Scenes' layout: two split files and one folder per sequence.

    Colour images are PNG or JPEG; images and poses lie side by side or in ``rgb`` and ``poses``.

    Raises:
        InputError: split file missing, a sequence absent, empty or in both splits, a frame without
            image or pose, or a pose that is none.
    """
    splits = {split: _read_split(folder / SEVEN_SCENES_SPLITS[split]) for split in SPLITS}
    shared = sorted(set(splits["train"]) & set(splits["test"]))
    if shared:
        raise InputError(
            f"{folder}: sequence {shared[0]} is named in both {SEVEN_SCENES_SPLITS['train']} and "
            f"{SEVEN_SCENES_SPLITS['test']}, expected in one"
        )
    sequences = _numbered([folder], SEQUENCE)
    frames = {split: [] for split in SPLITS}
    for split, numbers in splits.items():
        for number in numbers:
            if number not in sequences:
                raise InputError(
                    f"{folder / SEVEN_SCENES_SPLITS[split]}: names sequence {number}, but there "
                    f"is no folder {folder / _sequence_name(number)}; extract the scene again"
                )
            frames[split] += _read_sequence(sequences[number], number)
    return Scene(folder.name, frames["train"], frames["test"])


def read_pose(path: str | Path) -> np.ndarray:
    """Return the camera-to-world pose (4, 4), float64, of a text file.

    Four rows of four numbers, apart by blanks, tabs or commas.

    Raises:
        InputError: missing, not numbers, or no pose (see ``poses.check_pose``).
    """
    refuse_special_file(path)
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").replace(",", " ").splitlines()
        pose = np.array([line.split() for line in lines if line.strip()], dtype=np.float64)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as numbers ({error}), expected a 4x4 camera-to-world pose"
        ) from error
    check_pose(pose, str(path))
    return pose


def _read_split(path: Path) -> list[int]:
    """Return the sequence numbers of a split file, increasing."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, expected the sequences of this split, one a line "
            "(sequence1); is this a scene of 7-Scenes, completely extracted?"
        )
    numbers = []
    for where, line in read_lines(path):
        if not line:
            continue
        match = SEQUENCE.fullmatch(line)
        if match is None:
            raise InputError(f"{where}: says {line!r}, expected sequence1 or alike")
        if int(match[1]) in numbers:
            raise InputError(f"{where}: names sequence {match[1]} a second time")
        numbers.append(int(match[1]))
    if not numbers:
        raise InputError(f"{path}: names no sequence, expected at least one (sequence1)")
    return sorted(numbers)


def _read_sequence(folder: Path, number: int) -> list[Frame]:
    """Return the frames of one sequence, by frame number."""
    images = _numbered([folder / place for place in IMAGE_FOLDERS], COLOUR_FILE)
    poses = _numbered([folder / place for place in POSE_FOLDERS], POSE_FILE)
    if not images:
        raise InputError(f"{folder}: holds no frames, expected frame-000000.color.png or .jpg")
    for frame in sorted(images.keys() ^ poses.keys()):
        if frame in images:
            raise InputError(f"{images[frame]}: has no pose, expected frame-{frame:06d}.pose.txt")
        raise InputError(f"{poses[frame]}: has no image, expected frame-{frame:06d}.color.png")
    return [
        Frame(f"{_sequence_name(number)}/frame-{frame:06d}", images[frame], read_pose(poses[frame]))
        for frame in sorted(images)
    ]


def _numbered(places: list[Path], pattern: re.Pattern) -> dict[int, Path]:
    """Return what lies in these folders by the number in its name; other names are not ours."""
    found: dict[int, Path] = {}
    for path in sorted(path for place in places if place.is_dir() for path in place.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is None:
            continue
        number = int(match[1])
        if number in found:
            raise InputError(f"{path}: has the number of {found[number]}; remove one")
        found[number] = path
    return found


def _sequence_name(number: int) -> str:
    return f"seq-{number:02d}"
