"""Locks between processes, and steps that end with their Snakemake."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from relposegnn import locks
from relposegnn.locks import WORKFLOW_VARIABLE, keep_locks_of_others, sole_user, try_lock

LIBRARY = Path(locks.__file__).parents[1]
HOLD = (
    "import sys, time\n"
    "from relposegnn.locks import sole_user\n"
    "with sole_user(sys.argv[1], 'a step'):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)\n"
)


def python(script: str, *arguments: object, **variables: object) -> subprocess.Popen:
    """Start a Python process that finds the library; it ends with the test in any case."""
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=environment | {name: str(value) for name, value in variables.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def holder(tmp_path):
    """Return a process that holds the lock of a folder."""
    with python(HOLD, tmp_path / "lock") as running:
        assert running.stdout.readline() == "held\n"
        yield running
        running.kill()


def test_the_second_process_waits_and_names_the_first(holder, tmp_path, monkeypatch, caplog):
    """It is let in when the first is killed: no kill leaves a lock behind."""

    def kill_while_waiting(_):
        assert try_lock(tmp_path / "lock") is None
        holder.kill()
        holder.wait()

    monkeypatch.setattr(locks.time, "sleep", kill_while_waiting)
    with sole_user(tmp_path / "lock", "step.log"):
        pass
    assert f"step.log: process {holder.pid} on {os.uname().nodename} is already" in caplog.text
    assert len(caplog.records) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_lock_in_a_folder_that_is_gone_is_not_waited_for(tmp_path, monkeypatch):
    def remove_once(pause):
        if not (tmp_path / "place").exists():
            pytest.fail("waits for ever")
        shutil.rmtree(tmp_path / "place")

    monkeypatch.setattr(locks.time, "sleep", remove_once)
    (tmp_path / "place").mkdir()
    path = tmp_path / "place/lock"
    with sole_user(path, "one"), pytest.raises(FileNotFoundError), sole_user(path, "other"):
        pass


def test_who_waited_for_a_removed_lock_file_does_not_get_in(tmp_path, monkeypatch):
    """Else it and who makes the file anew would both be in."""
    path = tmp_path / "lock"

    def remove(file, operation):
        flock(file, operation)
        path.unlink()
        path.touch()

    flock = locks.fcntl.flock
    monkeypatch.setattr(locks.fcntl, "flock", remove)
    assert try_lock(path) is None
    assert try_lock(tmp_path / "gone" / "lock") is None


def test_a_disk_without_locks_is_told_once(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    locks._warn_once.cache_clear()
    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    for _ in range(2):
        with sole_user(tmp_path / "lock", "step"):
            pass
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "do not run one step twice at once" in caplog.text
    locks._warn_once.cache_clear()


STEP = (
    "import sys, time\n"
    "from relposegnn.runtime import atomic_path, logging_to\n"
    "with logging_to(sys.argv[1] + '/log'), atomic_path(sys.argv[1] + '/a.txt') as partial:\n"
    "    partial.write_text('half')\n"
    "    print('begun', flush=True)\n"
    "    time.sleep(60)\n"
)


@pytest.mark.slow
def test_a_step_ends_with_the_process_that_began_it(tmp_path):
    """As after a SIGKILL of Snakemake alone. Nothing partial is left."""
    with python("import time; time.sleep(60)") as snakemake:
        step = python(STEP, tmp_path, **{WORKFLOW_VARIABLE: snakemake.pid})
        assert step.stdout.readline() == "begun\n"
        time.sleep(1.5)  # longer than between two looks
        assert step.poll() is None
        snakemake.send_signal(signal.SIGKILL)
        snakemake.wait()
    text, _ = step.communicate(timeout=60)
    assert step.returncode == 128 + signal.SIGTERM
    assert "has ended before this step" in text
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_step_ends_where_the_process_that_began_it_is_gone_already(tmp_path):
    with python("") as snakemake:
        snakemake.wait()
    step = python(STEP, tmp_path, **{WORKFLOW_VARIABLE: snakemake.pid})
    step.communicate(timeout=60)
    assert step.returncode == 128 + signal.SIGTERM


@pytest.mark.slow
def test_a_step_waits_for_another_with_its_log(tmp_path):
    """The first one's log is left alone until it has ended."""
    with python(STEP, tmp_path) as first:
        assert first.stdout.readline() == "begun\n"
        logged = (tmp_path / "log").write_text("what the first says")
        second = python(STEP, tmp_path)
        waiting = second.stdout.readline()
        assert f"process {first.pid} on" in waiting
        assert (tmp_path / "log").stat().st_size == logged
        first.terminate()
    assert second.stdout.readline() == "begun\n"
    second.terminate()
    second.communicate()
    assert second.returncode == 128 + signal.SIGTERM


class Persistence:
    """Snakemake's locks as its version 9.27 has them: what ends a run removes everybody's."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._lockfile = folder, {}

    @contextmanager
    def lock(self):
        path = self.folder / f"{len(list(self.folder.iterdir()))}.lock"
        self._lockfile["output"] = str(path)
        path.touch()
        try:
            yield
        finally:
            self._delete_locks()

    def _delete_locks(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


def test_a_run_removes_its_own_locks_alone(tmp_path):
    class Kept(Persistence):
        pass

    keep_locks_of_others(Kept)
    with Kept(tmp_path).lock():
        with Kept(tmp_path).lock():
            assert len(list(tmp_path.iterdir())) == 2
        assert [path.name for path in tmp_path.iterdir()] == ["0.lock"]
        Kept(tmp_path)._delete_locks()  # as --unlock
        assert not list(tmp_path.iterdir())


def test_snakemakes_own_class_is_the_one_that_is_changed(tmp_path):
    """In a process of its own, in which it stays as it is for others."""
    script = """
from pathlib import Path
from snakemake.persistence.file import FilePersistence
from relposegnn.locks import keep_locks_of_others
keep_locks_of_others(FilePersistence)
run, folder = FilePersistence.__new__(FilePersistence), Path("locks")
run._lockdir, run._lockfile = str(folder), {"input": "locks/1.input.lock"}
for name in ("0.output.lock", "1.input.lock"):
    folder.mkdir(exist_ok=True)
    (folder / name).touch()
run.relposegnn_locks = True
run._delete_locks()
print(*[path.name for path in folder.iterdir()])
del run.relposegnn_locks
run._delete_locks()
print(folder.exists())
"""
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["0.output.lock", "False"]
