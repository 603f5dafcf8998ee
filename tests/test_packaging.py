"""What is built and published: wheel, sdist, catalogue files, forms for problems."""

import json
import os
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from configurations import validated
from project import REPOSITORY, Project

import relposegnn
from relposegnn.version import VERSION

LIBRARY = REPOSITORY / "workflow/scripts/relposegnn"
PLUGIN = LIBRARY.with_name("snakemake_logger_plugin_relposegnn")
ADDRESS = 'Repository = "https://forge.test/owner/name"'
BUILD = """
import setuptools.build_meta as backend, sys
folder = sys.argv[1]  # the backend changes it
backend.build_sdist(folder); backend.build_wheel(folder)
"""


def tracked(folder: str = ".") -> set[str]:
    """Return the files of the repository in a folder, new ones too."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    done = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.splitlines() if (REPOSITORY / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Return a folder with an sdist and a wheel of what git has, built as pip does."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip(f"{REPOSITORY} is no git repository, which tells what belongs to the project")
    base = tmp_path_factory.mktemp("packaging")
    for name in tracked():
        (base / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (base / "copy" / name).write_bytes((REPOSITORY / name).read_bytes())
    settings = base / "copy/pyproject.toml"
    settings.write_text(
        settings.read_text().replace("[project.urls]", f"[project.urls]\n{ADDRESS}")
    )
    command = [sys.executable, "-c", BUILD, str(base)]
    done = subprocess.run(command, cwd=base / "copy", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return base


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_library(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    packages = [*tracked(LIBRARY), *tracked(PLUGIN)]
    expected = {name.removeprefix("workflow/scripts/") for name in packages}
    assert "relposegnn/py.typed" in expected
    assert expected == {name for name in names if ".dist-info/" not in name}
    assert re.search(rf"^Version: {re.escape(VERSION)}$", text, re.M)


@pytest.mark.slow
def test_links_of_the_page_on_pypi_lead_to_the_repository(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    assert "Description-Content-Type: text/markdown\n" in text
    pictures, pages = (re.findall(rf"{mark}\[[^]]*\]\((.*?)\)", text) for mark in ("!", "(?<!!)"))
    assert "https://forge.test/owner/name/raw/HEAD/docs/images/localization.gif" in pictures
    assert "https://forge.test/owner/name/blob/HEAD/docs/own-places.md" in pages
    assert [link for link in pictures + pages if not link.startswith(("https://", "#"))] == []


def test_without_a_repository_the_page_has_no_links_to_files():
    page = runpy.run_path(str(REPOSITORY / "setup.py"), run_name="setup")["page"]
    text = "[a](docs/a.md) [b](https://b.test/c) [d](#e)\n![f](docs/f.png)[g](h.md#i)"
    assert page(text, None) == "a [b](https://b.test/c) [d](#e)\ng"


@pytest.mark.slow
def test_the_sdist_holds_the_whole_project(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    of_the_repository = re.compile(r"\.github/|\.gitignore|\.dockerignore")
    assert {name for name in tracked() if not of_the_repository.match(name)} <= names


def test_versions_agree():
    assert relposegnn.__version__ == VERSION
    assert f"\n## {VERSION}\n" in (REPOSITORY / "CHANGELOG.md").read_text()
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert settings["dynamic"]["version"]["attr"] == "relposegnn.version.VERSION"


def test_the_catalogue_finds_its_files():
    entry = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())
    assert entry["usage"]["software-stack-deployment"] == {"conda": True}
    assert (REPOSITORY / "config/README.md").is_file()
    assert validated(yaml.safe_load((REPOSITORY / ".test/config/config.yaml").read_text()))


@pytest.mark.slow
def test_the_test_configuration_is_planned_as_its_first_lines_say(tmp_path):
    project = Project(tmp_path / "project")
    text = (REPOSITORY / ".test/config/config.yaml").read_text()
    for name in ("config", ".test/config"):
        (project.folder / name).mkdir(parents=True, exist_ok=True)
    (project.folder / ".test/config/config.yaml").write_text(text)
    planned = project.planned("--directory", ".test", "--forceall")
    assert planned["render_archive"] == planned["pack_frames"] == 2


@pytest.mark.parametrize("name", ["problem", "idea"])
def test_forms_for_problems_are_read(name):
    form = yaml.safe_load((REPOSITORY / f".github/ISSUE_TEMPLATE/{name}.yml").read_text())
    assert {"name", "description", "body"} <= form.keys()
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in fields}) == len(fields)
    assert all(part["attributes"]["label"] for part in fields), json.dumps(fields)


@pytest.mark.parametrize("installs", [True, False])
def test_programs_that_tests_need_are_installed_where_that_works(tmp_path, installs):
    """``.ci/run`` ends in ``make test`` either way; with stand-ins for what it calls."""
    programs = {
        "apt-get": f'echo "apt-get $*"; exit {0 if installs else 100}',
        "dpkg-query": '[ "$3" != munge ] || echo "install ok installed"',
        "make": 'echo "make $*"',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = [str(REPOSITORY / ".ci/run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "make test"
    if os.geteuid() == 0:
        assert re.search(r" chromium( [a-z0-9-]+)+$", lines[-2])
        assert "munge" not in lines[-2]  # is there
        assert ("could not be installed" in done.stderr) != installs
