"""Sampled files: the nearest among the strided, seeds, what is held out, errors."""

import hashlib
from dataclasses import asdict, replace

import h5py
import numpy as np
import pytest
from frames_file import write_frames_file
from rankings import INTERLEAVED, PAPER, random_rankings, write_ranking

from relposegnn.files.storage import create_hdf5, open_hdf5, read_settings
from relposegnn.retrieval.graph_sampling import sample_graphs
from relposegnn.retrieval.graphs import VALIDATION, read_graphs, read_similarity
from relposegnn.retrieval.rankings import Ranking
from relposegnn.retrieval.validation import ValidationSettings, held_out_count, held_out_frames
from relposegnn.runtime import InputError

NEAREST = replace(PAPER, stride=1, drop_probability=0.0)


def write_inputs(folder, train, test, names=None, scene="chess"):
    """Write rankings (N, K) of both splits, and the frames file they belong to; return both."""
    rankings, frames = folder / "n.h5", folder / "f.h5"
    names = names or [f"seq-01/frame-{i:06}" for i in range(len(train))]
    splits = {"train": {"name": names}, "test": {"name": [f"seq-02/{i}" for i in range(len(test))]}}
    with create_hdf5(rankings, "neighbours", {}) as file:
        for split, index in (("train", train), ("test", test)):
            index = np.asarray(index)
            write_ranking(file, split, Ranking(index, 1 / (1 + index)))
            splits[split]["world_from_cam"] = np.tile(np.eye(4), (len(index), 1, 1))
    return rankings, write_frames_file(frames, **splits, scene=scene)


def sample(folder, settings, name="g", test=None, train_mix=0.0, validation=None):
    """Sample from the inputs of a folder; return the neighbours of both splits."""
    path, sampling = folder / f"{name}.h5", {"train": settings, "test": test or settings}
    sample_graphs(folder / "n.h5", folder / "f.h5", path, sampling, train_mix, validation)
    return [read_graphs(path, split)[1] for split in ("train", "test")]


def digests(neighbours):
    return [hashlib.sha256(split.tobytes()).hexdigest()[:16] for split in neighbours]


def test_files_without_a_mix_stay_what_they_were(tmp_path):
    write_inputs(tmp_path, random_rankings(0, 100, 100), random_rankings(1, 20, 60))

    def digests_of_some(neighbours):
        return digests([neighbours[0][:30], neighbours[1]])

    # As sampled by version 1, which had one setting for both splits.
    assert digests_of_some(sample(tmp_path, PAPER)) == ["b883195644cd8746", "a3e390a05613aedc"]
    # The splits do not touch each other.
    assert digests_of_some(sample(tmp_path, PAPER, test=NEAREST))[0] == "b883195644cd8746"
    assert digests_of_some(sample(tmp_path, PAPER, train_mix=0.5))[1] == "a3e390a05613aedc"


def test_the_similarity_of_the_best_ranked_image_is_told_of_test_queries_alone(tmp_path):
    test = random_rankings(1, 20, 60)
    write_inputs(tmp_path, random_rankings(0, 100, 100), test)
    sample(tmp_path, PAPER, validation=ValidationSettings(0.2, 5))
    similarity = read_similarity(tmp_path / "g.h5", "test")
    np.testing.assert_array_equal(similarity, (1 / (1 + test[:, 0])).astype(np.float32))
    assert {read_similarity(tmp_path / "g.h5", part) for part in ("train", VALIDATION)} == {None}
    with h5py.File(tmp_path / "n.h5", "r+") as file:
        file.attrs["settings"] = '{"index": "PCAW256,L2norm,Flat"}'
    sample(tmp_path, PAPER, "approximate")
    assert read_similarity(tmp_path / "approximate.h5", "test") is None  # no cosines
    with h5py.File(tmp_path / "g.h5", "r+") as file:
        del file["test/similarity"]
        file["test/similarity"] = similarity[1:]
    with pytest.raises(InputError, match=r"g\.h5: .*test/similarity"):
        read_similarity(tmp_path / "g.h5", "test")


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_share_of_the_training_graphs_is_nearest_and_the_others_stay(tmp_path, share):
    ranked = random_rankings(0, 400, 60)
    write_inputs(tmp_path, ranked, random_rankings(1, 20, 60))
    strided, test = sample(tmp_path, PAPER)
    found, same = sample(tmp_path, PAPER, train_mix=share)
    nearest = (found == ranked[:, :7]).all(axis=1)
    # 5 standard deviations of a binomial distribution.
    assert abs(nearest.sum() - 400 * share) <= 5 * np.sqrt(400 * share * (1 - share))
    np.testing.assert_array_equal(found[~nearest], strided[~nearest])
    np.testing.assert_array_equal(same, test)
    np.testing.assert_array_equal(sample(tmp_path, PAPER, train_mix=share)[0], found)


