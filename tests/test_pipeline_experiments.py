"""Runs and experiments expanded from scenes."""

from relposegnn.pipeline.experiments import (
    EXPERIMENTS,
    GENERAL,
    UNSEEN,
    experiments,
    general_runs,
    published_runs,
    trained_experiment,
    trained_runs,
)

SCENES = ["chess", "fire", "heads"]


def test_runs_are_trained_on_what_their_names_say():
    runs = trained_runs(SCENES, [0], {"stride-1": [0]})
    assert runs["joint"].scenes == runs["stride-1"].scenes == SCENES
    assert runs["without-fire"].scenes == ["chess", "heads"]
    assert runs["only-fire"].scenes == ["fire"]
    assert len(runs) == 1 + 3 + 3 + 1


def test_a_seed_that_is_added_leaves_the_runs_before_as_they_are():
    few, more = trained_runs(SCENES, [4]), trained_runs(SCENES, [4, 0], {"wide": [7, 4]})
    assert few.items() < more.items()
    assert more["joint-seed0"] == (SCENES, "joint", 0)
    assert more["only-fire-seed0"] == (["fire"], "only-fire", 0)
    assert (more["wide"].seed, more["wide-seed4"]) == (7, (SCENES, "wide", 4))
    assert len(more) == 2 * (1 + 3 + 3) + 2


def test_one_scene_cannot_be_left_out():
    assert trained_runs(["chess"], [0]).keys() == {"joint", "only-chess"}


def test_no_scene_is_tested_with_a_model_that_should_not_have_seen_it():
    runs = trained_runs(SCENES, [0])
    tables = experiments(SCENES)
    assert all(scene not in runs[run].scenes for scene, run in tables["leave_one_out"].items())
    assert all(runs[run].scenes == [scene] for scene, run in tables["single_scene"].items())


def test_published_experiments_are_the_trained_ones_with_published_runs():
    runs, tables = published_runs(SCENES), experiments(SCENES)
    assert list(tables) == list(EXPERIMENTS)
    assert set(tables["published"].values()) == {"published-joint"}
    assert runs[tables["published_leave_one_out"]["fire"]] == ("leave_one_out", "fire")
    assert runs[tables["published_single_scene"]["heads"]] == ("single_scene", "heads")
    assert {run for table in tables.values() for run in table.values()} == {
        *runs,
        *trained_runs(SCENES, [0]),
        GENERAL,
    }


def test_every_experiment_has_an_experiment_that_trained_its_models():
    trained = {name: trained_experiment(name) for name in EXPERIMENTS}
    assert {name for name, own in trained.items() if name == own} == {
        *("joint", "leave_one_out", "single_scene", UNSEEN)
    }
    assert trained["published"] == "joint"
    assert trained["published_leave_one_out"] == "leave_one_out"
    assert trained["published_single_scene"] == "single_scene"


def test_the_general_network_is_tested_on_every_scene_and_trained_on_none():
    assert experiments(SCENES)[UNSEEN] == dict.fromkeys(SCENES, GENERAL)
    assert GENERAL not in trained_runs(SCENES, [0, 1], {"wide": [0]})


def test_general_networks_of_several_seeds_are_runs_of_their_own():
    assert general_runs(["a.pt"]) == {"general": "a.pt"}
    runs = general_runs(["a.pt", "b.pt", "c.pt"])
    assert runs == {"general": "a.pt", "general-seed1": "b.pt", "general-seed2": "c.pt"}
