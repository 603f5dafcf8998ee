"""Query poses from regressed relative poses (paper, section 3.4)."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import KDTree

from ..data.frames import Frames
from ..data.scene_files import SceneFiles
from ..files.owners import Owner, told_of
from ..files.weights import fingerprint
from ..network.checkpoints import load_model
from ..network.pose_network import PoseNetwork
from ..network.scene_images import SceneImages
from ..poses import quaternion_exp, vector_from_pose
from ..retrieval.graphs import VALIDATION, read_graphs, read_similarity, split_of
from ..runtime import InputError, atomic_path
from .aggregation import Candidates, LocalizationSettings, aggregate, pair_spread
from .candidate_poses import estimate_candidates
from .predictions import (
    ALL_EDGES,
    DISTANCES,
    EDGE_SPREADS,
    FIRST_EDGE,
    NAMES,
    NEAREST,
    PREFIXES,
    REFERENCE,
    SIMILARITY,
    TRUTH,
    arrays_of_poses,
)
from .yardsticks import yardstick_poses

logger = logging.getLogger(__name__)


def predict_poses(
    model_file: str | Path,
    scene: SceneFiles,
    predictions_file: str | Path,
    settings: LocalizationSettings,
    device: torch.device,
    part: str = "test",
) -> None:
    """Estimate the poses of all queries of one part of a scene and write them as ``.npz``.

    The arrays are those of ``SceneQueries.localize``, and of ``yardstick_poses`` if files of
    retrieval are among the scene's.

    Raises:
        InputError: the part has no queries, or the scene's files do not fit the model or each
            other.
    """
    model = load_model(model_file).to(device, memory_format=torch.channels_last)
    predictions = localize_queries(model, scene, settings, part)
    if scene.retrieval:
        query, _ = read_graphs(scene.graphs, "test")
        yardsticks = yardstick_poses(scene.frames, *scene.retrieval)
        predictions |= {name: poses[query] for name, poses in yardsticks.items()}
    with Frames(scene.frames) as frames:
        write_predictions(predictions_file, predictions, frames, model)


def write_predictions(
    predictions_file: str | Path,
    predictions: dict[str, np.ndarray],
    frames: Frames,
    model: PoseNetwork,
) -> None:
    """Write the arrays of ``SceneQueries.localize``, with the scene and network they belong to."""
    owner = Owner(frames.dataset, frames.scene, model=fingerprint(model))
    with atomic_path(predictions_file) as partial:
        np.savez(partial, **predictions, **told_of(owner))


def localize_queries(
    model: PoseNetwork, scene: SceneFiles, settings: LocalizationSettings, part: str = "test"
) -> dict[str, np.ndarray]:
    """Return the estimated and true poses of the queries of one part of a scene.

    Args:
        model: in evaluation mode; fastest with its weights in ``channels_last``.
        scene: its files; those of retrieval are not read.
        settings: how poses follow from relative poses.
        part: of the graphs: ``test``, or ``validation`` or ``left_out``, whose queries are training
            frames.

    Returns:
        See ``SceneQueries.localize``.

    Raises:
        InputError: the scene has no such queries, or its files do not fit the model.
    """
    with Frames(scene.frames, scene.camera) as frames:
        queries = SceneQueries.of_part(model, scene, frames, part)
        found = queries.localize(slice(None), settings)
    warn_of_failed(found, scene)
    return found


def warn_of_failed(predictions: dict[str, np.ndarray], scene: SceneFiles) -> None:
    """Warn if some of a scene's queries have no finite pose."""
    failed = np.isnan(predictions[f"{PREFIXES[ALL_EDGES]}_t"]).any(axis=1)
    if failed.any():
        told = scene.graphs, failed.sum(), len(failed)
        logger.warning("%s: %d of %d queries have no finite pose", *told)


