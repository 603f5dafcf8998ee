"""Every command in the documentation: its options, targets, files and settings are known."""

import itertools
import re
import shlex
from pathlib import Path

import pytest
import yaml
from configurations import CONFIG, SCHEMA, SHIPPED, validated
from project import REPOSITORY
from snakemake.cli import parse_args

from relposegnn.commands import find_poses, new_place, run
from relposegnn.photos import export_command
from relposegnn.photos.command import read_options
from relposegnn.pipeline.experiments import experiments
from relposegnn.runtime import InputError
from relposegnn.serving import command as serving

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
PAGES += sorted((REPOSITORY / "docs").glob("*.md"))
CONFIGURATIONS = [CONFIG / name for name in SHIPPED]
COMMENTED = re.compile(r"^ *#(     .*)$", re.M)  # code, of a configuration's comments
FENCED = re.compile(r"^```(?:shell|bash)?\n(.*?)^```$", re.M | re.S)
OURS = {"snakemake", "make", "localise", "relposegnn"}
SETTINGS = yaml.safe_load(SCHEMA.read_text())
PLACEHOLDER = re.compile(r"path/to|^places\b")  # a reader's own files


def blocks_of(page: Path) -> list[str]:
    """Return the blocks of a page, or of a configuration's comments, that hold commands."""
    text = page.read_text()
    if page.suffix == ".md":
        return FENCED.findall(text)
    return ["\n".join(COMMENTED.findall(text))]


def commands_of(page: Path) -> list[list[str]]:
    """Return the words of each command of ours on a page, without the path of its program."""
    found = []
    for block in blocks_of(page):
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line, comments=True)
            except ValueError:  # no shell's
                continue
            if words[:1] == [".venv/bin/python"]:
                words = words[1:]
            if words and Path(words[0]).name in OURS and (len(words) > 1 or len(block) < 100):
                found.append([Path(words[0]).name, *words[1:]])
    return found


COMMANDS = [(page.name, words) for page in (*PAGES, *CONFIGURATIONS) for words in commands_of(page)]


def known_targets() -> set[str]:
    """Return the targets by name: rules of the Snakefile, tables of experiments, and steps."""
    text = (REPOSITORY / "Snakefile").read_text()
    text += "".join(path.read_text() for path in (REPOSITORY / "rules").glob("*.smk"))
    named = re.findall(r"^ *rule (\w+):", text, re.M)
    return {*named, *(f"table_{name}" for name in experiments(["one", "two"]))}


def unknown_settings(given: object, schema: dict, place: str) -> list[str]:
    """Return the settings that the schema has no name for."""
    if not isinstance(given, dict) or "properties" not in schema:
        return []
    known = schema["properties"]
    missing = [f"{place}{key}" for key in given if key not in known]
    return missing + list(
        itertools.chain.from_iterable(
            unknown_settings(value, known[key], f"{place}{key}.")
            for key, value in given.items()
            if key in known
        )
    )


def check_snakemake(arguments: list[str]) -> None:
    _, options = parse_args(["--workflow-profile", "none", *arguments])
    for target in options.targets:
        assert target in known_targets() or re.match("(results|resources)/", target), target
    for path in [*(options.configfile or []), options.workflow_profile]:
        known = path in (None, "none") or PLACEHOLDER.search(str(path))
        assert known or (REPOSITORY / path).exists(), path
    for setting in options.config or []:
        name, _, value = str(setting).partition("=")
        given = {name: yaml.safe_load(value)}
        assert unknown_settings(given, SETTINGS, "") == []


def check_make(arguments: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.M)
    for argument in arguments:
        name, given, value = argument.partition("=")
        if given:
            assert re.search(rf"\b{name}\b", (REPOSITORY / "Makefile").read_text()), argument
            if name == "ARGUMENTS":
                check_snakemake(shlex.split(value))
        else:
            assert argument in targets, argument


def check_run(arguments: list[str]) -> None:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = run._parser().parse_intermixed_args(arguments[:end])
    name = options.configuration
    known = name.startswith("garage") or PLACEHOLDER.search(name)  # a reader's own
    if not known:
        run.find_configurations(name, REPOSITORY)
    check_snakemake([*arguments[end + 1 :], "--", *options.targets])


def check_relposegnn(arguments: list[str]) -> None:
    name, *rest = arguments
    COMMAND_CHECKS[name](rest)


COMMAND_CHECKS = {
    "run": check_run,
    "find-poses": find_poses._parser().parse_args,
    "new-place": new_place._parser().parse_args,
    "localise": read_options,
    "export-map": export_command._parser().parse_args,
    "serve": serving._parser().parse_args,
}
CHECKS = {"snakemake": check_snakemake, "make": check_make, "localise": read_options}
CHECKS["relposegnn"] = check_relposegnn


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=[f"{page}-{' '.join(words)[:70]}" for page, words in COMMANDS]
)
def test_a_command_is_one_that_there_is(page, words):
    CHECKS[words[0]](words[1:])


def test_settings_on_the_page_of_own_places_are_valid(tmp_path):
    (tmp_path / "garage").mkdir()
    place = {"scenes": ["garage"], "scenes_dir": str(tmp_path)}
    page = (REPOSITORY / "docs/own-places.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    found = [validated(place | yaml.safe_load(block)) for block in blocks]
    assert {"rendered", "download"} == {settings["source"] for settings in found}


def test_commands_are_found_and_mistakes_in_them_too():
    assert len(COMMANDS) > 30
    assert {words[0] for _, words in COMMANDS} == OURS
    with pytest.raises(AssertionError, match="table_jont"):
        check_snakemake(["table_jont"])
    with pytest.raises(AssertionError, match=r"graphs\.strid"):
        check_snakemake(["--config", "graphs={strid: 3}"])
    with pytest.raises(AssertionError, match=r"config/small\.yml"):
        check_snakemake(["--configfile", "config/small.yml"])
    with pytest.raises(AssertionError, match="dmeo"):
        check_make(["dmeo"])
    with pytest.raises(SystemExit):
        read_options(["photo.jpg", "--mapp", "places"])
    with pytest.raises(AssertionError, match="graph"):
        check_relposegnn(["run", "small", "graph"])
    with pytest.raises(InputError, match="smal: no such configuration"):
        check_relposegnn(["run", "smal"])
    with pytest.raises(SystemExit):
        check_relposegnn(["serve", "--scene", "study", "--prot", "80"])
