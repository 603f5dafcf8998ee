"""Terminal output of a run: one line per finished step, and the reason if one fails."""

import logging
import os
import re
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from textwrap import shorten
from threading import Timer
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from tqdm import tqdm

from ..runtime import plain
from .steps import Job, Steps, describe_done, shorten_reason, subject_of

LAST_LINES = 20
LONG = 30.0  # seconds, after which a running job is reported
WARNING = re.compile(r"^[\d:]{8} WARNING (.*)", re.MULTILINE)  # a line of a log
SHOWN_WARNINGS = 10  # more are counted
REFUSED = re.compile(
    r"InputFunctionException in rule .*?\n +WorkflowError:\n +(.*?)\nWildcards:", re.S
)
LONGEST_WARNING = 400  # characters; the log has the whole text
UNLOCK = "It can be removed with the --unlock argument."  # of Snakemake
UNLOCK_HERE = (
    "If so, the same command with -- --unlock at its end removes the lock. Then run the command "
    "again: it resumes from there."
)
# Snakemake's message of a dry run beside another run, which is none the worse for it.
BESIDE = "Error: Directory cannot be locked. Another Snakemake instance is running."
BESIDE_HERE = "Another run is at work in this folder; what it has not made yet is in this plan too."
INTERRUPTED = "Terminating processes on user request"  # Snakemake's message at Ctrl-C
# What Snakemake says of itself, by its first words, and what the end of a failed job says better.
UNSAID = (
    *("Assuming unrestricted", "Building DAG", "Using shell", "Conda environments: ignored"),
    *("Select jobs", "Execute ", "Complete log(s)", "Elapsed time", "Shutting down"),
    *("This was a dry-run", "Reasons:", "Some jobs were triggered", "Rules with provenance"),
    *("Exiting because", "At least one job", "WorkflowError:\nAt least one job"),
    *("RuleException:\nCalledProcessError", "Removing output files of failed job"),
    *("Creating report", "Adding ", "Loading script code"),
)


