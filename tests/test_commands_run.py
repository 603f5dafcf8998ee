"""The command relposegnn run, on a planted place: what it plans, runs, tells and returns."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
from planted_scenes import write_walk
from project import COMMAND, REPOSITORY, Project, output_of, snakemake_output

from relposegnn.commands.run import (
    check_targets,
    find_configuration,
    find_configurations,
    main,
)
from relposegnn.locks import try_lock
from relposegnn.runtime import InputError

PAGE = (REPOSITORY / "docs/own-places.md").read_text()
TRAINED = re.compile(r"^train model +(\d+)", re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a project with a configuration of a planted place, places/garage, and no results."""
    project = Project(tmp_path_factory.mktemp("place"))
    write_walk(project.folder / "places/garage", database=40, queries=5)
    project.command_output("new-place", str(project.folder / "places/garage"))
    return project


def test_a_configuration_is_found_by_name_or_path(tmp_path):
    assert find_configuration("small", REPOSITORY) == REPOSITORY / "config/small.yaml"
    (tmp_path / "own.yaml").touch()
    assert find_configuration(str(tmp_path / "own.yaml"), REPOSITORY) == tmp_path / "own.yaml"
    with pytest.raises(InputError, match=r"smal: no such configuration.*7scenes.*small"):
        find_configuration("smal", REPOSITORY)
    with pytest.raises(InputError, match=r"config\.schema: no such configuration"):
        find_configuration("config.schema", REPOSITORY / "docs")


def test_an_unknown_configuration_ends_with_a_message(capsys):
    assert main(["smal", "-n"]) == 1
    assert capsys.readouterr().err.startswith("relposegnn run: smal: no such configuration")


def test_a_broken_configuration_is_told_with_its_line(tmp_path, capsys):
    """Also one that is added: Snakemake names neither the file nor the line."""
    path = tmp_path / "own.yaml"
    path.write_text("graphs:\n\tstride: 3\n")
    for names in (str(path), f"small,{path}"):
        assert main([names, "-n"]) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"relposegnn run: {path}: line 2: is not valid YAML")
    path.write_text("")
    assert main([str(path), "-n"]) == 1
    assert "own.yaml: is empty, expected keys" in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_to_is_told_before_the_run(tmp_path):
    caps = "-dac_override"  # by which root writes everywhere
    ordinary = ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", "--"]
    command = [*([] if os.geteuid() else ordinary), sys.executable, *COMMAND]
    tmp_path.chmod(0o555)
    text = output_of([*command, "run", "config", "--", "-d", str(tmp_path)], REPOSITORY, expect=1)
    assert f"{tmp_path}/.snakemake: cannot be written (Permission denied, " in text
    assert "Traceback" not in text


def test_additions_to_a_configuration_are_told_after_it(tmp_path):
    names = "small,kitchen_held_out"
    assert find_configurations(names, REPOSITORY) == [
        REPOSITORY / f"config/{name}.yaml" for name in ("small", "kitchen_held_out")
    ]
    (tmp_path / "a,b.yaml").touch()
    assert find_configurations(str(tmp_path / "a,b.yaml"), REPOSITORY) == [tmp_path / "a,b.yaml"]
    with pytest.raises(InputError, match="kitchen: no such configuration"):
        find_configurations("small,kitchen", REPOSITORY)


def test_only_the_configuration_has_to_be_given(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().err.endswith("the following arguments are required: CONFIG\n")


def test_misspelt_targets_and_options_of_snakemakes_are_told(capsys):
    assert main(["config", "modells", "-n"]) == 1
    assert "modells: is no target, did you mean models? expected" in capsys.readouterr().err
    targets = ["table_joint", "table_published_leave_one_out", "photos", "results/a", "x.csv"]
    check_targets(targets, REPOSITORY)
    with pytest.raises(InputError, match=r"x{20}: is no target, expected one of README\.md's list"):
        check_targets(["x" * 20], REPOSITORY)
    for option in ("--configfile", "--configfiles=more.yaml"):
        assert main(["small", "-n", "--", option, "config/kitchen_held_out.yaml"]) == 1
        told = "would replace small, expected additions after commas: relposegnn run small,FILE"
        assert told in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["config", "-n", "--until", "train_model"])
    assert "--until train_model (Snakemake's own options go after --)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_step_that_fails_ends_the_run_with_its_cause_in_the_last_line(place):
    done = place.command_output("run", "garage", "frames", "--", "--cores", "2")
    assert re.search(r"^pack frames +garage [\d.]+ s$", done, re.MULTILINE)
    assert "rule pack_frames" not in done
    assert "INFO" not in done  # what jobs write
    assert "up to date" in place.command_output("run", "garage", "frames", "--", "--cores", "2")
    missing = place.folder / "places/garage/train/003.png"
    missing.rename(missing.with_suffix(".away"))
    missing.parents[1].touch()
    failed = place.command_output("run", "garage", "frames", "--", "--cores", "2", expect=1)
    *_, header, _, last = failed.splitlines()
    assert header.endswith("the end of results/garage/logs/pack_frames/garage.log:")
    assert "train/003.png" in last
    missing.with_suffix(".away").rename(missing)
    missing.parents[1].touch()


