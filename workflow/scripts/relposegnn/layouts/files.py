"""The layouts of a scene, by the files that tell them apart.

Apart from ``reading``, which imports the readers: they and ``archives`` ask here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SEVEN_SCENES_SPLITS = {"train": "TrainSplit.txt", "test": "TestSplit.txt"}
CAMBRIDGE_SPLITS = {"train": "dataset_train.txt", "test": "dataset_test.txt"}
COLMAP_FOLDERS = ("sparse/0", "sparse", ".")  # where a model may lie in the scene's folder


@dataclass(frozen=True)
class Layout:
    """How a scene lies in its folder.

    Attributes:
        name: for messages.
        marks: files, relative to the folder; any one of them tells the layout.
        complete: whether a scene has all of them.
    """

    name: str
    marks: tuple[str, ...]
    complete: bool = False

    def __str__(self) -> str:
        """Return the name and the files."""
        return f"{self.name} ({(' and ' if self.complete else ' or ').join(self.marks)})"


SEVEN_SCENES = Layout("7-Scenes", tuple(SEVEN_SCENES_SPLITS.values()), complete=True)
CAMBRIDGE = Layout("Cambridge Landmarks", tuple(CAMBRIDGE_SPLITS.values()), complete=True)
COLMAP = Layout(
    "a COLMAP model",
    tuple(
        (PurePosixPath(folder) / f"cameras.{suffix}").as_posix()
        for folder in COLMAP_FOLDERS
        for suffix in ("bin", "txt")
    ),
)
PLAIN = Layout("plain tables of poses", ("train.csv", "train.txt"))
LAYOUTS = (SEVEN_SCENES, CAMBRIDGE, COLMAP, PLAIN)


def layouts_marked(has_file: Callable[[str], bool]) -> list[Layout]:
    """Return the layouts of which there is a file; ``has_file`` tells of a relative path."""
    return [layout for layout in LAYOUTS if any(map(has_file, layout.marks))]


def layouts_of(folder: Path) -> list[Layout]:
    """Return the layouts of which there is a file in a folder."""
    return layouts_marked(lambda mark: (folder / mark).is_file())


def scene_roots(files: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Return the folders among ``files`` that hold a scene, outermost only, sorted."""
    marks = [PurePosixPath(mark).parts for layout in LAYOUTS for mark in layout.marks]
    roots = {
        PurePosixPath(*path.parts[: -len(mark)])
        for path in files
        for mark in marks
        if path.parts[-len(mark) :] == mark
    }
    return sorted(root for root in roots if roots.isdisjoint(root.parents))


def describe_layouts() -> str:
    """Return what is looked for, for messages."""
    return "; ".join(map(str, LAYOUTS))
