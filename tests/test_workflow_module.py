"""The workflow as a Snakemake module of another workflow, in a folder of its own."""

import re
import shutil
from pathlib import Path

import h5py
import pytest
from git import Actor, Repo
from loopback import serving
from planted_scenes import write_noise
from project import PARTS, REPOSITORY, TINY, Project, snakemake_output

pytestmark = pytest.mark.slow

OUTER = """
module relpose:
    snakefile: "{snakefile}"
{more}

use rule * from relpose as relpose_*
"""
CONFIG = f"    config: dict(yaml.safe_load('''{TINY}'''), scenes=['study'])\n"


# As snakedeploy writes it into workflow/Snakefile.
DEPLOYED = """
configfile: "config/config.yaml"

module relposegnn:
    snakefile:
        {source}
    config:
        config

use rule * from relposegnn
"""
ADDRESS = "https://github.com/owner/relposegnn"


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


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """Return a git repository of the project, its commit tagged v1."""
    folder = tmp_path_factory.mktemp("repository")
    files = folder / "relposegnn"
    Project(files)
    repository = Repo.init(files)
    repository.git.add(*PARTS)
    author = Actor("A", "a@example.test")
    repository.index.commit("all", author=author, committer=author)
    repository.create_tag("v1")
    return files


@pytest.fixture
def deployed(tmp_path, monkeypatch, repository) -> Path:
    """Return a folder with a configuration and a planted scene; git finds the repository there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{repository.as_uri()}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", ADDRESS)
    folder = tmp_path / "deployed"
    (folder / "workflow").mkdir(parents=True)
    shutil.copytree(repository / "config", folder / "config")
    shutil.copytree(repository / "profiles", folder / "profiles")
    settings = folder / "config/config.yaml"
    settings.write_text(f"{TINY}\nscenes: [hall]\nscenes_dir: mine\n")
    write_noise(folder / "mine/hall")
    return folder


def test_fetched_by_git_it_runs_the_library_of_that_commit(deployed):
    source = 'github("owner/relposegnn", path="Snakefile", tag="v1")'
    (deployed / "workflow/Snakefile").write_text(DEPLOYED.format(source=source))
    snakemake_output(["--cores", "2", "frames"], deployed)
    with h5py.File(deployed / "results/synthetic/frames/hall.h5") as frames:
        assert frames["train/images"].shape[0] > frames["test/images"].shape[0] > 0
    assert "Nothing to be done" in snakemake_output(["-n", "frames"], deployed)
    cache = deployed.parent / "cache"
    (unpacked,) = cache.glob("**/relposegnn/*/workflow/scripts/relposegnn/data/packing.py")
    assert len(unpacked.parents[4].name) == 40  # the commit
    assert not list(cache.glob("**/relposegnn/tmp*"))


def test_a_snakefile_fetched_alone_is_refused_with_what_to_do(tmp_path, repository):
    with serving(repository) as served:
        source = f'"{served.url}/Snakefile"'
        (tmp_path / "Snakefile").write_text(DEPLOYED.format(source=source).partition("\n\n")[2])
        text = snakemake_output(["-n"], tmp_path, expect=1)
    assert "rules: a single fetched file, expected the whole project" in text
    assert "github(...)" in text
