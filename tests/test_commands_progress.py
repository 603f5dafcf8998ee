"""What the terminal shows of a run, by what Snakemake tells."""

import logging
import os
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from relposegnn.commands import progress
from relposegnn.commands.progress import LAST_LINES, LogHandler
from relposegnn.commands.steps import WIDTH, Job, Steps, describe_done, shorten_reason, subject_of

MISSING = "Missing output files: results/d/frames/a.h5"
LATER = f"{MISSING}; Input files updated by another job: x.h5"


def started(dryrun: bool = False) -> LogHandler:
    """Return a handler, which is to be made when the test runs: it keeps the terminal of then."""
    return LogHandler(SimpleNamespace(dryrun=dryrun), None)


def tell(handler, event, clock=0.0, **fields):
    record = {"msg": None, "created": clock, "event": event, "levelno": logging.INFO, **fields}
    handler.emit(logging.makeLogRecord(record))


def begin(handler, number, rule, reason=MISSING, clock=0.0, log=(), output=("x",), **wildcards):
    tell(handler, LogEvent.JOB_INFO, clock, jobid=number, rule_name=rule, reason=reason,
         wildcards={"dataset": "d", **wildcards}, log=list(log), output=list(output))  # fmt: skip


def end(handler, number, clock):
    tell(handler, LogEvent.JOB_FINISHED, clock, job_id=number)


def words(line):
    """Return a line with one blank between its columns."""
    return " ".join(line.split())


def plan(handler, **counts):
    tell(handler, LogEvent.RUN_INFO, stats={**counts, "total": sum(counts.values())})


def fail(handler, number, log, clock=3.0):
    tell(handler, LogEvent.JOB_ERROR, clock, jobid=number, log=[str(log)])


def test_a_line_is_of_one_step_with_what_it_was_for_and_how_long(capfd):
    handler = started()
    plan(handler, pack_frames=2, write_report=1, all=1)
    begin(handler, 1, "pack_frames", scene="study")
    begin(handler, 2, "pack_frames", scene="attic", clock=1)
    end(handler, 1, 4.26)
    assert capfd.readouterr().err == ""  # one of two
    end(handler, 2, 13)
    begin(handler, 3, "write_report", LATER, 13, output=["results/d/report.html"])
    end(handler, 3, 14)
    begin(handler, 0, "all", LATER, 14, output=())
    end(handler, 0, 14)
    handler.close()
    lines = capfd.readouterr().err.splitlines()
    assert [words(line) for line in lines[:2]] == [
        "pack frames study 4.3 s, attic 12 s",
        "write report 1.0 s",
    ]
    assert lines[2].startswith("All 3 jobs are done")
    assert lines[2].endswith(" s. Report: results/d/report.html")
    assert len(lines) == 3


def test_what_snakemake_says_of_itself_is_left_out_and_all_else_stays(capfd):
    handler = started()
    for text in ("Building DAG of jobs...", "Select jobs to execute...", "Using shell: bash"):
        tell(handler, None, msg=text)
    tell(handler, LogEvent.SHELLCMD, msg="Shell command: None")
    tell(handler, None, msg="Creating conda environment envs/torch.yaml...")
    tell(handler, LogEvent.ERROR, msg="WorkflowError:\nphotos.folder: is null\x1b[2J")
    handler.close()
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "Creating conda environment envs/torch.yaml...",
        "WorkflowError:",
        r"photos.folder: is null\x1b[2J",
    ]


def test_a_failure_comes_last_with_the_end_of_its_log(capfd, tmp_path):
    handler = started()
    log = tmp_path / "study.log"
    log.write_text("".join(f"line {n}\n" for n in range(100)) + "ERROR no image\n")
    plan(handler, pack_frames=2)
    begin(handler, 1, "pack_frames", scene="study", log=[log])
    begin(handler, 2, "pack_frames", scene="attic")
    os.write(2, b"what a job writes\n")  # as its child does
    fail(handler, 1, log)
    end(handler, 2, 5)
    tell(handler, None, msg="Exiting because a job execution failed. Look above for error messages")
    tell(handler, LogEvent.ERROR, msg="WorkflowError:\nAt least one job did not complete")
    handler.close()
    os.write(2, b"after it\n")
    *before, last, after = capfd.readouterr().err.splitlines()
    assert (last, after) == ("  ERROR no image", "after it")
    assert words(before[0]) == "pack frames attic 5.0 s"
    assert before[1].startswith("1 of 2 jobs are done")
    assert before[3] == f"pack frames study failed after 3.0 s; the end of {log}:"
    assert before[5] == f"  line {100 - LAST_LINES + 1}"


def test_a_job_that_failed_without_a_log_shows_what_it_wrote(capfd, tmp_path):
    handler = started()
    plan(handler, pack_frames=1)
    begin(handler, 1, "pack_frames", scene="study")
    os.write(2, b"ImportError: no numpy\n")
    fail(handler, 1, tmp_path / "none.log")
    handler.close()
    assert capfd.readouterr().err.endswith("  ImportError: no numpy\n")


