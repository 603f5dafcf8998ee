"""The network: parity with the published implementation, permutations, ablations, units."""

import importlib.util
import json
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from relposegnn.authors.second_layer import SECOND_LAYER
from relposegnn.learning.losses import RelativePoseCriterion
from relposegnn.network.checkpoints import load_model, load_weights, save_model
from relposegnn.network.edges import complete_edges
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.networks import build_network
from relposegnn.network.published_network import RelPoseGNN

SMALL = ModelSettings.published(width=64, dropout=0.0, edge_dropout=0.0)
WEIGHTS = ("weight", "bias")
CASES = {"full-3-2": SMALL, "knn4-2-1": replace(SMALL, iterations=2, knn=4)}


# Of the losses of five training steps. Adam divides each gradient by its own size, so that one of
# rounding alone moves its weight as far as any other. Noise of 1e-7 on the images, as much as
# rounding does, moves losses by these at most, of ten trainings but for one whose neighbours flip:
# 7e-6, 3e-4, .024, .041, .086.
TOLERANCES = np.array([1e-4, 2e-3, 0.06, 0.12, 0.2])


@cache
def published_weights(reference, case):
    """Return the weights that the reference values were computed with, by the names of ours."""
    spec = importlib.util.spec_from_file_location("weights", reference / "weights.py")
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    shapes = json.loads((reference / f"shapes-{case}.json").read_text())
    state = {key: torch.from_numpy(value) for key, value in weights.state_dict(shapes).items()}
    return {key: value for key, value in state.items() if not key.startswith(SECOND_LAYER)}


def published_model(reference, case):
    """Return our network with those weights."""
    model = RelPoseGNN(CASES[case])
    load_weights(model, published_weights(reference, case), case)
    return model


def two_graphs():
    """Return edges and graph of each node of two complete graphs of 8."""
    edges = torch.from_numpy(complete_edges(8))
    return torch.cat([edges, edges + 8], dim=1), torch.arange(16) // 8


def small_model(**settings):
    """Return a small network with seeded weights, in evaluation mode."""
    torch.manual_seed(0)
    return RelPoseGNN(replace(SMALL, backbone="resnet10", **settings)).eval()


@pytest.mark.parametrize("case", CASES)
def test_outputs_agree_with_the_published_implementation(reference, case):
    expected = np.load(reference / f"model-{case}.npz")
    model = published_model(reference, case).eval()
    with torch.no_grad():
        estimates = model(torch.from_numpy(expected["images"]), *two_graphs())
    np.testing.assert_array_equal(estimates.edge_index, expected["edge_index"])
    for name in ("relative", "absolute"):
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(getattr(estimates, name), expected[name], atol=1e-4 * scale)


class FiveSteps(NamedTuple):
    """Losses (5, 3) of five steps of training, norms of the first gradients, learned weights."""

    losses: np.ndarray
    grad_norms: list[float]
    criterion: RelativePoseCriterion


def five_steps(reference, case, images, poses, grad_norm_keys) -> FiveSteps:
    """Train as the published implementation did for the reference values."""
    model, criterion = published_model(reference, case).train(), RelativePoseCriterion(0, -3)
    parameters = [*model.parameters(), *criterion.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=5e-5, weight_decay=5e-4)
    losses, grad_norms = [], []
    for step in range(5):
        estimates = model(images, *two_graphs())
        source, target = estimates.edge_index
        loss = criterion(estimates.relative, poses[source] - poses[target])
        optimizer.zero_grad()
        loss.total.backward()
        if step == 0:
            named = dict(model.named_parameters())
            grad_norms = [named[key].grad.norm().item() for key in grad_norm_keys]
        optimizer.step()
        losses.append(torch.stack(loss).tolist())
    return FiveSteps(np.array(losses), grad_norms, criterion)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_training_steps_agree_with_the_published_implementation(reference, case):
    """The first step as it stands; later ones as far as rounding leaves them determined."""
    expected = np.load(reference / f"model-{case}.npz")
    images, poses = (torch.from_numpy(expected[name]) for name in ("images", "poses"))
    names = ("train_loss", "train_translation_loss", "train_rotation_loss")
    published = np.stack([expected[name] for name in names], axis=1)
    ours = five_steps(reference, case, images, poses, expected["grad_norm_keys"])
    np.testing.assert_allclose(ours.losses[0], published[0], rtol=1e-4)
    np.testing.assert_allclose(ours.grad_norms, expected["grad_norms"], rtol=1e-3)
    assert (np.abs(ours.losses / published - 1) < TOLERANCES[:, None]).all()
    assert ours.criterion.s_t.item() == pytest.approx(expected["final_s_t"], abs=1e-5)
    assert ours.criterion.s_q.item() == pytest.approx(expected["final_s_q"], abs=1e-5)


