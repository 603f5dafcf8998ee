"""Published graphs as indices into a scene's own frames.

Each node is found by its pose. Where a camera stood still and several frames have that pose, the
images decide.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.spatial import KDTree

from ..frames import Frames
from ..graphs import write_split
from ..poses import quaternion_exp, quaternion_from_matrix, rotation_error_deg, translation_error
from ..runtime import InputError
from ..storage import SPLITS, create_hdf5
from .graphs import NODES, PublishedArchive, PublishedGraph, grey_values, place_nodes

logger = logging.getLogger(__name__)

# In metres and half radians together. Published poses have 7 digits, and the rotations that they
# were computed from are off by up to some 1e-5.
POSE_TOLERANCE = 1e-4
CLEAR_MARGIN = 0.8  # an image is clearly nearest below this share of the next one's distance


class FrameMatcher:
    """Finds frames of one split by pose, and by image where poses tie.

    ``unclear`` counts the nodes for which more than one image would do.
    """

    def __init__(self, frames: Frames, split: str) -> None:
        """Index the poses."""
        self.frames, self.split, self.unclear = frames, split, 0
        poses = frames.poses(split)
        self._centres = poses[:, :3, 3]
        self._quaternions = quaternion_from_matrix(poses[:, :3, :3])
        # A quaternion and its opposite are one rotation, and both occur where the angle is near pi.
        signed = [sign * self._quaternions for sign in (1, -1)]
        self._tree = KDTree(np.concatenate([np.hstack([self._centres, q]) for q in signed]))

    def match(self, graph: PublishedGraph, nodes: slice, source: str) -> np.ndarray:
        """Return the frame indices (n) of some nodes of a graph.

        Raises:
            InputError: no frame has the pose of a node. The message starts with ``source``.
        """
        quaternions = quaternion_exp(graph.poses[nodes, 3:])
        points = np.hstack([graph.poses[nodes, :3], quaternions])
        found = self._tree.query_ball_point(points, POSE_TOLERANCE)
        indices = []
        for row, (node, same_point) in enumerate(zip(range(NODES)[nodes], found, strict=True)):
            candidates = np.unique(np.array(same_point, dtype=np.int64) % len(self._centres))
            if candidates.size == 0:
                raise self._unknown(points[row], f"{source}, node {node}")
            indices.append(self._most_similar(candidates, graph.images[node]))
        return np.array(indices)

    def _most_similar(self, candidates: np.ndarray, image: np.ndarray) -> int:
        """Return the candidate whose image is nearest to a standardised one (3, H, W)."""
        if len(candidates) == 1:
            return int(candidates[0])
        grey = grey_values(image, self.frames.mean, self.frames.variance)
        stored = self.frames.images(self.split, candidates)
        distance = np.sqrt(np.mean((stored - _resized(grey, stored.shape[1:3])) ** 2, (1, 2, 3)))
        best = int(distance.argmin())
        others = (stored != stored[best]).any((1, 2, 3))
        self.unclear += bool(
            others.any() and distance[best] > CLEAR_MARGIN * distance[others].min()
        )
        return int(candidates[best])

    def _unknown(self, point: np.ndarray, node: str) -> InputError:
        _, nearest = self._tree.query(point)
        nearest %= len(self._centres)
        metres = translation_error(point[:3], self._centres[nearest])
        degrees = rotation_error_deg(point[3:], self._quaternions[nearest])
        return InputError(
            f"{node}: has the pose of no {self.split} frame in {self.frames.path}; the nearest, "
            f"{self.frames.names(self.split)[nearest]}, is {metres:.3g} m and {degrees:.3g} deg "
            "away, expected one at the same place. Is the archive of another scene or split? "
            "Then delete it, mend published_graphs.url and run again"
        )


def import_graphs(
    archives: Mapping[str, str | Path],
    frames_file: str | Path,
    graphs_file: str | Path,
    scene: str,
) -> None:
    """Write the graphs file that published graphs amount to.

    Args:
        archives: tar archive of each split; a split without has no graphs.
        frames_file: frames of the scene, of any size.
        graphs_file: HDF5 file to write.
        scene: for messages.

    Raises:
        InputError: an archive is damaged, a node has the pose of no frame, or two graphs have one
            query.
    """
    names = {split: Path(archive).name for split, archive in archives.items()}
    with (
        Frames(frames_file) as frames,
        create_hdf5(graphs_file, "graphs", {"source": "published", "archives": names}) as file,
    ):
        for split in SPLITS:
            if split in archives:
                _import_split(Path(archives[split]), frames, split, file, scene)
            else:
                write_split(file, split, *empty_split())


def empty_split() -> tuple[np.ndarray, np.ndarray]:
    """Return query (0,) and neighbours (0, 7) of a split without graphs."""
    return np.empty(0, dtype=np.int32), np.empty((0, NODES - 1), dtype=np.int32)


def _import_split(path: Path, frames: Frames, split: str, file: h5py.File, scene: str) -> None:
    queries, database = FrameMatcher(frames, split), FrameMatcher(frames, "train")

    def place(graph: PublishedGraph) -> np.ndarray:
        source = f"{path}: {graph.name}"
        query = queries.match(graph, slice(0, 1), source)
        return np.concatenate([query, database.match(graph, slice(1, NODES), source)])

    with PublishedArchive(path) as archive:
        shape = archive.image_shape_like(frames.image_shape)
        query, neighbours = place_nodes(archive, shape, place, f"{scene}, {split}")
    write_split(file, split, query, neighbours)
    logger.info("%s, %s: %d graphs from %s", scene, split, len(query), path)
    missing, unclear = frames.count(split) - len(query), queries.unclear + database.unclear
    if missing:
        logger.warning("%s, %s: %d frames have no graph in %s", scene, split, missing, path)
    if unclear:
        logger.warning(
            "%s, %s: for %d nodes several frames have the pose and look alike; the most similar "
            "one is taken",
            *(scene, split, unclear),
        )


def _resized(grey: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a grey-value image (H, W, 3) in another shape (h, w), resized as frames are."""
    if grey.shape[:2] == shape:
        return grey
    image = Image.fromarray(np.rint(grey).clip(0, 255).astype(np.uint8))
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR), dtype=np.float32)
