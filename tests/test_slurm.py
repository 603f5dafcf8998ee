"""``profiles/slurm``, on a real cluster of this one machine, and with stand-ins for larger ones."""

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import pytest
import yte
from planted_scenes import write_tables
from prepared_python import prepared_output
from project import REPOSITORY, SNAKEMAKE, TINY, Project, output_of
from slurm_cluster import CPUS, missing, slurm_cluster

PROFILE = REPOSITORY / "profiles/slurm/config.yaml"


def read_profile() -> dict:
    """Return the profile as Snakemake reads it."""
    return yte.process_yaml(PROFILE.read_text(), require_use_yte=True)


def stand_in(folder: Path, monkeypatch, **answers: str) -> None:
    """Let SLURM's programs give these answers."""
    for name, answer in answers.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def rules_with_gpu() -> set[str]:
    """Return the rules that ask for a GPU, and those that are made of them."""
    text = "\n".join(path.read_text() for path in sorted((REPOSITORY / "rules").glob("*.smk")))
    found = set()
    for match in re.finditer(r"^( *)rule (\w+):\n((?:\1 +.*\n|\n)*)", text, re.M):
        if re.search(r"^ +gpu=", match[3], re.M):
            found.add(match[2])
    parts = re.findall(r"use rule (\w+) as (\w+) with", text)
    return found | {name for origin, name in parts if origin in found}


def test_a_cluster_with_accounting_and_gpus(tmp_path, monkeypatch):
    config = "AccountingStorageType   = accounting_storage/slurmdbd"
    stand_in(tmp_path, monkeypatch, sinfo="64 (null)\n32+ gpu:a100:4(S:0)", scontrol=config)
    profile = read_profile()
    assert profile["slurm-status-command"] == "sacct"
    assert profile["cores"] == 64
    assert set(profile["set-resources"]) == {"train_model"}
    assert profile["set-resources"]["train_model"]["gpu"] == 1


def test_a_cluster_with_neither(tmp_path, monkeypatch):
    config = "AccountingStorageType   = (null)"
    stand_in(tmp_path, monkeypatch, sinfo="2 (null)", scontrol=config)
    profile = read_profile()
    assert profile["slurm-status-command"] == "squeue"
    assert profile["cores"] == 2
    assert profile["set-resources"] == {name: {"gpu": 0} for name in rules_with_gpu()}


@pytest.mark.slow
def test_jobs_run_on_a_cluster_and_a_failed_ones_cause_is_named(tmp_path):
    """On one with accounting and one without, side by side: they wait most of the time."""
    reasons = {accounting: missing(accounting) for accounting in (False, True)}
    folders = {accounting: tmp_path / str(accounting) for accounting in (False, True)}
    with ThreadPoolExecutor() as pool:
        usable = [accounting for accounting, reason in reasons.items() if not reason]
        list(pool.map(lambda accounting: run_on_cluster(folders[accounting], accounting), usable))
    if any(reasons.values()):
        pytest.skip("; ".join(filter(None, reasons.values())))


def run_on_cluster(folder: Path, accounting: bool) -> None:
    """Pack a scene that is well and one that is not, and check what becomes of both."""
    folder.mkdir()
    project = Project(folder / "project", f"{TINY}\nscenes: [good, torn]\nscenes_dir: scenes\n")
    for name in ("good", "torn"):
        write_tables(project.folder / "scenes" / name, "csv")
    (project.folder / "scenes/torn/seq1/frame00002.png").write_bytes(b"no image")
    # More CPUs than the node has, as a training's.
    options = ["--workflow-profile", "profiles/slurm", "--set-threads", "pack_frames=8"]
    options += ["--retries", "0", "--slurm-init-seconds-before-status-checks", "1"]
    command = [*SNAKEMAKE, "frames", "--configfile", str(project.settings), *options]
    with slurm_cluster(accounting) as environment:
        text = prepared_output(command, project.folder, expect=1, environment=environment)
        assert ("(status command is not 'sacct')" in text) != accounting
        if accounting:
            known = output_of(
                ["sacct", "--noheader", "--format=State"], folder, environment=environment
            )
            assert {"COMPLETED", "FAILED"} <= set(known.split())
    assert text.count("has been submitted with SLURM jobid") == 2
    with h5py.File(project.folder / "results/synthetic/frames/good.h5") as frames:
        assert len(frames["train/name"]) == 4
    assert "scenes/torn/seq1/frame00002.png: cannot be read" in text
    assert not (project.folder / "results/synthetic/frames/torn.h5").exists()
    assert re.findall(r"^    threads: (\d+)$", text, re.M)[:2] == [str(CPUS)] * 2
