"""Reader of a COLMAP model with its images: ``images/`` and a sparse model.

The model lies in ``sparse/0``, ``sparse`` or the folder itself, binary or text. ``test.txt`` names
the queries, one image a line; all other images are the database. Camera axes are OpenCV's. COLMAP
finds a scene up to its scale: unless the model was aligned, "metres" are the model's own units.
"""

import logging
import mmap
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..poses import pose_from_quaternion
from ..runtime import InputError
from ..scenes import Scene
from .files import COLMAP_FOLDERS
from .posed_images import listed_frame, parse_pose, read_lines, scene_of_lists

logger = logging.getLogger(__name__)

IMAGES = "images"
QUERIES = "test.txt"
COUNT, IMAGE = struct.Struct("<Q"), struct.Struct("<I7dI")
TEXT_COLUMNS = "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME"
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg"}


def read_colmap(folder: Path) -> Scene:
    """Read a scene of a COLMAP model; frames are in the order of their names.

    Images that COLMAP has not registered are left out and counted in the log.

    Raises:
        InputError: the model cannot be read or has no poses, an image is missing, or a query has
            no pose.
    """
    images = folder / IMAGES
    if not images.is_dir():
        raise InputError(f"{images}: no such folder, expected the images of the COLMAP model")
    model = _find_model(folder)
    poses = read_model_poses(model)
    queries = _read_queries(folder / QUERIES, poses, model)
    _log_unregistered(images, poses, model)
    listed = {
        name: listed_frame(images, name, poses[name], queries.get(name, str(model)))
        for name in sorted(poses)
    }
    train = [frame for name, frame in listed.items() if name not in queries]
    return scene_of_lists(folder, train, [listed[name] for name in sorted(queries)])


def read_model_poses(model: Path) -> dict[str, np.ndarray]:
    """Return the poses ``world_from_cam`` (4, 4) of a model's registered images by their name.

    ``images.bin`` or ``images.txt`` has them all. Both give ``cam_from_world``.

    Raises:
        InputError: there is no such file, it cannot be read, or it has no poses.
    """
    binary, text = model / "images.bin", model / "images.txt"
    if not binary.is_file() and not text.is_file():
        raise InputError(
            f"{model}: holds neither {binary.name} nor {text.name}, expected a complete COLMAP "
            "model; copy or export it again"
        )
    poses = {}
    for where, name, numbers in _binary_images(binary) if binary.is_file() else _text_images(text):
        quaternion, translation = numbers[:4], numbers[4:]
        cam_from_world = pose_from_quaternion(*parse_pose([*translation, *quaternion], where))
        poses[name] = np.linalg.inv(cam_from_world)
    if not poses:
        raise InputError(f"{model}: has no image with a pose, expected at least one")
    return poses


def _binary_images(path: Path) -> Iterator[tuple[str, str, Sequence[float]]]:
    """Yield where, name and numbers (qw qx qy qz tx ty tz) of each image.

    The file is their number (64 bits) and their records: id, numbers and camera, the name and a
    zero, the number of key points (64 bits) and 24 bytes for each; all little-endian.
    """
    with path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            position = COUNT.size
            for _ in range(COUNT.unpack_from(content)[0]):
                number, *numbers, _camera = IMAGE.unpack_from(content, position)
                start, end = position + IMAGE.size, content.find(b"\0", position + IMAGE.size)
                key_points = COUNT.unpack_from(content, end + 1)[0]
                position = end + 1 + COUNT.size + 24 * key_points
                if end < 0 or position > len(content):
                    raise ValueError("a record without an end")
                yield f"{path}: image {number}", content[start:end].decode(), numbers
        except (struct.error, ValueError, OverflowError) as error:
            raise InputError(
                f"{path}: is damaged, or cut off after {path.stat().st_size} bytes ({error}); "
                "expected a complete COLMAP model; copy or export it again"
            ) from error


def _text_images(path: Path) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yield where, name and numbers (qw qx qy qz tx ty tz) of each image."""
    lines = ((where, line) for where, line in read_lines(path) if not line.startswith("#"))
    for where, line in lines:
        if line:
            fields = line.split(maxsplit=9)
            if len(fields) < 10:
                raise InputError(f"{where}: says {line!r}, expected {TEXT_COLUMNS}")
            next(lines, None)  # of the image's points, perhaps empty
            yield where, fields[9], fields[1:8]


def _find_model(folder: Path) -> Path:
    """Return the first place with a model; the layout says that there is one."""
    found = [folder / place for place in COLMAP_FOLDERS if list((folder / place).glob("cameras.*"))]
    others = [path for path in folder.glob("sparse/*/") if path.name.isdigit()]
    if len(others) > 1:
        logger.warning(
            "%s: %d models; only %s is read. Their coordinates are not related to each other",
            *(folder / "sparse", len(others), found[0]),
        )
    return found[0]


def _read_queries(path: Path, poses: dict[str, np.ndarray], model: Path) -> dict[str, str]:
    """Return where each query is listed, by the image's name."""
    if not path.is_file():
        logger.info("%s: no such file, so this scene has no queries", path)
        return {}
    queries: dict[str, str] = {}
    for where, name in read_lines(path):
        if not name or name.startswith("#"):
            continue
        if name not in poses:
            raise InputError(
                f"{where}: names {name!r}, which has no pose in {model}, expected one of its "
                f"images, such as {min(poses)!r}, one a line"
            )
        if name in queries:
            raise InputError(f"{where}: names {name!r} again, see {queries[name]}; remove one")
        queries[name] = where
    if not queries:
        raise InputError(f"{path}: names no image, expected at least one; or remove the file")
    return queries


def _log_unregistered(images: Path, poses: dict[str, np.ndarray], model: Path) -> None:
    files = (path for path in images.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    missing = sum(path.relative_to(images).as_posix() not in poses for path in files)
    if missing:
        logger.warning("%s: %d images have no pose in %s and are left out", images, missing, model)
