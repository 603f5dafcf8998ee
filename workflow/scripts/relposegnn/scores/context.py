"""Does message passing help? How the other images of a graph change an estimate.

A query's pose is estimated by the edge from its best-ranked neighbour three times: with its own
other neighbours, with none, and with those of another query. If all three are equally good,
messages bring nothing to this edge.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..data.frames import Frames
from ..data.scene_files import SceneFiles
from ..estimates.aggregation import Candidates, LocalizationSettings
from ..estimates.candidate_poses import estimate_candidates
from ..estimates.predictions import ALONE, FOREIGN, OWN
from ..files.csv_files import write_errors
from ..network.checkpoints import load_model
from ..network.pose_network import PoseNetwork
from ..network.scene_images import SceneImages
from ..poses import quaternion_from_matrix
from ..retrieval.graphs import read_graphs
from ..runtime import InputError, numpy_generator
from .metrics import ROTATION, TRANSLATION, pose_errors

logger = logging.getLogger(__name__)


def measure_context(
    model_file: str | Path,
    scene: SceneFiles,
    errors_file: str | Path,
    settings: LocalizationSettings,
    device: torch.device,
) -> None:
    """Write the errors of every test query of a scene with its own, no and foreign neighbours.

    The file is like one of scores, with the estimators ``OWN``, ``ALONE`` and ``FOREIGN``, the last
    only if the scene has several queries. A query fails if its graph has no edge from its
    best-ranked neighbour, since it is not among the k nearest.

    Raises:
        InputError: the scene has no test query, or fewer than two neighbours per graph, or its
            files do not fit the model.
    """
    model = load_model(model_file).to(device, memory_format=torch.channels_last)
    with Frames(scene.frames, scene.camera) as frames:
        query, neighbours = read_graphs(scene.graphs, "test", frames)
        if len(query) < 1 or neighbours.shape[1] < 2:
            raise InputError(
                f"{scene.graphs}: has {len(query)} test queries with {neighbours.shape[1]} "
                "neighbours, expected at least one query with two neighbours; add queries, or set "
                "frames.held_out"
            )
        draw = numpy_generator(0, "foreign neighbours", frames.scene)
        names, truth = np.asarray(frames.names("test"))[query], frames.poses("test")[query]
        images = SceneImages(model, frames, scene.features)
        seen = images.of_frames("test", query)

        def errors(context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            """Return errors (N,) by the first neighbour's edge in graphs with neighbours (N, k)."""
            candidates = estimate_candidates(images, seen, context, settings.both_directions)
            return first_neighbour_errors(candidates, truth)

        found = {OWN: errors(neighbours)}
        if len(query) > 1:
            found[FOREIGN] = errors(foreign_neighbours(neighbours, draw))
        with _all_edges(model):
            found[ALONE] = errors(neighbours[:, :1])
    parts = [
        pd.DataFrame({"query": names, "estimator": name, TRANSLATION: metres, ROTATION: degrees})
        for name, (metres, degrees) in found.items()
    ]
    write_errors(errors_file, pd.concat(parts), frames)
    for name, (metres, degrees) in found.items():
        medians = np.median(metres), np.median(degrees)
        logger.info("%s: median error %.3f m, %.2f degrees", name, *medians)


def foreign_neighbours(neighbours: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return graphs (G, k) that keep their first neighbour and get the others of another query.

    That query is drawn at random among those whose other neighbours share the fewest images with
    the graph, usually none.

    Args:
        neighbours: (G, k) of G queries, G >= 2.
        generator: of the draws.
    """
    foreign = neighbours.copy()
    for row, own in enumerate(neighbours):
        shared = np.isin(neighbours[:, 1:], own).sum(axis=1)
        shared[row] = neighbours.shape[1] + 1
        others = np.flatnonzero(shared == shared.min())
        foreign[row, 1:] = neighbours[generator.choice(others), 1:]
    return foreign


def first_neighbour_errors(
    candidates: Candidates, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors (G,) in metres and degrees of the edges from the graphs' first neighbours.

    Infinite if there is no such edge, or its estimate failed.

    Args:
        candidates: of G queries.
        truth: (G, 4, 4) ``world_from_cam``.
    """
    first = candidates.node == 1
    place = first.argmax(axis=1)[:, None]
    centre, quaternion = (
        np.take_along_axis(each, place[..., None], axis=1)[:, 0]
        for each in (candidates.translation, candidates.quaternion)
    )
    centre = np.where(first.any(axis=1, keepdims=True), centre, np.nan)
    truths = truth[:, :3, 3], quaternion_from_matrix(truth[:, :3, :3])
    return pose_errors((centre, quaternion), truths)


@contextmanager
def _all_edges(model: PoseNetwork) -> Iterator[None]:
    """Let a network use all edges: a graph of two nodes has no k nearest neighbours."""
    settings = model.settings
    model.settings = replace(settings, knn=0)
    yield
    model.settings = settings
