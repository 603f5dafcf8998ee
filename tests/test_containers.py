"""The recipes of containers, as far as they can be read without an engine."""

import re
import shlex
import subprocess

import pytest
import yaml
from project import EMPTY_ZIP, PARTS, REPOSITORY, Project, snakemake_output

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
DEFINITION = (REPOSITORY / "relposegnn.def").read_text()
INSTRUCTIONS = {"FROM", "RUN", "WORKDIR", "ARG", "COPY", "ENV", "ENTRYPOINT", "CMD"}
NEEDED = {*PARTS, "Makefile", "README.md", "LICENSE", "localise"}


def docker_steps() -> list[tuple[str, str]]:
    """Return (instruction, arguments) of the Dockerfile, its continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def sections() -> dict[str, str]:
    """Return the sections of the Apptainer definition by name; the heading's is "header"."""
    name, found = "header", {"header": ""}
    for line in DEFINITION.splitlines():
        if line.startswith("%"):
            name = line[1:].strip()
            assert name not in found
            found[name] = ""
        else:
            found[name] += line + "\n"
    return found


def test_the_dockerfile_copies_what_is_there_and_all_that_is_needed():
    steps = docker_steps()
    assert {name for name, _ in steps} <= INSTRUCTIONS
    assert steps[0][0] == "FROM"
    sources = {source for name, text in steps if name == "COPY" for source in text.split()[:-1]}
    assert sources >= NEEDED
    assert all((REPOSITORY / source).exists() for source in sources)
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    assert not sources & set(ignored)
    for target in (text.split() for name, text in steps if name == "COPY"):
        assert len(target) == 2 or target[-1] == "./"  # several files: into a folder


def test_the_definition_copies_the_same():
    lines = [line.split() for line in sections()["files"].splitlines() if line.strip()]
    steps = [text.split()[:-1] for name, text in docker_steps() if name == "COPY"]
    assert {source for source, _ in lines} == {source for step in steps for source in step}
    assert all(target == f"/opt/relposegnn/{source}" for source, target in lines)


def test_both_are_built_on_one_image_of_the_environments_python():
    (image,) = {text for name, text in docker_steps() if name == "FROM"}
    assert f"\nFrom: {image}\n" in f"\n{sections()['header']}"
    version = re.match(r"python:(\d+\.\d+)-", image)[1]
    for path in (REPOSITORY / "envs").glob("*.yaml"):
        assert f"python={version}" in yaml.safe_load(path.read_text())["dependencies"]


@pytest.mark.parametrize("gpu", ["", "-gpu"])
def test_the_argument_chooses_the_requirements_that_are_installed(gpu):
    """Both recipes install by ``make environment GPU=...``."""
    installing = [text for name, text in docker_steps() if name == "RUN" and "make env" in text]
    assert shlex.split(installing[0])[-1] == "GPU=$GPU"
    assert 'make environment GPU="{{ GPU }}"' in sections()["post"]
    asked = ["make", "--dry-run", "--always-make", "environment", f"GPU={gpu}"]
    told = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert f"install --require-hashes -r envs/requirements{gpu}.txt" in told


def test_the_shell_parts_are_read_by_sh():
    parts = [sections()[name] for name in ("post", "environment", "runscript", "test")]
    parts += [text for name, text in docker_steps() if name == "RUN"]
    for part in parts:
        assert subprocess.run(["/bin/sh", "-n"], input=part, text=True, check=False).returncode == 0


@pytest.mark.slow
def test_the_workflow_runs_from_another_folder_as_in_a_container(tmp_path):
    """Nothing is written where the workflow lies."""
    (tmp_path / "study.zip").write_bytes(EMPTY_ZIP)
    project = Project(
        tmp_path / "project", f'source: download\narchive_url: "file://{tmp_path}/{{scene}}.zip"'
    )
    (tmp_path / "work").mkdir()
    before = sorted(path for path in project.folder.rglob("*") if path.name != "__pycache__")
    archive = "resources/synthetic/archives/study.zip"
    snakefile = ["--snakefile", str(project.folder / "Snakefile")]
    snakemake_output(
        [*snakefile, archive, "--configfile", str(project.settings)], tmp_path / "work"
    )
    assert (tmp_path / "work" / archive).read_bytes() == EMPTY_ZIP
    after = sorted(path for path in project.folder.rglob("*") if "__pycache__" not in path.parts)
    assert after == [path for path in before if "__pycache__" not in path.parts]
