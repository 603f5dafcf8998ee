"""Database frames as queries: nothing around them is left in their graphs."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from frames_file import write_frames_file

from relposegnn.files.storage import create_hdf5
from relposegnn.retrieval.graphs import (
    LEFT_OUT,
    VALIDATION,
    read_graphs,
    read_similarity,
    write_split,
)
from relposegnn.retrieval.left_out import (
    REACHES,
    known_frames,
    rank_outside,
    reaches,
    read_reaches,
    sample_left_out,
)
from relposegnn.retrieval.neighbour_choice import SamplingSettings
from relposegnn.runtime import InputError
from relposegnn.scores.error_growth import FEWEST

SAMPLING = SamplingSettings(
    neighbours=5, selection="strided", stride=2, drop_probability=0.2, seed=0
)


def write_database(folder, count, ranked=None):
    """Write the frames and rankings of images on a line: the nearest in time come first."""
    splits = ({"world_from_cam": np.tile(np.eye(4), (each, 1, 1))} for each in (count, 2))
    write_frames_file(folder / "frames.h5", *splits, scene="line")
    times = np.arange(count)
    order = np.argsort(np.abs(times[:, None] - times), axis=1, kind="stable")[:, 1:ranked]
    with create_hdf5(folder / "neighbours.h5", "neighbours", {}) as file:
        for split, rows in (("train", order), ("test", order[:2])):
            file[f"{split}/index"] = rows.astype(np.int32)
            apart = np.abs(rows - times[: len(rows), None])
            file[f"{split}/similarity"] = (1 - apart / 1024).astype(np.float32)
    write_trained(folder, np.arange(0))


def write_trained(folder, held_out):
    """Write the graphs of a training that knows all frames but some."""
    with create_hdf5(folder / "trained.h5", "graphs", {}) as file:
        write_split(file, "train", np.arange(1), np.ones((1, 5)))
        write_split(file, VALIDATION, held_out, np.ones((len(held_out), 5)))


def sample(folder, count, sampling=SAMPLING, near=False):
    """Return the queries, neighbours and reaches of the file that is written, near ones or not."""
    files = (folder / f"{name}.h5" for name in ("neighbours", "frames", "trained", "graphs"))
    sample_left_out(*files, sampling, count)
    graphs = folder / "graphs.h5"
    reach = read_reaches(graphs)
    chosen = (reach == 0) == (near or not reach.any())
    return [each[chosen] for each in (*read_graphs(graphs, LEFT_OUT), reach)]


def test_no_neighbour_lies_within_a_querys_reach(tmp_path):
    write_database(tmp_path, 10 * max(REACHES))
    query, neighbours, reach = sample(tmp_path, 40)
    distance = np.abs(neighbours - query[:, None])
    assert (distance > reach[:, None]).all()
    assert set(reach) == set(REACHES)
    # Nor are more left out: the nearest that is left is a neighbour of some query.
    for each in REACHES:
        assert distance[reach == each].min() == each + 1
    assert all(len(set(row)) == SAMPLING.neighbours for row in neighbours.tolist())


def test_the_similarity_is_that_of_the_best_ranked_frame_beyond_the_reach(tmp_path):
    write_database(tmp_path, 10 * max(REACHES))
    sample(tmp_path, 40)
    found = read_similarity(tmp_path / "graphs.h5", LEFT_OUT)
    expected = 1 - (read_reaches(tmp_path / "graphs.h5") + 1) / 1024
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    with h5py.File(tmp_path / "neighbours.h5", "r+") as file:
        file.attrs["settings"] = '{"index": "HNSW32"}'
    sample(tmp_path, 40)
    assert read_similarity(tmp_path / "graphs.h5", LEFT_OUT) is None  # maybe no cosines


def test_near_frames_are_some_of_the_others_with_all_other_frames(tmp_path):
    write_database(tmp_path, 10 * max(REACHES))
    usual = sample(tmp_path, 40)[0]
    query, neighbours, _ = sample(tmp_path, 40, near=True)
    np.testing.assert_array_equal(query, usual[3::4])
    assert np.abs(neighbours - query[:, None]).min() == 1
    every, _ = read_graphs(tmp_path / "graphs.h5", LEFT_OUT)
    assert (np.diff(every) >= 0).all()


def test_queries_are_spread_evenly_and_all_taken_where_there_are_few(tmp_path):
    write_database(tmp_path, 60)
    query, _, _ = sample(tmp_path, 10)
    assert (len(query), query[0], query[-1]) == (10, 0, 59)
    assert set(np.diff(query)) == {6, 7}
    for count in (60, 1000):
        np.testing.assert_array_equal(sample(tmp_path, count)[0], np.arange(60))


def test_of_a_small_database_few_frames_are_left_out(tmp_path):
    by_turns = np.array([*REACHES, *REACHES[:2]])
    np.testing.assert_array_equal(reaches(len(by_turns), 10 * max(REACHES)), by_turns)
    np.testing.assert_array_equal(reaches(len(by_turns), 60), np.minimum(by_turns, 6))
    np.testing.assert_array_equal(reaches(3, 9), [0, 0, 0])
    write_database(tmp_path, 9)
    query, neighbours, _ = sample(tmp_path, 9)
    assert len(query) == 9
    assert (neighbours != query[:, None]).all()


def test_of_a_place_just_large_enough_to_tell_errors_from_all_frames_are_left_out(tmp_path):
    """None has too few neighbours outside its reach, by ``graphs.neighbours`` as it comes."""
    write_database(tmp_path, FEWEST)
    query, _, reach = sample(tmp_path, 100, replace(SAMPLING, neighbours=7))
    assert len(query) == FEWEST
    assert (reach == 1).all()


def test_a_ranking_without_a_query_and_its_surroundings_keeps_its_order():
    ranked = np.array([7, 3, 0, 5, 9, 4, 6], dtype=np.int32)
    np.testing.assert_array_equal(rank_outside(ranked, 5, 1), [7, 3, 0, 9])
    np.testing.assert_array_equal(rank_outside(ranked, 5, 0), [7, 3, 0, 9, 4, 6])


def test_draws_follow_the_seed_alone(tmp_path):
    write_database(tmp_path, 100)
    first, again, other = (
        sample(tmp_path, 30, replace(SAMPLING, seed=seed))[1] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_queries_whose_ranking_is_too_short_are_left_out_themselves(tmp_path):
    """Ranked are so many images around each that only the two shorter reaches leave enough."""
    ranked = 2 * REACHES[1] + SAMPLING.neighbours
    write_database(tmp_path, 10 * max(REACHES), ranked=ranked + 1)
    query, _, reach = sample(tmp_path, 40)
    inside = (query > ranked) & (query < 10 * max(REACHES) - ranked)
    assert set(reach[inside]) == set(REACHES[:2])
    with pytest.raises(InputError, match=rf"neighbours\.h5 \(line\): no ranking .* = {ranked};"):
        sample(tmp_path, 40, replace(SAMPLING, neighbours=ranked))


def test_rankings_of_other_frames_are_refused(tmp_path):
    write_database(tmp_path, 60)
    (tmp_path / "other").mkdir()
    write_database(tmp_path / "other", 50)
    (tmp_path / "other/neighbours.h5").replace(tmp_path / "neighbours.h5")
    with pytest.raises(InputError, match=r"neighbours\.h5"):
        sample(tmp_path, 10)
    assert not (tmp_path / "graphs.h5").exists()


def test_frames_held_out_from_training_are_queries_too_and_not_known(tmp_path):
    write_database(tmp_path, 60)
    held_out = np.array([21, 22, 23])
    write_trained(tmp_path, held_out)
    query, _, _ = sample(tmp_path, 4)
    np.testing.assert_array_equal(query, [0, 19, 21, 22, 23, 39, 59])
    known = known_frames(tmp_path / "graphs.h5", tmp_path / "trained.h5")
    usual = read_reaches(tmp_path / "graphs.h5") > 0
    np.testing.assert_array_equal(known[usual], ~np.isin(query, held_out))
    assert known[~usual].tolist() == [False]
    assert not known_frames(tmp_path / "graphs.h5", None).any()
    assert known_frames(tmp_path / "graphs.h5", tmp_path / "graphs.h5").all()  # by the authors'


def test_of_many_held_out_frames_no_more_than_of_others_are_queries(tmp_path):
    write_database(tmp_path, 400)
    write_trained(tmp_path, np.arange(1, 400, 2))
    query, _, _ = sample(tmp_path, 20)
    assert len(query) <= 40
    assert sum(query % 2) >= 20
    assert max(np.diff(query)) < 40


def test_graphs_of_another_scene_tell_nothing_of_what_is_known(tmp_path):
    for scene in ("chess", "fire"):
        with create_hdf5(tmp_path / f"{scene}.h5", "graphs", {}) as file:
            file.attrs.update(dataset="rooms", scene=scene)
            for part in ("train", "left_out", "validation"):
                file[f"{part}/query"] = np.arange(3)
                file[f"{part}/neighbours"] = np.zeros((3, 2), dtype=np.int64)
    assert not known_frames(tmp_path / "fire.h5", tmp_path / "fire.h5").any()
    message = r"chess\.h5: is of the scene 'chess', expected 'fire' as in .*fire\.h5"
    with pytest.raises(InputError, match=message):
        known_frames(tmp_path / "fire.h5", tmp_path / "chess.h5")
