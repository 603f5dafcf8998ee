"""Edges of graphs: complete, nearest in feature space, dropped in pairs."""

import numpy as np
import pytest
import torch
from test_network_published_network import two_graphs

from relposegnn.network.edges import complete_edges, drop_edge_pairs, nearest_edges
from relposegnn.runtime import InputError


def test_edges_have_the_published_order(reference):
    published = np.load(reference / "poses.npz")["edge_index_full8"]
    np.testing.assert_array_equal(complete_edges(8), published)


@pytest.mark.parametrize("nodes", [2, 5, 8])
def test_the_first_edge_into_the_query_comes_from_the_best_neighbour(nodes):
    source, target = complete_edges(nodes)
    assert len(source) == nodes * (nodes - 1)
    assert source[target == 0].tolist() == list(range(1, nodes))


def test_nearest_edges_are_ordered_by_target_then_distance():
    # Two graphs on a line, the second far away from the first.
    features = torch.tensor([[0.0], [1.0], [3.0], [100.0], [101.0], [104.0]])
    edges = nearest_edges(features, torch.tensor([0, 0, 0, 1, 1, 1]), 2)
    assert edges[1].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert edges[0].tolist() == [1, 2, 0, 2, 1, 0, 4, 5, 3, 5, 4, 3]


def test_nearest_edges_of_a_large_graph_whose_features_differ_little():
    features = 100 + 1e-2 * torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    exact = torch.cdist(features.double(), features.double()).fill_diagonal_(torch.inf)
    source, _ = nearest_edges(features, torch.zeros(40, dtype=torch.long), 4)
    assert source.tolist() == exact.topk(4, largest=False).indices.flatten().tolist()


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


def test_a_graph_too_small_for_its_nearest_is_refused():
    features = torch.arange(5.0)[:, None]
    with pytest.raises(InputError, match="a graph has 2 nodes, expected more than knn = 2"):
        nearest_edges(features, torch.tensor([0, 0, 1, 1, 1]), 2)
