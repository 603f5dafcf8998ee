"""Localisation: planted relative poses, robust aggregation, one pass per distinct image."""

import numpy as np
import pytest
import torch
from conftest import TURN, turn_world
from rankings import write_ranking
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from test_network_published_network import CASES, published_model
from torchvision.models.resnet import ResNet

from relposegnn.data.frames import Frames
from relposegnn.data.scene_files import SceneFiles
from relposegnn.estimates import candidate_poses, localization
from relposegnn.estimates.aggregation import MEDIAN, LocalizationSettings
from relposegnn.estimates.predictions import SIMILARITY
from relposegnn.estimates.yardsticks import yardstick_poses
from relposegnn.files.storage import create_hdf5
from relposegnn.learning.datasets import GraphDataset
from relposegnn.network import scene_images
from relposegnn.network.checkpoints import save_model
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.network.relative_poses import (
    RELATIVE,
    SCENE_DIFFERENCE,
    WORLD_DIFFERENCE,
    WORLD_TO_CAMERA,
    compose,
)
from relposegnn.network.scene_images import normalise_images
from relposegnn.poses import (
    pose_from_quaternion,
    quaternion_exp,
    quaternion_from_matrix,
    rotation_error_deg,
)
from relposegnn.retrieval.graphs import LEFT_OUT, VALIDATION, read_graphs, write_split
from relposegnn.retrieval.rankings import Ranking
from relposegnn.runtime import InputError

CPU = torch.device("cpu")
SETTINGS = LocalizationSettings(both_directions=False, aggregation=MEDIAN)


@pytest.mark.parametrize("case", CASES)
def test_first_edge_poses_agree_with_the_published_ones(reference, case, monkeypatch):
    monkeypatch.setattr(candidate_poses, "GRAPHS_PER_PASS", 1)
    expected = np.load(reference / f"model-{case}.npz")
    model = published_model(reference, case).eval()
    with torch.no_grad():
        features = model.encode(torch.from_numpy(expected["images"]))
    nodes = np.arange(16).reshape(2, 8)
    relative, _, source, _ = candidate_poses.relate_graphs(model, features, nodes)
    poses = expected["poses"].reshape(2, 8, 6)
    vectors = np.take_along_axis(poses, source[..., None], axis=1)
    sources = pose_from_quaternion(vectors[..., :3], quaternion_exp(vectors[..., 3:]))
    estimates = compose(WORLD_DIFFERENCE, relative, sources)[:, 0]
    quaternion = quaternion_from_matrix(estimates[:, :3, :3])
    np.testing.assert_allclose(estimates[:, :3, 3], expected["decoded"][:, :3], atol=1e-5)
    np.testing.assert_allclose(quaternion, expected["decoded"][:, 3:], atol=1e-5)


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
    encode = ResNet.forward
    monkeypatch.setattr(
        ResNet, "forward", lambda self, x: encoded.append(len(x)) or encode(self, x)
    )
    monkeypatch.setattr(scene_images, "PIXELS_PER_PASS_CPU", 3 * 32 * 40)
    monkeypatch.setattr(candidate_poses, "GRAPHS_PER_PASS", 2)
    scene = tiny_scene
    localization.predict_poses(tmp_path / "model.pt", scene, tmp_path / "p.npz", SETTINGS, CPU)
    kind = model.settings.pose
    dataset = GraphDataset(tiny_scene, "test", kind)
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
        localization.predict_poses(tmp_path / "model.pt", scene, path, SETTINGS, CPU)
        predicted.append(dict(np.load(path)))
    expected = yardstick_poses(tiny_scene.frames, *retrieval)
    assert predicted[0].keys() - predicted[1].keys() == expected.keys()
    for name, poses in expected.items():
        np.testing.assert_array_equal(predicted[0][name], poses[query])
    for name, values in predicted[1].items():
        np.testing.assert_array_equal(predicted[0][name], values)


