"""A network for places never seen, fitted to one of them: its last layer, in closed form.

Two images tell neither how far things are nor what habits the cameras of a place have: whether one
turns as one steps aside. The place's own database does. What the network regresses on edges to and
from database frames, each without the frames around it (``left_out``), is compared with the truth,
and a linear layer on the features of edges is added to the heads that makes up for the difference:
ridge regression, whose strength is chosen by cross-validation. What the features of edges are like
in the place is kept with it (``known_features``). Nothing else of the network changes, and no
gradient is taken.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from .aggregation import LocalizationSettings
from .checkpoints import load_model, save_model
from .frames import Frames
from .graphs import LEFT_OUT, read_graphs
from .localization import graph_passes, localize_queries, write_predictions
from .pose_network import PoseNetwork
from .relative_poses import relative_pose, scene_from_world
from .scene_files import SceneFiles
from .scene_images import SceneImages
from .weights import read_checkpoint

logger = logging.getLogger(__name__)

FOLDS = 5  # stretches of the database, each predicted by the others, to choose a strength by
STRETCHES = 20  # whose frames are predicted without them, to tell errors from
# Strengths of the ridge that are tried, in mean squares of the features.
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
TINY = 1e-12  # in place of a mean square of 0
FEWEST = 20  # graphs that a layer is told from
# Added to the length of an edge, in metres, before it weighs: shorter edges weigh much alike. Good
# on a dense and on sparse databases in short experiments.
NEAR = 0.05


class Edges(NamedTuple):
    """What a network says on the edges of graphs, and what is true.

    Attributes:
        graph: (E,) index of each edge's graph.
        neighbour: (E,) database frame at its end that is not the query.
        features: (E, D) that its heads take.
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
        """Return how much each edge counts (E,): errors grow with its length."""
        return 1 / (NEAR + np.linalg.norm(self.truth[:, :3], axis=1)) ** 2


class Layer(NamedTuple):
    """A linear layer: what is missing in relative poses, by the features of edges.

    Attributes:
        weight: (6, D).
        bias: (6,).
    """

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return what is missing (E, 6)."""
        return features @ self.weight.T + self.bias


def adapt_model(
    model_file: str | Path,
    scene: SceneFiles,
    adapted_file: str | Path,
    predictions_file: str | Path,
    settings: LocalizationSettings,
    device: torch.device,
) -> None:
    """Write a network fitted to a scene, and predictions of the scene's left-out frames.

    Each of these is predicted by a layer that was fitted without its stretch of the database, also
    as neighbours: else edges of other graphs would show it the same pairs of images.

    Args:
        model_file: of the network, which was not trained on the scene.
        scene: its files; the graphs are of left-out database frames.
        adapted_file: model to write.
        predictions_file: ``.npz`` to write, see ``localization.localize_queries``.
        settings: how poses follow from relative ones.
        device: to compute on.

    Raises:
        InputError: the files do not fit the model or each other.
    """
    model = load_model(model_file).to(device, memory_format=torch.channels_last)
    model.adaptation = model.known = None  # of another place, where it was adapted to one
    edges = regress_edges(model, scene, settings.both_directions)
    with Frames(scene.frames) as frames:
        place, count = f"{frames.dataset}, {frames.scene}", frames.count("train")
    query, _ = read_graphs(scene.graphs, LEFT_OUT)
    strength = choose_strength(edges, query * FOLDS // count)
    stretch, beside = (frames * STRETCHES // count for frames in (query, edges.neighbour))
    parts = []
    for number in np.unique(stretch):
        others = edges.of((stretch[edges.graph] != number) & (beside != number))
        _fit(model, others, strength)
        rows = np.flatnonzero(stretch == number)
        parts.append(localize_queries(model, scene, settings, LEFT_OUT, rows))
    predictions = {name: np.concatenate([own[name] for own in parts]) for name in parts[0]}
    _fit(model, edges, strength)
    with Frames(scene.frames) as frames:
        write_predictions(predictions_file, predictions, frames, model)
    origin = read_checkpoint(model_file)
    save_model(adapted_file, model, origin["epoch"], origin["scenes"], {"adapted to": place})


@torch.inference_mode()
def regress_edges(model: PoseNetwork, scene: SceneFiles, both_directions: bool) -> Edges:
    """Return what a network says on the edges into left-out frames of a scene, and out of them.

    Those on which it says nothing finite are left out.
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
        known = own if turns is None else torch.cat([own, turns], dim=1)
        regressed = model.regress(own, turns).double().cpu().numpy()
        source, target = used.cpu().numpy()
        graph = start + source // size
        truth = relative_pose(kind, poses[graph, source % size], poses[graph, target % size])
        neighbour = members[graph, np.maximum(source % size, target % size)]  # the query is node 0
        parts.append(Edges(graph, neighbour, known.double().cpu().numpy(), regressed, truth))
    edges = Edges(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    return edges.of(np.isfinite(edges.regressed).all(axis=1))


def choose_strength(edges: Edges, fold_of_graph: np.ndarray) -> float | None:
    """Return the strength of the ridge that predicts stretches by the others best; None: no layer.

    By the product of the mean squared errors of translations and of rotations.

    Args:
        edges: of G graphs.
        fold_of_graph: (G,) the stretch of each.
    """
    if len(np.unique(edges.graph)) < FEWEST:
        logger.warning("the network stays as it is: fewer than %d graphs to fit it to", FEWEST)
        return None
    costs, fold = {}, fold_of_graph[edges.graph]
    for strength in (None, *STRENGTHS):
        missing = edges.truth - edges.regressed
        for own in np.unique(fold) if strength else ():
            layer = fit_layer(edges.of(fold != own), strength)
            missing[fold == own] -= layer(edges.features[fold == own])
        square = np.average(missing**2, axis=0, weights=edges.weight)
        costs[strength] = square[:3].sum(), square[3:].sum()
    best = min(costs, key=lambda strength: np.prod(costs[strength]))
    gain = np.sqrt(np.divide(costs[best], costs[None]))
    logger.info(
        "ridge of strength %s, by %d edges: errors on other stretches are %.2f (translation) and "
        "%.2f (rotation) of those without a layer",
        *(best, len(fold), *gain),
    )
    return best


def fit_layer(edges: Edges, strength: float) -> Layer:
    """Return the layer that makes up for what edges miss, least squares with a ridge."""
    weight = edges.weight / edges.weight.sum()
    missing, features = edges.truth - edges.regressed, edges.features
    offset, middle = weight @ missing, weight @ features
    centred = features - middle
    square = (centred * weight[:, None]).T @ centred
    # Features that never differ are of no use: any ridge whose inverse is finite will do for them.
    ridge = strength * max(np.trace(square) / len(square), TINY)
    product = (centred * weight[:, None]).T @ (missing - offset)
    solved = np.linalg.solve(square + ridge * np.eye(len(square)), product).T
    return Layer(solved, offset - solved @ middle)


def _fit(model: PoseNetwork, edges: Edges, strength: float | None) -> None:
    """Give a network a layer, none of strength None, and features to know by edges alone."""
    model.adaptation = model.known = None
    if len(edges.graph) == 0:
        return
    model.add_known().learn(torch.from_numpy(edges.features))
    if strength is None:
        return
    layer, added = fit_layer(edges, strength), model.add_adaptation()
    with torch.no_grad():
        for own, values in zip((added.weight, added.bias), layer, strict=True):
            own.copy_(torch.from_numpy(values))
