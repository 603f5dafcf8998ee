"""Runs and experiments expanded from scenes."""

from relposegnn.experiments import experiments, published_runs, trained_runs

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
    assert tables.keys() == {
        *("joint", "leave_one_out", "single_scene"),
        *("published", "published_leave_one_out", "published_single_scene"),
    }
    assert set(tables["published"].values()) == {"published-joint"}
    assert runs[tables["published_leave_one_out"]["fire"]] == ("leave_one_out", "fire")
    assert runs[tables["published_single_scene"]["heads"]] == ("single_scene", "heads")
    assert {run for table in tables.values() for run in table.values()} == {
        *runs,
        *trained_runs(SCENES),
    }
