"""Places without training: what is asked of a user, and what the pipeline is asked for."""

import logging
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import h5py
import pytest
from configurations import validated
from conftest import write_tiny_scene
from planted_scenes import write_walk
from snakemake.common.configfile import load_configfile

from relposegnn.photos import preparing
from relposegnn.photos.command import main
from relposegnn.photos.preparing import PROJECT, prepare_place
from relposegnn.pipeline.configuration_files import check_file
from relposegnn.runtime import InputError
from relposegnn.scores.error_growth import FEWEST


@pytest.fixture
def asked(monkeypatch):
    """Return the commands that would run, with their settings; none does. The first fails."""
    commands = []

    def pretend(command, _):
        file = Path(command[command.index("--configfile") + 1])
        check_file(file)
        commands.append((command, load_configfile(file), file))
        return int(len(commands) == 1)

    monkeypatch.setattr(preparing, "_run_to_its_end", pretend)
    monkeypatch.setattr(preparing, "_refusal", lambda _: "")
    return commands


@pytest.fixture
def model(tmp_path):
    """Return the file of a general network; nobody reads it here."""
    (tmp_path / "general.pt").touch()
    return tmp_path / "general.pt"


def test_a_folder_that_is_not_there_is_told(tmp_path, model, asked):
    with pytest.raises(InputError, match=r"nowhere: no such folder, expected a folder of images"):
        prepare_place(tmp_path / "nowhere", model, 1)
    with pytest.raises(InputError, match=r"general\.pt: is a file, expected a folder of images"):
        prepare_place(model, model, 1)
    assert not asked


@pytest.mark.parametrize("name", ["my attic", "_attic", "Küche", "-n", ".attic"])
def test_a_name_that_no_scene_can_have_is_told(tmp_path, model, asked, name):
    (tmp_path / name).mkdir()
    with pytest.raises(
        InputError, match=rf"{name}: its name becomes the place's name, expected up to 100 letters"
    ):
        prepare_place(tmp_path / name, model, 1)
    assert not asked


def test_without_a_general_network_it_is_told_how_to_get_one(tmp_path, asked, monkeypatch):
    (tmp_path / "attic").mkdir()
    message = r'{}\.pt: no such file.*"make general-model", or name its file with --model'
    with pytest.raises(InputError, match=message.format("gone")):
        prepare_place(tmp_path / "attic", tmp_path / "gone.pt", 1)
    monkeypatch.setattr(preparing, "MODEL", tmp_path / "usual.pt")
    with pytest.raises(InputError, match=message.format("usual")):
        prepare_place(tmp_path / "attic", None, 1)
    assert not asked


@pytest.mark.parametrize("count", [1, FEWEST - 1])
def test_a_place_of_few_images_is_told_at_once(tmp_path, model, asked, count):
    write_walk(tmp_path / "attic", count, 2)
    told = f"attic: {count} images with poses, expected at least {FEWEST}"
    with pytest.raises(InputError, match=told):
        prepare_place(tmp_path / "attic", model, 1)
    assert not asked


def test_a_step_that_fails_says_that_finished_ones_are_kept(tmp_path, model, asked):
    write_walk(tmp_path / "attic", FEWEST, 0)
    with pytest.raises(
        InputError,
        match=r"attic: this place could not be prepared.*are kept.*--database-focal-length",
    ):
        prepare_place(tmp_path / "attic", model, 1)
    assert len(asked) == 1


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return the folder of a project without results, in which places are made."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "config").symlink_to(PROJECT / "config")
    (folder / "Snakefile").touch()
    monkeypatch.setattr(preparing, "PROJECT", folder)
    return folder


def test_a_folder_where_another_run_is_at_work_is_told(tmp_path, model, asked, project):
    write_walk(tmp_path / "attic", FEWEST, 0)
    (project / ".snakemake/locks").mkdir(parents=True)
    (project / ".snakemake/locks/0.input.lock").touch()
    message = f"another run is at work in {project}, or was killed there.* --unlock unlocks"
    with pytest.raises(InputError, match=message):
        prepare_place(tmp_path / "attic", model, 1)


