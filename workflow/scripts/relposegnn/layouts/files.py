"""The layouts of a scene, and the files by which they are recognised.

Not part of ``reading``, which imports the readers: these and ``archives`` import this module.
"""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ..runtime import InputError

SEVEN_SCENES_SPLITS = {"train": "TrainSplit.txt", "test": "TestSplit.txt"}
CAMBRIDGE_SPLITS = {"train": "dataset_train.txt", "test": "dataset_test.txt"}
CAMBRIDGE_HEADER = 3  # lines
TWELVE_SCENES_SPLIT = "split.txt"
TRANSFORMS = "transforms.json"
TUM_POSES, TUM_IMAGES = "groundtruth.txt", "rgb.txt"
COLMAP_FOLDERS = ("sparse/0", "sparse", ".")  # where a model may be in the scene's folder
# By name in messages: files, relative to the scene's folder, any of which identifies the layout.
LAYOUTS = {
    "7-Scenes": list(SEVEN_SCENES_SPLITS.values()),
    "Cambridge Landmarks": list(CAMBRIDGE_SPLITS.values()),
    "a COLMAP model": [
        str(PurePosixPath(folder, f"cameras.{suffix}"))
        for folder in COLMAP_FOLDERS
        for suffix in ("bin", "txt")
    ],
    "12-Scenes": [TWELVE_SCENES_SPLIT],
    "NeRF's transforms": [TRANSFORMS],
    "TUM RGB-D": [TUM_POSES],
    "plain tables of poses": ["train.csv", "train.txt"],
}
# The files that name the queries, by layout.
QUERY_LISTS = {
    "7-Scenes": [SEVEN_SCENES_SPLITS["test"]],
    "Cambridge Landmarks": [CAMBRIDGE_SPLITS["test"]],
    "a COLMAP model": ["test.txt"],
    "12-Scenes": [TWELVE_SCENES_SPLIT],
    "NeRF's transforms": ["test.txt"],
    "TUM RGB-D": ["test.txt"],
    "plain tables of poses": ["test.csv", "test.txt"],
}
# The layouts of published data sets, whose lists of queries may be empty in a place of one's own
# (the others refuse that): lines of the header, and of those after it, how many name no query.
PUBLISHED = {"7-Scenes": (0, 0), "Cambridge Landmarks": (CAMBRIDGE_HEADER, 0), "12-Scenes": (0, 1)}
# Patterns of what else lists frames, by layout: files, and folders that are searched for frames.
FRAME_LISTS = {
    "7-Scenes": ["[Ss][Ee][Qq]*", "[Ss][Ee][Qq]*/rgb", "[Ss][Ee][Qq]*/poses"],
    "Cambridge Landmarks": [],
    "a COLMAP model": ["sparse/0/images.*", "sparse/images.*", "images.*"],
    "12-Scenes": ["data"],
    "NeRF's transforms": [],
    "TUM RGB-D": [TUM_IMAGES],
    "plain tables of poses": [],
}
QUERIES_IN_TRANSFORMS = re.compile(rb'"test_filenames"\s*:\s*\[\s*"')


def layouts_of(folder: Path) -> list[str]:
    """Return the layouts that have one of their files in a folder."""
    return [name for name, marks in LAYOUTS.items() if any((folder / m).is_file() for m in marks)]


def frame_lists(folder: Path) -> list[Path]:
    """Return the files and folders of a scene whose dates change when frames come or go."""
    lists = (LAYOUTS, QUERY_LISTS, FRAME_LISTS)
    patterns = {
        each for name in layouts_of(folder) for by_layout in lists for each in by_layout[name]
    }
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def lists_queries(folder: Path) -> bool:
    """Return whether the scene in a folder has queries, judged by its files, which are not checked.

    True for a folder without a scene, so that the reader can say what is wrong.
    """
    layouts = layouts_of(folder)
    lists = [(layout, folder / name) for layout in layouts for name in QUERY_LISTS[layout]]
    if not layouts or any(_names_queries(*pair) for pair in lists):
        return True
    transforms = folder / TRANSFORMS
    return transforms.is_file() and bool(QUERIES_IN_TRANSFORMS.search(transforms.read_bytes()))


def _names_queries(layout: str, path: Path) -> bool:
    """Return whether a list of queries exists, and in layouts where it may be empty, is not."""
    if layout not in PUBLISHED or not path.is_file():
        return path.is_file()
    header, others = PUBLISHED[layout]
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()[header:]
    return sum(bool(line.strip()) for line in lines) > others


def refuse_no_queries(folder: Path) -> None:
    """Refuse an extracted scene in the layout of a published data set if it has no queries.

    Published scenes have some, so without them a scene was extracted or downloaded incompletely.

    Raises:
        InputError: it has none.
    """
    for layout in PUBLISHED.keys() & set(layouts_of(folder)):
        if not lists_queries(folder):
            path = folder / QUERY_LISTS[layout][0]
            raise InputError(
                f"{path}: {'names no queries' if path.is_file() else 'no such file'}, expected the "
                f"queries of a scene of {layout}; download and extract it again. For a place of "
                "your own without queries, give its folder instead of an archive: set scenes_dir"
            )


def scene_roots(files: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Return the folders among ``files`` that hold a scene, outermost only, sorted."""
    marks = [PurePosixPath(mark).parts for layout in LAYOUTS.values() for mark in layout]
    roots = {
        PurePosixPath(*path.parts[: -len(mark)])
        for path in files
        for mark in marks
        if path.parts[-len(mark) :] == mark
    }
    return sorted(root for root in roots if roots.isdisjoint(root.parents))


def describe_layouts(layouts: Iterable[str] = LAYOUTS) -> str:
    """Return a list of layouts with the files that identify them, for messages."""
    return "; ".join(f"{name} ({', '.join(LAYOUTS[name])})" for name in layouts)
