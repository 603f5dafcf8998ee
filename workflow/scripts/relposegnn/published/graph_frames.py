"""Frames out of published graphs: where there is no dataset, its images are copied in the graphs.

A frame is known by its pose and its pixels, bit for bit, so that each is stored once; but where
several graphs have one query, these are frames of a still camera, and each is stored.
"""

import hashlib
import logging
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

logger = logging.getLogger(__name__)

PUBLISHED_SHAPE = (256, 341)  # height, width


class FrameCollector:
    """Appends the distinct frames among those it is given to one split of a frames file.

    ``repeated`` counts the queries that have pose and pixels of another.
    """

    def __init__(self, group: h5py.Group, kind: str, image_shape: tuple[int, int]) -> None:
        """Start without frames; ``kind`` is part of their names."""
        self._group, self._kind, self.repeated = group, kind, 0
        shape = (*image_shape, 3)
        self._images = group.create_dataset(
            "images", (0, *shape), np.uint8, maxshape=(None, *shape), chunks=(1, *shape)
        )
        self._poses: list[np.ndarray] = []
        self._sources: list[str] = []
        self._known: dict[bytes, int] = {}
        self._queries: set[int] = set()

    def index(self, pose: np.ndarray, image: np.ndarray, source: str) -> int:
        """Return the index of a frame: pose (6,) float32, image (H, W, 3) uint8.

        ``source`` says where it was found, which is kept of the first one.
        """
        digest = frame_digest(pose, image)
        if digest not in self._known:
            self._known[digest] = self._append(pose, image, source)
        return self._known[digest]

    def as_query(self, index: int, source: str) -> int:
        """Return the index of a frame to be a graph's query: a copy of it if it is one already."""
        if index in self._queries:
            self.repeated += 1
            index = self._append(self._poses[index], self._images[index], source)
        self._queries.add(index)
        return index

    def _append(self, pose: np.ndarray, image: np.ndarray, source: str) -> int:
        index = len(self._poses)
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
        archives: tar archive of each split, one at least; a split without has no graphs.
        frames_file: HDF5 file to write.
        graphs_file: HDF5 file to write.
        dataset: recorded in the frames file.
        scene: recorded in the frames file.
        mean: of the channels (3) in [0, 1] that the images were standardised with.
        variance: of the channels (3).
        image_shape: height and width of the images in pixels.

    Raises:
        InputError: there is no archive, one is damaged or has one graph twice, the statistics
            belong to another scene, or a test query is in the database.
    """
    _check_arguments(archives, mean, variance, scene)
    names = {split: Path(archive).name for split, archive in archives.items()}
    settings = {"source": "published", "archives": names}
    with (
        create_hdf5(frames_file, "frames", settings) as frames,
        create_hdf5(graphs_file, "graphs", settings) as graphs,
    ):
        frames.attrs.update(dataset=dataset, scene=scene, mean=mean, variance=variance)
        database = FrameCollector(frames.create_group("train"), "database", image_shape)
        queries = FrameCollector(frames.create_group("test"), "query", image_shape)
        for split, collector in (("test", queries), ("train", database)):
            content = empty_split()
            if split in archives:
                path, statistics = Path(archives[split]), (mean, variance)
                content = _collect_split(path, collector, database, statistics, image_shape)
            write_split(graphs, split, *content)
        _check_disjoint(queries, database, archives)
        for collector in (database, queries):
            collector.write_labels()


def _check_arguments(
    archives: Mapping[str, str | Path],
    mean: Sequence[float],
    variance: Sequence[float],
    scene: str,
) -> None:
    """Check that there are archives, of known splits, and statistics of three channels.

    Raises:
        InputError: they are not so.
    """
    if not archives or not archives.keys() <= set(SPLITS):
        raise InputError(
            f"{scene}: got graphs of the splits {list(archives)}, expected an archive of at least "
            f"one of {', '.join(SPLITS)}; check published_graphs.splits"
        )
    for name, values in (("mean", mean), ("variance", variance)):
        lowest = 0 if name == "mean" else np.finfo(np.float32).tiny
        array = np.asarray(values, dtype=np.float64)
        if array.shape != (3,) or not ((array >= lowest) & (array <= 1)).all():
            raise InputError(
                f"{scene}: {name} of the channels is {array.tolist()}, expected 3 numbers in "
                "[0, 1], and variances that are not 0; check the normalisation of this scene"
            )


def _check_disjoint(
    queries: FrameCollector, database: FrameCollector, archives: Mapping[str, str | Path]
) -> None:
    """Check that no test query is in the database.

    Raises:
        InputError: one is.
    """
    common = queries.source_of_common(database)
    if common:
        path = Path(archives["test"])
        raise InputError(
            f"{path}: {common.removeprefix(f'{path.name}: ')}: this test query is also in the "
            "database, expected other frames there; are the archives of the two splits swapped?"
        )


def _collect_split(
    path: Path,
    queries: FrameCollector,
    database: FrameCollector,
    statistics: tuple[Sequence[float], Sequence[float]],
    image_shape: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Put the nodes of an archive's graphs among the frames; return query and neighbours.

    Raises:
        InputError: as ``place_nodes`` and ``whole_grey_values``, or a graph is there twice.
    """
    first_of: dict[tuple[int, ...], str] = {}

    def place(graph: PublishedGraph) -> np.ndarray:
        indices = []
        for node, (image, pose) in enumerate(zip(graph.images, graph.poses, strict=True)):
            member = f"{graph.name}, node {node}"
            pixels = whole_grey_values(image, *statistics, f"{path}: {member}")
            collector = database if node else queries
            indices.append(collector.index(pose, pixels, f"{path.name}: {member}"))
        first = first_of.setdefault(tuple(indices), graph.name)
        if first != graph.name:
            raise InputError(
                f"{path}: {graph.name} has the query of {first} and its neighbours too, expected "
                "each graph once; give an archive of one scene and split"
            )
        query = queries.as_query(indices[0], f"{path.name}: {graph.name}, node 0")
        return np.array([query, *indices[1:]])

    repeated = queries.repeated
    with PublishedArchive(path) as archive:
        content = place_nodes(archive, image_shape, place, path.name)
    if queries.repeated > repeated:
        logger.warning(
            "%s: %d queries have pose and pixels of another one; each is a frame of its own",
            *(path, queries.repeated - repeated),
        )
    return content
