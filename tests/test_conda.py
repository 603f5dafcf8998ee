"""``--use-conda``: Snakemake makes and uses the environment of each rule.

No channel is reachable where the tests run, so a stand-in for conda makes the environments: virtual
ones that see the packages of the tests' own. What conda would install is not tested here.
"""

import os
import stat
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from prepared_python import prepared_output
from project import EMPTY_ZIP, TINY, Project

pytestmark = pytest.mark.slow

CONDA = """#!{python}
import json, pathlib, subprocess, sys, venv
arguments = sys.argv[1:]
with open({calls!r}, "a") as calls:
    calls.write(" ".join(arguments) + "\\n")
if arguments == ["info", "--json"]:
    print(json.dumps({{"conda_prefix": {root!r}, "root_prefix": {root!r}, "platform": "linux-64"}}))
elif arguments[:1] == ["--version"]:
    print("conda 24.11.0")
elif arguments[:2] == ["config", "--get"]:
    print(json.dumps({{"get": {{"channel_priority": "strict"}}}}))
elif arguments[:2] == ["env", "create"]:
    prefix = pathlib.Path(arguments[arguments.index("--prefix") + 1])
    venv.create(prefix, symlinks=True)
    site = next(prefix.glob("lib/python*/site-packages"))
    (site / "tests.pth").write_text({packages!r})
"""
ACTIVATE = """# "activate PREFIX", as conda's own script
export PATH="$1/bin:$PATH"
export CONDA_PREFIX="$1"
"""


@pytest.fixture
def with_conda(tmp_path) -> dict[str, str]:
    """Return the variables of an environment whose PATH has the stand-in; it notes its calls."""
    root = tmp_path / "conda"
    (root / "bin").mkdir(parents=True)
    script = CONDA.format(
        python=sys.executable,
        calls=str(tmp_path / "calls"),
        root=str(root),
        packages=sysconfig.get_paths()["purelib"],
    )
    conda = root / "bin" / "conda"
    conda.write_text(script)
    conda.chmod(conda.stat().st_mode | stat.S_IEXEC)
    (root / "bin" / "activate").write_text(ACTIVATE)
    return {**os.environ, "PATH": f"{root / 'bin'}:{os.environ['PATH']}"}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return an empty folder for a project."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def test_steps_run_in_the_environments_of_their_rules(with_conda, folder, tmp_path):
    frames = "results/synthetic/frames/study.h5"
    command = Project(folder).command("--use-conda", "--", frames)
    prepared_output(command[1:], folder, environment=with_conda)
    created = list((folder / ".snakemake" / "conda").glob("*.yaml"))
    wanted = yaml.safe_load((folder / "envs" / "data.yaml").read_text())
    assert [yaml.safe_load(path.read_text()) for path in created] == [wanted]
    assert "env create" in (tmp_path / "calls").read_text()
    assert (folder / frames).exists()


def test_changed_environments_download_nothing_anew(with_conda, folder, tmp_path):
    (tmp_path / "study.zip").write_bytes(EMPTY_ZIP)
    settings = f"{TINY}source: download\narchive_url: file://{tmp_path}/{{scene}}.zip\n"
    archive = "resources/synthetic/archives/study.zip"
    command = Project(folder, settings).command("--use-conda", "--", archive)
    prepared_output(command[1:], folder, environment=with_conda)
    for environment in (folder / "envs").glob("*.yaml"):
        environment.write_text(environment.read_text().replace("numpy=2.4", "numpy=2.3"))
    (tmp_path / "study.zip").unlink()  # gone for ever: a new download would fail
    again = prepared_output(command[1:], folder, environment=with_conda)
    assert "Nothing to be done" in again
    assert (folder / archive).read_bytes() == EMPTY_ZIP
