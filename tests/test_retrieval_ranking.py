import logging

import faiss
import h5py
import numpy as np
import pytest

from relposegnn.files.storage import create_hdf5, read_settings
from relposegnn.retrieval import approximate, exact, ranking
from relposegnn.retrieval.ranking import rank_neighbours
from relposegnn.retrieval.rankings import read_ranking
from relposegnn.runtime import DEVICE_VARIABLE, InputError


def write(path, train, test, settings=None):
    """Write a descriptors file."""
    with create_hdf5(path, "descriptors", settings or {}) as file:
        file["train/descriptor"] = np.asarray(train, np.float32)
        file["test/descriptor"] = np.asarray(test, np.float32)


def directions(degrees) -> np.ndarray:
    """Return unit vectors in the plane."""
    angles = np.radians(np.asarray(degrees, float))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def unit_rows(count, dimension, seed) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def ranked(tmp_path, train, test, candidates):
    """Return the rankings by split."""
    write(tmp_path / "descriptors.h5", train, test)
    rank_neighbours(tmp_path / "descriptors.h5", tmp_path / "neighbours.h5", candidates)
    return {split: read_ranking(tmp_path / "neighbours.h5", split) for split in ("train", "test")}


def test_known_ranking(tmp_path):
    found = ranked(tmp_path, directions([0, 10, 25, 90]), directions([12, 80]), candidates=10)
    np.testing.assert_array_equal(found["test"][0], [[1, 0, 2], [3, 2, 1]])
    np.testing.assert_array_equal(found["train"][0], [[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]])
    expected = np.cos(np.radians([[2, 12, 13], [10, 55, 70]]))
    np.testing.assert_allclose(found["test"][1], expected, atol=1e-6)
    assert found["test"][0].dtype == np.int32
    assert found["test"][1].dtype == np.float32


def test_candidates_shorten_the_ranking_of_both_splits(tmp_path):
    train, test = unit_rows(20, 8, 0), unit_rows(7, 8, 1)
    complete = ranked(tmp_path, train, test, candidates=200)
    short = ranked(tmp_path, train, test, candidates=5)
    assert complete["train"][0].shape == (20, 19)
    assert complete["test"][0].shape == (7, 19)
    for split in ("train", "test"):
        np.testing.assert_array_equal(short[split][0], complete[split][0][:, :5])


def test_ranking_equals_sorted_products(tmp_path):
    """More frames than one block of queries, so that own indices carry over blocks."""
    train, test = unit_rows(1100, 16, 0), unit_rows(30, 16, 1)
    found = ranked(tmp_path, train, test, candidates=25)
    product = train @ train.T
    np.fill_diagonal(product, -np.inf)
    expected = np.argsort(-product, axis=1)[:, :25]
    # Rounding to float32 may swap neighbours that are equal to the last digits.
    assert (found["train"][0] == expected).mean() > 0.999
    np.testing.assert_array_equal(found["test"][0], np.argsort(-test @ train.T, axis=1)[:, :25])
    assert (np.diff(found["train"][1], axis=1) <= 0).all()


def test_a_training_frame_is_not_its_own_neighbour_but_its_copies_are(tmp_path):
    train = directions([0, 40, 0, 80, 0])
    index, similarity = ranked(tmp_path, train, directions([0]), candidates=3)["train"]
    assert not (index == np.arange(5)[:, None]).any()
    np.testing.assert_array_equal(index[[0, 2, 4]], [[2, 4, 1], [0, 4, 1], [0, 2, 1]])
    np.testing.assert_allclose(similarity[[0, 2, 4], :2], 1, atol=1e-6)


def test_more_copies_than_a_ranking_holds(tmp_path):
    train = np.repeat(directions([30]), 12, axis=0)
    index, _ = ranked(tmp_path, train, directions([0]), candidates=4)["train"]
    assert not (index == np.arange(12)[:, None]).any()
    assert all(len(set(row)) == 4 for row in index)


def test_equal_similarities_are_ordered_by_index(tmp_path):
    train = directions([60, -20, 20, -20, 20])
    found = ranked(tmp_path, train, directions([20, 0]), candidates=4)
    assert found["test"][0][0].tolist() == [2, 4, 0, 1]
    tied = ranked(tmp_path, np.eye(6), np.eye(6)[:1], candidates=5)
    assert tied["test"][0][0].tolist() == [0, 1, 2, 3, 4]


def test_same_descriptors_give_the_same_file(tmp_path):
    train, test = unit_rows(300, 64, 0), unit_rows(50, 64, 1)
    first, again = (ranked(tmp_path, train, test, 30) for _ in range(2))
    for split in ("train", "test"):
        np.testing.assert_array_equal(first[split][0], again[split][0])
        np.testing.assert_array_equal(first[split][1], again[split][1])


