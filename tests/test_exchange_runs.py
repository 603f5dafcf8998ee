"""A run's poses for other programs: evo measures our errors, COLMAP's models have our poses."""

import contextlib
import io
import logging
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import OWNED
from planted_scenes import write_noise
from project import REPOSITORY
from rankings import write_ranking
from scipy.spatial.transform import Rotation

from relposegnn.data.camera_files import write_camera
from relposegnn.data.frames import Frames
from relposegnn.data.packing import Packing, pack_frames
from relposegnn.estimates.predictions import ALL_EDGES, REFINED
from relposegnn.exchange.runs import CERTAIN, PAIRS, export_poses
from relposegnn.files.owners import Owner
from relposegnn.files.storage import create_hdf5
from relposegnn.layouts.colmap import read_model
from relposegnn.poses import quaternion_from_matrix
from relposegnn.retrieval.rankings import Ranking
from relposegnn.runtime import InputError
from relposegnn.scores.metrics import score_poses

PAGE = (REPOSITORY / "docs/formats.md").read_text()
ORDER = [2, 0, 1]  # of the queries in the predictions
POINTS = [31, 0, 12]
RANKED = {"test": [[8, 0, 3], [1, 2, 4], [5, 6, 7]], "train": [[1, 2]] * 9}


def write_predictions(folder: Path, failed: int | None = None) -> Path:
    """Write poses that are some metres and degrees from the truth, in another order."""
    rng = np.random.default_rng(0)
    with Frames(folder / "frames.h5") as frames:
        truth = frames.poses("test")[ORDER]
        arrays = {"rel_path": [frames.names("test")[row] for row in ORDER]}
    for prefix in ("targ", "abs", "robust", "reference", "refined"):
        off = prefix != "targ"
        turns = Rotation.from_rotvec(off * rng.normal(0, 0.2, (3, 3))).as_matrix()
        arrays[f"{prefix}_t"] = truth[:, :3, 3] + off * rng.normal(0, 0.5, (3, 3))
        arrays[f"{prefix}_q"] = quaternion_from_matrix(turns @ truth[:, :3, :3])
    arrays["refined_points"] = np.array(POINTS)
    if failed is not None:
        arrays["refined_t"][failed] = np.nan
    np.savez(folder / "predictions.npz", **arrays | OWNED)
    return folder / "predictions.npz"


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    """Return a folder with a scene of 9 database images and 3 queries, and its files."""
    folder = tmp_path_factory.mktemp("exchange")
    write_noise(folder / "room")
    pack_frames(folder / "room", folder / "frames.h5", "d", "room", Packing(24))
    write_camera(folder / "camera.json", 0.8, "planted", Owner("d", "room"))
    write_camera(folder / "unknown.json", np.nan, "unknown: planted", Owner("d", "room"))
    with create_hdf5(folder / "neighbours.h5", "neighbours", {}) as file:
        for split, index in RANKED.items():
            ranked = np.array(index, dtype=np.int32)
            write_ranking(file, split, Ranking(ranked, np.zeros(ranked.shape, np.float32)))
    return folder


def exported(scene: Path, out: Path, failed: int | None = None, camera: str = "camera") -> Path:
    files = write_predictions(scene, failed), scene / "frames.h5", scene / f"{camera}.json"
    export_poses(*files, scene / "room", out / "exchange", scene / "neighbours.h5")
    return out / "exchange"