def test_which_graphs_are_nearest_differs_by_seed_and_scene(tmp_path):
    ranked, found = random_rankings(0, 60, 60), []
    for scene, seed in (("chess", 0), ("fire", 0), ("chess", 1)):
        write_inputs(tmp_path, ranked, ranked, scene=scene)
        train = sample(tmp_path, replace(PAPER, seed=seed), train_mix=0.5)[0]
        found.append((train == ranked[:, :7]).all(axis=1))
    assert (found[0] != found[1]).any()
    assert (found[0] != found[2]).any()


def test_the_nearest_have_no_ranking_too_short(tmp_path, caplog):
    ranked = random_rankings(0, 200, 40)  # most end before stride 5 yields 7 of them
    write_inputs(tmp_path, ranked, ranked)
    short = []
    for share in (0.0, 0.5, 1.0):
        caplog.clear()
        found = sample(tmp_path, PAPER, test=NEAREST, train_mix=share)[0]
        with open_hdf5(tmp_path / "g.h5", "graphs") as file:
            short.append(file["train"].attrs["rankings_too_short"])
            assert file["test"].attrs["rankings_too_short"] == 0
        assert ("chess, train: " in caplog.text) == (share < 1)
        assert "chess, test: " not in caplog.text
    np.testing.assert_array_equal(found, ranked[:, :7])
    assert short[0] > 190
    assert 70 < short[1] < 130
    assert short[2] == 0


def test_test_graphs_have_a_sampling_of_their_own(tmp_path):
    ranked = random_rankings(0, 80, 80)
    write_inputs(tmp_path, ranked, ranked)
    train, test = sample(tmp_path, PAPER, test=NEAREST, train_mix=0.25)
    np.testing.assert_array_equal(test, ranked[:, :7])
    assert (train != ranked[:, :7]).any(axis=1).sum() > 10
    with open_hdf5(tmp_path / "g.h5", "graphs") as file:
        settings = read_settings(file)
    samplings = {"train": asdict(PAPER), "test": asdict(NEAREST)}
    assert settings == {**samplings, "train_mix": 0.25, "validation": None}


@pytest.mark.parametrize("selection", ["random", "sequential"])
def test_a_mix_leaves_other_selections_alone(tmp_path, selection):
    write_inputs(tmp_path, random_rankings(0, 30, 29), random_rankings(1, 20, 30))
    settings = replace(PAPER, neighbours=4, selection=selection)
    assert digests(sample(tmp_path, settings, train_mix=1.0)) == digests(sample(tmp_path, settings))