def test_the_way_to_what_was_trained_on_is_to_the_nearest_image_not_held_out(tiny_scene, tmp_path):
    """These are told by the graphs of the queries, or by those of the training."""
    torch.manual_seed(0)
    model = RelPoseGNN(ModelSettings.published(backbone="resnet10", width=32)).eval()
    with Frames(tiny_scene.frames) as frames:
        database = frames.poses("train")[:, :3, 3]
    most, graphs = np.arange(11), (np.array([4, 1]), np.array([[5, 6, 7], [8, 9, 3]]))
    found = []
    for part, own, trained in (
        ("test", most, None),
        (LEFT_OUT, None, most),
        (LEFT_OUT, None, None),
    ):
        files = [tmp_path / f"{name}-{len(found)}.h5" for name in ("own", "trained")]
        for path, held_out in zip(files, (own, trained), strict=True):
            with create_hdf5(path, "graphs", {}) as file:
                write_split(file, part, *graphs)
                if held_out is not None:
                    write_split(file, VALIDATION, held_out, np.zeros((len(held_out), 3)))
        scene = tiny_scene._replace(graphs=files[0], trained=None if trained is None else files[1])
        arrays = localization.localize_queries(model, scene, SETTINGS, part)
        known = database if part == LEFT_OUT and trained is None else database[11:]
        for prefix in ("abs", "robust"):
            ways = np.linalg.norm(arrays[f"{prefix}_t"][:, None] - known, axis=2)
            np.testing.assert_allclose(arrays[f"{prefix}_nearest"], ways.min(axis=1))
        found.append(arrays["abs_nearest"])
    assert (found[1] > found[2]).any()


def test_the_similarity_is_told_if_the_graphs_tell_it(tiny_scene, tmp_path):
    torch.manual_seed(0)
    model = RelPoseGNN(ModelSettings.published(backbone="resnet10", width=32)).eval()
    assert SIMILARITY not in localization.localize_queries(model, tiny_scene, SETTINGS)
    similarity = np.linspace(0.2, 0.6, 5)
    graphs = read_graphs(tiny_scene.graphs, "test")
    with create_hdf5(tmp_path / "told.h5", "graphs", {}) as file:
        write_split(file, "test", *graphs, similarity=similarity)
    told = tiny_scene._replace(graphs=tmp_path / "told.h5")
    found = localization.localize_queries(model, told, SETTINGS)[SIMILARITY]
    np.testing.assert_allclose(found, similarity, rtol=1e-6)


@pytest.mark.parametrize(
    ("part", "remedy"), [("test", "remove the list of its queries"), (VALIDATION, "raise graphs.")]
)
def test_no_queries_are_told_with_what_to_do(tiny_scene, tmp_path, part, remedy):
    """Test queries may all have been lost by a tracker."""
    with create_hdf5(tmp_path / "none.h5", "graphs", {}) as file:
        write_split(file, part, np.zeros(0, int), np.zeros((0, 3), int))
    model = RelPoseGNN(ModelSettings.published(backbone="resnet10", width=32)).eval()
    files = tiny_scene._replace(graphs=tmp_path / "none.h5")
    with pytest.raises(InputError, match=f"none.h5: has no {part} queries, .*; .*{remedy}"):
        localization.localize_queries(model, files, SETTINGS, part)


def test_the_way_from_no_camera_is_unknown():
    centres = np.array([[0, 0, 0], [np.nan, 0, 0], [0, 4, 3.0]])
    ways = localization.way_to_nearest(centres, KDTree([[0, 1, 0], [0, 4, 0.0]]))
    np.testing.assert_allclose(ways, [1, np.nan, 3])


@pytest.mark.parametrize("pose", [RELATIVE, SCENE_DIFFERENCE])
def test_a_turned_world_turns_the_estimates(tiny_scene, tmp_path, pose):
    torch.manual_seed(0)
    shape = ModelSettings.published(backbone="resnet10", width=32, pose=pose)
    model, turned = RelPoseGNN(shape).eval(), turn_world(tiny_scene, tmp_path)
    here, there = (
        localization.localize_queries(model, SceneFiles(frames, tiny_scene.graphs), SETTINGS)
        for frames in (tiny_scene.frames, turned)
    )
    for name in ("abs", "robust"):
        np.testing.assert_allclose(there[f"{name}_t"], TURN.apply(here[f"{name}_t"]), atol=1e-5)
        expected = TURN * Rotation.from_quat(here[f"{name}_q"], scalar_first=True)
        quaternion = expected.as_quat(scalar_first=True)
        assert rotation_error_deg(there[f"{name}_q"], quaternion).max() < 1e-3
