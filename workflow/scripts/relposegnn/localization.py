"""Query poses from regressed relative poses (paper, section 3.4)."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import KDTree
from tqdm import tqdm

from .aggregation import Candidates, LocalizationSettings, aggregate, pair_spread
from .checkpoints import load_model
from .edges import complete_edges
from .frames import Frames
from .graphs import VALIDATION, read_graphs, split_of
from .match_fields import Cells
from .owners import Owner, told_of
from .pose_network import PoseNetwork
from .poses import quaternion_exp, quaternion_from_matrix, vector_from_pose
from .predictions import (
    ALL_EDGES,
    DISTANCES,
    EDGE_SPREADS,
    FIRST_EDGE,
    NAMES,
    NEAREST,
    PREFIXES,
    REFERENCE,
    TRUTH,
    arrays_of_poses,
)
from .relative_poses import compose, from_other_direction
from .runtime import InputError, atomic_path
from .scene_files import SceneFiles
from .scene_images import SceneImages
from .stored_maps import CellsOfRows, StoredMaps
from .weights import fingerprint
from .yardsticks import yardstick_poses

logger = logging.getLogger(__name__)

GRAPHS_PER_PASS = 32


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
        known: centres of the cameras of ``_known_cameras``.
    """

    images: SceneImages
    split: str
    query: np.ndarray
    neighbours: np.ndarray
    known: KDTree

    @classmethod
    def of_part(
        cls, model: PoseNetwork, scene: SceneFiles, frames: Frames, part: str
    ) -> "SceneQueries":
        """Return the queries of a part, see ``localize_queries``."""
        query, neighbours = _read_some(scene.graphs, part, frames)
        images = SceneImages(model, frames, scene.features)
        return cls(images, split_of(part), query, neighbours, _known_cameras(scene, frames))

    def localize(
        self, rows: slice | np.ndarray, settings: LocalizationSettings
    ) -> dict[str, np.ndarray]:
        """Return the estimated and true poses of N of the queries.

        Some arrays have published names: ``rel_path`` (N), ``abs_t`` (N, 3) and ``abs_q`` (N, 4)
        from the first edge into the query, ``targ_t`` and ``targ_q`` the truth. The others:
        ``robust_t``, ``robust_q`` from all edges; ``spread_m``, ``spread_deg`` (N) how far their
        estimates lie apart; ``abs_distance``, ``robust_distance`` (N) of the first edge and the
        mean of all edges, see ``PoseNetwork.distance``; ``abs_nearest``, ``robust_nearest`` (N) the
        metres to the nearest database image not held out from training; ``reference_t``,
        ``reference_q`` the pose of node 1.
        """
        query, neighbours, frames = self.query[rows], self.neighbours[rows], self.images.frames
        first = vector_from_pose(frames.poses("train")[neighbours[:, 0]])
        truth = vector_from_pose(frames.poses(self.split)[query])
        seen = self.images.of_frames(self.split, query)
        candidates = estimate_candidates(self.images, seen, neighbours, settings.both_directions)
        return {
            NAMES: np.asarray(frames.names(self.split))[query],
            **arrays_of_poses(TRUTH, *_split_vectors(truth)),
            **_arrays_of_edges(candidates, settings.aggregation, self.known),
            **arrays_of_poses(PREFIXES[REFERENCE], *_split_vectors(first)),
        }


def _arrays_of_edges(candidates: Candidates, rule: str, known: KDTree) -> dict[str, np.ndarray]:
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
        raise InputError(
            f"{graphs_file}: has no {part} queries, expected at least one"
            + ("; raise graphs.validation.share or lower its stretch" if part == VALIDATION else "")
        )
    return query, neighbours


