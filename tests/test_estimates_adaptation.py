"""A network fitted to a new place: a layer in closed form, by frames that it does not predict."""

import logging

import numpy as np
import pytest
import torch
from test_network_match_field_network import BOTH, CPU, FIRST, network, write_features

from relposegnn.data.scene_files import SceneFiles
from relposegnn.estimates import adaptation, localization
from relposegnn.estimates.adaptation import (
    STRENGTHS,
    Edges,
    Sums,
    adapt_model,
    choose_strength,
    fit_layer,
    regress_edges,
)
from relposegnn.estimates.localization import localize_queries
from relposegnn.files.storage import create_hdf5
from relposegnn.files.weights import fingerprint
from relposegnn.network.checkpoints import load_model, save_model
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.pose_network import PoseNetwork
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.network.relative_poses import RELATIVE
from relposegnn.retrieval.graphs import LEFT_OUT, write_split

pytestmark = pytest.mark.slow

WEIGHT = np.random.default_rng(5).standard_normal((6, 8)) / 10
BIAS = np.array([0.3, -0.2, 0.1, 0.05, 0, -0.1])
QUERIES, NEIGHBOURS = np.arange(10), np.array([[10, 11, 1], [11, 0, 3]] * 5)
REACHES = np.array([2, 1, 3, 1, 1, 2, 1, 1, 3, 0])  # the last is a near frame


def write_left_out(graphs_file):
    """Write ten left-out frames."""
    with create_hdf5(graphs_file, "graphs", {}) as file:
        write_split(file, LEFT_OUT, QUERIES, NEIGHBOURS)
        file[f"{LEFT_OUT}/reach"] = REACHES


