"""What benchmarks take from the library is there, and those that take seconds run."""

import ast
import importlib

import pandas as pd
import pytest
from prepared_python import prepared_output
from project import REPOSITORY

BENCHMARKS = sorted((REPOSITORY / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_exists(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("relposegnn"):
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


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