@pytest.mark.parametrize("changed", ["train.csv", "seq-train/frame-000003"])
def test_a_place_is_made_again_if_an_image_or_a_list_of_them_is_newer(
    changed, tmp_path, model, asked, project, caplog
):
    images = write_walk(tmp_path / "attic", FEWEST, 0)
    frames, packed = project / "results/maps/frames/attic.h5", 1e9
    frames.parent.mkdir(parents=True)
    write_tiny_scene(tmp_path, "attic").frames.rename(frames)
    os.utime(frames, (packed, packed))
    (images / "seq-train").mkdir()
    (images / "seq-train/frame-000003").touch()
    for path in ("train.csv", "seq-train/frame-000003"):
        os.utime(images / path, (packed - 1, packed - 1))
    asked.append(None)
    caplog.set_level(logging.INFO)
    for date, again in ((packed - 1, False), (packed + 1, True), (time.time() + 3600, False)):
        caplog.clear()
        os.utime(images / changed, (date, date))
        prepare_place(images, model, 1)
        forced = " ".join(asked[-1][0]).partition(" --forcerun ")[2]
        assert forced.startswith("pack_frames --") == again
        assert (f"{changed}: is newer than the place made of it" in caplog.text) == again


def test_frames_of_another_version_are_made_again(tmp_path, model, asked, project):
    images = write_walk(tmp_path / "attic", FEWEST, 0)
    frames = project / "results/maps/frames/attic.h5"
    frames.parent.mkdir(parents=True)
    write_tiny_scene(tmp_path, "attic").frames.rename(frames)
    with h5py.File(frames, "a") as file:
        file.attrs["schema"] = "0.1"
    asked.append(None)
    prepare_place(images, model, 1)
    assert "results/maps/runs/general/places/attic.json" in asked[-1][0]


@pytest.mark.slow
def test_what_the_workflow_refuses_is_told(tmp_path, model):
    write_walk(tmp_path / "{house}/attic", FEWEST, 0)
    message = (
        r"could not be prepared, because Snakemake refuses it:\nThe configuration cannot be used:\n"
        r"scenes_dir: got .*\{house\}, expected a path without braces.*\nCorrect it and run"
    )
    with pytest.raises(InputError, match=message):
        prepare_place(tmp_path / "{house}/attic", model, 1)


def test_without_the_workflow_no_place_is_made(tmp_path, model, asked, monkeypatch):
    write_walk(tmp_path / "attic", FEWEST, 0)
    monkeypatch.setattr(preparing, "PROJECT", tmp_path / "site-packages")
    with pytest.raises(InputError, match="site-packages: has no Snakefile, expected a clone"):
        prepare_place(tmp_path / "attic", model, 1)
    with pytest.raises(InputError, match=r"study\.map: no such folder, expected .* a file that"):
        prepare_place(tmp_path / "study.map", model, 1)  # misspelt
    assert not asked


ENDING = """
import pathlib, signal, sys, time
told = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGINT, lambda *_: told.write_text(told.read_text() + "ended once"))
told.write_text("")
while not told.read_text():
    time.sleep(0.05)
time.sleep(0.6)  # longer than subprocess would wait for
told.write_text(told.read_text() + ", with no lock left")
"""


def test_an_interrupted_run_is_waited_for(tmp_path):
    told, sender = tmp_path / "told", threading.Event()

    def interrupt():
        while not told.exists():
            sender.wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            preparing._run_to_its_end([sys.executable, "-c", ENDING, str(told)], os.environ)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert told.read_text() == "ended once, with no lock left"