def test_files_hold_indices_settings_and_repeat_by_seed(tmp_path):
    write_inputs(tmp_path, random_rankings(0, 100, 100), random_rankings(1, 20, 100))
    settings = replace(PAPER, neighbours=7, stride=5, seed=3)
    neighbours = sample(tmp_path, settings, name="a")[1]
    with open_hdf5(tmp_path / "a.h5", "graphs") as file:
        assert read_settings(file)["test"]["stride"] == 5
        assert file["test/query"][:].tolist() == list(range(20))
        assert file["test/query"].dtype == file["test/neighbours"].dtype == np.int32
    assert neighbours.shape == (20, 7)
    assert all(len(set(row)) == 7 for row in neighbours)
    np.testing.assert_array_equal(neighbours, sample(tmp_path, settings)[1])
    assert (neighbours != sample(tmp_path, replace(settings, seed=4))[1]).any()


def test_sampling_differs_by_scene_and_split(tmp_path):
    same, found = random_rankings(0, 100, 100), {}
    for scene in ("chess", "fire"):
        write_inputs(tmp_path, same, same, scene=scene)
        found[scene] = sample(tmp_path, PAPER)
    chess, fire = found.values()
    assert (chess[0] != chess[1]).any()
    assert (chess[0] != fire[0]).any()


def test_random_neighbours_are_any_but_the_query(tmp_path):
    write_inputs(tmp_path, random_rankings(0, 12, 11), random_rankings(1, 3000, 12))
    settings = replace(PAPER, neighbours=4, selection="random")
    train, test = sample(tmp_path, settings)
    assert not (train == np.arange(12)[:, None]).any()
    assert all(len(set(row)) == 4 for row in np.concatenate([train, test]).tolist())
    # Each of the 12 database images comes to each node of 3000 queries about 250 times.
    counts = np.stack([np.bincount(node, minlength=12) for node in test.T])
    assert np.abs(counts - 250).max() < 5 * np.sqrt(250)
    np.testing.assert_array_equal(sample(tmp_path, settings)[1], test)
    assert (sample(tmp_path, replace(settings, seed=1))[1] != test).any()


def test_sequential_neighbours_leave_out_the_query(tmp_path):
    # Query 4 is ranked next to 2, and lies in the sequence behind it; 0 is ranked next to 8.
    best = [8, 3, 4, 1, 2, 7, 4, 5, 6]
    write_inputs(tmp_path, np.array(best)[:, None], [[5], [2]], INTERLEAVED)
    train, test = sample(tmp_path, replace(PAPER, neighbours=3, selection="sequential"))
    assert train[4].tolist() == [2, 6, 8]
    assert train[0].tolist() == [8, 6, 4]
    assert train[2].tolist() == [4, 6, 8]
    assert test.tolist() == [[5, 7, 3], [2, 4, 6]]


def test_a_sequence_too_short_is_an_error(tmp_path):
    write_inputs(tmp_path, [[1]] + [[0]] * 8, [[1]], INTERLEAVED)
    with pytest.raises(InputError, match=r"sequence 'b' has 4 .* graphs.neighbours = 5"):
        sample(tmp_path, replace(PAPER, neighbours=5, selection="sequential"))
    assert not (tmp_path / "g.h5").exists()


@pytest.mark.parametrize("selection", ["strided", "random", "sequential"])
def test_a_scene_without_queries_has_no_test_graphs(tmp_path, selection):
    train = [[j for j in range(9) if j != i] for i in range(9)]
    write_inputs(tmp_path, train, np.empty((0, 8)))
    train, test = sample(tmp_path, replace(PAPER, neighbours=5, selection=selection))
    assert train.shape == (9, 5)
    assert test.shape == (0, 5)


@pytest.mark.parametrize("selection", ["strided", "random"])
def test_fewer_database_images_than_neighbours_is_an_error(tmp_path, selection):
    write_inputs(tmp_path, random_rankings(0, 7, 6), random_rankings(1, 4, 6))
    with pytest.raises(InputError, match=r"6 database images .* at least graphs.neighbours = 7"):
        sample(tmp_path, replace(PAPER, selection=selection))
    assert not (tmp_path / "g.h5").exists()


