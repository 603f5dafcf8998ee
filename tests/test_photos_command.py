import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import write_tiny_scene
from PIL import Image
from project import REPOSITORY

from relposegnn.graphs import SamplingSettings, write_split
from relposegnn.photos import localising
from relposegnn.photos.command import find_place, find_results, main
from relposegnn.runtime import InputError
from relposegnn.storage import create_hdf5

SETTINGS = {"neighbours": 4, "stride": 2, "drop_probability": 0.1, "seed": 3}


def write_graphs(path, settings, neighbours):
    path.parent.mkdir(parents=True, exist_ok=True)
    with create_hdf5(path, "graphs", settings) as file:
        write_split(file, "test", np.arange(2), np.zeros((2, neighbours), int))


@pytest.fixture
def results(tmp_path):
    """Return a dataset's results with the scene "study" and the run "joint"."""
    folder = tmp_path / "results/made"
    for name in ("frames", "runs/joint", "vocabularies", "neighbours"):
        (folder / name).mkdir(parents=True)
    write_tiny_scene(folder, "study").frames.rename(folder / "frames/study.h5")
    with create_hdf5(folder / "descriptors/study.h5", "descriptors", {"descriptor": "vlad"}):
        pass
    write_graphs(folder / "graphs/study.h5", SETTINGS, 4)
    with create_hdf5(folder / "neighbours/study.h5", "neighbours", {"candidates": 31}):
        pass
    (folder / "runs/joint/model.pt").touch()
    (folder / "vocabularies/study.npz").touch()
    return folder


def test_place_is_found_by_the_layout(results):
    place = find_place(results, "study", "joint")
    assert place.model == results / "runs/joint/model.pt"
    assert place.vocabulary == results / "vocabularies/study.npz"
    assert place.netvlad is None
    assert place.sampling == SamplingSettings(**SETTINGS)
    assert place.candidates == 31


def test_a_variant_has_graphs_of_its_own(results):
    (results / "runs/wide").mkdir()
    (results / "runs/wide/model.pt").touch()
    assert find_place(results, "study", "wide").sampling == SamplingSettings(**SETTINGS)
    own = {**SETTINGS, "neighbours": 6, "selection": "sequential"}
    write_graphs(results / "graphs/wide/study.h5", own, 6)
    assert find_place(results, "study", "wide").sampling == SamplingSettings(**own)


def test_checkpoint_is_the_recorded_one(results, tmp_path):
    settings = {"descriptor": "netvlad", "checkpoint": "netvlad.tar"}
    with create_hdf5(results / "descriptors/study.h5", "descriptors", settings):
        pass
    place = find_place(results, "study", "joint")
    assert place.netvlad == tmp_path / "resources/weights/netvlad.tar"
    assert place.vocabulary is None
    assert find_place(results, "study", "joint", tmp_path / "other").netvlad == tmp_path / "other"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scene", "attic"], "has no scene 'attic'; there are: study"),
        (["--scene", "attic", "--results", "results/made"], "frames/attic.h5: no such file.*study"),
        (["--scene", "study", "--run", "only"], r"runs/only/model.pt: no such.*\(run\): joint"),
        (["--scene", "study", "--results", "nowhere"], "nowhere: no such folder"),
        (["--scene", "study", "--results", "results/made"], "photos: no such folder"),
    ],
)
def test_what_is_missing_is_told_with_what_there_is(
    results, tmp_path, monkeypatch, capsys, options, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["photos", *options, "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("localise: ")
    assert re.search(message, error)


def test_two_datasets_with_the_scene_are_a_question(results):
    (results.parent / "other/frames").mkdir(parents=True)
    (results.parent / "other/frames/study.h5").touch()
    with pytest.raises(InputError, match=r"several folders: .*made.*other; choose one with --res"):
        find_results(results.parent, "study")


def test_table_and_files_are_printed(results, tmp_path, monkeypatch, capsys):
    asked = SimpleNamespace()

    def pretend(*files, **options):
        asked.files, asked.options = files, options
        numbers = {"tx": [1.234], "ty": [2.0], "tz": [0.5], "confidence": [0.777]}
        return pd.DataFrame({"image": ["a.jpg"], **numbers, "accepted": [True]})

    monkeypatch.setattr(localising, "localise_photos", pretend)
    monkeypatch.chdir(tmp_path)
    arguments = ["mine", "--scene", "study", "--output", "out", "--min-confidence", "0.5"]
    assert main([*arguments, "--device", "cpu", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "a.jpg 1.23 2.00 0.50       0.78      True" in printed
    assert "In out:" in printed
    assert asked.options["minimum_confidence"] == 0.5
    assert asked.files[6] == SamplingSettings(**SETTINGS)
    assert [path.name for path in asked.files[4]] == [
        *("poses.csv", "poses.txt", "images.txt", "photos.png")
    ]


def test_command_at_the_root(results, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    command = [sys.executable, str(REPOSITORY / "localise"), "photos", "--scene", "attic"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert "results: has no scene 'attic'; there are: study" in run.stderr
    assert "Traceback" not in run.stderr
