"""The chain from results to sources, and what was changed in it."""

import json
from pathlib import Path

import pytest

from relposegnn.pipeline.provenance import collect_provenance
from relposegnn.pipeline.records import digest, write_json
from relposegnn.runtime import InputError


def write_record(name, inputs, outputs, **more):
    """Write the record of a job for files as they are now; return its path."""
    record = {
        "rule": name,
        "environment": {"python": "3.11", "packages": {}},
        "inputs": {path: digest(path) for path in inputs},
        "outputs": {path: digest(path) for path in outputs},
    }
    write_json(f"logs/{name}.json", record | more)
    return f"logs/{name}.json"


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """Return the records of source -> frames -> (table, text), and of a job beside the chain."""
    monkeypatch.chdir(tmp_path)
    for name in ("source", "frames", "table", "text", "video"):
        (tmp_path / name).write_text(name)
    newer = {"python": "3.12", "packages": {}}
    return [
        write_record("pack", ["source"], ["frames"]),
        write_record("tabulate", ["frames"], ["table", "text"], environment=newer),
        write_record("film", ["frames"], ["video"]),
    ]


def collected(records, results=("table",)):
    collect_provenance(results, records, "provenance.json")
    return json.loads(Path("provenance.json").read_text())


def test_the_chain_goes_from_results_to_sources(chain):
    found = collected(chain)
    assert found["jobs"].keys() == {"logs/pack.json", "logs/tabulate.json"}
    assert found["jobs"]["logs/tabulate.json"]["inputs"] == {"frames": digest("frames")}
    assert (found["results"], found["sources"]) == (["table"], ["source"])
    assert found["differing"] == {}


def test_environments_stand_once_by_their_contents(chain):
    found = collected(chain, ["table", "video"])
    named = {job: found["jobs"][f"logs/{job}.json"]["environment"] for job in ("pack", "film")}
    assert named["pack"] == named["film"]
    assert {each["python"] for each in found["environments"].values()} == {"3.11", "3.12"}


@pytest.mark.parametrize("edited", ["source", "frames", "table", "text"])
def test_a_file_that_was_changed_by_hand_is_told(chain, edited, tmp_path, caplog):
    """A result, what stands beside it, what it was made of."""
    before = digest(edited)
    (tmp_path / edited).write_text("by hand")
    ((name, seen),) = collected(chain)["differing"].items()
    assert name == edited
    assert seen.pop("now") == digest(edited)
    assert set(seen.values()) == {before}
    assert f"{edited}: has changed since" in caplog.text


def test_a_file_that_jobs_saw_in_two_states_is_told(chain, tmp_path):
    (tmp_path / "frames").write_text("by hand")
    record = write_record("tabulate", ["frames"], ["table", "text"])
    (tmp_path / "frames").unlink()
    assert record in chain
    seen = collected(chain)["differing"]["frames"]
    assert seen.keys() == {"logs/pack.json", "logs/tabulate.json"}


def test_of_files_elsewhere_with_one_name_only_jobs_of_different_rules_tell_changes(chain):
    """One rule takes each of several ``general.models``; many rules read the folder of a scene."""
    read = {
        "table": ("take", ".../model.pt", "of seed 0"),
        "text": ("take", ".../model.pt", "of seed 1"),
        "frames": ("pack", ".../chess", "before"),
        "video": ("film", ".../chess", "after"),
    }
    for made, (rule, name, found) in read.items():
        outputs = {made: digest(made)}
        record = {"rule": rule, "environment": {}, "inputs": {name: found}, "outputs": outputs}
        write_json(f"logs/{made}.json", record)
    assert collected([f"logs/{made}.json" for made in read], read)["differing"].keys() == {
        ".../chess"
    }


def test_what_is_gone_is_not_compared(chain, tmp_path):
    (tmp_path / "frames").unlink()
    assert collected(chain)["differing"] == {}


def test_two_calls_write_the_same_bytes(chain, tmp_path):
    files = []
    for order in (chain, chain[::-1]):
        collected(order, ["table", "text"] if order is chain else ["text", "table"])
        files.append((tmp_path / "provenance.json").read_bytes())
    assert files[0] == files[1]


def test_the_later_of_two_jobs_made_a_file(chain, tmp_path):
    """As where a scene was rendered first and is downloaded now."""
    again = write_record("aaa", ["source"], ["frames"])
    assert again in collected([*chain, again])["jobs"]


@pytest.mark.parametrize("text", ["{", "[]", '{"inputs": {}}'])
def test_a_damaged_record_is_named(chain, tmp_path, text):
    (tmp_path / "logs/pack.json").write_text(text)
    with pytest.raises(InputError, match=r"logs/pack\.json: cannot be read as the record of a job"):
        collected(chain)
