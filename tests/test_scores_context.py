"""The test of what the graph carries: foreign neighbours, planted networks, failures."""

import numpy as np
import pytest
import torch

from relposegnn.estimates.aggregation import MEDIAN, LocalizationSettings
from relposegnn.estimates.predictions import ALONE, FOREIGN, OWN
from relposegnn.files.storage import create_hdf5
from relposegnn.network.checkpoints import save_model
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.runtime import InputError
from relposegnn.scores.context import foreign_neighbours, measure_context
from relposegnn.scores.metrics import TRANSLATION, read_scores

CPU = torch.device("cpu")
FIRST = LocalizationSettings(both_directions=False, aggregation=MEDIAN)


def medians(folder, scene, **settings) -> dict[str, np.ndarray]:
    """Return the errors in metres by estimator, of a network with random weights."""
    torch.manual_seed(0)
    shape = ModelSettings.published(backbone="resnet10", width=32, dropout=0.0, **settings)
    save_model(folder / "model.pt", RelPoseGNN(shape), 0, ["tiny"])
    measure_context(folder / "model.pt", scene, folder / "errors.csv", FIRST, CPU)
    scores = read_scores(folder / "errors.csv", "tiny")
    return {str(name): own[TRANSLATION].to_numpy() for name, own in scores.groupby("estimator")}


def test_a_network_with_messages_depends_on_the_other_images(tiny_scene, tmp_path):
    found = medians(tmp_path, tiny_scene)
    assert found.keys() == {OWN, ALONE, FOREIGN}
    assert np.abs(found[OWN] - found[ALONE]).max() > 1e-5
    assert np.abs(found[OWN] - found[FOREIGN]).max() > 1e-5
    again = medians(tmp_path, tiny_scene)
    assert all((found[name] == again[name]).all() for name in found)


def test_a_network_without_messages_does_not(tiny_scene, tmp_path):
    found = medians(tmp_path, tiny_scene, iterations=0)
    np.testing.assert_allclose(found[ALONE], found[OWN], atol=1e-7)
    np.testing.assert_allclose(found[FOREIGN], found[OWN], atol=1e-7)


def test_a_query_that_its_first_neighbour_has_no_edge_to_has_failed(tiny_scene, tmp_path):
    found = medians(tmp_path, tiny_scene, knn=1)
    assert np.isinf(found[OWN]).any()  # the nearest in feature space is not always the first
    assert np.isfinite(found[ALONE]).all()


def test_foreign_neighbours_are_another_querys_and_shared_with_none():
    neighbours = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 7, 9]])
    foreign = foreign_neighbours(neighbours, np.random.default_rng(0))
    np.testing.assert_array_equal(foreign[:, 0], neighbours[:, 0])
    for row, graph in enumerate(foreign):
        assert not set(graph[1:]) & set(neighbours[row])
        assert len(set(graph)) == 3
        assert any((graph[1:] == other[1:]).all() for other in np.delete(neighbours, row, 0))


def test_where_all_graphs_share_images_those_that_share_fewest_are_taken():
    neighbours = np.array([[0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 5, 6]])
    foreign = foreign_neighbours(neighbours, np.random.default_rng(0))
    np.testing.assert_array_equal(foreign[0], [0, 1, 5, 6])
    np.testing.assert_array_equal(foreign[1], [0, 1, 5, 6])


def write_graphs(graphs, queries, neighbours):
    """Write graphs of as many test queries, of as many neighbours each."""
    with create_hdf5(graphs, "graphs", {}) as file:
        file["test/query"] = np.arange(queries)
        file["test/neighbours"] = np.tile(np.arange(neighbours), (queries, 1))


def test_a_single_query_has_no_foreign_neighbours(tiny_scene, tmp_path):
    """Those of another query would be its own."""
    write_graphs(tmp_path / "graphs.h5", 1, 3)
    found = medians(tmp_path, tiny_scene._replace(graphs=tmp_path / "graphs.h5"))
    assert found.keys() == {OWN, ALONE}


@pytest.mark.parametrize(("queries", "neighbours"), [(5, 1), (0, 3)])
def test_no_query_or_one_neighbour_has_no_context(tiny_scene, tmp_path, queries, neighbours):
    graphs = tmp_path / "graphs.h5"
    write_graphs(graphs, queries, neighbours)
    message = (
        f"graphs.h5: has {queries} test queries with {neighbours} neighbours, expected at least"
    )
    with pytest.raises(InputError, match=message):
        medians(tmp_path, tiny_scene._replace(graphs=graphs))