def test_settings_travel_along(tmp_path):
    write(tmp_path / "d.h5", np.eye(4), np.eye(4), {"descriptor": "vlad"})
    rank_neighbours(tmp_path / "d.h5", tmp_path / "n.h5", 2)
    with h5py.File(tmp_path / "n.h5") as file:
        assert read_settings(file) == {"candidates": 2, "descriptors": {"descriptor": "vlad"}}


@pytest.mark.parametrize("bad", [np.nan, 0.0, 2.0])
def test_descriptor_that_is_no_unit_vector(tmp_path, bad):
    train = np.eye(4)
    train[2] *= bad
    with pytest.raises(InputError, match=r"descriptors\.h5: /train/descriptor, row 2, has length"):
        ranked(tmp_path, train, np.eye(4), candidates=2)
    assert not (tmp_path / "neighbours.h5").exists()


def test_a_single_training_frame(tmp_path):
    with pytest.raises(InputError, match="has 1 training frames, expected at least 2"):
        ranked(tmp_path, np.eye(1, 4), np.eye(4), candidates=2)


def test_blocks_change_nothing(tmp_path, monkeypatch):
    """Of 7 database images and 3 queries; a ranking is longer than such a block."""
    train, test = unit_rows(50, 8, 0), unit_rows(11, 8, 1)
    expected = ranked(tmp_path, train, test, candidates=12)
    monkeypatch.setattr(exact, "DATABASE_BYTES", 7 * 4 * 8)
    monkeypatch.setattr(ranking, "QUERY_BYTES", 3 * 4 * 8)
    found = ranked(tmp_path, train, test, candidates=12)
    for split in ("train", "test"):
        np.testing.assert_array_equal(found[split][0], expected[split][0])
        np.testing.assert_allclose(found[split][1], expected[split][1], atol=1e-6)


def test_descriptors_in_chunks_rank_as_those_that_are_mapped(tmp_path):
    train, test = unit_rows(40, 8, 0), unit_rows(9, 8, 1)
    expected = ranked(tmp_path, train, test, candidates=12)
    with create_hdf5(tmp_path / "chunks.h5", "descriptors", {}) as file:
        for split, rows in (("train", train), ("test", test)):
            file.create_dataset(f"{split}/descriptor", data=rows, chunks=(3, 8), dtype=np.float32)
    rank_neighbours(tmp_path / "chunks.h5", tmp_path / "n.h5", 12)
    for split in ("train", "test"):
        found = read_ranking(tmp_path / "n.h5", split)
        np.testing.assert_array_equal(found.index, expected[split].index)
        np.testing.assert_array_equal(found.similarity, expected[split].similarity)


def test_a_block_is_the_file_itself(tmp_path):
    """It shares memory with a mapping of the file: reading and checking it copy nothing."""
    write(tmp_path / "d.h5", unit_rows(10, 8, 0), unit_rows(1, 8, 1))
    with h5py.File(tmp_path / "d.h5") as file:
        for _, rows in exact.read_blocks(file["train/descriptor"], 3 * 4 * 8):
            assert isinstance(rows.base, np.memmap)


