"""Kill anywhere: whatever ends a run, and when, the next ends where an undisturbed one does."""

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from project import TINY, Project

pytestmark = pytest.mark.slow

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LONGEST = 600  # seconds that one run may take to come to the moment
PATIENCE = 120  # seconds until a Snakemake that does not end by a signal is killed
JOB = re.compile(r"^(?:local)?rule \w+:\n(?:    .*\n)*", re.MULTILINE)
FIELD = r"^    {}: (.*)$"


def one_scene(folder: Path) -> Project:
    folder.mkdir()
    return Project(folder, f"{TINY}\nscenes: [study]\n")


def finished_outputs(text: str) -> list[str]:
    """Return the outputs of each job that Snakemake calls finished, by what it printed."""
    outputs = {}
    for job in JOB.findall(text):
        if output := re.search(FIELD.format("output"), job, re.MULTILINE):
            outputs[re.search(FIELD.format("jobid"), job, re.MULTILINE)[1]] = output[1]
    return [outputs[job] for job in re.findall(r"^Finished jobid: (\d+)", text, re.MULTILINE)
            if job in outputs]  # fmt: skip


def start(project: Project, printed: Path, target: str) -> subprocess.Popen:
    """Start Snakemake as the leader of a group, as a shell does."""
    with printed.open("w") as file:
        return subprocess.Popen(
            project.command("--", target), cwd=project.folder, start_new_session=True,
            stdout=file, stderr=subprocess.STDOUT,
            # Ctrl-C reaches it, even where the tests run in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip


def kill(running: subprocess.Popen, sent: signal.Signals, whole_group: bool) -> None:
    """Send a signal to Snakemake alone or to its jobs as well; wait for Snakemake's end alone."""
    target = -running.pid if whole_group else running.pid
    subprocess.run([shutil.which("kill"), f"-{sent.name[3:]}", "--", str(target)], check=True)
    try:
        running.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        # Where SIGTERM comes while it chooses jobs, Snakemake waits for a lock that it has itself,
        # and for no job of ours. The solver that chose for it has ended, but not for Snakemake.
        assert sent == signal.SIGTERM
        children = psutil.Process(running.pid).children()
        assert not [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        running.kill()
        running.wait()


def run_with_kills(
    project: Project, target: str, jobs: int, seconds: float, kills: int, seed: int
) -> list[str]:
    """Run until done, killed so many times over; return the outputs of all jobs that finished.

    The first moments are early in the workflow's ``jobs`` jobs and the last ones late, up to the
    ``seconds`` that one takes after another has ended.
    """
    rng = np.random.default_rng(seed)
    finished, printed = [], project.folder / "printed.txt"
    for number, after in enumerate(sorted(rng.integers(0, jobs - 1, kills))):
        running = start(project, printed, target)
        waited, text = time.monotonic() + LONGEST, ""
        while (
            (not JOB.search(text) or len(finished + finished_outputs(text)) < after)
            and running.poll() is None
            and time.monotonic() < waited
        ):
            time.sleep(0.05)
            text = printed.read_text()
        time.sleep(rng.uniform(0, seconds))  # while a job begins, works or ends
        ended = running.poll() is not None
        if not ended:
            kill(running, SIGNALS[number % 3], whole_group=number % 2 == 0)
        finished += finished_outputs(printed.read_text())
        if ended:  # the last jobs were done before their moment came
            assert number > kills // 2, text
            break
        shutil.rmtree(project.folder / ".snakemake/locks", ignore_errors=True)  # as --unlock
    return finished + finished_outputs(project.run("--", target))


def contents(project: Project, patterns: tuple[str, ...]) -> dict[str, bytes]:
    paths = (path for pattern in patterns for path in project.folder.glob(pattern))
    return {str(path.relative_to(project.folder)): path.read_bytes() for path in paths}


def check_as_undisturbed(folder: Path, target: str, kills: int, patterns: tuple[str, ...]) -> None:
    """Check that a run with kills repeats no job that was done and makes the same bytes."""
    undisturbed, killed = one_scene(folder / "undisturbed"), one_scene(folder / "killed")
    begun = time.monotonic()
    expected = finished_outputs(undisturbed.run("--", target))
    seconds = (time.monotonic() - begun) / len(expected)
    done = run_with_kills(killed, target, len(expected), seconds, kills, seed=20)
    assert not Counter(done) - Counter(expected)  # none was done again
    # One that is done when Snakemake is killed may not have been called finished any more.
    assert (Counter(expected) - Counter(done)).total() <= kills
    made = contents(undisturbed, patterns)
    assert len(made) >= len(patterns)
    assert contents(killed, patterns) == made
    assert killed.planned("--", target) == {}
    assert not list(killed.folder.rglob(".*.partial-*")) + list(killed.folder.rglob(".*.lock"))


def test_kills_before_training_change_nothing(tmp_path):
    """From rendering to the table of retrieval; test_workflow_reruns.py kills a training."""
    tables, scores = "results/synthetic/tables/retrieval.*", "results/synthetic/retrieval/*.csv"
    check_as_undisturbed(tmp_path, "results/synthetic/tables/retrieval.csv", 5, (tables, scores))


@pytest.mark.nightly
def test_kills_anywhere_change_nothing(tmp_path):
    check_as_undisturbed(
        tmp_path,
        "tables",
        30,
        (
            *("results/synthetic/tables/*", "results/synthetic/retrieval/*.csv"),
            *("results/synthetic/runs/joint/scores/*.csv", "results/synthetic/runs/joint/model.pt"),
        ),
    )
