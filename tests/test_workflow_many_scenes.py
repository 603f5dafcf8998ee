"""The plan of many scenes: what it costs for each does not grow with their number."""

import pstats

import pytest
from prepared_python import prepared_output
from project import Project

pytestmark = pytest.mark.slow


def calls_of_plan(folder, count: int) -> dict[str, int]:
    """Return how often planning scenes calls our functions, and Python's parser of patterns."""
    scenes, profile = [f"room-{i:03d}" for i in range(count)], folder / "profile"
    for scene in scenes:
        (folder / "scenes" / scene).mkdir(parents=True)
    project = Project(folder)
    project.settings.write_text(
        f"dataset: many\nscenes_dir: scenes\nscenes: [{', '.join(scenes)}]\n"
        "training: {seeds: [0, 1]}\nexperiments: [joint, single_scene]\n"
    )
    command = ["-m", "cProfile", "-o", str(profile), *project.command("-n")[1:]]
    prepared_output(command, folder)
    found = {"ours": 0, "patterns": 0}
    for (file, _, _), (_, calls, *_) in pstats.Stats(str(profile)).stats.items():
        found["ours"] += calls * (file.endswith(".smk") or "relposegnn" in file)
        found["patterns"] += calls * file.endswith(("re/_parser.py", "re\\_parser.py"))
    return found


def test_a_scene_among_many_costs_no_more_than_among_few(tmp_path):
    few, more, many = (calls_of_plan(tmp_path / str(count), count) for count in (3, 6, 12))
    assert 0 < few["ours"] < more["ours"]
    assert many["ours"] - more["ours"] < 2.1 * (more["ours"] - few["ours"])
    assert few["patterns"] <= many["patterns"] < 1.001 * few["patterns"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("frames/nowhere.h5", "scene"),
        ("runs/joint/scores/nowhere.csv", "scene"),
        ("runs/only-nowhere/model.pt", "run"),
        ("runs/joint-seed7/scores/study.csv", "run"),
        ("runs/published-only-nowhere/model.pt", "run"),
    ],
)
def test_names_that_are_not_configured_are_refused(finished, path, kind):
    text = finished.run("--dry-run", "--", f"results/synthetic/{path}", expect=1)
    assert f": not a {kind} of this configuration, expected one of " in text
