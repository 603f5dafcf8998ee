"""Adaptation of a network to a place that it was not trained on: one linear layer, in closed form.

Two images tell neither how far things are nor the habits of a place's cameras, for example whether
they turn when they step aside. The place's own database does. The network regresses relative poses
on the edges into and out of database frames, each without the frames around it (``left_out``). A
linear layer on the features of edges, added to the heads, is fitted to what is missing to the true
relative poses: ridge regression, whose strength is chosen by cross-validation. The place's edge
features become the known ones (``known_features``). Nothing else in the network changes, and no
gradient is taken.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..data.frames import Frames
from ..data.scene_files import SceneFiles
from ..files.weights import read_checkpoint
from ..network.checkpoints import load_model, save_model
from ..network.known_features import ROUNDING
from ..network.pose_network import PoseNetwork, joined
from ..network.relative_poses import relative_pose, scene_from_world
from ..network.scene_images import SceneImages
from ..retrieval.graphs import LEFT_OUT, read_graphs
from ..retrieval.left_out import read_reaches
from ..threads import single_matrix_threads
from .aggregation import LocalizationSettings
from .candidate_poses import graph_passes
from .localization import SceneQueries, warn_of_failed, write_predictions

logger = logging.getLogger(__name__)

FOLDS = 5  # stretches of the database in the cross-validation of the strength
# Strengths of the ridge to choose from, in mean squares of the features.
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
TINY = 1e-12  # replaces a mean square of 0
FEWEST = 20  # graphs, at least, to fit a layer to
# Metres, added to the length of an edge in its weight, so that all short edges weigh about the
# same. Good on a dense and on sparse databases in short experiments.
NEAR = 0.05


class Edges(NamedTuple):
    """Regressed and true relative poses of the edges of graphs.

    Attributes:
        graph: (E,) index of each edge's graph.
        neighbour: (E,) index of the database frame at its other end than the query.
        features: (E, D) input of the heads.
        regressed: (E, 6) relative poses, metres and half radians.
        truth: (E, 6) likewise.
    """

    graph: np.ndarray
    neighbour: np.ndarray
    features: np.ndarray
    regressed: np.ndarray
    truth: np.ndarray

    def of(self, chosen: np.ndarray) -> "Edges":
        """Return some of the edges, by a mask (E,)."""
        return Edges(*(each[chosen] for each in self))

    @property
    def weight(self) -> np.ndarray:
        """Return the weights (E,) of the edges: errors grow with the length of an edge."""
        return 1 / (NEAR + np.linalg.norm(self.truth[:, :3], axis=1)) ** 2


class Sums(NamedTuple):
    """Sums over edges, from which a layer and the known features follow.

    Attributes:
        weight: of the weights.
        features: (D,) of the features times the weights.
        squares: (D, D) of the features' products with each other times the weights.
        missing: (6,) of true minus regressed poses times the weights.
        products: (D, 6) of the features' products with these times the weights.
        count: number of edges.
        known: (D,) of the features.
        known_squares: (D, D) of the features' products with each other.
    """

    weight: float
    features: np.ndarray
    squares: np.ndarray
    missing: np.ndarray
    products: np.ndarray
    count: int
    known: np.ndarray
    known_squares: np.ndarray

    @classmethod
    def over(cls, edges: Edges) -> "Sums":
        """Return the sums over some edges."""
        weight, missing = edges.weight, edges.truth - edges.regressed
        features = edges.features
        weighted = features * weight[:, None]
        return cls(
            *(weight.sum(), weighted.sum(axis=0), weighted.T @ features),
            *(weight @ missing, weighted.T @ missing),
            *(len(features), features.sum(axis=0), features.T @ features),
        )

    def without(self, others: "Sums") -> "Sums":
        """Return the sums over all edges but others, which are some of them."""
        return Sums(*(own - other for own, other in zip(self, others, strict=True)))


class Layer(NamedTuple):
    """A linear layer from the features of edges to corrections of their relative poses.

    Attributes:
        weight: (6, D).
        bias: (6,).
    """

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return the corrections (E, 6)."""
        return features @ self.weight.T + self.bias


