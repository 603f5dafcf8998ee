"""What runs again after changed settings, code or files and after a kill: no more than has to."""

import json
import os
import re
import signal
import subprocess
import time

import pandas as pd
import pytest
from workflow_rules import CALIBRATED, FROM_TRAINING, GRAPHS, PROVENANCE, SHOWN, TOLD

pytestmark = pytest.mark.slow


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("graphs={stride: 1}", GRAPHS | FROM_TRAINING),
        ("graphs={train_mix: 0.4}", GRAPHS | FROM_TRAINING),
        ("graphs={test: null}", GRAPHS | FROM_TRAINING),
        (  # both splits swapped: Snakemake compares params without their names
            "graphs={stride: 1, drop_probability: 0.0, test: {stride: 2, drop_probability: 0.5}}",
            GRAPHS | FROM_TRAINING,
        ),
        ("training={learning_rate: 0.002}", FROM_TRAINING),
        ("training={seeds: [0], decay_epochs: 7}", set()),  # as before, and not read by cosine
        ("model={width: 24}", FROM_TRAINING),
        ("model={encoder: sift, positions: rays, rotation_from_field: false}", set()),
        ("localization={refinement: none}", SHOWN | {"calibrate_errors", "describe_place"}),
        (
            "localization={left_out: 11}",
            {"sample_left_out", "describe_place", *SHOWN, *CALIBRATED},
        ),
        ("photos={within: [0.5, 20.0]}", {"describe_place"}),
        ("evaluation={recall: [[0.5, 10.0]]}", {"tabulate_experiment"}),
        (
            "retrieval={candidates: 8}",
            {"rank_neighbours"} | GRAPHS | FROM_TRAINING,
        ),
    ],
)
def test_a_changed_setting_reruns_what_depends_on_it(finished, setting, expected):
    told = TOLD if expected else set()
    assert finished.planned("--config", setting).keys() == expected | told


def test_a_seed_that_is_added_trains_its_own_run_alone(finished):
    planned = finished.planned("--config", "training={seeds: [0, 3]}")
    assert planned.pop("train_model") == 1
    each = dict.fromkeys(("predict_poses", "refine_poses", "score_poses", *CALIBRATED), 2)
    assert planned == {**each, "tabulate_experiment": 1, **dict.fromkeys(TOLD, 1)}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("network/pose_network", FROM_TRAINING),
        ("figures/trajectories", {"plot_trajectories"}),
        ("retrieval/quality", {"measure_retrieval", "tabulate_retrieval"}),
    ],
)
def test_changed_code_reruns_what_runs_it_and_what_follows(edited, module, expected):
    file = edited.folder / f"workflow/scripts/relposegnn/{module}.py"
    text = file.read_text()
    file.write_text(text + "\n\n# A comment.\nUNUSED = 1\n")
    assert edited.planned() == {}
    file.write_text(text + "\n\nassert True, 'runs when the module is imported'\n")
    assert edited.planned().keys() == expected | TOLD


def test_comments_and_docstrings_in_scripts_rerun_nothing(edited):
    for script in (edited.folder / "workflow" / "scripts").glob("*.py"):
        script.write_text('"""Another docstring."""\n# A comment.\n' + script.read_text())
    assert edited.planned() == {}


def test_a_result_that_was_changed_by_hand_is_told(edited):
    file = edited.folder / "results/synthetic/provenance.json"
    before, table = file.read_bytes(), edited.folder / "results/synthetic/tables/joint.md"
    edited.run("--forcerun", PROVENANCE)
    assert file.read_bytes() == before  # in another folder, at another time
    table.write_text(table.read_text() + "ours is best\n")
    assert edited.planned() == dict.fromkeys(TOLD, 1)
    assert "tables/joint.md: has changed since it was written" in edited.run()
    assert json.loads(file.read_text())["differing"].keys() == {"results/synthetic/tables/joint.md"}


def test_what_follows_frames_reruns_where_images_changed(edited):
    """Not by the folder's date, as a stray file leaves it."""
    edited.edit("tiny.yaml", "rendering:", "scenes_dir: resources/synthetic/scenes\nrendering:")
    study = edited.folder / "resources/synthetic/scenes/study"
    for folder in (study, study.with_name("workshop")):
        (folder / ".snakemake_timestamp").unlink()  # as in a folder that a user has made
    edited.run("--", "descriptors")
    (study / ".DS_Store").touch()
    assert edited.planned("--", "frames")["pack_frames"] == 1
    edited.run("--", "frames")
    assert edited.planned("--", "descriptors") == {}
    first = min(study.rglob("*.color.*"))
    first.write_bytes(first.read_bytes() + b"more")
    (study / ".DS_Store").unlink()
    edited.run("--", "frames")
    planned = edited.planned("--", "descriptors")
    assert planned == {"fit_vocabulary": 1, "describe_frames": 1, "descriptors": 1}


def test_a_touched_input_reruns_nothing(edited):
    for path in (edited.folder / "resources").rglob("*.zip"):
        path.touch()
    (edited.folder / "results/synthetic/graphs/study.h5").touch()
    assert edited.planned() == {}


def test_two_processes_train_on_gpus_asked_for_and_another_number_reruns_nothing(
    edited, monkeypatch
):
    monkeypatch.setenv("RELPOSEGNN_DEVICE", "cpu")
    asked, enough = ("--set-resources", "train_model:gpu=2"), ("--resources", "gpu=2")
    assert edited.planned(*enough, *asked) == {}
    assert "all jobs together may have 1, expected at least 2" in edited.run(*asked, expect=1)
    model = "results/synthetic/runs/joint/model.pt"
    history = edited.folder / "results/synthetic/runs/joint/training.csv"
    one = pd.read_csv(history)
    edited.run(*enough, *asked, "--forcerun", "train_model", "--", model)
    log = (edited.folder / "results/synthetic/logs/train_model/joint.log").read_text()
    assert "starting 2 processes" in log
    columns = ["learning_rate", "train_translation_loss", "train_rotation_loss"]
    pd.testing.assert_frame_equal(pd.read_csv(history)[columns], one[columns], rtol=0.05)


@pytest.mark.parametrize("kill", [os.killpg, os.kill])
def test_a_killed_training_resumes_in_the_workflow(edited, kill):
    """SIGKILL takes Snakemake, with or without its job; the next run goes on from the last epoch.

    A job that is left alone ends by itself, and the next run waits for that.
    """
    edited.edit("tiny.yaml", "epochs: 2", "epochs: 7")
    model = "results/synthetic/runs/joint/model.pt"
    running = subprocess.Popen(
        edited.command("--", model), cwd=edited.folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    state = edited.folder / f"{model}.ckpt" / "last.pt"
    waited = time.monotonic() + 120
    while not state.exists() and running.poll() is None and time.monotonic() < waited:
        time.sleep(0.05)
    kill(running.pid, signal.SIGKILL)
    running.wait()
    assert state.exists()
    edited.run("--unlock")
    assert re.search(r"resuming after epoch \d+ of 7", edited.run("--", model))
    history = pd.read_csv(edited.folder / "results/synthetic/runs/joint/training.csv")
    assert history["epoch"].tolist() == list(range(7))
