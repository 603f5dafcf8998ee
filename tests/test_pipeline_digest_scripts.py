"""Digests of this project's own scripts: an edit changes those that reach it, none reaches all."""

import re
import shutil
from pathlib import Path

import pytest
from project import REPOSITORY, keep_definitions

from relposegnn.pipeline.digest import Library

SCRIPTS = REPOSITORY / "workflow/scripts"


def plant(folder: Path, function: str) -> None:
    """Add a statement to a function of the library, in whichever module it is."""
    head = re.compile(rf"^def {function}\(.*?\).*?:\n", re.MULTILINE | re.DOTALL)
    (file,) = [path for path in folder.glob("relposegnn/*.py") if head.search(path.read_text())]
    text = file.read_text()
    end = head.search(text).end()
    file.write_text(f"{text[:end]}    planted = 1\n{text[end:]}")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (
            "select_device",
            "adapt_model describe_frames encode_frames fit_projection fit_vocabulary "
            "localise_photos measure_context predict_poses train_model",
        ),
        ("gpu_allowed", "localise_photos rank_neighbours"),
        ("torch_generator", "fit_vocabulary train_model"),
    ],
)
def test_an_edited_function_changes_the_scripts_that_reach_it(tmp_path, function, expected):
    keep_definitions()
    shutil.copytree(SCRIPTS, tmp_path, dirs_exist_ok=True)
    names = sorted(path.name for path in tmp_path.glob("*.py"))
    before = Library(tmp_path)
    digests = {name: before.digest(name) for name in names}
    plant(tmp_path, function)
    after = Library(tmp_path)
    changed = {name.removesuffix(".py") for name in names if after.digest(name) != digests[name]}
    assert changed == set(expected.split())


def test_no_script_reaches_a_whole_module():
    """One that did would run again at any edit of it: name what is used instead."""
    library = Library(SCRIPTS)
    packages = {path.name for path in SCRIPTS.iterdir() if path.is_dir()}
    for script in SCRIPTS.glob("*.py"):
        for name in library.reached(script.name):
            path = SCRIPTS.joinpath(*name)
            module = path.is_dir() or path.with_name(f"{path.name}.py").is_file()
            assert not (name[0] in packages and module), (script.name, name)


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_every_script_is_recorded(script):
    """Without it a step has no log, no lock and no part in the provenance, and nothing tells."""
    assert "    with recorded(snakemake)" in (SCRIPTS / script).read_text()