def _heed_signals() -> None:
    """Heed what is ignored by tests that a shell runs in the background, or under ``nohup``."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_or_a_closed_terminal_ends_jobs_and_leaves_no_lock(place, number):
    name = f"cellar-{number}"
    results = place.folder / "results" / name
    write_walk(place.folder / "places" / name, database=30, queries=0)
    place.command_output("new-place", str(place.folder / "places" / name))
    (results / "logs/pack_frames").mkdir(parents=True)
    command = [sys.executable, "relposegnn", "run", name, "frames", "--", "--cores", "1"]
    with try_lock(results / f"logs/pack_frames/.{name}.log.lock"):  # the step waits for its end
        run = subprocess.Popen(
            command, cwd=place.folder, stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=_heed_signals,
        )  # fmt: skip
        while run.poll() is None and not (results / f"logs/pack_frames/{name}.log").exists():
            time.sleep(0.1)
        os.killpg(run.pid, number)  # as a terminal does
        told = run.communicate(timeout=300)[1]
    assert run.returncode == 1
    assert "0 of 2 jobs are done" in told
    assert "the same command resumes" in told
    assert ("failed" in told) == (number == signal.SIGHUP)  # of which steps die
    assert not [*(place.folder / ".snakemake/locks").glob("*")]
    assert not (results / f"frames/{name}.h5").exists()


@pytest.mark.slow
def test_the_page_of_own_places_trains_once(place):
    photo = place.folder / "path/to/photos/new.jpg"
    photo.parent.mkdir(parents=True)
    photo.touch()
    runs = re.findall(r"^\./relposegnn (run garage(?: .*)?)$", PAGE, re.MULTILINE)
    runs = [shlex.split(line, comments=True) for line in runs]
    assert ["run", "garage"] in runs
    assert any("photos" in line for line in runs)
    assert TRAINED.findall(planned(place, runs[0])) == ["1"]
    pretend_done(place)
    for line in runs:
        assert not TRAINED.findall(planned(place, line)), line
    other = ["run", "garage", "--", "--config", "graphs={stride: 1}"]
    assert TRAINED.findall(planned(place, other)) == ["1"]  # it would be noticed


def planned(place: Project, arguments: list[str]) -> str:
    """Return what a command would do."""
    return place.command_output(*arguments[:2], "-n", *arguments[2:])


def pretend_done(place: Project) -> None:
    """Write empty results of everything that the default target makes, up to date for Snakemake."""
    plan = snakemake_output(["--configfile", "config/garage.yaml", "-n"], place.folder)
    for line in re.findall(r"^    output: (.*)$", plan, re.MULTILINE):
        for path in map(place.folder.joinpath, line.split(", ")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if path.name == "tensorboard" else path.touch()
    done = place.command_output("run", "garage", "--", "--touch", "--forceall", "--cores", "1")
    assert re.search(r"^All \d+ jobs are done", done, re.MULTILINE)


@pytest.mark.slow
def test_a_place_without_queries_ends_with_its_model_and_says_so(place):
    write_walk(place.folder / "places/attic", database=30, queries=0)
    place.command_output("new-place", str(place.folder / "places/attic"))
    plan = place.command_output("run", "attic", "-n")
    assert "attic: no queries are listed, so nothing can be scored" in plan
    assert TRAINED.findall(plan) == ["1"]
    assert "describe place" in plan
    assert "tabulate" not in plan
    assert "score poses" not in plan
    held_out = planned(place, ["run", "attic", "--", "--config", "frames={held_out: 10}"])
    assert "score poses" in held_out
    assert "no queries" not in held_out
    for target in ("scores", "exchange", "videos", "table_joint", "table_predictions_joint"):
        refused = place.command_output("run", "attic", target, "models", "-n", expect=1)
        assert "attic: no queries are listed, so nothing can be predicted, scored" in refused
        assert "Traceback" not in refused


@pytest.mark.slow
def test_scenes_without_queries_train_and_are_not_scored(place):
    """Beside one with queries, whose tables are made."""
    cellar = write_walk(place.folder / "places/cellar", database=30, queries=0)
    (cellar / ".snakemake_timestamp").touch()  # as in a copy of an extracted scene
    both = (
        "--configfile",
        "config/garage.yaml",
        "--config",
        "dataset=both",
        "scenes=[garage,cellar]",
    )
    plan = snakemake_output(["-n", *both], place.folder)
    assert "cellar: no queries are listed, so nothing can be scored there" in plan
    assert re.findall(r"(\w+)/\.snakemake_timestamp: .* delete it", plan) == ["cellar"]
    counted = dict(re.findall(r"^(\w+) +(\d+)$", plan, re.MULTILINE))
    assert counted["pack_frames"] == counted["describe_place"] == "2"
    once = ("train_model", "predict_poses", "score_poses", "plot_retrieval", "measure_retrieval")
    assert {counted[rule] for rule in once} == {"1"}