@pytest.mark.parametrize("knn", [0, 4])
def test_permuted_neighbours_give_permuted_poses(knn):
    torch.manual_seed(0)
    model = RelPoseGNN(replace(SMALL, backbone="resnet10", knn=knn)).eval()
    # The initial edge feature depends on the order of its two nodes: with a symmetric projection
    # it does not, and the whole network commutes with permutations.
    half = model.proj_edge.weight.data[:, :64]
    model.proj_edge.weight.data[:, 64:] = half
    features = torch.randn(8, 64)
    permutation = torch.tensor([0, 3, 1, 7, 6, 2, 5, 4])
    edges = torch.from_numpy(complete_edges(8))
    graph = torch.zeros(8, dtype=torch.long)
    with torch.no_grad():
        plain = model.relate(features, edges, graph)
        permuted = model.relate(features[permutation], edges, graph)
    by_pair = {(source, target): pose for source, target, pose in _rows(plain)}
    for source, target, pose in _rows(permuted):
        original = (permutation[source].item(), permutation[target].item())
        torch.testing.assert_close(pose, by_pair[original], atol=1e-5, rtol=1e-4)


def _rows(estimates):
    """Return (source, target, relative pose) of each edge."""
    return list(zip(*estimates.edge_index.tolist(), estimates.relative, strict=True))


def test_graphs_of_a_batch_do_not_touch():
    torch.manual_seed(0)
    model = RelPoseGNN(replace(SMALL, backbone="resnet10", knn=3)).eval()
    features = torch.randn(16, 64)
    with torch.no_grad():
        together = model.relate(features, *two_graphs())
        alone = model.relate(features[8:], two_graphs()[0][:, :56], torch.zeros(8).long())
    torch.testing.assert_close(together.relative[24:], alone.relative)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model = RelPoseGNN(replace(SMALL, backbone="resnet10", dropout=0.5, edge_dropout=0.5))
    features, (edges, graph) = torch.randn(16, 64), two_graphs()
    model.eval()
    first, second = (model.relate(features, edges, graph) for _ in range(2))
    assert first.relative.shape == (112, 6)
    torch.testing.assert_close(first.relative, second.relative)
    model.train()
    generator = torch.Generator().manual_seed(0)
    assert model.relate(features, edges, graph, generator).relative.shape[0] < 112


