"""Localisation: planted relative poses, robust aggregation, one pass per distinct image."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from test_model import CASES, published_model

from relposegnn import localization, scene_images
from relposegnn.checkpoints import save_model
from relposegnn.datasets import GraphDataset, normalise_images
from relposegnn.frames import Frames
from relposegnn.localization import Candidates, SceneFiles, aggregate
from relposegnn.model import ModelSettings, RelPoseGNN
from relposegnn.poses import (
    pose_from_quaternion,
    quaternion_exp,
    quaternion_from_matrix,
    rotation_error_deg,
)
from relposegnn.relative_poses import RELATIVE, WORLD_DIFFERENCE, WORLD_TO_CAMERA, compose
from relposegnn.retrieval.rankings import Ranking, write_ranking
from relposegnn.storage import create_hdf5
from relposegnn.yardsticks import yardstick_poses

CPU = torch.device("cpu")


@pytest.mark.parametrize("case", CASES)
def test_first_edge_poses_agree_with_the_published_ones(reference, case, monkeypatch):
    monkeypatch.setattr(localization, "GRAPHS_PER_PASS", 1)
    expected = np.load(reference / f"model-{case}.npz")
    model = published_model(reference, case).eval()
    with torch.no_grad():
        features = model.encode(torch.from_numpy(expected["images"]))
    nodes = np.arange(16).reshape(2, 8)
    relative, _, source = localization.relate_graphs(model, features, nodes)
    poses = expected["poses"].reshape(2, 8, 6)
    vectors = np.take_along_axis(poses, source[..., None], axis=1)
    sources = pose_from_quaternion(vectors[..., :3], quaternion_exp(vectors[..., 3:]))
    estimates = compose(WORLD_DIFFERENCE, relative, sources)[:, 0]
    quaternion = quaternion_from_matrix(estimates[:, :3, :3])
    np.testing.assert_allclose(estimates[:, :3, 3], expected["decoded"][:, :3], atol=1e-5)
    np.testing.assert_allclose(quaternion, expected["decoded"][:, 3:], atol=1e-5)


def planted_candidates(outliers):
    """Return 3 queries of 7 candidates within 1 cm and 0.5 deg, some far off, and the truth."""
    rng = np.random.default_rng(0)
    truth_t, truth_q = rng.standard_normal((3, 3)), Rotation.random(3, rng=rng)
    translation = truth_t[:, None] + rng.uniform(-0.005, 0.005, (3, 7, 3))
    quaternion = np.empty((3, 7, 4))
    for query in range(3):
        noise = Rotation.from_rotvec(rng.uniform(-0.005, 0.005, (7, 3)))
        quaternion[query] = quaternion_from_matrix((noise * truth_q[query]).as_matrix())
    translation[:, :outliers] += 50.0
    quaternion[:, :outliers] = quaternion_from_matrix(Rotation.random(1, rng=rng).as_matrix())
    quaternion[:, 1::2] *= -1  # the same rotations
    return Candidates(translation, quaternion), truth_t, quaternion_from_matrix(truth_q.as_matrix())


@pytest.mark.parametrize("outliers", [0, 1, 2])
def test_outlying_edges_hardly_move_the_aggregate(outliers):
    candidates, truth_t, truth_q = planted_candidates(outliers)
    translation, quaternion = aggregate(candidates)
    assert np.linalg.norm(translation - truth_t, axis=1).max() < 0.015
    assert rotation_error_deg(quaternion, truth_q).max() < 1.0
    if outliers:
        mean = candidates.translation.mean(axis=1)
        assert np.linalg.norm(mean - truth_t, axis=1).min() > 1.0


def test_the_aggregate_of_equal_candidates_is_that_candidate():
    translation = np.tile([[[1.0, 2.0, 3.0]]], (2, 7, 1))
    quaternion = np.tile([[[0.5, -0.5, 0.5, 0.5]]], (2, 7, 1))
    t, q = aggregate(Candidates(translation, quaternion))
    np.testing.assert_allclose(t, translation[:, 0])
    np.testing.assert_allclose(q, quaternion[:, 0], atol=1e-12)


def test_a_query_without_finite_candidates_fails_alone():
    candidates, truth_t, truth_q = planted_candidates(outliers=0)
    candidates.translation[1, 3, 0] = np.nan
    translation, quaternion = aggregate(candidates)
    assert np.isnan(translation[1]).all()
    assert np.isnan(quaternion[1]).all()
    np.testing.assert_allclose(translation[[0, 2]], truth_t[[0, 2]], atol=0.015)
    assert rotation_error_deg(quaternion[[0, 2]], truth_q[[0, 2]]).max() < 1.0


def test_geometric_median_lies_where_the_unit_vectors_cancel():
    points = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]]])
    identity = np.tile([1.0, 0, 0, 0], (1, 4, 1))
    median, _ = aggregate(Candidates(points, identity))
    directions = points[0] - median
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert np.linalg.norm(directions.sum(axis=0)) < 1e-3


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"knn": 2},
        {"iterations": 0},
        {"translation_deviation": [2, 4, 8], "attention": False},
        {"pose": RELATIVE},
        {"pose": WORLD_TO_CAMERA},
    ],
)
def test_predictions_equal_a_pass_of_the_network_per_graph(
    tiny_scene, tmp_path, monkeypatch, settings
):
    torch.manual_seed(0)
    model = RelPoseGNN(ModelSettings.published(backbone="resnet10", width=32, **settings)).eval()
    save_model(tmp_path / "model.pt", model, 0, ["tiny"])
    encoded = []
    encode = RelPoseGNN.encode
    monkeypatch.setattr(
        RelPoseGNN, "encode", lambda self, x: encoded.append(len(x)) or encode(self, x)
    )
    monkeypatch.setattr(scene_images, "PIXELS_PER_PASS_CPU", 3 * 32 * 40)
    monkeypatch.setattr(localization, "GRAPHS_PER_PASS", 2)
    scene = SceneFiles(tiny_scene.frames, tiny_scene.graphs)
    localization.predict_poses(tmp_path / "model.pt", scene, tmp_path / "p.npz", False, CPU)
    kind = model.settings.pose
    dataset = GraphDataset(tiny_scene.frames, tiny_scene.graphs, "test", kind)
    with Frames(tiny_scene.frames) as frames:
        database, truth = frames.poses("train"), frames.poses("test")
    assert sum(encoded) == 5 + len(np.unique(dataset.neighbours))  # each distinct image once
    assert max(encoded) == 3
    predictions = np.load(tmp_path / "p.npz")
    for index, graph in enumerate(dataset):
        images = normalise_images(graph.images, graph.mean, graph.deviation)
        with torch.no_grad():
            estimates = model(images, graph.edge_index, torch.zeros(4, dtype=torch.long))
        edge = int(torch.nonzero(estimates.edge_index[1] == 0)[0])
        node = int(estimates.edge_index[0, edge])
        source = database[dataset.neighbours[index][node - 1]]
        expected = compose(kind, estimates.relative[edge].double().numpy(), source)
        np.testing.assert_allclose(predictions["abs_t"][index], expected[:3, 3], atol=1e-4)
        quaternion = quaternion_from_matrix(expected[:3, :3])
        assert rotation_error_deg(predictions["abs_q"][index], quaternion) < 0.01
        first = database[dataset.neighbours[index][0]]
        np.testing.assert_allclose(predictions["targ_t"][index], truth[index, :3, 3], atol=1e-12)
        np.testing.assert_allclose(predictions["reference_t"][index], first[:3, 3], atol=1e-12)
    assert predictions["rel_path"][4] == "seq-test/frame-000004"


def test_yardsticks_are_of_the_graphs_queries_and_beside_what_is_predicted_without(
    tiny_scene, tmp_path
):
    torch.manual_seed(0)
    model = RelPoseGNN(ModelSettings.published(backbone="resnet10", width=32)).eval()
    save_model(tmp_path / "model.pt", model, 0, ["tiny"])
    rng, query = np.random.default_rng(1), np.array([3, 0, 4])
    ranking = np.stack([rng.permutation(12)[:11] for _ in range(5)])
    with create_hdf5(tmp_path / "graphs.h5", "graphs", {}) as file:
        file["test/query"], file["test/neighbours"] = query, ranking[query, 1:4]
    with create_hdf5(tmp_path / "neighbours.h5", "neighbours", {}) as file:
        write_ranking(file, "test", Ranking(ranking, np.zeros(ranking.shape)))
    with create_hdf5(tmp_path / "descriptors.h5", "descriptors", {}) as file:
        for split, count in (("train", 12), ("test", 5)):
            rows = rng.standard_normal((count, 40))
            file[f"{split}/descriptor"] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    retrieval = [tmp_path / "neighbours.h5", tmp_path / "descriptors.h5"]
    predicted = []
    for name, files in (("with", retrieval), ("without", ())):
        path = tmp_path / f"{name}.npz"
        scene = SceneFiles(tiny_scene.frames, tmp_path / "graphs.h5", None, files)
        localization.predict_poses(tmp_path / "model.pt", scene, path, False, CPU)
        predicted.append(dict(np.load(path)))
    expected = yardstick_poses(tiny_scene.frames, *retrieval)
    assert predicted[0].keys() - predicted[1].keys() == expected.keys()
    for name, poses in expected.items():
        np.testing.assert_array_equal(predicted[0][name], poses[query])
    for name, values in predicted[1].items():
        np.testing.assert_array_equal(predicted[0][name], values)
