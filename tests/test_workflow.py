"""The workflow as a user runs it: plan, lint, a whole run on a CPU, bad input."""

import hashlib
import json
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from project import REPOSITORY, TINY, Project, snakemake_output
from tiny_checkpoints import TINY as SMALLEST
from workflow_rules import ALL, BEFORE_GRAPHS, TOLD

from relposegnn.network.checkpoints import save_model
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.pipeline.digest import Library
from relposegnn.scores.metrics import STATED
from relposegnn.threads import KEPT_MEMORY, WAITING

pytestmark = pytest.mark.slow


def test_the_plan_has_one_job_per_step_and_scene(tmp_path):
    planned = Project(tmp_path).planned()
    assert planned["train_model"] == planned["tabulate_experiment"] == 1
    assert {planned[rule] for rule in BEFORE_GRAPHS} == {2}
    assert planned.keys() == ALL


def test_scenes_on_disk_are_neither_rendered_nor_extracted(tmp_path, shared):
    project = Project(tmp_path)
    scenes = f"scenes_dir={shared / 'data' / '7scenes'}"
    planned = project.planned("--config", scenes, "scenes=[redkitchen]")
    assert not {"render_archive", "download_archive", "extract_scene"} & planned.keys()
    assert planned["pack_frames"] == 1


def test_full_reproduction_plans_fifteen_runs_over_seven_scenes(tmp_path):
    project = Project(tmp_path)
    project.settings = tmp_path / "config" / "7scenes.yaml"
    planned = project.planned()
    assert planned["train_model"] == 1 + 7 + 7
    assert planned["download_archive"] == planned["describe_frames"] == 7
    assert planned["download_weights"] == 2  # NetVLAD and ResNet34
    assert "fit_vocabulary" not in planned
    assert "train_model" not in project.planned("graphs")
    assert project.planned("table_leave_one_out")["train_model"] == 7


def test_with_the_authors_graphs_nothing_is_described_for_yardsticks(tmp_path):
    project = Project(tmp_path)
    project.settings = tmp_path / "config" / "7scenes.yaml"
    described = {"describe_frames", "rank_neighbours"}
    assert described <= project.planned("--", "table_published").keys()
    theirs = project.planned("--config", "graphs={source: authors}", "--", "table_published")
    assert theirs["import_graphs"] == theirs["predict_poses"] == 7
    assert not described & theirs.keys()


def test_the_general_network_is_tested_without_any_training(tmp_path):
    """On features of its own encoder and size, with cameras; once for each of its files."""
    project = Project(tmp_path, TINY)
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).touch()
    settings = ("--config", "experiments=[unseen]", "general={models: [a.pt, b.pt]}")
    planned = project.planned(*settings)
    assert not {"train_model", "encode_frames", "predict_validation"} & planned.keys()
    assert planned["take_general_model"] == 2
    assert planned["encode_frames_for_general"] == planned["measure_camera"] == 2
    assert planned["predict_poses"] == planned["calibrate_errors"] == 4
    assert planned["tabulate_experiment"] == 1


def test_the_file_of_a_general_network_is_taken_and_told_of(tmp_path):
    project = Project(tmp_path)
    model = "results/synthetic/runs/general/model.pt"
    settings = ("--config", "experiments=[unseen]", "general={models: [mine.pt]}", "--", model)
    (tmp_path / "mine.pt").write_bytes(b"weights")
    assert "mine.pt: cannot be read as a checkpoint" in project.run(*settings, expect=1)
    save_model(tmp_path / "mine.pt", RelPoseGNN(SMALLEST), epoch=1, scenes=["attic"])
    project.run(*settings)
    assert (tmp_path / model).read_bytes() == (tmp_path / "mine.pt").read_bytes()
    log = tmp_path / "results/synthetic/logs/take_general_model/general.json"
    record = json.loads(log.read_text())
    assert list(record["inputs"]) == ["mine.pt"]
    assert list(record["outputs"]) == [model]