def planted(graphs=100, noise=0.01, weight=WEIGHT, seed=0) -> Edges:
    """Return edges, four a graph, whose truth is a layer of their features beside what is said."""
    rng = np.random.default_rng(seed)
    features = 2 + rng.standard_normal((4 * graphs, 8)) * [1, 1, 1, 1, 0.3, 0.3, 3, 0]
    regressed = rng.standard_normal((4 * graphs, 6))
    truth = regressed + features @ weight.T + BIAS + rng.normal(0, noise, (4 * graphs, 6))
    return Edges(np.arange(4 * graphs) // 4, np.zeros(4 * graphs, int), features, regressed, truth)


def error(layer, edges):
    missing = edges.truth - edges.regressed - layer(edges.features)
    return np.sqrt(np.mean(missing**2))


def test_a_planted_layer_is_found():
    """The last feature never differs, so that its weight is another bias."""
    layer = fit_layer(Sums.over(planted()), 1e-4)
    np.testing.assert_allclose(layer.weight[:, :7], WEIGHT[:, :7], atol=0.02)
    assert error(layer, planted(seed=1)) < 0.015


def test_a_strong_ridge_leaves_the_mean_alone():
    edges = planted()
    layer = fit_layer(Sums.over(edges), 1e9)
    np.testing.assert_allclose(layer.weight, 0, atol=1e-6)
    expected = edges.weight @ (edges.truth - edges.regressed) / edges.weight.sum()
    np.testing.assert_allclose(layer.bias, expected, atol=1e-5)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("count", [1, 400])
def test_of_features_that_never_differ_the_mean_is_all_that_is_told(strength, count):
    edges = planted().of(np.arange(400) < count)
    edges = edges._replace(features=np.zeros_like(edges.features))
    layer = fit_layer(Sums.over(edges), strength)
    expected = edges.weight @ (edges.truth - edges.regressed) / edges.weight.sum()
    np.testing.assert_array_equal(layer.weight, 0)
    np.testing.assert_allclose(layer.bias, expected)


def test_short_edges_count_more():
    """Of two kinds of edges, which miss different numbers."""
    edges = planted(weight=0 * WEIGHT, noise=0)
    edges.truth[::2, :3] *= 1e-3
    missing = np.where(np.arange(400)[:, None] % 2, 1.0, 2.0)
    edges = edges._replace(regressed=edges.truth - missing)
    assert (fit_layer(Sums.over(edges), 1e9).bias > 1.95).all()


def folds(edges):
    return np.arange(edges.graph.max() + 1) * 5 // (edges.graph.max() + 1)


def test_the_strength_is_what_predicts_other_stretches_best(caplog):
    edges = planted()
    with caplog.at_level(logging.INFO):
        assert choose_strength(edges, folds(edges)) == STRENGTHS[0]
    assert "on 400 edges: cross-validation errors are 0.0" in caplog.text
    noisy = planted(graphs=25, noise=1.0)
    assert choose_strength(noisy, folds(noisy)) > STRENGTHS[0]


def test_where_nothing_can_be_learned_there_is_no_layer():
    edges = planted(graphs=30, noise=1.0, weight=0 * WEIGHT)
    edges = edges._replace(truth=edges.truth - BIAS)
    assert choose_strength(edges, folds(edges)) is None


def test_of_few_graphs_nothing_is_told(caplog):
    edges = planted(graphs=adaptation.FEWEST - 1)
    assert choose_strength(edges, folds(edges)) is None
    assert "no layer is fitted: there are fewer than 20 graphs" in caplog.text


def pooled():
    torch.manual_seed(0)
    shape = {"backbone": "resnet10", "width": 16, "iterations": 1, "pose": RELATIVE}
    return RelPoseGNN(ModelSettings.published(**shape)).eval()


@pytest.fixture(params=["match fields", "one feature", "pooled"])
def case(request, tiny_scene, tmp_path):
    """Return a model's file and a scene with ten left-out frames."""
    networks = {
        "match fields": network,
        "one feature": lambda: network(rotation_from_field=False),
        "pooled": pooled,
    }
    save_model(tmp_path / "model.pt", networks[request.param](), 3, ["elsewhere"])
    write_left_out(tmp_path / "left.h5")
    features = None if request.param == "pooled" else write_features(tmp_path / "features.h5")
    return tmp_path / "model.pt", SceneFiles(tiny_scene.frames, tmp_path / "left.h5", features)


def adapted(case, folder, settings=BOTH):
    """Return the adapted model, and the predictions of left-out frames."""
    outputs = folder / "adapted.pt", folder / "left.npz"
    adapt_model(*case, *outputs, settings, CPU)
    return load_model(outputs[0]), dict(np.load(outputs[1]))


@pytest.mark.parametrize("settings", [FIRST, BOTH])
def test_frames_are_predicted_by_what_others_tell_without_those_within_reach(
    case, tmp_path, monkeypatch, settings
):
    monkeypatch.setattr(adaptation, "choose_strength", lambda *_: 0.1)
    model, found = adapted(case, tmp_path, settings)
    base = load_model(case[0])
    edges = regress_edges(base, case[1], settings.both_directions)
    assert len(edges.graph) == 10 * 3 * (1 + settings.both_directions)
    for graph, expected in enumerate(NEIGHBOURS):
        assert set(edges.neighbour[edges.graph == graph]) == set(expected)
    ends = QUERIES[edges.graph], edges.neighbour
    for row, within in ((0, [0, 1, 2]), (8, [5, 6, 7, 8, 9, 10, 11]), (9, [9])):
        beyond = ~np.isin(ends, within).any(axis=0) & (edges.graph != 9)  # which is a near one
        adaptation._fit(base, Sums.over(edges.of(beyond)), 0.1)
        expected = localize_queries(base, case[1], settings, LEFT_OUT)
        own = "abs_t", "abs_q", "robust_t", "robust_q", "spread_m", "abs_distance"
        for name in (*own, "robust_distance"):
            np.testing.assert_allclose(found[name][row], expected[name][row], atol=1e-4)
        assert found["rel_path"][row] == expected["rel_path"][row]
    plain = localize_queries(load_model(case[0]), case[1], settings, LEFT_OUT)
    assert found.keys() - plain.keys() == {"dataset", "scene", "model"}
    assert plain.keys() <= found.keys()
    assert found["model"] == fingerprint(model)
    np.testing.assert_array_equal(found["targ_t"], plain["targ_t"])
    nearer = localize_queries(model, case[1], settings, LEFT_OUT)
    errors = [
        np.linalg.norm(each["abs_t"] - plain["targ_t"], axis=1).mean() for each in (nearer, plain)
    ]
    assert errors[0] < errors[1]  # of the frames that it was fitted to


def test_a_layer_adds_to_what_is_regressed(case, tmp_path, monkeypatch):
    monkeypatch.setattr(adaptation, "choose_strength", lambda *_: 0.1)
    model, _ = adapted(case, tmp_path)
    edges = regress_edges(load_model(case[0]), case[1], True)
    layer = fit_layer(Sums.over(edges.of(edges.graph != 9)), 0.1)
    again = regress_edges(model, case[1], True)
    np.testing.assert_allclose(again.features, edges.features, atol=1e-6)
    expected = edges.regressed + layer(edges.features)
    np.testing.assert_allclose(again.regressed, expected, atol=1e-5)
    assert np.abs(expected - edges.regressed).max() > 0.01


def test_a_network_that_was_adapted_elsewhere_is_adapted_anew(case, tmp_path, monkeypatch):
    """Its layer is no part of what the new one adds to."""
    monkeypatch.setattr(adaptation, "choose_strength", lambda *_: 0.1)
    first, _ = adapted(case, tmp_path)
    second, _ = adapted((tmp_path / "adapted.pt", case[1]), tmp_path)
    for name, weights in first.state_dict().items():
        np.testing.assert_allclose(second.state_dict()[name], weights, atol=1e-6, err_msg=name)


def test_files_are_not_opened_again_for_each_frame(case, tmp_path, monkeypatch):
    opened, reads = [], localization.read_graphs
    counting = lambda *given: opened.append(given) or reads(*given)  # noqa: E731
    monkeypatch.setattr(localization, "read_graphs", counting)
    adapted(case, tmp_path)
    assert len(opened) == 2  # left-out frames, and the frames held out


def test_without_a_layer_the_network_is_what_it_was(case, tmp_path):
    model, found = adapted(case, tmp_path)
    assert model.adaptation is None
    expected = localize_queries(load_model(case[0]), case[1], BOTH, LEFT_OUT)
    assert found.pop("rel_path").tolist() == expected.pop("rel_path").tolist()
    for name in ("abs_distance", "robust_distance"):  # of the place's features, which it knows
        assert set(expected.pop(name)) == {1}
        assert (found[name] > 0).all()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4)
    contents = torch.load(tmp_path / "adapted.pt", weights_only=True)
    assert (contents["epoch"], contents["scenes"]) == (3, ["elsewhere"])
    assert contents["remarks"] == {"adapted to": "tiny, tiny"}


def test_edges_on_which_nothing_finite_is_said_are_left_out(case, tmp_path, monkeypatch, caplog):
    nothing = lambda _, edges, rotations: torch.full((len(edges), 6), torch.nan)  # noqa: E731
    monkeypatch.setattr(PoseNetwork, "regress", nothing)
    model, found = adapted(case, tmp_path)
    assert model.adaptation is None
    assert np.isnan(found["abs_t"]).all()
    assert f"{case[1].graphs}: 10 of 10 queries have no finite pose" in caplog.text