def test_the_folded_encoder_gives_the_same_features(reference):
    model = published_model(reference, "full-3-2").eval()
    folded = model.folded_encoder()
    images = torch.randn(2, 3, 64, 85, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = model.encode(images), folded(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_the_published_network_has_its_74_8_million_parameters():
    with torch.device("meta"):
        model = RelPoseGNN(ModelSettings.published())
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == pytest.approx(74.8e6, rel=1e-3)


@pytest.mark.parametrize("knn", [0, 3])
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_edges_into_the_queries_have_the_numbers_of_the_full_pass(iterations, knn):
    model = small_model(iterations=iterations, knn=knn, translation_deviation=(2, 4, 8))
    features, (edges, graph) = torch.randn(16, 64), two_graphs()
    queries = torch.arange(16) % 8 == 0
    with torch.no_grad():
        full = model.relate(features, edges, graph)
        edge_index, relative, distance = model.relate_at(features, edges, graph, queries)
    into = full.edge_index[1] % 8 == 0
    assert torch.equal(edge_index, full.edge_index[:, into])
    torch.testing.assert_close(relative, full.relative[into], atol=1e-6, rtol=1e-6)
    assert torch.equal(distance, torch.ones(edge_index.shape[1]))  # of no place


def test_without_attention_messages_are_passed_as_they_are():
    model, plain = small_model(), small_model(attention=False)
    state = model.state_dict()
    expected = {key for key in state if not key.startswith("gnn1.att.")}
    assert set(plain.state_dict()) == expected != set(state)
    # Attention adds W of something to a message: with W = 0 it adds nothing.
    torch.nn.init.zeros_(model.gnn1.att.W.weight)
    torch.nn.init.zeros_(model.gnn1.att.W.bias)
    plain.load_state_dict({key: state[key] for key in expected})
    features = torch.randn(16, 64)
    with torch.no_grad():
        ours, theirs = (each.relate(features, *two_graphs()).relative for each in (plain, model))
    torch.testing.assert_close(ours, theirs)


def test_without_a_gnn_an_edge_depends_on_its_two_images_and_its_direction_alone():
    model = small_model(iterations=0)
    assert not any(key.startswith("gnn1.") for key in model.state_dict())
    features, changed = torch.randn(16, 64), torch.randn(16, 64)
    changed[[2, 5]] = features[[2, 5]]
    with torch.no_grad():
        first, second = (_rows(model.relate(each, *two_graphs())) for each in (features, changed))
    pairs = [(source, target) for source, target, _ in first]
    there, back = (pairs.index(pair) for pair in ((2, 5), (5, 2)))
    for edge in (there, back):
        torch.testing.assert_close(first[edge][2], second[edge][2])
    assert (first[there][2] - first[back][2]).abs().max() > 0.01
    other = pairs.index((2, 6))
    assert (first[other][2] - second[other][2]).abs().max() > 0.01


def test_without_a_gnn_opposite_poses_can_be_learned():
    model = small_model(iterations=0).train()
    features, graph = torch.randn(2, 64), torch.zeros(2, dtype=torch.long)
    edges, pose = torch.tensor([[0, 1], [1, 0]]), torch.linspace(-1, 1, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        error = model.relate(features, edges, graph).relative - torch.stack([pose, -pose])
        optimizer.zero_grad()
        error.square().mean().backward()
        optimizer.step()
    assert error.abs().max() < 0.05


def test_translations_are_scaled_to_metres():
    plain, model = small_model(), small_model(translation_deviation=[2, 4, 8])
    assert set(model.state_dict()) == set(plain.state_dict())
    features, scale = torch.randn(16, 64), torch.tensor([2.0, 4, 8, 1, 1, 1])
    with torch.no_grad():
        estimates, expected = (each.relate(features, *two_graphs()) for each in (model, plain))
    assert torch.equal(estimates.relative, expected.relative * scale)
    assert torch.equal(estimates.absolute, expected.absolute * scale)


def test_settings_keep_the_deviation_through_a_file(tmp_path):
    model = small_model(translation_deviation=[12.6, 5, 19.4], iterations=1)
    assert model.settings == replace(model.settings, translation_deviation=(12.6, 5.0, 19.4))
    save_model(tmp_path / "model.pt", model, 0, [])
    loaded = load_model(tmp_path / "model.pt")
    assert loaded.settings == model.settings
    assert loaded.translation_deviation.tolist() == pytest.approx([12.6, 5, 19.4])


def test_a_node_without_edges_is_updated_by_an_empty_message():
    model = small_model(iterations=1)
    features, edges = torch.randn(4, 64), torch.tensor([[0, 1], [1, 0]])
    with torch.no_grad():
        estimates = model.relate(features, edges, torch.zeros(4, dtype=torch.long))
        silent = torch.cat([features[3], torch.zeros(64)])
        node = torch.relu(model.gnn1.mlp_updating(silent))
    assert len(estimates.absolute) == 4
    torch.testing.assert_close(estimates.absolute[3, :3], model.fc_xyz(node))


def test_kaiming_draws_the_layers_that_the_paper_adds_anew():
    settings = ModelSettings.published(backbone="resnet10", width=512)
    states = []
    for initialisation in ("default", "kaiming"):
        torch.manual_seed(0)
        network = build_network(replace(settings, initialisation=initialisation), None)
        states.append(network.state_dict())
    plain, drawn = states
    heads = ("fc_xyz", "fc_wpqr", "fc_xyz_R", "fc_wpqr_R")
    own = {f"{n}.{p}" for n in ("feature_extractor.fc", "proj_edge", *heads) for p in WEIGHTS}
    assert {key for key in plain if not torch.equal(plain[key], drawn[key])} == own
    for key in own:
        if key.endswith("bias"):
            assert (drawn[key] == 0).all()
        else:
            inputs = drawn[key].shape[1]
            assert drawn[key].std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.08)
            assert (drawn[key].std() / plain[key].std()).item() == pytest.approx(2.45, rel=0.08)
