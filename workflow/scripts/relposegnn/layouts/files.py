"""The layouts of a scene, and the files by which they are recognised.

Not part of ``reading``, which imports the readers: these and ``archives`` import this module.
"""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

SEVEN_SCENES_SPLITS = {"train": "TrainSplit.txt", "test": "TestSplit.txt"}
CAMBRIDGE_SPLITS = {"train": "dataset_train.txt", "test": "dataset_test.txt"}
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
QUERIES_IN_TRANSFORMS = re.compile(rb'"test_filenames"\s*:\s*\[\s*"')


def layouts_of(folder: Path) -> list[str]:
    """Return the layouts that have one of their files in a folder."""
    return [name for name, marks in LAYOUTS.items() if any((folder / m).is_file() for m in marks)]


def lists_queries(folder: Path) -> bool:
    """Return whether the scene in a folder has queries, judged by its files, which are not checked.

    True for a folder without a scene, so that the reader can say what is wrong.
    """
    layouts = layouts_of(folder)
    lists = [folder / name for layout in layouts for name in QUERY_LISTS[layout]]
    if not layouts or any(path.is_file() for path in lists):
        return True
    transforms = folder / TRANSFORMS
    return transforms.is_file() and bool(QUERIES_IN_TRANSFORMS.search(transforms.read_bytes()))


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