@pytest.mark.parametrize("case", ["tried again", "interrupted"])
def test_what_is_no_failure_is_not_told_as_one(capfd, tmp_path, case):
    handler = started()
    plan(handler, pack_frames=1)
    begin(handler, 1, "pack_frames", scene="study")
    if case == "interrupted":
        tell(handler, None, msg="Terminating processes on user request, this might take some time.")
    fail(handler, 1, tmp_path / "none.log")
    if case == "tried again":
        end(handler, 1, 9)
    handler.close()
    text = capfd.readouterr().err
    assert "failed" not in text
    assert ("same command resumes" in text) == (case == "interrupted")


def test_a_plan_counts_each_step_with_its_reasons(capfd):
    handler = started(dryrun=True)
    plan(handler, train_model=1, pack_frames=3, all=1)
    for number, reason in enumerate((MISSING, LATER, "Params have changed since last: 1 2")):
        begin(handler, number, "pack_frames", reason)
    begin(handler, 5, "all", output=())
    handler.close()
    rows = [line.split(maxsplit=2) for line in capfd.readouterr().out.splitlines()]
    assert rows[2] == ["pack", "frames", "3  not made yet 2, settings or code changed 1"]
    assert rows[-1] == ["total", "3"]
    assert len(rows) == 4


def test_of_several_reasons_the_first_cause_is_told():
    assert shorten_reason(LATER) == "not made yet"
    assert (
        shorten_reason(f"{LATER}; Params have changed since last: a") == "settings or code changed"
    )
    assert shorten_reason("Updated input files: ; Input files updated by another job: x") == (
        "follows another step"
    )
    assert shorten_reason("Updated input files: a; Input files updated by another job: x") == (
        "input changed"
    )
    assert shorten_reason("Something new: of Snakemake") == "Something new"


def test_many_jobs_of_a_step_are_counted_and_why_is_told():
    few = [Job("rank_neighbours", "attic", "input changed", [], 0.0, 1.0)]
    assert words(describe_done(few)) == "rank neighbours attic 1.0 s (input changed)"
    many = [Job("rank_neighbours", f"room-{n}", "not made yet", [], 0.0, 2.0) for n in range(50)]
    assert words(describe_done(many)) == "rank neighbours 50 jobs, 100 s together"
    assert len(describe_done(many)) <= WIDTH


def test_a_subject_is_all_but_the_dataset():
    assert subject_of({"dataset": "d", "run": "joint", "scene": "attic"}) == "joint/attic"
    assert subject_of({}) == ""
    assert Steps(planned={"total": 2}).count(61).startswith("0 of 2 jobs are done, in 1 min 1 s")


def test_what_logs_warn_of_is_told_at_the_end_each_once(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SHOWN_WARNINGS", 2)
    handler = started()
    plan(handler, sample_graphs=4)
    for number, text in enumerate(("few images", "few images", "no lens", "dark")):
        log = tmp_path / f"{number}.log"
        log.write_text(f"05:09:41 INFO begun\n05:09:42 WARNING {text}\nWARNING of a library\n")
        begin(handler, number, "sample_graphs", log=[str(log)], scene=text)
        end(handler, number, 1)
    handler.close()
    lines = capfd.readouterr().err.splitlines()
    assert lines[lines.index("Warnings:") + 1 :] == [
        f"  {tmp_path}/0.log: few images",
        f"  {tmp_path}/2.log: no lens",
        "  ... and 1 more in logs",
    ]


def test_a_job_that_goes_on_is_told_of_with_its_log(capfd, tmp_path, monkeypatch):
    """One that waits on a cluster has none yet."""
    monkeypatch.setattr(progress, "LONG", 0.05)
    monkeypatch.chdir(tmp_path)
    handler = started()
    plan(handler, train_model=1, pack_frames=2)
    for name in ("train.log", "pack.log"):
        (tmp_path / name).touch()
    begin(handler, 1, "train_model", log=["train.log"], run="joint")
    begin(handler, 2, "pack_frames", log=["pack.log"], scene="study")
    begin(handler, 3, "pack_frames", log=["none.log"], scene="attic")
    end(handler, 2, 0.01)
    for number in (1, 3):
        handler.waiting[number].join(10)
    handler.close()
    told = capfd.readouterr().err
    assert "train model joint is still running; its log: train.log" in told
    assert "pack.log" not in told
    assert "none.log" not in told


def test_a_lock_that_was_left_is_removed_by_this_commands_own_words(capfd):
    handler = started()
    text = "LockException:\nError: Directory cannot be locked. It can be removed with the --unlock "
    tell(handler, LogEvent.ERROR, msg=f"{text}argument.")
    handler.close()
    assert "the same command with -- --unlock at its end removes the lock" in capfd.readouterr().err


def test_a_plan_beside_a_run_is_no_error(capfd):
    handler = started(dryrun=True)
    text = "Error: Directory cannot be locked. Another Snakemake instance is running."
    tell(handler, None, msg=text)
    handler.close()
    assert capfd.readouterr().err.startswith("Another run is at work in this folder; what it has")