@pytest.mark.parametrize(
    "without", ["graphs={validation: null}", "variants={a: {graphs: {validation: null}}}"]
)
def test_a_table_of_validation_needs_frames_that_are_held_out(finished, without):
    """Of every variant: to be told before all of them are trained."""
    arguments = ("--dry-run", "table_validation", "--config", without)
    text = finished.run(*arguments, expect=1)
    assert "graphs.validation: no frames are held out, expected a share and a stretch" in text


def test_a_general_network_that_is_not_there_is_told(tmp_path):
    settings = ("--config", "experiments=[unseen]", "general={models: [gone.pt]}")
    text = Project(tmp_path).run("--dry-run", *settings, expect=1)
    assert "gone.pt: no such file, expected a general network; train one" in text


def test_jobs_are_told_how_long_threads_wait_and_to_keep_memory(tmp_path, monkeypatch):
    for name in (*KEPT_MEMORY, "GLIBC_TUNABLES"):  # as "make test" has it
        monkeypatch.delenv(name, raising=False)
    parts = (f'include: "{REPOSITORY}/rules/{part}.smk"\n' for part in ("project", "common"))
    text = "".join(parts) + '\nrule told:\n    output: "told"\n'
    (tmp_path / "Snakefile").write_text(f"{text}    shell: 'env > {{output}}'\n")
    snakemake_output(["--cores", "1"], tmp_path)
    told = (tmp_path / "told").read_text().splitlines()
    assert {f"{name}={value}" for name, value in (WAITING | KEPT_MEMORY).items()} <= set(told)


def test_lint_finds_nothing(tmp_path):
    assert "good condition" in Project(tmp_path).run("--lint")


def test_a_whole_run_makes_scores_tables_and_figures(finished):
    results = finished.folder / "results" / "synthetic"
    table = pd.read_csv(results / "tables" / "joint.csv")
    assert set(table["scene"]) == {"study", "workshop", "average"}
    for scene in ("study", "workshop"):
        scores = pd.read_csv(results / f"runs/joint/scores/{scene}.csv")
        estimators = ["most similar image", "affine combination", "reference neighbour"]
        estimators += ["first edge", "all edges", "refined by matches"]
        assert scores["estimator"].tolist() == np.repeat(estimators, 12).tolist()
        assert scores["translation_error_m"].between(0, 10).all()
        assert {*STATED} <= set(scores)
        with (
            h5py.File(results / f"graphs/left_out/{scene}.h5") as graphs,
            np.load(results / f"runs/joint/left_out/refined/{scene}.npz") as left_out,
        ):
            parts = ("query", "neighbours", "reach")
            query, neighbours, reach = (graphs[f"left_out/{name}"][:] for name in parts)
            assert (np.abs(neighbours - query[:, None]) > reach[:, None]).all()
            assert reach.tolist().count(1) == 12
            assert reach.tolist().count(0) == 3
            assert len(left_out["rel_path"]) == len(query) == 15
        assert (results / f"runs/joint/calibration/{scene}.json").exists()
        median = scores[scores["estimator"] == "first edge"]["translation_error_m"].median()
        rows = table[table["scene"] == scene].set_index("estimator")
        assert rows.index.tolist() == estimators
        row, copied = rows.loc["first edge"], rows.loc["most similar image"]
        assert row["median_translation_m"] == pytest.approx(median, rel=1e-5)
        ratio = row["median_translation_m"] / copied["median_translation_m"]
        assert row["ratio_translation"] == pytest.approx(ratio, rel=1e-4)
        nearest = pd.read_csv(results / f"retrieval/{scene}.csv")["top1_distance_m"].median()
        assert copied["median_translation_m"] == pytest.approx(nearest, rel=1e-5)
        with (
            h5py.File(results / f"graphs/{scene}.h5") as graphs,
            h5py.File(results / f"neighbours/{scene}.h5") as ranked,
        ):
            nearest = {split: ranked[f"{split}/index"][:, :3] for split in ("train", "test")}
            assert (graphs["test/neighbours"][:] == nearest["test"]).all()
            mixed = (graphs["train/neighbours"][:] == nearest["train"]).all(axis=1)
            assert len(mixed) == 12
            assert 0 < mixed.sum() < 12
    figures = {path.relative_to(results / "figures") for path in results.rglob("*.png")}
    assert len(figures) == 2 + 1 + 1 + 2 + 2
    assert "study" in (results / "tables" / "joint.md").read_text()
    assert r"\toprule" in (results / "tables" / "joint.tex").read_text()


