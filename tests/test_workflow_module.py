"""The workflow as a Snakemake module of another workflow, in a folder of its own."""

import re
from pathlib import Path

import h5py
import pytest
from project import REPOSITORY, TINY, Project, snakemake_output

pytestmark = pytest.mark.slow

OUTER = """
module relpose:
    snakefile: "{snakefile}"
{more}

use rule * from relpose as relpose_*
"""
CONFIG = f"    config: dict(yaml.safe_load('''{TINY}'''), scenes=['study'])\n"


def outer(folder: Path, more: str = "", snakefile: Path = REPOSITORY / "Snakefile") -> Path:
    """Write a Snakefile that uses the workflow; ``more`` are lines of its ``module``."""
    text = OUTER.format(snakefile=snakefile, more=more)
    (folder / "Snakefile").write_text(f"import yaml\n{text}")
    return folder


@pytest.mark.parametrize("prefix", ["", "places/"])
def test_a_module_with_its_own_settings_runs_in_the_folder_of_the_other(tmp_path, prefix):
    folder = outer(tmp_path, CONFIG + (f'    prefix: "{prefix}"\n' if prefix else ""))
    snakemake_output(["--cores", "2", "relpose_graphs"], folder)
    with h5py.File(folder / f"{prefix}results/synthetic/graphs/study.h5") as graphs:
        assert graphs["train/neighbours"].shape == (12, 3)
    assert (folder / f"{prefix}resources/synthetic/scenes/study/TrainSplit.txt").exists()
    assert {path.name for path in folder.iterdir()} == {
        *("Snakefile", ".snakemake"),
        *([prefix.rstrip("/")] if prefix else ["resources", "results"]),
    }


def test_a_module_without_settings_has_the_default_ones(tmp_path):
    folder = outer(tmp_path)
    (folder / "settings.yaml").write_text("samples: of the other workflow\n")
    text = snakemake_output(["-n", "relpose_graphs", "--configfile", "settings.yaml"], folder)
    for scene in ("study", "workshop"):
        assert f"output: results/synthetic/graphs/{scene}.h5" in text


def test_a_module_has_every_target(tmp_path):
    targets = ["all", "videos", "table_single_scene", "table_published"]
    folder = outer(tmp_path, CONFIG)
    text = snakemake_output(["-n", *(f"relpose_{target}" for target in targets)], folder)
    for target in targets:
        assert re.search(rf"^relpose_{target} +1$", text, re.MULTILINE), target


def test_files_of_the_user_have_no_prefix(tmp_path):
    """They start at the folder of the module, here within that of the other workflow."""
    (tmp_path / "relpose").mkdir()
    Project(tmp_path / "relpose")
    (tmp_path / "relpose" / "rooms" / "study").mkdir(parents=True)
    (tmp_path / "relpose" / "new.png").touch()
    settings = {
        "scenes_dir": "rooms",
        "scenes": ["study"],
        "photos": {"folder": "."},
        "evaluation": {"literature": "config/literature.csv"},
    }
    text = f"    config: {settings}\n    prefix: 'places'\n"
    folder = outer(tmp_path, text, tmp_path / "relpose" / "Snakefile")
    planned = snakemake_output(["-n", "relpose_table_joint", "relpose_photos"], folder)
    for file in ("rooms/study", "config/literature.csv", "new.png"):
        assert re.search(rf"input: .*[ ,]relpose/{file}", planned), file


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("graphs={strid: 3}", "graphs.strid: is unknown, did you mean graphs.stride?"),
        ("scenes_dir=rooms", "scenes_dir: got "),
    ],
)
def test_the_settings_of_a_module_are_checked(tmp_path, setting, message):
    folder = outer(tmp_path, "    config: config\n")
    assert message in snakemake_output(["-n", "--config", setting, "--"], folder, expect=1)
