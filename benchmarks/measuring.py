"""Measure functions in turn, and write the table of figures."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pandas as pd

PACKAGES = ("numpy", "h5py", "pillow", "opencv-python-headless", "torch", "torch-geometric")

PAUSE = 0.1  # seconds


class Figure(NamedTuple):
    """A measurement of one stage and of what it is compared with.

    Attributes:
        stage: of the pipeline.
        measure: what was measured, with its unit, e.g. ``images/s``.
        ours: the stage's values, one for each repetition.
        base: the values that these are compared with, of the same repetitions.
        against: name of the base.
        least: goal, the least ratio of ours to the base.
        most: goal, the largest ratio. Without either, there is no goal.
    """

    stage: str
    measure: str
    ours: Sequence[float]
    base: Sequence[float]
    against: str
    least: float | None = None
    most: float | None = None

    @property
    def ratios(self) -> list[float]:
        """Return the ratios of ours to the base, one for each repetition, ascending."""
        return sorted(ours / base for ours, base in zip(self.ours, self.base, strict=True))

    def row(self) -> dict[str, object]:
        """Return a row of the table."""
        ratio = statistics.median(self.ratios)
        wanted, met = "—", None
        if self.least is not None:
            wanted, met = f"at least {self.least:g}", ratio >= self.least
        elif self.most is not None:
            wanted, met = f"at most {self.most:g}", ratio <= self.most
        return {
            "stage": self.stage,
            "measure": self.measure,
            "ours": statistics.median(self.ours),
            "base": statistics.median(self.base),
            "against": self.against,
            "ratio": ratio,
            "lowest": self.ratios[0],
            "highest": self.ratios[-1],
            "wanted": wanted,
            "met": {True: "yes", False: "no", None: "—"}[met],
        }


def by_turns(
    repeats: int, *functions: Callable[[], object], warm_up: bool = True
) -> list[list[float]]:
    """Return ``repeats`` times in seconds of each function, after one call to warm it up.

    Functions take turns, so that a machine that is busy for a while slows all of them. After a
    pause before each call, the threads of the previous one sleep: those of OpenBLAS and OpenMP
    spin for a while after their work. Without ``warm_up``, for functions that take minutes, the
    first call is left out.
    """
    for function in functions if warm_up else ():
        function()
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, taken in zip(functions, seconds, strict=True):
            time.sleep(PAUSE)
            started = time.perf_counter()
            function()
            taken.append(time.perf_counter() - started)
    return seconds


def rates(count: float, seconds: Sequence[float]) -> list[float]:
    """Return rates per second, given the seconds that ``count`` things took."""
    return [count / each for each in seconds]


def peak_memory() -> int:
    """Return the peak of this process's memory since ``forget_peak_memory``, in bytes."""
    return _status("VmHWM")


def held_memory() -> int:
    """Return the present memory of this process, in bytes."""
    return _status("VmRSS")


def forget_peak_memory() -> None:
    """Reset ``peak_memory`` (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def machine() -> str:
    """Return the machine, its number of threads, and the versions of packages."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if "model name" in line),
        platform.processor(),
    )
    threads = len(os.sched_getaffinity(0))
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{cpu}, {threads} threads, {', '.join(gpus) or 'no GPU'}; Python " + (
        f"{platform.python_version()}, {packages}"
    )


def write_table(figures: Iterator[Figure], folder: Path) -> str:
    """Write ``benchmarks.csv`` and ``.md`` again after each figure; return the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, text = [], ""
    for figure in figures:
        rows.append(figure.row())
        table = pd.DataFrame(rows)
        table.assign(machine=machine()).to_csv(folder / "benchmarks.csv", index=False)
        shown = table.assign(
            ours=table["ours"].map("{:.4g}".format),
            base=table["base"].map("{:.4g}, ".format) + table["against"],
            ratio=table["ratio"].map("{:.2f}".format),
            spread=table["lowest"].map("{:.2f}–".format) + table["highest"].map("{:.2f}".format),
        )
        columns = ["stage", "measure", "ours", "base", "ratio", "spread", "wanted", "met"]
        text = f"{machine()}\n\n{shown[columns].to_markdown(index=False, disable_numparse=True)}\n"
        (folder / "benchmarks.md").write_text(text)
        print(shown[columns].tail(1).to_string(index=False, header=len(rows) == 1), flush=True)
    return text


def _status(name: str) -> int:
    """Return a value of the kernel's status of this process, in bytes (Linux)."""
    line = next(line for line in _lines("/proc/self/status") if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
