"""Frames out of published graphs: where there is no dataset, its images are copied in the graphs.

A frame is known by its pose and its pixels, bit for bit, so that each is stored once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from ..graphs import write_split
from ..poses import pose_from_quaternion, quaternion_exp
from ..runtime import InputError
from ..storage import SPLITS, create_hdf5
from .graph_matching import empty_split
from .graphs import PublishedArchive, PublishedGraph, place_nodes, whole_grey_values

PUBLISHED_SHAPE = (256, 341)  # height, width


class FrameCollector:
    """Appends the distinct frames among those it is given to one split of a frames file."""

    def __init__(self, group: h5py.Group, kind: str, image_shape: tuple[int, int]) -> None:
        """Start without frames; ``kind`` is part of their names."""
        self._group, self._kind = group, kind
        shape = (*image_shape, 3)
        self._images = group.create_dataset(
            "images", (0, *shape), np.uint8, maxshape=(None, *shape), chunks=(1, *shape)
        )
        self._poses: list[np.ndarray] = []
        self._sources: list[str] = []
        self._known: dict[bytes, int] = {}

    def index(self, pose: np.ndarray, image: np.ndarray, source: str) -> int:
        """Return the index of a frame: pose (6,) float32, image (H, W, 3) uint8.

        ``source`` says where it was found, which is kept of the first one.
        """
        digest = frame_digest(pose, image)
        index = self._known.setdefault(digest, len(self._poses))
        if index == len(self._poses):
            self._images.resize(index + 1, axis=0)
            self._images[index] = image
            self._poses.append(pose.copy())
            self._sources.append(source)
        return index

    def source_of_common(self, other: "FrameCollector") -> str | None:
        """Return the source of a frame that both hold, if there is one."""
        common = self._known.keys() & other._known.keys()
        return self._sources[min(self._known[digest] for digest in common)] if common else None

    def write_labels(self) -> None:
        """Write poses, names and sources of the frames."""
        vectors = np.array(self._poses, dtype=np.float64).reshape(-1, 6)
        names = [f"published/{self._kind}-{index:06}" for index in range(len(vectors))]
        text = h5py.string_dtype()
        self._group["world_from_cam"] = pose_from_quaternion(
            vectors[:, :3], quaternion_exp(vectors[:, 3:])
        )
        self._group.create_dataset("name", data=names, shape=len(names), dtype=text)
        self._group.create_dataset("source", data=self._sources, shape=len(names), dtype=text)


def frame_digest(pose: np.ndarray, image: np.ndarray) -> bytes:
    """Return a hash of pose and pixels that no two different frames share."""
    digest = hashlib.blake2b(pose.tobytes(), digest_size=32)
    digest.update(np.ascontiguousarray(image))
    return digest.digest()


def import_frames_and_graphs(
    archives: Mapping[str, str | Path],
    frames_file: str | Path,
    graphs_file: str | Path,
    dataset: str,
    scene: str,
    mean: Sequence[float],
    variance: Sequence[float],
    image_shape: tuple[int, int] = PUBLISHED_SHAPE,
) -> None:
    """Write the frames that published graphs hold, and the graphs; both files or none.

    The database (``train``) is every node but the queries of the test graphs.

    Args:
        archives: tar archive of each split; a split without has no graphs.
        frames_file: HDF5 file to write.
        graphs_file: HDF5 file to write.
        dataset: recorded in the frames file.
        scene: recorded in the frames file.
        mean: of the channels (3) in [0, 1] that the images were standardised with.
        variance: of the channels (3).
        image_shape: height and width of the images in pixels.

    Raises:
        InputError: an archive is damaged, the statistics belong to another scene, two graphs have
            one query, or a test query is in the database.
    """
    names = {split: Path(archive).name for split, archive in archives.items()}
    settings = {"source": "published", "archives": names}
    with (
        create_hdf5(frames_file, "frames", settings) as frames,
        create_hdf5(graphs_file, "graphs", settings) as graphs,
    ):
        frames.attrs.update(dataset=dataset, scene=scene, mean=mean, variance=variance)
        database = FrameCollector(frames.create_group("train"), "database", image_shape)
        queries = FrameCollector(frames.create_group("test"), "query", image_shape)
        collectors = {"train": database, "test": queries}
        for split in reversed(SPLITS):
            content = empty_split()
            if split in archives:
                content = _collect_split(
                    Path(archives[split]), collectors[split], database,
                    mean, variance, image_shape, f"{scene}, {split}",
                )  # fmt: skip
            write_split(graphs, split, *content)
        common = queries.source_of_common(database)
        if common:
            raise InputError(
                f"{archives['test']}: {common}: this test query is also in the database, "
                "expected other frames there; are the archives of the two splits swapped?"
            )
        for collector in collectors.values():
            collector.write_labels()


def _collect_split(
    path: Path,
    queries: FrameCollector,
    database: FrameCollector,
    mean: Sequence[float],
    variance: Sequence[float],
    image_shape: tuple[int, int],
    description: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Put the nodes of an archive's graphs among the frames; return query and neighbours."""

    def place(graph: PublishedGraph) -> np.ndarray:
        indices = []
        for node, (image, pose) in enumerate(zip(graph.images, graph.poses, strict=True)):
            pixels = whole_grey_values(image, mean, variance, f"{path}: {graph.name}, node {node}")
            collector = database if node else queries
            indices.append(collector.index(pose, pixels, f"{path.name}: {graph.name}, node {node}"))
        return np.array(indices)

    with PublishedArchive(path) as archive:
        return place_nodes(archive, image_shape, place, description)