def test_every_job_has_log_and_benchmark(finished):
    results = finished.folder / "results" / "synthetic"
    logs = {p.relative_to(results / "logs").with_suffix("") for p in results.rglob("*.log")}
    benchmarks = {
        p.relative_to(results / "benchmarks").with_suffix("") for p in results.rglob("*.tsv")
    }
    assert logs == benchmarks
    assert {path.parts[0] for path in logs} == ALL


def test_the_report_can_be_made(finished, tmp_path):
    finished.run("--report", str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text()
    assert "Trajectories" in text
    assert "provenance.json" in text
    assert "joint" in text


def test_every_result_is_followed_back_to_what_it_was_made_of(finished):
    """By jobs whose code, settings and digests are those that Snakemake and the files have."""
    file = finished.folder / "results/synthetic/provenance.json"
    found = json.loads(file.read_text())
    jobs = {record["rule"]: record for record in found["jobs"].values()}
    assert jobs.keys() == ALL - TOLD
    assert (found["sources"], found["differing"]) == ([], {})
    assert jobs["train_model"]["settings"]["training"]["epochs"] == 2
    library = Library(finished.folder / "workflow/scripts")
    assert jobs["train_model"]["code"] == library.digest("train_model.py")
    (name,) = found["environments"]
    assert {record["environment"] for record in jobs.values()} == {name}
    table = "results/synthetic/tables/joint.csv"
    assert table in found["results"]
    content = (finished.folder / table).read_bytes()
    assert jobs["tabulate_experiment"]["outputs"][table] == hashlib.sha256(content).hexdigest()
    made = {path for record in found["jobs"].values() for path in record["outputs"]}
    read = {path for record in found["jobs"].values() for path in record["inputs"]}
    assert read | set(found["results"]) <= made
    assert str(finished.folder) not in file.read_text()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("graphs={strid: 3}", "graphs.strid: is unknown, did you mean graphs.stride?"),
        ("graphs={stride: 0}", "graphs.stride: got 0, expected an integer, at least 1"),
        ("scenes=[studi]", "unknown scene studi, did you mean study?"),
        ("retrieval={descriptor: sift}", 'retrieval.descriptor: got "sift", expected one of'),
    ],
)
def test_bad_settings_are_refused_by_name(tmp_path, setting, message):
    assert message in Project(tmp_path).run("--dry-run", "--config", setting, expect=1)


def test_bad_frames_end_the_run_with_their_name_and_leave_nothing(tmp_path, shared):
    scene = tmp_path / "scenes" / "redkitchen"
    for sequence in ("seq-01", "seq-02"):
        source = shared / "data/7scenes/redkitchen" / sequence
        shutil.copytree(source, scene / sequence)
    (scene / "TrainSplit.txt").write_text("sequence1\n")
    (scene / "TestSplit.txt").write_text("sequence2\n")
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    arguments = ["--config", f"scenes_dir={scene.parent}", "scenes=[redkitchen]", "--", "graphs"]
    bad = scene / "seq-01" / "frame-000007.pose.txt"
    good = bad.read_text()
    bad.chmod(0o644)
    bad.write_text(good.replace("0", "9"))
    assert f"{bad}: rotation" in project.run(*arguments, expect=1)
    assert not list(folder.glob("results/synthetic/frames/*"))
    bad.write_text(good)
    project.edit("tiny.yaml", "neighbours: 3", "neighbours: 30")
    project.edit("tiny.yaml", "candidates: 11", "candidates: 40")
    text = project.run(*arguments, expect=1)
    assert "19 database images to choose from" in text
    assert "at least graphs.neighbours = 30" in text
    assert not list(folder.glob("results/synthetic/graphs/*"))
