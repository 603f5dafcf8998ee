"""The notebook runs from its first cell to its last, on a planted result."""

import h5py
import nbformat
import numpy as np
import pytest
from conftest import OWNED
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from project import REPOSITORY

from relposegnn.files.storage import create_hdf5
from relposegnn.poses import quaternion_from_matrix
from relposegnn.scores.metrics import score_poses

NOTEBOOK = REPOSITORY / "docs/notebooks/explore.ipynb"


@pytest.fixture
def results(tiny_scene, tmp_path):
    """Return a folder of results: every estimate 3 cm off along x, that of query 2 a metre."""
    for name in ("frames", "neighbours", "runs/joint/predictions", "runs/joint/scores"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "frames/garage.h5").symlink_to(tiny_scene.frames)
    with h5py.File(tiny_scene.frames) as file:
        poses, names = file["test/world_from_cam"][:], file["test/name"].asstr()[:]
    with create_hdf5(tmp_path / "neighbours/garage.h5", "neighbours", {}) as file:
        file["test/index"] = np.tile(np.arange(6, dtype=np.int32), (len(names), 1))
    off = np.zeros((len(names), 3))
    off[:, 0] = 0.03
    off[2, 0] = 1
    arrays = {"rel_path": names.astype(str)}
    for prefix in ("targ", "abs", "robust", "reference"):
        arrays[f"{prefix}_t"] = poses[:, :3, 3] + (0 if prefix == "targ" else off)
        arrays[f"{prefix}_q"] = quaternion_from_matrix(poses[:, :3, :3])
    predictions = tmp_path / "runs/joint/predictions/garage.npz"
    np.savez(predictions, **arrays, **{**OWNED, "scene": "garage"})
    score_poses(predictions, tmp_path / "runs/joint/scores/garage.csv")
    return tmp_path


def test_it_is_kept_without_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert all(not cell.outputs and not cell.execution_count for cell in cells if "outputs" in cell)


def client_of(notebook):
    """Return what runs a notebook where it lies."""
    return NotebookClient(notebook, timeout=None, resources={"metadata": {"path": NOTEBOOK.parent}})


@pytest.mark.slow
def test_a_folder_without_results_is_told_in_its_first_cell(tmp_path, monkeypatch):
    monkeypatch.setenv("RELPOSEGNN_RESULTS", str(tmp_path))
    with pytest.raises(CellExecutionError, match=f"{tmp_path}: has no scores of the run joint"):
        client_of(nbformat.read(NOTEBOOK, as_version=4)).execute()


@pytest.mark.slow
def test_it_runs_and_finds_the_worst_query(results, monkeypatch):
    monkeypatch.setenv("RELPOSEGNN_RESULTS", str(results))
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client_of(notebook).execute()
    shown = [
        output["data"]["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/plain" in output.get("data", {})
    ]
    summary = next(text for text in shown if "median_translation_m" in text)
    assert "first edge" in summary
    assert "0.03" in summary
    worst = next(text for text in shown if "translation_error_m" in text)
    assert worst.splitlines()[1].split()[1:3] == ["seq-test/frame-000002", "1.00"]
