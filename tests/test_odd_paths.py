"""Paths that bash, make or Snakemake would read as commands: they work or are refused."""

import os
import shutil
import subprocess
import sys

import pytest
from configurations import problems
from project import EMPTY_ZIP, REPOSITORY, TINY, Project, output_of

ODD = "my clone (1) R&D $HOME it's; `no`"
BRACES = "clone {x}"


@pytest.mark.slow
def test_a_job_runs_in_a_clone_and_from_an_address_of_any_name(tmp_path):
    """With an environment in the clone, as "make environment" makes it."""
    source = tmp_path / "source {x} {{y}} $(z)"
    source.mkdir()
    (source / "study.zip").write_bytes(EMPTY_ZIP)
    folder = tmp_path / ODD
    folder.mkdir()
    project = Project(
        folder, f'{TINY}source: download\narchive_url: "file://{source}/{{scene}}.zip"'
    )
    (folder / ".venv").symlink_to(sys.prefix)
    archive = "resources/synthetic/archives/study.zip"
    command = [str(folder / ".venv/bin/python"), *project.command("--", archive)[1:]]
    output_of(command, folder)
    assert (folder / archive).read_bytes() == EMPTY_ZIP


@pytest.mark.slow
def test_braces_in_a_clones_name_are_refused_before_anything_is_installed(tmp_path):
    folder = tmp_path / BRACES
    folder.mkdir()
    project = Project(folder)
    shutil.copy(REPOSITORY / "Makefile", folder)
    told = f"{folder}: has braces in its name, which Snakemake takes for wildcards; rename the"
    environment = os.environ | {"PWD": str(folder)}
    made = output_of(["make", "environment", "PYTHON=false"], folder, 2, environment)
    assert told in made
    assert not (folder / ".venv").exists()
    assert told in project.run("--dry-run", expect=1)


def test_make_takes_a_python_of_any_path(tmp_path):
    shutil.copytree(REPOSITORY / "envs", tmp_path / "envs")
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    python = tmp_path / "my Python (3)" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho Python 2.7\nexit 1\n")
    python.chmod(0o755)
    done = subprocess.run(
        [shutil.which("make"), "environment", f"PYTHON={python}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode
    assert f"Python 2.7: expected Python 3.11 or later as PYTHON={python}" in done.stderr


@pytest.mark.slow
def test_braces_in_the_name_of_a_photo_are_refused_by_it(tmp_path):
    photos, elsewhere, folder = (tmp_path / name for name in ("photos", "elsewhere", "project"))
    for each in (photos, elsewhere, folder):
        each.mkdir()
    (photos / "linked").symlink_to(elsewhere)  # photos of linked folders are localised too
    (elsewhere / "{scene}.jpg").touch()
    setting = f"photos={{folder: {photos}, scene: study}}"
    text = Project(folder).run("--dry-run", "--config", setting, "--", "photos", expect=1)
    assert f"{photos}/linked/{{scene}}.jpg: has braces in its name" in text
    assert "./localise, which takes any name" in text


@pytest.mark.parametrize("key", ["scenes_dir", "photos.folder"])
def test_braces_in_configured_paths_are_refused(tmp_path, key):
    (tmp_path / "places {x}" / "study").mkdir(parents=True)
    path, section = str(tmp_path / "places {x}"), key.split(".")
    changes = {section[0]: {section[1]: path}} if section[1:] else {key: path}
    (line,) = problems(changes | {"scenes": ["study"]})
    assert line.startswith(f"{key}: got {path}, expected a path without braces")
