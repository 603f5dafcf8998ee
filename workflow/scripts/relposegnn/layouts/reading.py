"""Reading a scene in any layout, which is recognised by its files."""

import logging
from pathlib import Path

import numpy as np

from ..runtime import InputError
from .cambridge import read_cambridge
from .colmap import read_colmap
from .files import describe_layouts, layouts_of
from .pose_tables import read_pose_tables
from .scenes import Frame, Scene
from .seven_scenes import read_seven_scenes
from .transforms import read_transforms
from .tum import read_tum
from .twelve_scenes import read_twelve_scenes

logger = logging.getLogger(__name__)

READERS = {
    "7-Scenes": read_seven_scenes,
    "Cambridge Landmarks": read_cambridge,
    "a COLMAP model": read_colmap,
    "12-Scenes": read_twelve_scenes,
    "NeRF's transforms": read_transforms,
    "TUM RGB-D": read_tum,
    "plain tables of poses": read_pose_tables,
}
REFUSE, LEAVE_OUT = "refuse", "leave_out"  # what to do with frames whose tracking was lost
SHOWN_POSES = 100  # in a message; any more are only counted


def read_scene(folder: str | Path, lost_poses: str = REFUSE) -> Scene:
    """Read the scene in a folder.

    A tracker that is lost writes poses that are not finite. ``lost_poses`` says whether such a
    scene is refused, or read without these frames, which are counted in the log.

    Raises:
        InputError: there is no such folder, it has files of no layout or of two, or the scene is
            not complete.
    """
    folder = Path(folder)
    layout = layout_of(folder)
    scene = _with_finite_poses(READERS[layout](folder), folder, lost_poses)
    logger.info(
        "%s: %s, %d database images, %d queries",
        *(folder, layout, len(scene.train), len(scene.test)),
    )
    return scene


def _with_finite_poses(scene: Scene, folder: Path, lost_poses: str) -> Scene:
    frames = scene.train + scene.test
    lost = [frame for frame in frames if not np.isfinite(frame.world_from_cam).all()]
    if not lost:
        return scene
    places = [frame.where.removeprefix(f"{folder}/") for frame in lost]
    if len(lost) > SHOWN_POSES:
        places[SHOWN_POSES:] = ["..."]
    found = f"{len(lost)} of {len(frames)} poses are not finite: {', '.join(places)}"
    if lost_poses != LEAVE_OUT:
        raise InputError(
            f"{folder}: {found}; expected numbers. If a tracker was lost there, leave these frames "
            f"out: set frames.lost_poses to {LEAVE_OUT}, or give --lost-poses {LEAVE_OUT}"
        )
    kept = Scene(scene.name, _finite(scene.train), _finite(scene.test))
    if not kept.train:
        raise InputError(f"{folder}: {found}, expected some finite poses in the database")
    logger.warning("%s: %s; these frames are left out", folder, found)
    if scene.test and not kept.test:
        logger.warning("%s: no query is left, so nothing can be scored here", folder)
    return kept


def _finite(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if np.isfinite(frame.world_from_cam).all()]


def layout_of(folder: Path) -> str:
    """Return the layout of the scene in a folder.

    Raises:
        InputError: there is no such folder, or it has files of no layout or of two.
    """
    if folder.is_file():
        raise InputError(
            f"{folder}: is a file, expected the folder of a scene; the pipeline extracts zip "
            "archives with source: download"
        )
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such scene; {folder.parent} has {_known_scenes(folder.parent)}"
        )
    layouts = layouts_of(folder)
    if not layouts:
        raise InputError(
            f"{folder}: holds no scene, expected the files of a layout: {describe_layouts()}. If "
            "the photos have no poses, find them with relposegnn find-poses"
        )
    if len(layouts) > 1:
        raise InputError(
            f"{folder}: holds files of {len(layouts)} layouts, expected one: "
            f"{describe_layouts(layouts)}; move the files of the others away"
        )
    return layouts[0]


def _known_scenes(folder: Path) -> str:
    """Return the scenes beside a missing one, for a message."""
    if not folder.is_dir():
        return "nothing: this folder does not exist either"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and layouts_of(path))
    return ", ".join(names) or "no scene"