def rows_of(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("failed", [None, 1])
def test_evo_measures_our_errors(scene, tmp_path, failed):
    pytest.importorskip("evo")
    from evo.core import metrics, sync
    from evo.tools.file_interface import read_tum_trajectory_file

    folder = exported(scene, tmp_path, failed)
    asked = [shlex.split(line, comments=True) for line in re.findall("^evo_ape.*", PAGE, re.M)]
    told = [mean_of(words, folder) for words in asked]
    folder = folder / "tum"
    pair = [read_tum_trajectory_file(folder / f"{name}.txt") for name in ("truth", "estimate")]
    pair = sync.associate_trajectories(*pair)
    score_poses(scene / "predictions.npz", tmp_path / "scores.csv")
    scores = pd.read_csv(tmp_path / "scores.csv")
    scores = scores[scores["estimator"] == REFINED]
    for relation, column, mean in (
        (metrics.PoseRelation.translation_part, "translation_error_m", told[0]),
        (metrics.PoseRelation.rotation_angle_deg, "rotation_error_deg", told[1]),
    ):
        error = metrics.APE(relation)
        error.process_data(pair)
        ours = scores[column].to_numpy()
        assert np.isinf(ours).sum() == (failed is not None)
        np.testing.assert_allclose(error.error, ours[np.isfinite(ours)], rtol=1e-6, atol=1e-6)
        assert error.error.min() > 0.01
        assert mean == pytest.approx(error.error.mean(), abs=1e-5)


def mean_of(command: list[str], folder: Path) -> float:
    """Return the mean that evo's command prints."""
    from importlib.metadata import entry_points

    logging.getLogger("evo").handlers.clear()  # they print where they first did
    (ape,) = entry_points(group="console_scripts", name=command[0])
    with pytest.MonkeyPatch.context() as patched, io.StringIO() as printed:
        patched.chdir(folder)
        patched.setattr("sys.argv", command)
        with contextlib.redirect_stdout(printed):
            ape.load()()
        return float(re.search(r"mean\s+([\d.]+)", printed.getvalue())[1])


def test_models_have_our_poses(scene, tmp_path):
    folder = exported(scene, tmp_path) / "colmap"
    with Frames(scene / "frames.h5") as frames:
        for name, split in (("truth", "test"), ("database", "train")):
            poses, lengths = read_model(folder / name)
            assert sorted(poses) == sorted(frames.sources(split))
            for source, pose in zip(frames.sources(split), frames.poses(split), strict=True):
                np.testing.assert_allclose(poses[source], pose, atol=1e-9)
                assert lengths[source] == pytest.approx(0.8)
                assert (scene / "room" / source).is_file()
    estimates, arrays = read_model(folder / "estimate")[0], np.load(scene / "predictions.npz")
    for row, name in enumerate(arrays["rel_path"]):
        centre = estimates[f"{name}.color.png"][:3, 3]
        np.testing.assert_allclose(centre, arrays["refined_t"][row], atol=1e-9)


def test_lists_for_hloc_and_ace(scene, tmp_path):
    folder = exported(scene, tmp_path, failed=0)
    names = [f"seq-02/frame-{row:06d}.color.png" for row in ORDER]
    assert [row[0] for row in rows_of(folder / "hloc/truth.txt")] == names
    assert [row[0] for row in rows_of(folder / "hloc/estimate.txt")] == names[1:]
    estimates, truth = (rows_of(folder / f"ace/{name}.txt") for name in ("estimate", "truth"))
    assert [(row[0], *map(float, row[8:])) for row in estimates] == [
        (name, 32, points) for name, points in zip(names[1:], POINTS[1:], strict=True)
    ]
    assert {float(row[9]) for row in truth} == {CERTAIN}
    expected = [[name, "SIMPLE_PINHOLE", "40", "30", "32.0", "20.0", "15.0"] for name in names]
    assert rows_of(folder / "hloc/queries.txt") == expected


def test_pairs_are_the_best_ranked(scene, tmp_path):
    folder = exported(scene, tmp_path) / "hloc"
    with Frames(scene / "frames.h5") as frames:
        for split, name in (("test", "pairs"), ("train", "pairs_database")):
            sources, database = frames.sources(split), frames.sources("train")
            ranked = [(row, i) for row, best in enumerate(RANKED[split]) for i in best[:PAIRS]]
            expected = [[sources[row], database[i]] for row, i in ranked]
            assert rows_of(folder / f"{name}.txt") == expected


def test_without_refinement_all_edges_are_written(scene, tmp_path, caplog):
    path = write_predictions(scene)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if not name.startswith("refined")}
    np.savez(tmp_path / "predictions.npz", **arrays | OWNED)
    files = tmp_path / "predictions.npz", scene / "frames.h5", scene / "unknown.json"
    with caplog.at_level(logging.WARNING):
        export_poses(*files, scene / "room", tmp_path / "out")
    centres = np.array([row[1:4] for row in rows_of(tmp_path / "out/tum/estimate.txt")], float)
    np.testing.assert_allclose(centres, arrays["robust_t"])
    assert ALL_EDGES in (tmp_path / "out/tum/estimate.txt").read_text()
    assert "focal lengths of 9 train frames are unknown; 1.2 longer sides" in caplog.text
    assert {float(row[8]) for row in rows_of(tmp_path / "out/ace/truth.txt")} == {48}
    assert not (tmp_path / "out/hloc/pairs.txt").exists()
    assert "COLMAP models get no points" in caplog.text
    assert "# Number of points: 0" in (tmp_path / "out/colmap/database/points3D.txt").read_text()


def test_predictions_of_another_scene(scene, tmp_path):
    with np.load(write_predictions(scene)) as file:
        np.savez(tmp_path / "other.npz", **{**file, "rel_path": ["a", "b", "c"]})
    files = tmp_path / "other.npz", scene / "frames.h5", scene / "camera.json"
    with pytest.raises(InputError, match=r"other\.npz: .* others than the 3 test frames .* again"):
        export_poses(*files, scene / "room", tmp_path / "out", scene / "neighbours.h5")
    assert not (tmp_path / "out").exists()
