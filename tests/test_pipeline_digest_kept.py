"""What digests read of files: once, kept beside bytecode, made anew where that cannot be used."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from digest_library import counts, write_library
from project import REPOSITORY

from relposegnn.pipeline.digest import Library

SCRIPTS = REPOSITORY / "workflow/scripts"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_library(tmp_path)


def test_files_are_read_once_for_all_scripts(folder, monkeypatch):
    read = []
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda source, file: read.append(file) or parse(source, file))
    library = Library(folder)
    for script in ("one.py", "two.py"):
        (folder / script).write_text("from relposegnn.tools import used\nused()\n")
        library.digest(script)
    modules = [file for file in read if file.parent != folder]
    assert folder / "relposegnn/tools.py" in modules
    assert len(modules) == len(set(modules))


def test_digests_are_kept_until_a_file_is_edited(folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (folder / "script.py").write_text("from relposegnn.tools import used\nused()\n")
    (folder / "broken.py").write_text("from\n")
    digest = Library(folder).digest("script.py")
    parsed, parse = [], ast.parse
    monkeypatch.setattr(
        ast, "parse", lambda source, file: parsed.append(file.name) or parse(source, file)
    )
    assert Library(folder).digest("script.py") == digest
    assert parsed == []
    with pytest.raises(SyntaxError, match=r"broken\.py"):
        Library(folder).digest("broken.py")
    for edited, equal in (("colours.py", True), ("tools.py", False)):
        file = folder / "relposegnn" / edited
        file.write_text(file.read_text().replace("LIMIT + value", "LIMIT - value") + "NEW = 1\n")
        del parsed[:]
        assert (Library(folder).digest("script.py") == digest) == equal
        assert "tools.py" in parsed


def test_files_that_cannot_be_read_and_linked_folders_are_no_trouble(
    folder, tmp_path_factory, monkeypatch
):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (folder / "script.py").write_text("from linked.inner import VALUE\nVALUE\n")
    (folder / ".#script.py").symlink_to("user@host.1234")  # an editor's lock
    inner = tmp_path_factory.mktemp("elsewhere") / "inner.py"
    inner.write_text("VALUE = 1\n")
    (folder / "linked").symlink_to(inner.parent)
    before = Library(folder).digest("script.py")
    assert Library(folder).digest("script.py") == before
    inner.write_text("VALUE = 2\n")
    assert Library(folder).digest("script.py") != before


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:100],
        lambda text: '{"files": 1, "digests": {}}',
        lambda text: re.sub(r'"files": "[^"]*"', '"files": "another"', text),
        lambda text: re.sub(r'"digests": {[^}]*}', '"digests": 3', text),
        lambda text: "[]",
    ],
)
def test_what_was_kept_and_cannot_be_used_is_made_anew(folder, monkeypatch, damage):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (folder / "script.py").write_text("from relposegnn.tools import used\nused()\n")
    digest = Library(folder).digest("script.py")
    (kept,) = (folder / "__pycache__").glob("digests.*.json")
    whole = kept.read_text()
    kept.write_text(damage(whole))
    assert kept.read_text() != whole
    assert Library(folder).digest("script.py") == digest


def test_nothing_is_kept_where_bytecode_is_not_and_where_nothing_may_be_written(
    folder, monkeypatch
):
    (folder / "script.py").write_text("from relposegnn.tools import used\nused()\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    digest = Library(folder).digest("script.py")
    assert not (folder / "__pycache__").exists()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (folder / "__pycache__").write_text("a file, in which no other can be")
    assert Library(folder).digest("script.py") == digest


def test_folder_and_process_do_not_count(folder, tmp_path):
    (folder / "script.py").write_text("from relposegnn.tools import *\n")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copytree(folder / "relposegnn", moved / "relposegnn")
    shutil.copy(folder / "script.py", moved)
    command = (
        "import sys; from relposegnn.pipeline.digest import Library; "
        "print(Library(sys.argv[1]).digest('script.py'))"
    )
    other = subprocess.run(
        [sys.executable, "-c", command, moved],
        env={"PYTHONPATH": str(SCRIPTS), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == Library(folder).digest("script.py")


def test_missing_script_and_broken_module_are_errors_that_name_them(folder):
    with pytest.raises(FileNotFoundError, match=r"none\.py"):
        Library(folder).digest("none.py")
    (folder / "relposegnn/colours.py").write_text("RED =\n")
    with pytest.raises(SyntaxError, match=r"colours\.py"):
        counts(folder, "from relposegnn.colours import RED\nRED", "lazy", "400", "0")
