"""The command relposegnn: its table of commands, and what it loads."""

import subprocess
import sys
import tomllib
from importlib import import_module
from types import SimpleNamespace

import pytest
from project import REPOSITORY

from relposegnn.commands import main as command
from relposegnn.commands.main import COMMANDS, main

SCRIPTS = REPOSITORY / "workflow" / "scripts"
HEAVY = {"numpy", "torch", "snakemake", "matplotlib", "h5py"}


def test_each_command_is_a_function_main_of_a_module():
    there = [m for m, _ in COMMANDS.values() if (SCRIPTS / f"{m.replace('.', '/')}.py").is_file()]
    assert {"relposegnn.commands.run", "relposegnn.photos.command"} <= {*there}
    for module in there:
        assert callable(import_module(module).main)


@pytest.mark.parametrize("arguments", [["localise", "a b", "--scene", "x"], ["run"]])
def test_a_command_gets_what_stands_behind_its_name(arguments, monkeypatch):
    loaded = []

    def load(module):
        loaded.append(module)
        return SimpleNamespace(main=lambda rest: [7, rest])

    monkeypatch.setattr(command, "import_module", load)
    assert main(arguments) == [7, arguments[1:]]
    assert loaded == [COMMANDS[arguments[0]][0]]


@pytest.mark.parametrize(
    ("arguments", "told"), [(["rum"], "got 'rum', expected one of"), ([], "expected a command")]
)
def test_another_name_is_refused_with_those_that_there_are(arguments, told, capsys):
    assert main(arguments) == 2
    text = capsys.readouterr().err
    assert told in text
    assert all(name in text for name in COMMANDS)


def test_help_comes_from_a_clone_in_any_folder_and_loads_no_library(tmp_path):
    lines = [
        "import runpy, sys",
        "sys.argv[1:] = ['--help']",
        f"try: runpy.run_path({str(REPOSITORY / 'relposegnn')!r})",
        "except SystemExit as end: assert not end.code",
        "print('loaded', *sys.modules)",
    ]
    code = "\n".join(lines)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    text, loaded = done.stdout.rsplit("loaded ", 1)
    assert all(f"  {name} " in text for name in COMMANDS)
    assert not HEAVY & {*loaded.split()}


def test_an_installed_library_has_the_command_and_the_logger():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["relposegnn"] == "relposegnn.commands.main:main"
    found = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert "snakemake_logger_plugin_relposegnn" in found
