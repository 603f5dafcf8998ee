"""Atomic outputs, seeds, logging of errors, choice of device."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from relposegnn import runtime


def test_atomic_file_replaces_its_target_when_the_block_succeeds(tmp_path):
    target = tmp_path / "new" / "a.txt"
    for text in ("first", "second"):
        with runtime.atomic_path(target) as partial:
            partial.write_text(text)
            assert partial.suffix == ".txt"
            assert not target.exists() or target.read_text() == "first"
        assert target.read_text() == text
    assert list(target.parent.iterdir()) == [target]


def test_atomic_folder_replaces_its_target(tmp_path):
    target = tmp_path / "scene"
    for name in ("old", "new"):
        with runtime.atomic_path(target) as partial:
            partial.mkdir()
            (partial / name).touch()
    assert [path.name for path in target.iterdir()] == ["new"]


def test_a_failed_block_leaves_the_old_target_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), runtime.atomic_path(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_be_replaced_is_kept(tmp_path, monkeypatch):
    target = tmp_path / "scene"
    target.mkdir()
    (target / "old").touch()
    replace = os.replace

    def interrupted(source, destination):
        if destination == target and (Path(source) / "new").exists():
            raise KeyboardInterrupt
        replace(source, destination)

    monkeypatch.setattr(runtime.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), runtime.atomic_path(target) as partial:
        partial.mkdir()
        (partial / "new").touch()
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".a.txt.partial-killed").mkdir()
    (tmp_path / ".a.txt.gz.partial-of-another").mkdir()
    with runtime.atomic_path(tmp_path / "a.txt") as partial:
        partial.write_text("new")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"a.txt", ".a.txt.gz.partial-of-another"}


def test_a_terminated_step_removes_its_partial_output(tmp_path):
    script = (
        "import os, signal, sys\n"
        "from relposegnn.runtime import atomic_path, logging_to\n"
        "with logging_to(sys.argv[1] + '/log'), atomic_path(sys.argv[1] + '/a.txt') as partial:\n"
        "    partial.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    library = Path(runtime.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(library)},
        check=False,
    )
    assert done.returncode == 143
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


ENDING = """
import signal, sys, time
from relposegnn.runtime import end_as_by_interrupt
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))
end_as_by_interrupt()
try:
    signal.raise_signal(signal.SIGHUP)
    time.sleep(0)
except KeyboardInterrupt:
    print("interrupted", end="")
else:
    print("went on", end="")
"""


@pytest.mark.parametrize(("before", "told"), [("SIG_DFL", "interrupted"), ("SIG_IGN", "went on")])
def test_a_closed_terminal_interrupts_a_command_unless_it_is_ignored(before, told):
    library = Path(runtime.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", ENDING, before],
        env={**os.environ, "PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == told


def test_seeds_differ_by_purpose_and_repeat():
    draw = runtime.numpy_generator(0, "graphs", "chess", "train").random(3)
    assert (draw == runtime.numpy_generator(0, "graphs", "chess", "train").random(3)).all()
    for other in [(1, "graphs", "chess", "train"), (0, "graphs", "chess", "test")]:
        assert (draw != runtime.numpy_generator(*other).random(3)).all()


def test_the_environment_variable_overrides_the_device(monkeypatch):
    monkeypatch.setenv(runtime.DEVICE_VARIABLE, "cpu")
    assert runtime.select_device() == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "toaster"])
def test_an_unusable_device_is_refused_by_name(monkeypatch, name):
    monkeypatch.setenv(runtime.DEVICE_VARIABLE, name)
    with pytest.raises(runtime.InputError, match=f"{name}: torch cannot use"):
        runtime.select_device()


def test_threads_are_set():
    before = torch.get_num_threads()
    runtime.select_device(threads=1)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("error", "traceback"), [(runtime.InputError("bad frame"), False), (KeyError("bug"), True)]
)
def test_errors_reach_the_log_file_and_the_exit_code(tmp_path, error, traceback):
    log = tmp_path / "logs" / "step.log"
    with pytest.raises(SystemExit) as stopped, runtime.logging_to(log):
        logging.getLogger("step").info("working")
        raise error
    text = log.read_text()
    assert stopped.value.code == 1
    assert "working" in text
    assert str(error) in text
    assert ("Traceback" in text) == traceback


HOSTILE = "\x1b[2J\x9b1m\r\u202egpj.\udcff https://me:secret@host/a@b?c=d@e, file:///x\n\tnext"
HARMLESS = r"\x1b[2J\x9b1m\r\u202egpj.\udcff https://host/a@b?c=d@e, file:///x" + "\n\tnext"


def test_messages_are_plain():
    """No code that moves a cursor, no password; lists in lines, and letters of all languages."""
    assert str(runtime.InputError(HOSTILE)) == HARMLESS
    assert str(runtime.InputError("Küche/厨房 🙂 50 %")) == "Küche/厨房 🙂 50 %"
    for address in ("ftp://u@h", "https://u:p%40:@h:80/", "https://u:@x@h/"):
        assert re.fullmatch(r"\w+://h(:80)?/?", str(runtime.InputError(address)))


@pytest.mark.parametrize("error", [runtime.InputError, RuntimeError])
def test_logs_and_tracebacks_are_plain(tmp_path, capsys, error):
    with pytest.raises(SystemExit), runtime.logging_to(tmp_path / "log"):
        logging.getLogger("a").warning("%s arrived", HOSTILE)
        raise error(HOSTILE)
    logging.getLogger().handlers.clear()
    for text in ((tmp_path / "log").read_text(), capsys.readouterr().err):
        assert text.count(HARMLESS) >= 2
        assert not set(text) & set("\x1b\x9b\r\u202e")
        assert "secret" not in text


def test_a_file_in_the_place_of_a_folder_is_told_and_kept_and_the_other_way_round(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/inside").write_text("kept")

    def write(target, content):
        with runtime.atomic_path(tmp_path / target) as partial:
            partial.write_text("new") if content == "file" else partial.mkdir()

    for target, content, message in (
        ("folder", "file", r"folder: is a folder, expected a file or nothing there; move it away"),
        ("file", "folder", r"file: is a file, expected a folder or nothing there; move it away"),
        ("file/deep/x", "file", r"file/deep: cannot be made, .*file is a file, expected a folder"),
        ("x" * 300, "file", r"x: cannot be written \(File name too long, .*choose a shorter name"),
    ):
        with pytest.raises(runtime.InputError, match=message):
            write(target, content)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "inside"]
    assert (tmp_path / "file").read_text() == (tmp_path / "folder/inside").read_text() == "kept"
