"""The network: parity with the published implementation, permutations, edges."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from relposegnn.checkpoints import UNUSED_PREFIX, load_weights
from relposegnn.graphs import complete_edges
from relposegnn.losses import RelativePoseCriterion
from relposegnn.model import ModelSettings, RelPoseGNN, drop_edge_pairs, nearest_edges

SMALL = ModelSettings(width=64, dropout=0.0, edge_dropout=0.0)
CASES = {"full-3-2": SMALL, "knn4-2-1": replace(SMALL, iterations=2, knn=4)}
# Rewired graphs are discontinuous in the features: noise of 1e-7 on the images flips neighbours
# and moves the later losses by up to 8 percent, in the published implementation as in ours.
LATER_LOSS_TOLERANCE = {"full-3-2": 0.02, "knn4-2-1": 0.1}


def published_model(reference, case):
    """Return our network with the weights that the reference values were computed with."""
    spec = importlib.util.spec_from_file_location("weights", reference / "weights.py")
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    shapes = json.loads((reference / f"shapes-{case}.json").read_text())
    state = {key: torch.from_numpy(value) for key, value in weights.state_dict(shapes).items()}
    model = RelPoseGNN(CASES[case])
    used = {key: value for key, value in state.items() if not key.startswith(UNUSED_PREFIX)}
    load_weights(model, used, case)
    return model


def two_graphs():
    """Return edges and graph of each node of two complete graphs of 8."""
    edges = torch.from_numpy(complete_edges(8))
    return torch.cat([edges, edges + 8], dim=1), torch.arange(16) // 8


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


@pytest.mark.parametrize("case", CASES)
def test_training_steps_agree_with_the_published_implementation(reference, case):
    expected = np.load(reference / f"model-{case}.npz")
    model, criterion = published_model(reference, case).train(), RelativePoseCriterion()
    parameters = [*model.parameters(), *criterion.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=5e-5, weight_decay=5e-4)
    images, poses = (torch.from_numpy(expected[name]) for name in ("images", "poses"))
    losses, grad_norms = [], []
    for step in range(5):
        estimates = model(images, *two_graphs())
        loss = criterion(estimates.relative, poses, estimates.edge_index)
        optimizer.zero_grad()
        loss.total.backward()
        if step == 0:
            named = dict(model.named_parameters())
            grad_norms = [named[key].grad.norm().item() for key in expected["grad_norm_keys"]]
        optimizer.step()
        losses.append(torch.stack(loss).tolist())
    names = ("train_loss", "train_translation_loss", "train_rotation_loss")
    published = np.stack([expected[name] for name in names], axis=1)
    np.testing.assert_allclose(losses[0], published[0], rtol=1e-4)
    np.testing.assert_allclose(losses[1:], published[1:], rtol=LATER_LOSS_TOLERANCE[case])
    np.testing.assert_allclose(grad_norms, expected["grad_norms"], rtol=1e-3)
    assert criterion.s_t.item() == pytest.approx(expected["final_s_t"], abs=1e-5)
    assert criterion.s_q.item() == pytest.approx(expected["final_s_q"], abs=1e-5)


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


def test_nearest_edges_are_ordered_by_target_then_distance():
    # Two graphs on a line, the second far away from the first.
    features = torch.tensor([[0.0], [1.0], [3.0], [100.0], [101.0], [104.0]])
    edges = nearest_edges(features, torch.tensor([0, 0, 0, 1, 1, 1]), 2)
    assert edges[1].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert edges[0].tolist() == [1, 2, 0, 2, 1, 0, 4, 5, 3, 5, 4, 3]


def test_nearest_edges_of_graphs_of_different_sizes():
    features = torch.tensor([[0.0], [1.0], [50.0], [51.0], [53.0]])
    edges = nearest_edges(features, torch.tensor([0, 0, 1, 1, 1]), 1)
    assert edges.tolist() == [[1, 0, 3, 2, 3], [0, 1, 2, 3, 4]]


def test_edge_dropout_takes_both_directions_of_half_of_the_pairs():
    edges, graph = two_graphs()
    generator = torch.Generator().manual_seed(0)
    kept = [drop_edge_pairs(edges, graph, 0.5, generator) for _ in range(200)]
    for sample in kept:
        pairs = set(zip(*sample.tolist(), strict=True))
        assert pairs == {(target, source) for source, target in pairs}
    share = np.mean([sample.shape[1] for sample in kept]) / edges.shape[1]
    assert share == pytest.approx(0.5, abs=0.02)
    assert len({tuple(sample.flatten().tolist()) for sample in kept}) == 200


def test_edge_dropout_leaves_one_pair_of_each_graph():
    edges, graph = two_graphs()
    kept = drop_edge_pairs(edges, graph, 1.0, torch.Generator().manual_seed(0))
    assert kept.shape == (2, 4)
    assert sorted(graph[kept[0]].tolist()) == [0, 0, 1, 1]


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


def test_the_published_network_has_its_74_8_million_parameters():
    with torch.device("meta"):
        model = RelPoseGNN(ModelSettings())
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == pytest.approx(74.8e6, rel=1e-3)
