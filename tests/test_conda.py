"""``--use-conda``: Snakemake makes and uses the environment of each rule.

No channel is reachable where the tests run, so a stand-in for conda makes the environments: virtual
ones that see the packages of the tests' own. What conda would install is not tested here.
"""

import os
import stat
import subprocess
import sys
import sysconfig

import yaml
from project import Project

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


def test_steps_run_in_the_environments_of_their_rules(tmp_path):
    root = tmp_path / "conda"
    (root / "bin").mkdir(parents=True)
    calls = tmp_path / "calls"
    script = CONDA.format(
        python=sys.executable,
        calls=str(calls),
        root=str(root),
        packages=sysconfig.get_paths()["purelib"],
    )
    conda = root / "bin" / "conda"
    conda.write_text(script)
    conda.chmod(conda.stat().st_mode | stat.S_IEXEC)
    (root / "bin" / "activate").write_text(ACTIVATE)
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    done = subprocess.run(
        project.command("--use-conda", "--", "results/synthetic/frames/study.h5"),
        cwd=folder,
        env={**os.environ, "PATH": f"{root / 'bin'}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    created = list((folder / ".snakemake" / "conda").glob("*.yaml"))
    wanted = yaml.safe_load((folder / "envs" / "data.yaml").read_text())
    assert [yaml.safe_load(path.read_text()) for path in created] == [wanted]
    assert "env create" in calls.read_text()
    assert (folder / "results/synthetic/frames/study.h5").exists()
