"""What jobs tell of themselves: digests of what they read and made, their settings and packages."""

import hashlib
import json
import subprocess
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from relposegnn.pipeline import records
from relposegnn.pipeline.records import digest, named, record_file, recorded


class Parameters(dict):
    """Is asked as Snakemake's lists of names are."""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Return an empty folder, in which Snakemake is as if it ran there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def job(workplace):
    """Return a job that reads a file and a folder."""
    (workplace / "read.txt").write_text("read")
    (workplace / "scene/seq-01").mkdir(parents=True)
    (workplace / "scene/seq-01/0.png").write_bytes(b"pixels")
    return SimpleNamespace(
        rule="pack",
        log=["logs/pack/study.log"],
        input=["read.txt", "scene"],
        output=["made.txt"],
        params=Parameters(size=(3, 4), code="0123"),
    )


def run(job, text="made"):
    with recorded(job):
        (file,) = job.output
        Path(file).write_text(text)
    return record_file(job.log[0]).read_bytes()


def test_a_record_holds_all_that_a_result_depends_on(job):
    record = json.loads(run(job))
    assert record["rule"] == "pack"
    assert (record["settings"], record["code"]) == ({"size": [3, 4]}, "0123")
    assert record["environment"]["packages"]["numpy"] == version("numpy")
    assert record["inputs"].keys() == {"read.txt", "scene"}
    assert record["inputs"]["read.txt"] == hashlib.sha256(b"read").hexdigest()
    assert record["outputs"] == {"made.txt": hashlib.sha256(b"made").hexdigest()}


def test_passwords_in_addresses_are_not_recorded(job):
    address = "http://user:secret@example.org/v.pth"
    job.params = Parameters(url=address, more={"of": [address, 3]}, code="0123")
    text = run(job).decode()
    assert "secret" not in text
    told = "http://example.org/v.pth"
    assert json.loads(text)["settings"] == {"url": told, "more": {"of": [told, 3]}}


def test_the_packages_are_those_that_would_be_imported(workplace, monkeypatch):
    for folder, version_there in (("first", "99.1"), ("second", "99.2")):
        place = workplace / folder / f"numpy-{version_there}.dist-info"
        place.mkdir(parents=True)
        (place / "METADATA").write_text(f"Name: numpy\nVersion: {version_there}\n")
    (workplace / "first/~umpy-98.0.dist-info").mkdir()  # as pip leaves it when it is killed
    monkeypatch.setattr("sys.path", [str(workplace / "first"), str(workplace / "second")])
    assert records.environment()["packages"] == {"numpy": "99.1"}


def test_the_same_job_leaves_the_same_bytes(job):
    assert run(job) == run(job) != run(job, "other")


def test_a_job_that_fails_leaves_no_record(job):
    with pytest.raises(SystemExit), recorded(job):
        raise ValueError
    assert not record_file(job.log[0]).exists()


def test_a_file_is_read_once_until_it_changes(workplace, monkeypatch):
    path, read = workplace / "a.txt", []
    of_file = records._of_file
    monkeypatch.setattr(records, "_of_file", lambda file: read.append(file) or of_file(file))
    path.write_text("one")
    first = digest(path)
    assert (digest(path), len(read)) == (first, 1)
    path.write_text("three")
    assert digest(path) == hashlib.sha256(b"three").hexdigest()
    assert len(read) == 2
    (memory,) = (workplace / records.MEMORY).iterdir()
    memory.write_text(memory.read_text()[:70])  # as another job may find it that is being written
    assert digest(path) == hashlib.sha256(b"three").hexdigest()


def test_the_digest_of_a_folder_is_that_of_names_and_contents(job, workplace):
    file = workplace / "scene/seq-01/0.png"
    first = digest("scene")
    file.rename(file.with_name("1.png"))
    renamed = digest("scene")
    file.with_name("1.png").write_bytes(b"pixelz")
    changed = digest("scene")
    assert len({first, renamed, changed}) == 3
    file.with_name("1.png").rename(file)
    file.write_bytes(b"pixels")
    (workplace / "scene/.snakemake_timestamp").touch()  # as Snakemake does after the job
    assert digest("scene") == first


def test_no_path_of_the_user_is_named(workplace):
    assert named("results/a.h5") == "results/a.h5"
    assert named(str(workplace / "results/a.h5")) == "results/a.h5"
    assert named("/somewhere/of/mine/study") == ".../study"


def test_the_commit_is_told_with_what_differs_from_it(workplace, monkeypatch):
    monkeypatch.setattr(records, "__file__", str(workplace / "code.py"))
    assert records.commit() is None
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    (workplace / "code.py").write_text("")
    for command in (["init", "-q"], ["add", "code.py"], ["commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    assert records.commit() == head
    (workplace / "code.py").write_text("edited = 1\n")
    assert records.commit() == f"{head}-dirty"
    monkeypatch.setenv("PATH", "")
    assert records.commit() is None