class LogHandler(LogHandlerBase):
    """Snakemake's ``--logger relposegnn``.

    What jobs write to the terminal goes to a file while it is there: their logs have it, and where
    a job failed without one it is shown.
    """

    writes_to_stream = has_filter = has_formatter = True
    writes_to_file = needs_rulegraph = False

    def __post_init__(self) -> None:
        """Start without jobs."""
        self.steps, self.failed, self.began = Steps(), {}, time.time()
        self.bar, self.interrupted, self.closed = None, False, False
        self.waiting: dict[int, Timer] = {}  # that report long jobs
        self.terminal = sys.stderr
        if not self.common_settings.dryrun:
            self._divert()

    def emit(self, record: logging.LogRecord) -> None:
        """Handle a message of Snakemake."""
        try:
            told, event = vars(record), getattr(record, "event", None)
            if event in TOLD:
                TOLD[event](self, told)
            elif event in (None, LogEvent.ERROR, LogEvent.GROUP_ERROR) and record.msg:
                self._say(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Print the plan or what is left to report: incomplete steps, then failures."""
        if self.closed:
            return
        self.closed = True
        for number in [*self.waiting]:
            self._stop_waiting(number)
        if self.bar is not None:
            self.bar.close()
            self._tell_end()
        if not self.common_settings.dryrun:
            self._undo_divert()
        super().close()

    def _divert(self) -> None:
        """Make jobs inherit a file as stderr, while Python's own remains the terminal."""
        self.terminal = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
        self.spilt = tempfile.TemporaryFile()  # noqa: SIM115  until the end
        sys.stderr.flush()
        os.dup2(self.spilt.fileno(), 2)
        self.python_stderr, sys.stderr = sys.stderr, self.terminal

    def _undo_divert(self) -> None:
        os.dup2(self.terminal.fileno(), 2)
        sys.stderr = self.python_stderr
        self.spilt.close()

    def _write(self, text: str) -> None:
        tqdm.write(plain(text), file=self.terminal)

    def _say(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip()
        self.interrupted |= text.startswith(INTERRUPTED)
        if refused := REFUSED.match(text):
            text = refused[1]  # by one of our input functions; the traceback adds nothing
        if text and not text.startswith(UNSAID):
            self._write(text.replace(UNLOCK, UNLOCK_HERE).replace(BESIDE, BESIDE_HERE))

    def _count(self, told: dict[str, Any]) -> None:
        self.steps.planned = dict(told["stats"])
        if self.bar is None:
            how = {"disable": None, "leave": False, "dynamic_ncols": True, "unit": "job"}
            self.bar = tqdm(total=self.steps.planned["total"], file=self.terminal, **how)

    def _begin(self, told: dict[str, Any]) -> None:
        subject = subject_of(told["wildcards"] or {})
        job = Job(
            told["rule_name"], subject, shorten_reason(told["reason"]), told["log"],
            began=told["created"], makes=tuple(told["output"]),
        )  # fmt: skip
        self.steps.begin(told["jobid"], job)
        self._wait(told["jobid"], job)
        self._show_running()

    def _wait(self, number: int, job: Job) -> None:
        """Report the log of a job that takes long."""
        if self.common_settings.dryrun or not job.logs:
            return
        self.waiting[number] = Timer(LONG, self._tell_going_on, [job])
        self.waiting[number].daemon = True
        self.waiting[number].start()

    def _tell_going_on(self, job: Job) -> None:
        log = Path(job.logs[0])
        with suppress(OSError):  # a job that waits on a cluster has none yet
            if log.stat().st_mtime >= job.began:
                self._write(f"{job.name} is still running; its log: {log}")

    def _stop_waiting(self, number: int) -> None:
        if timer := self.waiting.pop(number, None):
            timer.cancel()

    def _end(self, told: dict[str, Any]) -> None:
        self._stop_waiting(told["job_id"])
        self.failed.pop(told["job_id"], None)
        if jobs := self.steps.end(told["job_id"], told["created"]):
            self._write(describe_done(jobs))
        self.bar.update()
        self._show_running()

    def _fail(self, told: dict[str, Any]) -> None:
        self._stop_waiting(told["jobid"])
        if not self.interrupted:
            self.failed[told["jobid"]] = told["created"], told["log"]

    def _show_running(self) -> None:
        if not self.bar.disable:
            self.bar.set_description_str(", ".join(self.steps.running())[:60])

    def _tell_end(self) -> None:
        if self.common_settings.dryrun:
            print(plain(self.steps.plan()), flush=True)
            return
        for jobs in self.steps.incomplete():
            self._write(describe_done(jobs))
        self._write(self.steps.count(time.time() - self.began))
        self._tell_warnings()
        for number, (clock, logs) in self.failed.items():
            job = self.steps.jobs[number]
            where, lines = self._last_lines(logs)
            took = f"{job.name} failed after {clock - job.began:.1f} s"
            self._write("\n".join([f"\n{took}; the end of {where}:\n", *lines]))

    def _tell_warnings(self) -> None:
        """Print each warning in the logs of finished jobs once."""
        found: dict[str, str] = {}
        for log in (log for job in self.steps.done() for log in job.logs):
            with suppress(OSError):
                for text in WARNING.findall(Path(log).read_text(errors="replace")):
                    found.setdefault(text, log)
        if not found:
            return
        lines = [f"  {log}: {shorten(text, LONGEST_WARNING)}" for text, log in found.items()]
        if (more := len(lines) - SHOWN_WARNINGS) > 0:
            lines[SHOWN_WARNINGS:] = [f"  ... and {more} more in logs"]
        self._write("\n".join(["\nWarnings:", *lines]))

    def _last_lines(self, logs: list[str]) -> tuple[str, list[str]]:
        """Return the name and the last lines of a failed job's log, or of its stderr."""
        for log in logs:
            with suppress(OSError):
                if lines := Path(log).read_text(errors="replace").splitlines():
                    return log, [f"  {line}" for line in lines[-LAST_LINES:]]
        self.spilt.seek(0)
        lines = self.spilt.read().decode(errors="replace").splitlines()
        return "what jobs wrote", [f"  {line}" for line in lines[-LAST_LINES:]]


TOLD = {
    LogEvent.RUN_INFO: LogHandler._count,
    LogEvent.JOB_INFO: LogHandler._begin,
    LogEvent.JOB_FINISHED: LogHandler._end,
    LogEvent.JOB_ERROR: LogHandler._fail,
}
