"""Reading a scene in any layout: which one it is, its files tell."""

import logging
from pathlib import Path

from ..runtime import InputError
from ..scenes import Scene
from .cambridge import read_cambridge
from .colmap import read_colmap
from .files import describe_layouts, layouts_of
from .pose_tables import read_pose_tables
from .seven_scenes import read_seven_scenes

logger = logging.getLogger(__name__)

READERS = {
    "7-Scenes": read_seven_scenes,
    "Cambridge Landmarks": read_cambridge,
    "a COLMAP model": read_colmap,
    "plain tables of poses": read_pose_tables,
}


def read_scene(folder: str | Path) -> Scene:
    """Read the scene in a folder.

    Raises:
        InputError: no such folder, files of no layout or of two, or the scene is not complete.
    """
    folder = Path(folder)
    layout = _recognise_layout(folder)
    scene = READERS[layout](folder)
    logger.info(
        "%s: %s, %d database images, %d queries",
        *(folder, layout, len(scene.train), len(scene.test)),
    )
    return scene


def _recognise_layout(folder: Path) -> str:
    """Return the layout of the scene in a folder."""
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such scene; {folder.parent} holds {_known_scenes(folder.parent)}"
        )
    layouts = layouts_of(folder)
    if not layouts:
        raise InputError(
            f"{folder}: holds no scene, expected the files of a layout: {describe_layouts()}"
        )
    if len(layouts) > 1:
        raise InputError(
            f"{folder}: holds files of {len(layouts)} layouts, expected one: "
            f"{describe_layouts(layouts)}; move those of the others away"
        )
    return layouts[0]


def _known_scenes(folder: Path) -> str:
    """Return what could have been meant, for a message."""
    if not folder.is_dir():
        return "nothing: this folder does not exist either"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and layouts_of(path))
    return ", ".join(names) or "no scene"
