import math
import re
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from project import REPOSITORY
from test_photos_place import place_in, write_calibration

from relposegnn.photos import chosen_place, command, localising
from relposegnn.photos.chosen_place import find_place
from relposegnn.photos.command import main
from relposegnn.photos.place import write_place
from relposegnn.runtime import InputError


@pytest.fixture
def results(tmp_path):
    """Return a dataset's results with the scene "study" and the run "joint", described alone."""
    folder = tmp_path / "results/made"
    write_place(folder / "runs/joint/places/study.json", place_in(tmp_path))
    write_calibration(place_in(tmp_path).calibration)
    return folder


def test_place_is_found_by_scene_and_run(results, tmp_path, monkeypatch):
    assert find_place(results, "study", "joint") == results / "runs/joint/places/study.json"
    monkeypatch.chdir(tmp_path)
    found = find_place(None, "study", "joint")
    assert found.resolve() == results / "runs/joint/places/study.json"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scene", "attic"], "results: has no scene 'attic' .* found the scenes: study; "),
        (
            ["--scene", "attic", "--results", "results/made"],
            "results/made: has no scene 'attic' .* found the scenes: study; ",
        ),
        (["--scene", "study", "--run", "only"], "with a run 'only'.* and the runs: joint"),
        (["--scene", "study", "--results", "nowhere"], "nowhere: has no scene .* scenes: none"),
        (["--scene", "study", "--results", "results/made"], "photos: no such file or folder"),
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


def test_two_datasets_with_the_scene_are_a_question(results, tmp_path, monkeypatch):
    write_place(results.parent / "other/runs/joint/places/study.json", place_in(results))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"several folders: .*made.*other; choose one with --res"):
        find_place(None, "study", "joint")


@pytest.fixture
def asked(results, tmp_path, monkeypatch):
    """Run in the project's folder; return the arguments of the localisation, which is pretended."""
    asked = []

    def pretend(*arguments):
        asked.append(arguments)
        numbers = {"tx": [1.234], "ty": [2.0], "tz": [0.5], "confidence": [0.777]}
        numbers |= {"sigma_m": [0.01234], "sigma_deg": [0.567], "spread_m": [9.0]}
        numbers["similarity"] = [math.nan if arguments[1].name == "bad" else 0.9]
        return pd.DataFrame({"image": ["a.jpg"], **numbers, "accepted": [True]})

    monkeypatch.setattr(localising, "localise_photos", pretend)
    monkeypatch.chdir(tmp_path)
    return asked


def test_table_and_files_are_printed(asked, capsys):
    arguments = ["mine", "--scene", "study", "--output", "out", "--device", "cpu"]
    assert main([*arguments, "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    header, row = next(pair for pair in pairwise(lines) if "image" in pair[0])
    columns = ["image", "tx", "ty", "tz", "sigma_m", "sigma_deg", "confidence", "accepted"]
    assert header == columns
    assert row == ["a.jpg", "1.23", "2.00", "0.50", "0.012", "0.57", "0.78", "True"]
    assert "by the network alone: median error 0.080 m, 1.50 degrees (200 images)" in printed
    assert "In out:" in printed
    place, photos, output, device, workers, focal_length, formats = asked[0]
    assert place == place_in(Path())
    assert (str(photos), str(output), str(device), workers) == ("mine", "out", "cpu", 1)
    assert (focal_length, formats) == (None, [])


def test_photos_that_cannot_be_read_are_counted_and_end_in_1(asked, capsys):
    assert main(["bad", "--scene", "study", "--output", "out", "--device", "cpu"]) == 1
    printed = capsys.readouterr()
    assert "In out:" in printed.out
    assert "localise: bad: 1 of 1 photos cannot be read and have no pose" in printed.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_words(asked, monkeypatch, capsys, number):
    """By way of an exception, so that a map's temporary files go, and a stream's poses are kept."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    monkeypatch.setattr(localising, "localise_photos", lambda *_: signal.raise_signal(number))
    try:
        assert main(["mine", "--scene", "study", "--device", "cpu", "--workers", "1"]) == 1
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert capsys.readouterr().err.endswith("localise: interrupted\n")


def test_options_override_the_place(asked):
    arguments = ["mine", "--scene", "study", "--device", "cpu", "--workers", "1"]
    assert main([*arguments, "--min-confidence", "0", "--netvlad", "other.tar"]) == 0
    expected = replace(place_in(Path()), describer=Path("other.tar"), minimum_confidence=0)
    assert asked[0][0] == expected


def test_a_map_is_prepared_with_the_model_asked_for(asked, tmp_path, monkeypatch):
    prepared = []

    def pretend(*arguments):
        prepared.append(arguments)
        return tmp_path / "results/made/runs/joint/places/study.json"

    monkeypatch.setattr(chosen_place, "prepare_place", pretend)
    monkeypatch.setattr(command, "find_photos", lambda photos, tell: [str(photos)])
    given = ["--model", "mine.pt", "--lost-poses", "leave_out", "--database-focal-length", "0.8"]
    for more, *expected in (([], None, None, None), (given, Path("mine.pt"), "leave_out", 0.8)):
        model, *told = expected
        arguments = ["mine", "--map", "attic", "--device", "cpu", "--workers", "3", *more]
        assert main(arguments) == 0
        assert prepared.pop() == (Path("attic"), model, 3, *told)
    assert asked[0][0] == place_in(tmp_path)


def test_a_place_without_its_calibration_is_told(results, tmp_path, monkeypatch, capsys):
    place_in(tmp_path).calibration.unlink()
    monkeypatch.chdir(tmp_path)
    assert main(["photos", "--scene", "study", "--device", "cpu"]) == 1
    assert "study.json: cannot be read as a calibration" in capsys.readouterr().err


def test_focal_length_is_handed_over(asked, capsys):
    arguments = ["mine", "--scene", "study", "--device", "cpu", "--workers", "1"]
    assert main([*arguments, "--focal-length", "0.72"]) == 0
    assert asked[0][5] == 0.72
    for wrong in ("0", "-1", "nan", "inf", "28mm", "28", "1e9"):
        with pytest.raises(SystemExit):
            main([*arguments, f"--focal-length={wrong}"])
        assert f"got {wrong}, expected 0.1 to 10 longer sides" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[""], ["mine", "--output="], ["--watch", ""]])
def test_an_empty_path_is_not_the_folder_here(arguments, capsys):
    with pytest.raises(SystemExit):
        main([*arguments, "--scene", "study"])
    assert "got nothing, expected a path" in capsys.readouterr().err


def test_formats_are_handed_over_and_told(asked, capsys):
    arguments = ["mine", "--scene", "study", "--device", "cpu", "--workers", "1"]
    assert main([*arguments, "--format", "ace", "--format", "colmap"]) == 0
    assert asked[0][6] == ["ace", "colmap"]
    printed = capsys.readouterr().out
    for file in ("ace.txt", "colmap/"):
        assert f"  {file:<12} accepted photos" in printed
    with pytest.raises(SystemExit):
        main([*arguments, "--format", "bundler"])
    assert "invalid choice: 'bundler'" in capsys.readouterr().err


def test_command_at_the_root(results, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    arguments = [sys.executable, str(REPOSITORY / "localise"), "photos", "--scene", "attic"]
    run = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert "results: has no scene 'attic'" in run.stderr
    assert "Traceback" not in run.stderr
