"""Reader of a COLMAP model with its images: ``images/`` and a sparse model.

The model is in ``sparse/0``, ``sparse`` or the folder itself, binary or text. ``test.txt`` names
the queries, one image per line, optionally with a camera as in hloc's lists; all other images are
the database. Camera axes are OpenCV's. COLMAP finds a scene up to its scale: unless the model was
aligned, "metres" are the model's own units. Focal lengths come from the list where it gives them,
else from the model. Those of fisheye lenses are not used, because a focal length alone does not
describe their rays.
"""

import logging
import math
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from ..colmap_library import load_pycolmap
from ..files.folders import files_below, refuse_no_folder
from ..poses import check_pose, inverse_pose, pose_from_quaternion
from ..runtime import InputError
from .colmap_lengths import check_lengths
from .colmap_text import check_text
from .files import COLMAP_FOLDERS
from .posed_images import FOCAL_LENGTHS, listed_frame, scene_of_lists
from .query_lists import PINHOLES, QUERIES, read_queries
from .scenes import Frame, Scene

if TYPE_CHECKING:
    import pycolmap

logger = logging.getLogger(__name__)

IMAGES = "images"
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg"}


def read_colmap(folder: Path) -> Scene:
    """Read a scene of a COLMAP model; frames are in the order of their names.

    Images that COLMAP has not registered are left out and counted in the log.

    Raises:
        InputError: the model cannot be read or has no poses, an image is missing, or a query has
            no pose.
    """
    images = folder / IMAGES
    refuse_no_folder(images, "the folder of the COLMAP model's images")
    model = _only_model(folder)
    poses, focal_lengths = read_model(model)
    queries = read_queries(folder / QUERIES, poses, model)
    _log_unregistered(images, poses, model)
    focal_lengths |= {
        name: query.focal_length
        for name, query in queries.items()
        if math.isfinite(query.focal_length)
    }
    where = dict.fromkeys(poses, str(model)) | {name: each.where for name, each in queries.items()}
    split: dict[bool, list[Frame]] = {False: [], True: []}
    for name, pose in poses.items():
        frame = listed_frame(images, name, pose, where[name], focal_lengths[name])
        split[name in queries].append(frame)
    return scene_of_lists(folder, split[False], split[True])


def read_model(model: Path) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return two dictionaries by name of a model's registered images.

    The poses ``world_from_cam`` (4, 4); and the focal lengths in longer sides of the image, NaN for
    a camera that is not a pinhole.

    Raises:
        InputError: pycolmap is not installed, or the model cannot be read or has no poses.
    """
    try:
        pycolmap = load_pycolmap()  # other layouts do not need it
    except ImportError as error:
        raise InputError(
            f"{model}: a COLMAP model is read with pycolmap, which cannot be imported ({error}); "
            "pip install pycolmap"
        ) from error
    names = _check_files(model)
    try:
        reconstruction = pycolmap.Reconstruction(model)
    except (ValueError, LookupError, RuntimeError, OSError, MemoryError) as error:
        raise InputError(
            f"{model}: cannot be read as a COLMAP model ({error or type(error).__name__}), "
            "expected cameras, images and points3D, all .bin or all .txt; export it again"
        ) from error
    poses, focal_lengths = {}, {}
    for number, image in reconstruction.images.items():
        if not image.has_pose:
            continue
        # From a text file, pycolmap reads a name only up to its first space.
        name = PurePosixPath(names.get(number, image.name)).as_posix()
        if name in poses:
            raise InputError(f"{model}: has two images {name!r}, expected each once; remove one")
        pose = pose_of(image)
        check_pose(pose, f"{model}: {name}")
        poses[name], focal_lengths[name] = pose, _focal_length(image.camera, model)
    if not poses:
        raise InputError(f"{model}: has no image with a pose, expected at least one")
    return poses, focal_lengths


def pose_of(image: "pycolmap.Image") -> np.ndarray:
    """Return the pose ``world_from_cam`` (4, 4) of an image that COLMAP has registered.

    pycolmap does not normalise quaternions, and inverts a pose as if they were unit.
    """
    cam_from_world = image.cam_from_world()
    quaternion = np.roll(cam_from_world.rotation.quat, 1)  # wxyz
    return inverse_pose(pose_from_quaternion(cam_from_world.translation, quaternion))


def _check_files(model: Path) -> dict[int, str]:
    """Check the files that pycolmap will read; return the names of a text model's images by ID."""
    if all((model / f"{name}.bin").is_file() for name in ("cameras", "images", "points3D")):
        check_lengths(model)
        return {}
    return check_text(model)


def _focal_length(camera: "pycolmap.Camera", model: Path) -> float:
    """Return a camera's focal length in longer sides of its images; NaN if it is no pinhole."""
    if camera.model.name not in PINHOLES:
        return math.nan
    pixels, side = camera.mean_focal_length(), max(camera.width, camera.height)
    if not (side and FOCAL_LENGTHS[0] <= pixels / side <= FOCAL_LENGTHS[1]):
        raise InputError(
            f"{model}: camera {camera.camera_id} has a focal length of {pixels:.4g} pixels in "
            f"images of {camera.width} x {camera.height}, expected "
            f"{FOCAL_LENGTHS[0]} to {FOCAL_LENGTHS[1]} longer sides; correct the camera"
        )
    return pixels / side


def find_model(folder: Path) -> Path | None:
    """Return the first place with a model in the folder of a place; None if there is none."""
    files = [(folder / place, f"cameras.{s}") for place in COLMAP_FOLDERS for s in ("bin", "txt")]
    return next((place for place, file in files if (place / file).is_file()), None)


def _only_model(folder: Path) -> Path:
    """Return the model, which the layout guarantees; warn if there are several."""
    others = [path for path in folder.glob("sparse/*/") if path.name.isdigit()]
    found = find_model(folder)
    if len(others) > 1:
        logger.warning(
            "%s: %d models; only %s is read. Models do not share a coordinate system",
            *(folder / "sparse", len(others), found),
        )
    return found


def _log_unregistered(images: Path, poses: dict[str, np.ndarray], model: Path) -> None:
    files = (path for path in files_below(images) if path.suffix.lower() in IMAGE_SUFFIXES)
    missing = sum(path.relative_to(images).as_posix() not in poses for path in files)
    if missing:
        logger.warning("%s: %d images have no pose in %s and are left out", images, missing, model)
