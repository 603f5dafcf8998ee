"""Converting the authors' graphs into indices of a scene's own frames.

Each node is identified by its pose. If a camera stood still and several frames have about that
pose, the images decide, and among equal images the nearest pose.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..data.frames import Frames
from ..files.storage import SPLITS, create_hdf5, tell_scene
from ..poses import quaternion_exp, quaternion_from_matrix, rotation_error_deg, translation_error
from ..retrieval.graphs import write_split
from ..runtime import InputError
from .graph_archives import NODES, ArchivedGraph, ArchivedPoses, read_archive

logger = logging.getLogger(__name__)

# Of the distance between poses: metres and half the angle in radians, combined. For positions more
# than a metre from the origin, metres are divided by the distance from the origin. The graphs'
# poses have 7 digits, and the rotations that they were made from are off by up to some 1e-5, which
# moves a centre that is decoded from -R c by this fraction of its distance from the origin.
POSE_TOLERANCE = 1e-4
POSE_NOISE = 1e-5  # frames with equal images and pose distances closer than this are ambiguous
CLEAR_MARGIN = 0.8  # an image is clearly the nearest if below this fraction of the next distance


def import_graphs(
    archives: Mapping[str, str | Path],
    frames_file: str | Path,
    graphs_file: str | Path,
    archived: ArchivedPoses,
) -> None:
    """Write the authors' graphs as a graphs file of this project.

    Args:
        archives: tar archive of each split; a split without one has no graphs.
        frames_file: frames of the scene, of any size.
        graphs_file: HDF5 file to write.
        archived: convention of the poses in the archives.

    Raises:
        InputError: an archive is damaged, a node has the pose of no frame, or a query has more
            graphs than there are frames that cannot be told from it.
    """
    names = {split: Path(archive).name for split, archive in archives.items()}
    with (
        Frames(frames_file) as frames,
        create_hdf5(graphs_file, "graphs", {"source": "authors", "archives": names}) as file,
    ):
        tell_scene(file, frames)
        for split in SPLITS:
            rows = np.empty((0, NODES))
            if split in archives:
                rows = _match_archive(archives[split], frames, split, archived)
            write_split(file, split, rows[:, 0], rows[:, 1:])


def _match_archive(
    archive: str | Path, frames: Frames, split: str, archived: ArchivedPoses
) -> np.ndarray:
    """Return the frames of each graph (G, 8), in the order of their numbers.

    Raises:
        InputError: see ``read_archive`` and ``FrameMatcher``; or two graphs have the same query.
    """
    queries, database = FrameMatcher(frames, split, once=True), FrameMatcher(frames, "train")
    rows: dict[int, list[int]] = {}
    label_of: dict[int, str] = {}
    scene = frames.scene
    for graph in read_archive(archive, frames.image_shape):
        graph = replace(graph, poses=archived.decode(graph.poses))
        query = queries.match(graph, 0)
        first = label_of.setdefault(query, graph.label)
        if first != graph.label:
            raise InputError(
                f"{graph.label} has the same query as {first}, expected one graph per query; give "
                "an archive of one scene and split"
            )
        rows[graph.number] = [query, *(database.match(graph, node) for node in range(1, NODES))]
    logger.info("%s, %s: %d graphs from %s", scene, split, len(rows), archive)
    missing, unclear = frames.count(split) - len(rows), queries.unclear + database.unclear
    if missing:
        logger.warning("%s, %s: %d frames have no graph in %s", scene, split, missing, archive)
    if unclear:
        logger.warning(
            "%s, %s: for %d nodes, several frames have the same pose and look alike; the most "
            "similar one is taken, or one of several equal ones",
            *(scene, split, unclear),
        )
    return np.array([rows[number] for number in sorted(rows)])


class FrameMatcher:
    """Finds frames of one split by pose, and by image if poses tie.

    ``unclear`` counts the nodes that more than one frame fits.

    Raises:
        InputError: there are no frames.
    """

    def __init__(self, frames: Frames, split: str, once: bool = False) -> None:
        """Index the poses; with ``once``, each of several indistinguishable frames is used once."""
        self.frames, self.split, self.unclear = frames, split, 0
        self._once, self._used = once, set()
        poses = frames.poses(split)
        if len(poses) == 0:
            raise InputError(
                f"{frames.path}: has no {split} frames, expected those that the authors' graphs "
                f"were made from; remove {split} from authors.graphs.splits, or use a dataset that "
                "has them"
            )
        self._centres = poses[:, :3, 3]
        self._quaternions = quaternion_from_matrix(poses[:, :3, :3])

    def match(self, graph: ArchivedGraph, node: int) -> int:
        """Return the frame that a node of a graph is.

        Raises:
            InputError: no frame has its pose.
        """
        pose = graph.poses[node]
        reach = POSE_TOLERANCE * _distant(pose)
        near = np.flatnonzero(translation_error(pose[:3], self._centres) <= reach)
        candidates = near[self._pose_distance(pose, near) <= POSE_TOLERANCE]
        if candidates.size == 0:
            raise self._unknown(pose, f"{graph.label}, node {node}")
        if len(candidates) > 1:
            candidates = self._most_similar(candidates, pose, graph.images[node])
        unused = [index for index in candidates.tolist() if index not in self._used]
        chosen = unused[0] if unused else int(candidates[0])
        if self._once:
            self._used.add(chosen)
        return chosen

    def _pose_distance(self, pose: np.ndarray, indices: np.ndarray | slice) -> np.ndarray:
        """Return the distances of frames from a pose (6), in units of ``POSE_TOLERANCE``."""
        degrees = rotation_error_deg(quaternion_exp(pose[3:]), self._quaternions[indices])
        metres = translation_error(pose[:3], self._centres[indices])
        return np.hypot(metres / _distant(pose), np.radians(degrees) / 2)

    def _most_similar(
        self, candidates: np.ndarray, pose: np.ndarray, image: np.ndarray
    ) -> np.ndarray:
        """Return the nearest candidates by image, then pose; several if they are indistinguishable.

        ``pose`` (6) and ``image`` (3, H, W), standardised, are those of a node.
        """
        grey = _as_frame(image, self.frames)
        distances, digests = [], []
        for index in candidates:  # one at a time in memory, however long the camera stood still
            (stored,) = self.frames.images(self.split, [index])
            distances.append(np.sqrt(np.mean((stored - grey) ** 2)))
            digests.append(hashlib.blake2b(stored).hexdigest())
        distance = np.array(distances)
        equal = np.array(digests) == digests[distance.argmin()]
        others = distance[~equal]
        by_pose = self._pose_distance(pose, candidates[equal])
        nearest = candidates[equal][np.argsort(by_pose, kind="stable")]
        nearest = nearest[: np.count_nonzero(by_pose <= by_pose.min() + POSE_NOISE)]
        doubtful = others.size and distance.min() > CLEAR_MARGIN * others.min()
        self.unclear += bool(doubtful or len(nearest) > 1)
        return nearest

    def _unknown(self, pose: np.ndarray, node: str) -> InputError:
        nearest = self._pose_distance(pose, slice(None)).argmin()
        metres = translation_error(pose[:3], self._centres[nearest])
        degrees = rotation_error_deg(quaternion_exp(pose[3:]), self._quaternions[nearest])
        return InputError(
            f"{node}: has the pose of no {self.split} frame in {self.frames.path}; the nearest, "
            f"{self.frames.name(self.split, nearest)}, is {metres:.3g} m and {degrees:.3g} deg "
            "away, expected one at the same place. If the archive is of another scene or split, "
            "delete it, correct authors.graphs.url and run again"
        )


def _distant(pose: np.ndarray) -> float:
    """Return the metres that count as 1 in ``POSE_TOLERANCE``, for the centre of a pose (6)."""
    return max(1.0, float(np.linalg.norm(pose[:3])))


def _as_frame(image: np.ndarray, frames: Frames) -> np.ndarray:
    """Return a standardised image (3, H, W) as values from 0 to 255, (h, w, 3), of frames' size.

    It is resized as frames are.
    """
    deviation = np.sqrt(frames.variance).astype(np.float32)
    grey = 255 * (image.transpose(1, 2, 0) * deviation + frames.mean.astype(np.float32))
    if grey.shape[:2] == frames.image_shape:
        return grey
    whole = Image.fromarray(np.rint(grey).clip(0, 255).astype(np.uint8))
    size = frames.image_shape[::-1]
    return np.asarray(whole.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
