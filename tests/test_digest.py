"""Tests of relposegnn.digest: the digest changes with the code that a script runs, only then."""

import subprocess
import sys
from pathlib import Path

import pytest

from relposegnn.digest import library_digest, local_modules

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
PACKAGE = {
    "train.py": "import numpy\nfrom relposegnn.training import train\n\ntrain(1)\n",
    "pack.py": "from relposegnn import frames\n\nframes.pack()\n",
    "relposegnn/__init__.py": "",
    "relposegnn/training.py": (
        '"""Training."""\n'
        "from typing import TYPE_CHECKING\n"
        "from .model import Model\n"
        "if TYPE_CHECKING:\n"
        "    from .shapes import Shape\n\n\n"
        "def train(steps: int) -> None:\n"
        '    """Train."""\n'
        "    from . import lazy\n"
        "    return Model(steps), lazy.VALUE\n"
    ),
    "relposegnn/model.py": "import relposegnn.deep\n\n\nclass Model:\n    width = 3\n",
    "relposegnn/deep.py": "def depth():\n    return 3\n",
    "relposegnn/lazy.py": "VALUE = 1\n",
    "relposegnn/shapes.py": "class Shape:\n    pass\n",
    "relposegnn/frames.py": "from .runtime import log\n\n\ndef pack():\n    log(1)\n",
    "relposegnn/runtime.py": "def log(value):\n    print(value)\n",
}


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Return a folder with two scripts and a library: deep <- model <- training, and frames."""
    (tmp_path / "relposegnn").mkdir()
    for name, source in PACKAGE.items():
        (tmp_path / name).write_text(source)
    return tmp_path


def digests(scripts: Path) -> tuple[str, str]:
    return library_digest(scripts / "train.py"), library_digest(scripts / "pack.py")


def test_modules_of_a_script_are_found_in_every_form_of_import(scripts):
    assert set(local_modules(scripts / "train.py")) == {
        "__main__",
        "relposegnn",
        "relposegnn.training",
        "relposegnn.model",
        "relposegnn.deep",
        "relposegnn.lazy",
    }
    assert set(local_modules(scripts / "pack.py")) == {
        "__main__",
        "relposegnn",
        "relposegnn.frames",
        "relposegnn.runtime",
    }


@pytest.mark.parametrize(
    "source",
    [
        "# A comment\ndef depth():\n    return 3  # three\n",
        '"""A module."""\n\n\ndef depth():\n    """Return the depth."""\n    return 3\n',
        "def depth():\n\n    return   (3)\n\n\n",
        'def depth():\n    return 3\n    "a bare string"\n',
    ],
    ids=["comment", "docstring", "blank lines", "bare string"],
)
def test_what_does_not_run_does_not_count(scripts, source):
    before = digests(scripts)
    (scripts / "relposegnn/deep.py").write_text(source)
    assert digests(scripts) == before


@pytest.mark.parametrize(
    ("module", "changed"),
    [
        ("train.py", (True, False)),
        ("relposegnn/deep.py", (True, False)),
        ("relposegnn/lazy.py", (True, False)),
        ("relposegnn/runtime.py", (False, True)),
        ("relposegnn/__init__.py", (True, True)),
        ("relposegnn/shapes.py", (False, False)),
    ],
)
def test_changed_code_counts_for_its_importers_only(scripts, module, changed):
    before = digests(scripts)
    path = scripts / module
    path.write_text(path.read_text().replace("3", "4") + "\nADDED = None\n")
    assert tuple(new != old for new, old in zip(digests(scripts), before, strict=True)) == changed


@pytest.mark.parametrize(("old", "new"), [("3", "3.0"), ("3", "'3'"), ("3", "None"), ("3", "-3")])
def test_constants_of_another_type_or_value_count(scripts, old, new):
    before = library_digest(scripts / "train.py")
    path = scripts / "relposegnn/deep.py"
    path.write_text(path.read_text().replace(old, new))
    assert library_digest(scripts / "train.py") != before


def test_unrelated_module_changes_nothing(scripts):
    before = digests(scripts)
    (scripts / "relposegnn/unrelated.py").write_text("from .deep import depth\n")
    assert digests(scripts) == before


def test_new_import_counts_once_its_module_exists(scripts):
    (scripts / "relposegnn/deep.py").write_text("from . import later\n")
    before = library_digest(scripts / "train.py")
    (scripts / "relposegnn/later.py").write_text("VALUE = 2\n")
    assert library_digest(scripts / "train.py") != before


def test_modules_that_import_each_other_end(scripts):
    (scripts / "relposegnn/deep.py").write_text("from . import model\n")
    assert "relposegnn.model" in local_modules(scripts / "train.py")


def test_folder_and_process_do_not_count(scripts, tmp_path):
    command = "import sys; from relposegnn.digest import library_digest as d; print(d(sys.argv[1]))"
    moved = tmp_path / "elsewhere"
    scripts.joinpath("relposegnn").rename(tmp_path / "kept")
    moved.mkdir()
    (tmp_path / "kept").rename(moved / "relposegnn")
    (moved / "train.py").write_text(PACKAGE["train.py"])
    other = subprocess.run(
        [sys.executable, "-c", command, moved / "train.py"],
        env={"PYTHONPATH": str(SCRIPTS), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == library_digest(moved / "train.py")


def test_missing_script_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.py"):
        library_digest(tmp_path / "none.py")
