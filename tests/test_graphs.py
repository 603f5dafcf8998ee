"""Graph sampling: the published rule, seeds, edge order, errors."""

import numpy as np
import pytest

from relposegnn import graphs
from relposegnn.graphs import SamplingSettings
from relposegnn.runtime import InputError
from relposegnn.storage import create_hdf5, open_hdf5, read_settings


class PlannedGenerator:
    """Stands in for NumPy's generator, with a planned offset and planned drops."""

    def __init__(self, dropped, offset):
        self.dropped, self.offset = dropped, offset

    def random(self, count):
        return np.array([0.2 if i in self.dropped else 0.7 for i in range(count)])

    def integers(self, stride):
        assert self.offset < stride
        return self.offset


def write_rankings(path, train, test):
    with create_hdf5(path, "neighbours", {}) as file:
        for split, index in (("train", train), ("test", test)):
            file[f"{split}/index"] = np.asarray(index, dtype=np.int32)


def random_rankings(seed, queries, length):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(length) for _ in range(queries)])


def test_entries_are_dropped_then_taken_by_stride_from_the_offset():
    settings = SamplingSettings(neighbours=3, stride=2)
    generator = PlannedGenerator(dropped={0, 3, 4}, offset=1)
    taken, filled = graphs.subsample_ranking(12, settings, generator)
    # 1 2 5 6 7 8 ... are kept; from the second of them, every second.
    assert taken.tolist() == [2, 6, 8]
    assert not filled


def test_a_short_ranking_is_filled_with_its_best_unused_entries():
    settings = SamplingSettings(neighbours=4, stride=3)
    taken, filled = graphs.subsample_ranking(6, settings, PlannedGenerator({1}, offset=0))
    # Kept 0 2 3 4 5, taken 0 and 4; then the best of the rest, in the order of the ranking.
    assert taken.tolist() == [0, 1, 2, 4]
    assert filled


def test_reach_into_the_ranking_is_that_of_the_rule():
    settings = SamplingSettings(neighbours=7, stride=5)
    ranked = np.tile(np.arange(500), (4000, 1))
    neighbours, filled = graphs.sample_neighbours(ranked, settings, np.random.default_rng(0))
    assert filled == 0
    assert (np.diff(neighbours, axis=1) >= 5).all()  # strided, best first
    # Half of the entries are dropped: the first of 7 is on average the (2 + 1)th kept, position
    # (2 + 1) * 2 - 1; each further one lies 5 kept entries, 10 positions, on.
    expected = 5 + 10 * np.arange(7)
    np.testing.assert_allclose(neighbours.mean(axis=0), expected, atol=0.5)


def test_files_hold_indices_settings_and_repeat_by_seed(tmp_path):
    train, test = random_rankings(0, 30, 100), random_rankings(1, 20, 100)
    write_rankings(tmp_path / "n.h5", train, test)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        settings = SamplingSettings(neighbours=7, stride=5, seed=seed)
        graphs.sample_graphs(tmp_path / "n.h5", tmp_path / f"{name}.h5", "chess", settings)
    read = {name: graphs.read_graphs(tmp_path / f"{name}.h5", "test") for name in "abc"}
    query, neighbours = read["a"]
    assert query.tolist() == list(range(20))
    assert neighbours.shape == (20, 7)
    assert neighbours.dtype == np.int32
    assert all(len(set(row)) == 7 for row in neighbours)
    np.testing.assert_array_equal(neighbours, read["b"][1])
    assert (neighbours != read["c"][1]).any()
    with open_hdf5(tmp_path / "a.h5", "graphs") as file:
        assert read_settings(file)["stride"] == 5


def test_sampling_differs_by_scene_and_split(tmp_path):
    same = random_rankings(0, 20, 100)
    write_rankings(tmp_path / "n.h5", same, same)
    for scene in ("chess", "fire"):
        path = tmp_path / f"{scene}.h5"
        graphs.sample_graphs(tmp_path / "n.h5", path, scene, SamplingSettings())
    chess_train = graphs.read_graphs(tmp_path / "chess.h5", "train")[1]
    assert (chess_train != graphs.read_graphs(tmp_path / "chess.h5", "test")[1]).any()
    assert (chess_train != graphs.read_graphs(tmp_path / "fire.h5", "train")[1]).any()


def test_fewer_database_images_than_neighbours_is_an_error(tmp_path):
    write_rankings(tmp_path / "n.h5", random_rankings(0, 6, 6), random_rankings(1, 4, 6))
    with pytest.raises(InputError, match=r"6 database images .* at least graphs.neighbours = 7"):
        graphs.sample_graphs(tmp_path / "n.h5", tmp_path / "g.h5", "s", SamplingSettings())
    assert not (tmp_path / "g.h5").exists()


def test_edges_have_the_published_order(reference):
    published = np.load(reference / "poses.npz")["edge_index_full8"]
    np.testing.assert_array_equal(graphs.complete_edges(8), published)


@pytest.mark.parametrize("nodes", [2, 5, 8])
def test_the_first_edge_into_the_query_comes_from_the_best_neighbour(nodes):
    source, target = graphs.complete_edges(nodes)
    assert len(source) == nodes * (nodes - 1)
    assert source[target == 0].tolist() == list(range(1, nodes))
