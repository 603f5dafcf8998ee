"""What benchmarks take from the library is there, and those that take seconds run."""

import ast
import importlib
import re

import numpy as np
import pandas as pd
import pytest
from drawn_figures import write_frames
from prepared_python import prepared_output
from project import REPOSITORY

from relposegnn.estimates.predictions import MOST_SIMILAR

BENCHMARKS = sorted((REPOSITORY / "benchmarks").glob("*.py"))
PROGRAMS = [path for path in BENCHMARKS if "__main__" in path.read_text()]


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_exists(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("relposegnn"):
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_benchmark_tells_what_it_is_for_and_measures_nothing(path, tmp_path):
    if "import torch_scatter" in path.read_text():
        pytest.importorskip("torch_scatter")
    told = prepared_output([str(path), "--help"], tmp_path)
    assert told.startswith(f"usage: {path.name}")
    assert " ".join(path.read_text()[3:].split())[:60] in " ".join(told.split())


@pytest.fixture
def comparison(monkeypatch):
    """Return the module that makes the table of a place."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    return importlib.import_module("comparison")


def test_set_up_time_is_of_every_step_that_the_database_goes_through(comparison, tmp_path):
    (tmp_path / "frames").mkdir()
    write_frames(tmp_path / "frames/chess.h5", *(np.tile(np.eye(4), (n, 1, 1)) for n in (3, 1)))
    (tmp_path / "descriptors").mkdir()
    (tmp_path / "descriptors/chess.h5").write_bytes(bytes(8))
    taken = {"fit_vocabulary": 1, "fit_projection": 10, "describe_frames": 400}
    for step, seconds in taken.items():
        path = tmp_path / f"benchmarks/{step}/chess.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(f"s\n{seconds}\n")
    cost = comparison.Place(tmp_path, "chess").cost(MOST_SIMILAR, "joint", None)
    assert cost == comparison.Cost(query_s=100, setup_s=311, bytes=6)


@pytest.mark.parametrize(
    ("stage", "others"),
    [
        ("retrieval", {"measure_retrieval"}),
        ("features", set()),
        ("graphs", {"import_graphs"}),
        ("refinement", set()),
        ("calibration", set()),
    ],
)
def test_steps_that_ways_go_through_are_all_that_a_stage_has(comparison, stage, others):
    rules = re.findall(r"^rule (\w+):", (REPOSITORY / f"rules/{stage}.smk").read_text(), re.M)
    assert set(rules) - set().union(*comparison.WAYS.values()) == others


@pytest.fixture
def gpu(monkeypatch):
    """Return the module that measures a GPU."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    return importlib.import_module("gpu")


@pytest.mark.slow
def test_a_stage_of_a_gpu_that_fails_leaves_what_was_measured(gpu, tmp_path, monkeypatch):
    """As where a batch is too large for it; the table is written with each row."""
    written = []

    def failing(*_):
        """Yield a row, and fail."""
        yield "training step", "float32", "1 graphs/s"
        written.append((tmp_path / "gpu.md").read_text())
        raise RuntimeError("CUDA out of memory. Tried to allocate | 20 MiB\nmore")

    monkeypatch.setattr(gpu, "measure_query", lambda *_: iter([("a query", "float32", "2 ms")]))
    monkeypatch.setattr(gpu.Training, "measure", failing)
    monkeypatch.setattr("sys.argv", ["gpu.py", "--quick", "--output", str(tmp_path / "gpu.md")])
    gpu.main()
    assert written[0].splitlines()[-1] == "| training step | float32 | 1 graphs/s |"
    rows = (tmp_path / "gpu.md").read_text().splitlines()
    assert rows[4] == "| a query | float32 | 2 ms |"
    assert len([row for row in rows if "RuntimeError: CUDA out of memory. Tried" in row]) == 6
    assert rows[-1].startswith("| faiss | 500 x 256, ")


@pytest.mark.slow
def test_a_gpu_that_torch_does_not_see_is_not_measured(gpu, monkeypatch, capsys):
    monkeypatch.setenv("RELPOSEGNN_DEVICE", "cpu")
    monkeypatch.setattr("sys.argv", ["gpu.py"])
    with pytest.raises(SystemExit):
        gpu.main()
    assert "torch sees no GPU it may use, it would compute on cpu" in capsys.readouterr().err


@pytest.mark.slow
def test_stages_run_at_toy_sizes(tmp_path):
    stages = ("pack", "read", "sample")
    command = [str(REPOSITORY / "benchmarks/run.py"), *stages, "--quick"]
    prepared_output([*command, "--repeats", "1", "--output", str(tmp_path)], tmp_path)
    table = pd.read_csv(tmp_path / "benchmarks.csv")
    assert set(table.stage) == {"pack frames", "frames file", "sample"}
    assert (table[["ours", "base", "ratio"]] > 0).all(axis=None)


@pytest.mark.slow
def test_a_training_step_is_measured_again_and_again(monkeypatch, capsys):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    importlib.import_module("stages_network").print_step_time(1)  # after two to warm up
    assert float(capsys.readouterr().out) > 0