def test_the_pipeline_is_asked_for_the_place_alone(tmp_path, model, asked, monkeypatch):
    """With settings that are valid, of absolute paths: it runs in the project's folder."""
    write_walk(tmp_path / "Attic-2", FEWEST, 0)
    monkeypatch.chdir(tmp_path)
    asked.append(None)  # no failure
    place = prepare_place(Path("Attic-2"), Path("general.pt"), 3)
    command, settings, file = asked[1]
    assert not file.exists()
    assert command[:3] == [sys.executable, "-m", "snakemake"]
    assert place == PROJECT / command[3]
    assert command[3] == "results/maps/runs/general/places/Attic-2.json"
    assert command[command.index("--cores") + 1] == "3"
    config = validated(settings)
    assert config["scenes"] == ["Attic-2"]
    assert config["general"]["models"] == [str(model)]
    assert Path(config["scenes_dir"]).resolve() == tmp_path


@pytest.mark.parametrize(
    "name",
    ["house #2", "café", 'say "hi"', "it's", "back\\slash", "a: b", "- [x", "$HOME %s"],
)
def test_a_folder_of_any_name_is_the_one_that_is_read(tmp_path, asked, name):
    write_walk(tmp_path / name / "attic", FEWEST, 0)
    model = tmp_path / name / "general.pt"
    model.touch()
    asked.append(None)
    prepare_place(tmp_path / name / "attic", model, 1)
    config = validated(asked[1][1])
    assert Path(config["scenes_dir"]).resolve() == tmp_path / name
    assert config["general"]["models"] == [str(model)]


def test_what_the_images_do_not_tell_is_given(tmp_path, model, asked):
    write_walk(tmp_path / "attic", FEWEST, 0)
    asked.append(None)
    prepare_place(tmp_path / "attic", model, 1, "leave_out", 0.8)
    config = validated(asked[1][1])
    assert config["frames"]["lost_poses"] == "leave_out"
    assert config["frames"]["focal_lengths"]["attic"]["train"] == 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "nowhere"], "localise: .*nowhere: no such folder"),
        (["--map", "an attic"], "localise: .*an attic: its name becomes the place's name"),
        (["--map", "attic", "--model", "gone.pt"], r"localise: .*gone\.pt: no such file"),
    ],
)
def test_the_command_tells_what_is_wrong(tmp_path, asked, monkeypatch, capsys, options, message):
    for name in ("photos", "attic", "an attic"):
        (tmp_path / name).mkdir()
    (tmp_path / "photos/one.jpg").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["photos", *options]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not asked


def test_photos_are_looked_for_before_a_map_is_made(tmp_path, asked, monkeypatch, capsys):
    (tmp_path / "attic").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["photos", "--map", "attic"]) == 1
    assert "photos: no such file or folder, expected a photo" in capsys.readouterr().err
    assert main(["wlak.mp4", "--map", "attic"]) == 1
    assert "wlak.mp4: no such file, expected a video" in capsys.readouterr().err
    assert main(["--watch", "inbox", "--map", "attic"]) == 1
    assert "inbox: no such folder, expected the folder that photos" in capsys.readouterr().err
    assert not asked


@pytest.mark.parametrize(
    "options",
    [
        ["--scene", "study", "--model", "mine.pt"],
        ["--scene", "study", "--database-focal-length", "0.8"],
        ["--map", "attic", "--run", "joint"],
        ["--map", "attic", "--results", "results/made"],
    ],
)
def test_options_of_the_other_kind_of_place_are_refused(asked, capsys, options):
    with pytest.raises(SystemExit):
        main(["photos", *options])
    assert "--map" in capsys.readouterr().err
    assert not asked


@pytest.mark.parametrize("options", [[], ["--map", "attic", "--scene", "study"]])
def test_a_place_is_a_scene_or_a_map(capsys, options):
    with pytest.raises(SystemExit):
        main(["photos", *options])
    assert {"--scene", "--map"} <= set(re.findall(r"--\w+", capsys.readouterr().err))