class SceneQueries(NamedTuple):
    """The queries of one part of a scene's graphs, opened once for any number of localisations.

    Attributes:
        images: of the scene, as input of a network, which may change between two localisations.
        split: of the queries.
        query: (N,) their frames.
        neighbours: (N, k) training frames.
        similarity: (N,), see ``graphs.read_similarity``.
        known: centres of the cameras of ``_known_cameras``.
    """

    images: SceneImages
    split: str
    query: np.ndarray
    neighbours: np.ndarray
    similarity: np.ndarray | None
    known: KDTree

    @classmethod
    def of_part(
        cls, model: PoseNetwork, scene: SceneFiles, frames: Frames, part: str
    ) -> "SceneQueries":
        """Return the queries of a part, see ``localize_queries``."""
        query, neighbours = _read_some(scene.graphs, part, frames)
        similarity = read_similarity(scene.graphs, part)
        images, split = SceneImages(model, frames, scene.features), split_of(part)
        known = _known_cameras(scene, frames)
        return cls(images, split, query, neighbours, similarity, known)

    def localize(self, rows: slice, settings: LocalizationSettings) -> dict[str, np.ndarray]:
        """Return the estimated and true poses of N of the queries.

        Some arrays have published names: ``rel_path`` (N), ``abs_t`` (N, 3) and ``abs_q`` (N, 4)
        from the first edge into the query, ``targ_t`` and ``targ_q`` the truth. The others:
        ``robust_t``, ``robust_q`` from all edges; ``spread_m``, ``spread_deg`` (N) how far their
        estimates lie apart; ``abs_distance``, ``robust_distance`` (N) of the first edge and the
        mean of all edges, see ``PoseNetwork.distance``; ``abs_nearest``, ``robust_nearest`` (N) the
        metres to the nearest database image not held out from training; ``reference_t``,
        ``reference_q`` the pose of node 1; ``similarity`` (N) if the graphs tell it.
        """
        query, neighbours, frames = self.query[rows], self.neighbours[rows], self.images.frames
        first = vector_from_pose(frames.poses("train")[neighbours[:, 0]])
        truth = vector_from_pose(frames.poses(self.split)[query])
        seen = self.images.of_frames(self.split, query)
        candidates = estimate_candidates(self.images, seen, neighbours, settings.both_directions)
        told = {} if self.similarity is None else {SIMILARITY: self.similarity[rows]}
        return told | {
            NAMES: np.asarray(frames.names(self.split))[query],
            **arrays_of_poses(TRUTH, *_split_vectors(truth)),
            **arrays_of_edges(candidates, settings.aggregation, self.known),
            **arrays_of_poses(PREFIXES[REFERENCE], *_split_vectors(first)),
        }


def arrays_of_edges(candidates: Candidates, rule: str, known: KDTree) -> dict[str, np.ndarray]:
    """Return the arrays of ``SceneQueries.localize`` of the first edge and of all edges.

    ``rule`` is that of ``aggregate``, ``known`` the centres of ``_known_cameras``.
    """
    distance = candidates.distance
    spreads = pair_spread(candidates.translation, candidates.quaternion)
    arrays = dict(zip(EDGE_SPREADS, spreads, strict=True))
    for name, pose, own in (
        (FIRST_EDGE, (candidates.translation[:, 0], candidates.quaternion[:, 0]), distance[:, 0]),
        (ALL_EDGES, aggregate(candidates, rule), distance.mean(axis=1)),
    ):
        arrays |= arrays_of_poses(PREFIXES[name], *pose)
        arrays |= {DISTANCES[name]: own, NEAREST[name]: way_to_nearest(pose[0], known)}
    return arrays


def _known_cameras(scene: SceneFiles, frames: Frames) -> KDTree:
    """Return the centres of the database's cameras, without those held out from training."""
    held_out, _ = read_graphs(scene.trained or scene.graphs, VALIDATION, frames)
    return KDTree(np.delete(frames.poses("train")[:, :3, 3], held_out, axis=0))


def way_to_nearest(centres: np.ndarray, cameras: KDTree) -> np.ndarray:
    """Return the distance (N,) in metres from camera centres (N, 3) to the nearest of ``cameras``.

    NaN for centres that are not finite.
    """
    way, finite = np.full(len(centres), np.nan), np.isfinite(centres).all(axis=1)
    way[finite], _ = cameras.query(centres[finite])
    return way


def _split_vectors(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return camera centres (N, 3) and quaternions (N, 4) of pose vectors (N, 6)."""
    return vectors[:, :3], quaternion_exp(vectors[:, 3:])


def _read_some(graphs_file: str | Path, part: str, frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Return the graphs of a part, see ``read_graphs``; InputError if it has none."""
    query, neighbours = read_graphs(graphs_file, part, frames)
    if len(query) == 0:
        remedy = (
            "raise graphs.validation.share or lower its stretch"
            if part == VALIDATION
            else "if the poses of all queries were lost, remove the list of its queries from the "
            "scene's folder, or leave the scene out"
        )
        raise InputError(f"{graphs_file}: has no {part} queries, expected at least one; {remedy}")
    return query, neighbours
