"""The layouts of a scene, and the files by which they are recognised.

Not part of ``reading``, which imports the readers: these and ``archives`` import this module.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..runtime import InputError

SEVEN_SCENES_SPLITS = {"train": "TrainSplit.txt", "test": "TestSplit.txt"}
CAMBRIDGE_SPLITS = {"train": "dataset_train.txt", "test": "dataset_test.txt"}
CAMBRIDGE_HEADER = 3  # lines
TWELVE_SCENES_SPLIT = "split.txt"
TRANSFORMS = "transforms.json"
TUM_POSES, TUM_IMAGES = "groundtruth.txt", "rgb.txt"
COLMAP_FOLDERS = ("sparse/0", "sparse", ".")  # where a model may be in the scene's folder


class Layout(NamedTuple):
    """How a layout is recognised; all names are relative to the scene's folder.

    Attributes:
        marks: files, any of which identifies it.
        queries: files that name its queries.
        lists: patterns of what else lists frames: files, and folders that are searched for frames.
        empty: of a published data set, whose list of queries may be empty in a place of one's own
            (the others refuse that): lines of its header, and of those after it, how many name no
            query.
    """

    marks: Sequence[str]
    queries: Sequence[str]
    lists: Sequence[str] = ()
    empty: tuple[int, int] | None = None


LAYOUTS = {  # by name in messages
    "7-Scenes": Layout(
        list(SEVEN_SCENES_SPLITS.values()),
        [SEVEN_SCENES_SPLITS["test"]],
        ["[Ss][Ee][Qq]*", "[Ss][Ee][Qq]*/rgb", "[Ss][Ee][Qq]*/poses"],
        (0, 0),
    ),
    "Cambridge Landmarks": Layout(
        list(CAMBRIDGE_SPLITS.values()), [CAMBRIDGE_SPLITS["test"]], empty=(CAMBRIDGE_HEADER, 0)
    ),
    "a COLMAP model": Layout(
        [str(PurePosixPath(f, f"cameras.{s}")) for f in COLMAP_FOLDERS for s in ("bin", "txt")],
        ["test.txt"],
        [str(PurePosixPath(folder, "images.*")) for folder in COLMAP_FOLDERS],
    ),
    "12-Scenes": Layout([TWELVE_SCENES_SPLIT], [TWELVE_SCENES_SPLIT], ["data"], (0, 1)),
    "NeRF's transforms": Layout([TRANSFORMS], ["test.txt"]),
    "TUM RGB-D": Layout([TUM_POSES], ["test.txt"], [TUM_IMAGES]),
    "plain tables of poses": Layout(["train.csv", "train.txt"], ["test.csv", "test.txt"]),
}
QUERIES_IN_TRANSFORMS = re.compile(rb'"test_filenames"\s*:\s*\[\s*"')


def layouts_of(folder: Path) -> list[str]:
    """Return the layouts that have one of their files in a folder."""
    return [name for name, own in LAYOUTS.items() if any((folder / m).is_file() for m in own.marks)]


def frame_lists(folder: Path) -> list[Path]:
    """Return the files and folders of a scene whose dates change when frames come or go."""
    layouts = [LAYOUTS[name] for name in layouts_of(folder)]
    patterns = {each for own in layouts for each in (*own.marks, *own.queries, *own.lists)}
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def lists_queries(folder: Path) -> bool:
    """Return whether the scene in a folder has queries, judged by its files, which are not checked.

    True for a folder without a scene, so that the reader can say what is wrong.
    """
    layouts = [LAYOUTS[name] for name in layouts_of(folder)]
    lists = [(folder / name, layout.empty) for layout in layouts for name in layout.queries]
    if not layouts or any(_names_queries(*each) for each in lists):
        return True
    transforms = folder / TRANSFORMS
    return transforms.is_file() and bool(QUERIES_IN_TRANSFORMS.search(transforms.read_bytes()))


def _names_queries(path: Path, empty: tuple[int, int] | None) -> bool:
    """Return whether a list of queries exists, and in layouts where it may be empty, is not."""
    if empty is None or not path.is_file():
        return path.is_file()
    header, others = empty
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()[header:]
    return sum(bool(line.strip()) for line in lines) > others


def refuse_no_queries(folder: Path) -> None:
    """Refuse an extracted scene in the layout of a published data set if it has no queries.

    Published scenes have some, so without them a scene was extracted or downloaded incompletely.

    Raises:
        InputError: it has none.
    """
    for layout in layouts_of(folder):
        if LAYOUTS[layout].empty is not None and not lists_queries(folder):
            path = folder / LAYOUTS[layout].queries[0]
            raise InputError(
                f"{path}: {'names no queries' if path.is_file() else 'no such file'}, expected the "
                f"queries of a scene of {layout}; download and extract it again. For a place of "
                "your own without queries, give its folder instead of an archive: set scenes_dir"
            )


def scene_roots(files: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Return the folders among ``files`` that hold a scene, outermost only, sorted."""
    marks = [PurePosixPath(mark).parts for layout in LAYOUTS.values() for mark in layout.marks]
    roots = {
        PurePosixPath(*path.parts[: -len(mark)])
        for path in files
        for mark in marks
        if path.parts[-len(mark) :] == mark
    }
    return sorted(root for root in roots if roots.isdisjoint(root.parents))


def describe_layouts(layouts: Iterable[str] = LAYOUTS) -> str:
    """Return a list of layouts with the files that identify them, for messages."""
    return "; ".join(f"{name} ({', '.join(LAYOUTS[name].marks)})" for name in layouts)
