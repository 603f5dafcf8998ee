"""The jobs of a workflow run, as Snakemake reports them, in a few words each."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tabulate import tabulate

# What Snakemake's reasons begin with, and shorter ones. A job may have several: the first counts.
REASONS = {
    "Forced execution": "requested or interrupted",
    "Params have changed": "settings or code changed",
    "Code has changed": "script changed",
    "Software environment definition": "environment changed",
    "Set of input files has changed": "has other inputs",
    r"Updated input files: [^;\s]": "input changed",
    "Incomplete output files": "was interrupted",
    "Missing output files": "not made yet",
    "Input files updated by another job": "follows another step",
}
USUAL = ("not made yet", "follows another step")  # in a run from scratch; not printed
PAGE = "report.html"  # the report of a run
WIDTH = 96  # characters of a line


@dataclass
class Job:
    """A job: one rule, for one scene or run.

    Attributes:
        rule: name.
        subject: what it is done for, by its wildcards: scene, run/scene, ...
        reason: in a few words.
        logs: files.
        began: seconds of the clock.
        seconds: that it took; None while it runs.
        makes: files; none are of targets.
    """

    rule: str
    subject: str
    reason: str
    logs: list[str]
    began: float
    seconds: float | None = None
    makes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return rule and subject as text, e.g. "train model joint"."""
        return f"{in_words(self.rule)} {self.subject}".rstrip()


@dataclass
class Steps:
    """Jobs by number, and the planned count of each rule and in "total"."""

    jobs: dict[int, Job] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)

    def begin(self, number: int, job: Job) -> None:
        """Add a job, or restart it."""
        self.jobs[number] = job

    def end(self, number: int, clock: float) -> list[Job]:
        """Record that a job is done; return all jobs of its rule if it was the last of them."""
        job = self.jobs[number]
        job.seconds = clock - job.began
        done = [other for other in self.done() if other.rule == job.rule]
        return done if len(done) == self.planned.get(job.rule) else []

    def done(self) -> list[Job]:
        """Return the finished jobs that have outputs."""
        return [job for job in self.jobs.values() if job.makes and job.seconds is not None]

    def incomplete(self) -> list[list[Job]]:
        """Return the finished jobs of each rule that is not complete."""
        by_rule: dict[str, list[Job]] = {}
        for job in self.done():
            by_rule.setdefault(job.rule, []).append(job)
        return [jobs for rule, jobs in by_rule.items() if len(jobs) != self.planned.get(rule)]

    def count(self, duration: float) -> str:
        """Return a line with the number of finished jobs after ``duration`` seconds."""
        total = self.planned["total"]
        done = sum(job.seconds is not None for job in self.jobs.values())
        time = f"in {int(duration) // 60} min {int(duration) % 60} s"
        if done == total:
            pages = (path for job in self.done() for path in job.makes if path.endswith(PAGE))
            look = "".join(f" Report: {path}" for path in pages)
            return f"All {len(self.done())} jobs are done, {time}.{look}"
        return f"{done} of {total} jobs are done, {time}; the same command resumes from there."

    def running(self) -> list[str]:
        """Return the names of the running jobs."""
        return [job.name for job in self.jobs.values() if job.seconds is None]

    def plan(self) -> str:
        """Return a table of rules, counts and reasons as text."""
        jobs = [job for job in self.jobs.values() if job.makes]
        rules = Counter(job.rule for job in jobs)
        rows = [
            (in_words(rule), count, _counted(job.reason for job in jobs if job.rule == rule))
            for rule, count in rules.items()
        ]
        rows.append(("total", len(jobs), ""))
        return tabulate(rows, headers=("step", "jobs", "why"), tablefmt="simple")


def in_words(rule: str) -> str:
    """Return the name of a rule with blanks."""
    return rule.replace("_", " ")


def subject_of(wildcards: Mapping[str, str]) -> str:
    """Return the subject of a job: its scene, run or table, without the dataset."""
    return "/".join(value for name, value in wildcards.items() if name != "dataset")


def shorten_reason(reason: str) -> str:
    """Return the first of Snakemake's reasons for a job in a few words."""
    found = (short for begin, short in REASONS.items() if re.search(begin, reason))
    return next(found, reason.split(":")[0])


def describe_done(jobs: list[Job]) -> str:
    """Return a line on the finished jobs of a rule: subjects, seconds and reasons."""
    each = ", ".join(f"{job.subject} {seconds(job)}".strip() for job in jobs)
    whole = f"{len(jobs)} jobs, {sum(job.seconds for job in jobs):.0f} s together"
    reasons = [job.reason for job in jobs if job.reason not in USUAL]
    why = f"  ({_counted(reasons)})" if reasons else ""
    begin = f"{in_words(jobs[0].rule):<22}"
    return begin + (each if len(begin + each + why) <= WIDTH else whole) + why


def seconds(job: Job) -> str:
    """Return the duration of a job as text."""
    return f"{job.seconds:.0f} s" if job.seconds >= 9.95 else f"{job.seconds:.1f} s"


def _counted(reasons: Iterable[str]) -> str:
    """Return each reason once, with counts if there are several."""
    counts = Counter(reasons)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{reason} {count}" for reason, count in counts.items())
