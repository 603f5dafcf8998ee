"""Published graphs as indices into a scene's own frames.

Each node is found by its pose. Where a camera stood still and several frames have about that pose,
the images decide, and among equal images the nearest pose.
"""

import hashlib
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
POSE_NOISE = 1e-5  # of frames with equal images, those this much farther are not told apart
CLEAR_MARGIN = 0.8  # an image is clearly nearest below this share of the next one's distance
IMAGES_AT_ONCE = 32


class FrameMatcher:
    """Finds frames of one split by pose, and by image where poses tie.

    ``unclear`` counts the nodes for which more than one frame would do.

    Raises:
        InputError: there are no frames.
    """

    def __init__(self, frames: Frames, split: str, once: bool = False) -> None:
        """Index the poses; ``once`` takes another of frames that cannot be told apart each time."""
        self.frames, self.split, self.unclear = frames, split, 0
        self._used: set[int] | None = set() if once else None
        poses = frames.poses(split)
        if len(poses) == 0:
            raise InputError(
                f"{frames.path}: has no {split} frames, expected those that the published graphs "
                f"were made from; take {split} out of published_graphs.splits, or give the dataset "
                "with them"
            )
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
            if len(candidates) > 1:
                candidates = self._most_similar(candidates, points[row], graph.images[node])
            indices.append(self._choose(candidates))
        return np.array(indices)

    def _most_similar(
        self, candidates: np.ndarray, point: np.ndarray, image: np.ndarray
    ) -> np.ndarray:
        """Return the candidates that are nearest, and are not told apart, by image and then pose.

        ``point`` (7) is centre and quaternion, ``image`` (3, H, W) standardised.
        """
        distance, digests = self._compare_images(candidates, image)
        equal = digests == digests[distance.argmin()]
        others = distance[~equal]
        by_pose = self._pose_distance(candidates[equal], point)
        nearest = candidates[equal][np.argsort(by_pose, kind="stable")]
        nearest = nearest[: np.count_nonzero(by_pose <= by_pose.min() + POSE_NOISE)]
        doubtful = others.size and distance.min() > CLEAR_MARGIN * others.min()
        self.unclear += bool(doubtful or len(nearest) > 1)
        return nearest

    def _compare_images(
        self, candidates: np.ndarray, image: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how far the candidates' images are (n), in grey values, and their digests (n)."""
        grey = grey_values(image, self.frames.mean, self.frames.variance)
        grey = _resized(grey, self.frames.image_shape)
        distances, digests = [], []
        for start in range(0, len(candidates), IMAGES_AT_ONCE):
            stored = self.frames.images(self.split, candidates[start : start + IMAGES_AT_ONCE])
            distances.append(np.sqrt(np.mean((stored - grey) ** 2, (1, 2, 3))))
            digests += [hashlib.blake2b(pixels, digest_size=32).hexdigest() for pixels in stored]
        return np.concatenate(distances), np.array(digests)

    def _pose_distance(self, candidates: np.ndarray, point: np.ndarray) -> np.ndarray:
        """Return how far the candidates (n) are from centre and quaternion (7), as in the tree."""
        signs = [
            np.linalg.norm(sign * self._quaternions[candidates] - point[3:], axis=1)
            for sign in (1, -1)
        ]
        metres = np.linalg.norm(self._centres[candidates] - point[:3], axis=1)
        return np.hypot(metres, np.minimum(*signs))

    def _choose(self, candidates: np.ndarray) -> int:
        """Return the first candidate, or with ``once`` the first that is not used yet."""
        if self._used is None:
            return int(candidates[0])
        unused = [index for index in candidates.tolist() if index not in self._used]
        chosen = unused[0] if unused else int(candidates[0])
        self._used.add(chosen)
        return chosen

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
        InputError: an archive is damaged, a node has the pose of no frame, or there are more graphs
            of a query than frames that cannot be told from it.
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
    queries, database = FrameMatcher(frames, split, once=True), FrameMatcher(frames, "train")

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
            "one is taken, and among equals one of them",
            *(scene, split, unclear),
        )


def _resized(grey: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a grey-value image (H, W, 3) in another shape (h, w), resized as frames are."""
    if grey.shape[:2] == shape:
        return grey
    image = Image.fromarray(np.rint(grey).clip(0, 255).astype(np.uint8))
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR), dtype=np.float32)
