"""Runs and experiments expanded from scenes."""

from relposegnn.experiments import (
    EXPERIMENTS,
    experiments,
    published_runs,
    trained_experiment,
    trained_runs,
)

SCENES = ["chess", "fire", "heads"]


def test_runs_are_trained_on_what_their_names_say():
    runs = trained_runs(SCENES, ["stride-1"])
    assert runs["joint"] == runs["stride-1"] == SCENES
    assert runs["without-fire"] == ["chess", "heads"]
    assert runs["only-fire"] == ["fire"]
    assert len(runs) == 1 + 3 + 3 + 1


def test_one_scene_cannot_be_left_out():
    assert trained_runs(["chess"]).keys() == {"joint", "only-chess"}


def test_no_scene_is_tested_with_a_model_that_should_not_have_seen_it():
    runs = trained_runs(SCENES)
    tables = experiments(SCENES)
    assert all(scene not in runs[run] for scene, run in tables["leave_one_out"].items())
    assert all(runs[run] == [scene] for scene, run in tables["single_scene"].items())


def test_published_experiments_are_the_trained_ones_with_published_runs():
    runs, tables = published_runs(SCENES), experiments(SCENES)
    assert list(tables) == list(EXPERIMENTS)
    assert set(tables["published"].values()) == {"published-joint"}
    assert runs[tables["published_leave_one_out"]["fire"]] == ("leave_one_out", "fire")
    assert runs[tables["published_single_scene"]["heads"]] == ("single_scene", "heads")
    assert {run for table in tables.values() for run in table.values()} == {
        *runs,
        *trained_runs(SCENES),
    }


def test_every_experiment_has_an_experiment_that_trained_its_models():
    trained = {name: trained_experiment(name) for name in EXPERIMENTS}
    assert {name for name, own in trained.items() if name == own} == {
        *("joint", "leave_one_out", "single_scene")
    }
    assert trained["published"] == "joint"
    assert trained["published_leave_one_out"] == "leave_one_out"
    assert trained["published_single_scene"] == "single_scene"