def test_rankings_of_other_frames_are_refused(tmp_path):
    write_inputs(tmp_path, random_rankings(0, 30, 20), random_rankings(1, 4, 20))
    (tmp_path / "other").mkdir()
    _, frames = write_inputs(tmp_path / "other", random_rankings(0, 30, 20), [])
    with pytest.raises(
        InputError, match=r"test\): has rankings for 4 frames, expected the 0 of .*f\.h5"
    ):
        sample_graphs(
            *(tmp_path / "n.h5", frames, tmp_path / "g.h5"),
            {"train": NEAREST, "test": NEAREST},
            train_mix=0.5,
            validation=None,
        )


def test_an_unknown_selection_is_refused(tmp_path):
    write_inputs(tmp_path, random_rankings(0, 9, 8), random_rankings(1, 4, 8))
    with pytest.raises(InputError, match=r"graphs.selection is 'best', expected strided"):
        sample(tmp_path, replace(PAPER, neighbours=3, selection="best"))


@pytest.mark.parametrize("settings", [NEAREST, replace(NEAREST, selection="random")])
def test_held_out_stretches_are_in_no_training_graph(tmp_path, settings):
    rankings = [[j for j in row if j != i] for i, row in enumerate(random_rankings(0, 60, 60))]
    write_inputs(tmp_path, rankings, random_rankings(1, 4, 60))
    held_out = ValidationSettings(share=0.25, stretch=5)
    train, test = sample(tmp_path, settings, validation=held_out)
    path = tmp_path / "g.h5"
    query, _ = read_graphs(path, "train")
    validation, neighbours = read_graphs(path, VALIDATION)
    assert len(validation) == 15
    assert sorted([*query, *validation]) == list(range(60))
    stretches = validation.reshape(3, 5)
    assert (stretches % 5 == np.arange(5)).all()  # whole ones
    assert not np.isin(train, validation).any()
    assert not np.isin(neighbours, validation).any()
    assert np.isin(test, validation).any() or settings.selection == "random"
    if settings.selection == "strided":
        for row, chosen in zip(validation, neighbours, strict=True):
            allowed = [image for image in rankings[row] if image not in validation]
            assert chosen.tolist() == allowed[: len(chosen)]


@pytest.mark.parametrize(
    ("count", "share", "stretch", "held_out"),
    [(40, 0.25, 10, 10), (45, 0.9, 20, 40), (40, 0.9, 20, 20), (12, 0.5, 9, 9), (9, 1, 9, 0)],
)
def test_whole_stretches_are_held_out_and_something_is_left(count, share, stretch, held_out):
    settings = ValidationSettings(share, stretch)
    found = held_out_frames(count, settings, np.random.default_rng(count))
    assert found.sum() == held_out_count(count, settings) == held_out
    whole = found[: count // stretch * stretch].reshape(-1, stretch)
    assert (whole.all(axis=1) == whole.any(axis=1)).all()


def test_without_validation_graphs_are_as_without_the_setting(tmp_path):
    rankings = [[j for j in row if j != i] for i, row in enumerate(random_rankings(0, 12, 12))]
    write_inputs(tmp_path, rankings, random_rankings(1, 4, 12))
    plain = sample(tmp_path, NEAREST)
    few = sample(tmp_path, NEAREST, validation=ValidationSettings(share=0.05, stretch=20))
    assert all((a == b).all() for a, b in zip(plain, few, strict=True))
    assert len(read_graphs(tmp_path / "g.h5", VALIDATION)[0]) == 0


def test_too_much_held_out_leaves_too_few_to_choose_from(tmp_path):
    rankings = [[j for j in row if j != i] for i, row in enumerate(random_rankings(0, 12, 12))]
    write_inputs(tmp_path, rankings, random_rankings(1, 4, 12))
    with pytest.raises(InputError, match=r"train\): . database images to choose from"):
        sample(tmp_path, NEAREST, validation=ValidationSettings(share=0.5, stretch=9))