@single_matrix_threads()  # those of many small fits would take the cores from torch's threads
def adapt_model(
    model_file: str | Path,
    scene: SceneFiles,
    adapted_file: str | Path,
    predictions_file: str | Path,
    settings: LocalizationSettings,
    device: torch.device,
) -> None:
    """Write a network adapted to a scene, and predictions of the scene's left-out frames.

    Each frame is predicted as if those within its reach were not in the database: by a layer that
    was fitted without them, neither as queries nor as neighbours.

    Args:
        model_file: of the network, which was not trained on the scene.
        scene: its files; the graphs are those of left-out database frames.
        adapted_file: model to write.
        predictions_file: ``.npz`` to write, see ``localization.SceneQueries``.
        settings: how poses follow from relative poses.
        device: to compute on.

    Raises:
        InputError: the files do not fit the model or each other.
    """
    model = load_model(model_file).to(device, memory_format=torch.channels_last)
    model.adaptation = model.known = None  # it may have been adapted to another place
    edges = regress_edges(model, scene, settings.both_directions)
    reaches = read_reaches(scene.graphs)
    edges = edges.of(reaches[edges.graph] > 0)  # near frames only tell errors
    with Frames(scene.frames, scene.camera) as frames:
        place, count = f"{frames.dataset}, {frames.scene}", frames.count("train")
        queries = SceneQueries.of_part(model, scene, frames, LEFT_OUT)
        strength = choose_strength(edges, queries.query * FOLDS // count)
        total, parts = Sums.over(edges), []
        ends = np.stack([queries.query[edges.graph], edges.neighbour])
        for row, (own, reach) in enumerate(zip(queries.query, reaches, strict=True)):
            within = (np.abs(ends - own) <= reach).any(axis=0)
            _fit(model, total.without(Sums.over(edges.of(within))), strength)
            parts.append(queries.localize(slice(row, row + 1), settings))
        predictions = {name: np.concatenate([own[name] for own in parts]) for name in parts[0]}
        warn_of_failed(predictions, scene)
        _fit(model, total, strength)
        write_predictions(predictions_file, predictions, frames, model)
    origin = read_checkpoint(model_file)
    save_model(adapted_file, model, origin["epoch"], origin["scenes"], {"adapted to": place})


@torch.inference_mode()
def regress_edges(model: PoseNetwork, scene: SceneFiles, both_directions: bool) -> Edges:
    """Return the edges into and, if ``both_directions``, out of a scene's left-out frames.

    Edges whose regressed pose is not finite are dropped.
    """
    kind, parts = model.settings.pose, []
    with Frames(scene.frames, scene.camera) as frames:
        query, neighbours = read_graphs(scene.graphs, LEFT_OUT, frames)
        images = SceneImages(model, frames, scene.features)
        features, nodes = images.graphs(images.of_frames("train", query), neighbours)
        database = frames.poses("train")
    members = np.column_stack([query, neighbours])
    poses = (scene_from_world(kind, database) @ database)[members]
    size = poses.shape[1]
    for start, seen, *graphs in graph_passes(features, nodes):
        used, own, turns = model.edges_at(seen, *graphs, both_directions)
        regressed = model.regress(own, turns).double().cpu().numpy()
        source, target = used.cpu().numpy()
        graph = start + source // size
        truth = relative_pose(kind, poses[graph, source % size], poses[graph, target % size])
        neighbour = members[graph, np.maximum(source % size, target % size)]  # the query is node 0
        known = joined(own, turns).double().cpu().numpy()
        parts.append(Edges(graph, neighbour, known, regressed, truth))
    edges = Edges(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    return edges.of(np.isfinite(edges.regressed).all(axis=1))


def choose_strength(edges: Edges, fold_of_graph: np.ndarray) -> float | None:
    """Return the ridge strength with the least cross-validation error; None: no layer.

    The error is the product of the mean squared errors of translations and of rotations.

    Args:
        edges: of G graphs.
        fold_of_graph: (G,) index of each graph's fold.
    """
    if len(np.unique(edges.graph)) < FEWEST:
        logger.warning("no layer is fitted: there are fewer than %d graphs to fit it to", FEWEST)
        return None
    costs, fold = {}, fold_of_graph[edges.graph]
    total, folds = Sums.over(edges), np.unique(fold)
    others = {own: total.without(Sums.over(edges.of(fold == own))) for own in folds}
    for strength in (None, *STRENGTHS):
        missing = edges.truth - edges.regressed
        for own in folds if strength else ():
            layer = fit_layer(others[own], strength)
            missing[fold == own] -= layer(edges.features[fold == own])
        square = np.average(missing**2, axis=0, weights=edges.weight)
        costs[strength] = square[:3].sum(), square[3:].sum()
    best = min(costs, key=lambda strength: np.prod(costs[strength]))
    gain = np.sqrt(np.divide(costs[best], costs[None]))
    logger.info(
        "ridge strength %s, chosen on %d edges: cross-validation errors are %.2f (translation) and "
        "%.2f (rotation) times those without a layer",
        *(best, len(fold), *gain),
    )
    return best


def fit_layer(sums: Sums, strength: float) -> Layer:
    """Return the layer that predicts true minus regressed poses: weighted ridge regression."""
    offset, middle = sums.missing / sums.weight, sums.features / sums.weight
    square = sums.squares / sums.weight - np.outer(middle, middle)
    product = sums.products / sums.weight - np.outer(middle, offset)
    # Constant features are of no use: any ridge above what rounding leaves of them will do.
    ridge = strength * max(np.trace(square) / len(square), TINY)
    ridge = max(ridge, ROUNDING * (middle @ middle))
    solved = np.linalg.solve(square + ridge * np.eye(len(square)), product).T
    return Layer(solved, offset - solved @ middle)


def _fit(model: PoseNetwork, sums: Sums, strength: float | None) -> None:
    """Fit a network's layer (None: no layer) and its known features to the edges of sums alone."""
    model.adaptation = model.known = None
    if sums.count == 0:
        return
    mean = torch.from_numpy(sums.known / sums.count)
    square = torch.from_numpy(sums.known_squares / sums.count)
    model.add_known().set_moments(mean, square - torch.outer(mean, mean))
    if strength is None:
        return
    layer, added = fit_layer(sums, strength), model.add_adaptation()
    with torch.no_grad():
        for own, values in zip((added.weight, added.bias), layer, strict=True):
            own.copy_(torch.from_numpy(values))