def clustered_rows(count, seed):
    """Return unit rows around twenty directions."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((20, 32))
    rows = centres[rng.integers(0, 20, count)] + 0.4 * rng.standard_normal((count, 32))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factory", "least"),
    [("IVF16,Flat", 0.9), ("HNSW16", 0.9), ("PCAW16,L2norm,Flat", 0.4), ("OPQ8,IVF4,PQ8x6", 0.5)],
)
def test_approximate_rankings_find_most_of_the_exact_ones(tmp_path, caplog, factory, least):
    train, test = clustered_rows(1000, 0), clustered_rows(60, 1)
    exact = ranked(tmp_path, train, test, candidates=20)
    with caplog.at_level(logging.INFO):
        rank_neighbours(tmp_path / "descriptors.h5", tmp_path / "near.h5", 20, factory)
    for split, count in (("train", 1000), ("test", 60)):
        index, similarity = read_ranking(tmp_path / "near.h5", split)
        assert index.shape == similarity.shape == (count, 20)
        assert ((index >= 0) & (index < 1000)).all()
        assert (np.diff(np.sort(index, axis=1), axis=1) > 0).all()  # each image once
        found = [np.isin(*pair).mean() for pair in zip(exact[split][0], index, strict=True)]
        assert np.mean(found) > least
        with h5py.File(tmp_path / "near.h5") as file:
            recall = file[split].attrs["recall"]
            assert read_settings(file)["index"] == factory
        assert recall == pytest.approx(np.mean(found), abs=0.06)  # of a hundred queries
        assert f"{factory}, {split}: recall of the exact ranking {recall:.3f}" in caplog.text
    own = read_ranking(tmp_path / "near.h5", "train").index
    assert not (own == np.arange(1000)[:, None]).any()


def test_an_index_is_trained_on_rows_of_the_database_read_in_parts(tmp_path, monkeypatch):
    """A sample of 20 rows, read 7 at a time, is the one that is read at once."""
    train = unit_rows(60, 16, 0).astype(np.float32)
    write(tmp_path / "d.h5", train, train[:1])
    monkeypatch.setattr(approximate, "TRAINING_BYTES", 20 * 4 * 16)
    with h5py.File(tmp_path / "d.h5") as file:
        whole = approximate._sample(file["train/descriptor"], seed=3)
        monkeypatch.setattr(approximate, "DATABASE_BYTES", 7 * 4 * 16)
        found = approximate._sample(file["train/descriptor"], seed=3)
    np.testing.assert_array_equal(found, whole)
    assert len(np.unique(found, axis=0)) == 20
    assert all((row == train).all(axis=1).any() for row in found)


def test_rankings_that_an_index_does_not_fill_are_exact(tmp_path, monkeypatch):
    """It visits one list of sixteen, which holds fewer images than a ranking."""
    monkeypatch.setattr(approximate, "LEAST_PROBED", 1)
    monkeypatch.setattr(approximate, "PROBED", 1 / 16)
    train, test = clustered_rows(640, 0), clustered_rows(5, 1)
    exact = ranked(tmp_path, train, test, candidates=600)
    rank_neighbours(tmp_path / "descriptors.h5", tmp_path / "near.h5", 600, "IVF16,Flat")
    for split in ("train", "test"):
        found = read_ranking(tmp_path / "near.h5", split).index
        np.testing.assert_array_equal(found, exact[split][0])


@pytest.mark.parametrize("factory", ["flat", "IVF", "IVF500,Flat", "PQ7", "IDMap,Flat"])
def test_an_index_that_faiss_cannot_make_is_refused(tmp_path, factory):
    write(tmp_path / "d.h5", unit_rows(50, 16, 0), unit_rows(5, 16, 1))
    with pytest.raises(InputError, match=r"retrieval\.index: got '.*faiss cannot make for 50"):
        rank_neighbours(tmp_path / "d.h5", tmp_path / "n.h5", 10, factory)
    assert not (tmp_path / "n.h5").exists()


@pytest.mark.parametrize("factory", ["HNSW0", "HNSW1,SQ8", "PCA8,NSG0,Flat"])
def test_an_index_that_would_end_the_process_is_refused(tmp_path, factory):
    write(tmp_path / "d.h5", unit_rows(300, 16, 0), unit_rows(2, 16, 1))
    with pytest.raises(InputError, match=f"'{factory}', a graph with so few links .* expected at"):
        rank_neighbours(tmp_path / "d.h5", tmp_path / "n.h5", 10, factory)


@pytest.mark.parametrize("factory", ["HNSW8,PQ4x4", "PCA8,HNSW8,PQ4x4", "NSG8,PQ4x4"])
def test_an_index_that_would_rank_the_nearest_image_last_is_refused(tmp_path, factory):
    """Faiss makes these for distances, whichever measure is asked for."""
    write(tmp_path / "d.h5", unit_rows(50, 16, 0), unit_rows(5, 16, 1))
    with pytest.raises(InputError, match=r"got '.*', which faiss makes only for distances"):
        rank_neighbours(tmp_path / "d.h5", tmp_path / "n.h5", 10, factory)


@pytest.mark.parametrize(
    ("device", "gpus"), [(None, 1), ("", 1), ("cuda", 1), ("cuda:0", 1), ("cuda:1", 0), ("cpu", 0)]
)
def test_faiss_takes_the_first_gpu_where_no_other_device_is_asked_for(device, gpus, monkeypatch):
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2, raising=False)
    monkeypatch.delenv(DEVICE_VARIABLE, raising=False)
    if device is not None:
        monkeypatch.setenv(DEVICE_VARIABLE, device)
    assert exact._usable_gpus(50) == gpus


@pytest.mark.gpu
def test_gpu_ranks_as_the_cpu(tmp_path, monkeypatch):
    if not (hasattr(faiss, "get_num_gpus") and faiss.get_num_gpus()):
        pytest.skip("faiss sees no GPU")
    train, test = unit_rows(2000, 256, 0), unit_rows(500, 256, 1)
    on_gpu = ranked(tmp_path, train, test, 50)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    on_cpu = ranked(tmp_path, train, test, 50)
    for split in ("train", "test"):
        assert (on_gpu[split][0] == on_cpu[split][0]).mean() > 0.99
        np.testing.assert_allclose(on_gpu[split][1], on_cpu[split][1], atol=1e-4)