def estimate_candidates(
    images: SceneImages,
    queries: torch.Tensor | StoredMaps,
    neighbours: np.ndarray,
    both_directions: bool = False,
) -> Candidates:
    """Return the pose estimates of queries (frames or photos) from their graphs; NaN if failed.

    Args:
        images: of the scene.
        queries: G of them, as input of the network.
        neighbours: (G, k) of the queries, indices of training frames.
        both_directions: see ``LocalizationSettings``.
    """
    kind = images.model.settings.pose
    relative, source, distance = relate_to_neighbours(images, queries, neighbours, both_directions)
    database = images.frames.poses("train")
    turn = images.scene_from_world
    sources = turn @ database[np.take_along_axis(neighbours, source - 1, axis=1)]
    found = np.isfinite(relative).all(axis=-1, keepdims=True)
    poses = compose(kind, np.where(found, relative, 0), sources)
    poses = turn.T @ poses  # a rotation about the origin
    translation = np.where(found, poses[..., :3, 3], np.nan)
    quaternion = np.where(found, quaternion_from_matrix(poses[..., :3, :3]), np.nan)
    return Candidates(translation, quaternion, source, distance)


def relate_to_neighbours(
    images: SceneImages,
    queries: torch.Tensor | StoredMaps,
    neighbours: np.ndarray,
    both_directions: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return relative poses (G, e, 6) on the edges into queries, their sources and distances.

    The arguments are those of ``estimate_candidates``, sources and distances (G, e) those of
    ``relate_graphs``.
    """
    features, nodes = images.graphs(queries, neighbours)
    relative, back, source, distance = relate_graphs(images.model, features, nodes, both_directions)
    told_back = np.isfinite(back).all(axis=-1)
    opposite = from_other_direction(images.model.settings.pose, back[told_back])
    relative[told_back] = (relative[told_back] + opposite) / 2
    return relative, source, distance


@torch.inference_mode()
def relate_graphs(
    model: PoseNetwork,
    features: torch.Tensor | CellsOfRows,
    nodes: np.ndarray,
    both_directions: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Regress the relative poses on the edges into each query, and on those out of it.

    Args:
        model: in evaluation mode, on the device of the features.
        features: of images, by row.
        nodes: (G, n) feature row of each node; node 0 is the query.
        both_directions: see ``LocalizationSettings``.

    Returns:
        relative (G, e, 6) on the edges s -> 0 in edge order, metres and half radians; back
        (G, e, 6) on the edges 0 -> s, NaN if absent or not asked for; source (G, e), the nodes s in
        the graph, 1 <= s < n; distance (G, e) of the edges s -> 0, see ``PoseNetwork.distance``.
    """
    size = nodes.shape[1]
    into, back, source, distance = [], [], [], []
    for start, seen, *graphs in graph_passes(features, nodes):
        count = len(nodes[start : start + GRAPHS_PER_PASS])
        used, regressed, far = model.relate_at(seen, *graphs, both_directions)
        used, regressed, far = used.cpu(), regressed.double().cpu(), far.double().cpu()
        of_query = used[1] % size == 0
        into.append(regressed[of_query].view(count, -1, 6))
        source.append((used[0, of_query] % size).view(count, -1))
        distance.append(far[of_query].view(count, -1))
        out = torch.full((count, size, 6), torch.nan, dtype=torch.float64)
        out[used[0, ~of_query] // size, used[1, ~of_query] % size] = regressed[~of_query]
        back.append(out.gather(1, source[-1][..., None].expand(-1, -1, 6)))
    return tuple(torch.cat(each).numpy() for each in (into, back, source, distance))


def graph_passes(
    features: torch.Tensor | CellsOfRows, nodes: np.ndarray
) -> Iterator[tuple[int, torch.Tensor | Cells, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield the network's input for graphs, in passes that fit into memory.

    The arguments are those of ``relate_graphs``.

    Yields:
        index of the first graph; features of the nodes; edges (2, E); index of each node's graph
        (N,) in the pass; whether the node is a query (N,).
    """
    size = nodes.shape[1]
    edges = torch.from_numpy(complete_edges(size))
    for start in tqdm(range(0, len(nodes), GRAPHS_PER_PASS), "relating graphs", disable=None):
        part = torch.from_numpy(nodes[start : start + GRAPHS_PER_PASS])
        offsets = torch.arange(len(part)) * size
        edge_index = (edges[:, None, :] + offsets[:, None]).flatten(1).to(features.device)
        graph = torch.arange(len(part), device=features.device).repeat_interleave(size)
        queries = torch.arange(len(graph), device=features.device) % size == 0
        yield start, features[part.flatten().to(features.device)], edge_index, graph, queries
