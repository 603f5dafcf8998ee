import numpy as np
import pandas as pd
import pytest
from frames_file import write_frames_file
from rankings import write_ranking

from relposegnn.files.storage import create_hdf5
from relposegnn.poses import pose_from_quaternion
from relposegnn.retrieval.quality import retrieval_quality, score_retrieval
from relposegnn.retrieval.rankings import Ranking


def pose(x: float, degrees: float) -> np.ndarray:
    """Return a pose on the x axis, turned about z."""
    half = np.radians(degrees) / 2
    return pose_from_quaternion([x, 0, 0], [np.cos(half), 0, 0, np.sin(half)])


DATABASE = np.stack([pose(0, 0), pose(1, 90), pose(5, 10)])
QUERIES = np.stack([pose(0.9, 85), pose(4, -20)])


def test_planted_distances_and_angles():
    scores = retrieval_quality(QUERIES, DATABASE, top1=np.array([0, 2]), reference=np.array([2, 1]))
    expected = {
        "top1_distance_m": [0.9, 1],
        "top1_angle_deg": [85, 30],
        "reference_distance_m": [4.1, 3],
        "reference_angle_deg": [75, 110],
        "oracle_distance_m": [0.1, 1],
        "oracle_angle_deg": [5, 30],
    }
    assert list(scores.columns) == list(expected)
    for column, values in expected.items():
        np.testing.assert_allclose(scores[column], values, atol=1e-9)


def test_oracle_is_never_farther_than_what_was_retrieved():
    random = np.random.default_rng(0)
    poses = np.stack([pose(x, 10 * x) for x in random.random(60)])
    chosen = random.integers(40, size=(2, 20))
    scores = retrieval_quality(poses[40:], poses[:40], *chosen)
    assert (scores["oracle_distance_m"] <= scores["top1_distance_m"]).all()
    assert (scores["oracle_distance_m"] <= scores["reference_distance_m"]).all()


@pytest.fixture
def files(tmp_path):
    """Return frames, neighbours and graphs files of the planted poses, graphs in reverse order."""
    paths = [tmp_path / name for name in ("frames.h5", "neighbours.h5", "graphs.h5")]
    queries = {"world_from_cam": QUERIES, "name": ["seq-01/test-0", "seq-01/test-1"]}
    write_frames_file(paths[0], {"world_from_cam": DATABASE}, queries, "made", "up")
    with create_hdf5(paths[1], "neighbours", {}) as file:
        write_ranking(file, "test", Ranking(np.array([[0, 1], [2, 1]]), np.ones((2, 2))))
    with create_hdf5(paths[2], "graphs", {}) as file:
        file["test/query"] = np.array([1, 0], np.int32)
        file["test/neighbours"] = np.array([[1, 2], [2, 0]], np.int32)
    return paths


def test_csv_has_a_row_per_graph_by_name(files, tmp_path):
    score_retrieval(*files, tmp_path / "retrieval" / "scene.csv")
    scores = pd.read_csv(tmp_path / "retrieval" / "scene.csv", index_col="query")
    assert list(scores.index) == ["seq-01/test-1", "seq-01/test-0"]
    assert {*scores.pop("dataset"), *scores.pop("scene")} == {"made", "up"}
    expected = retrieval_quality(QUERIES, DATABASE, np.array([0, 2]), np.array([2, 1]))
    np.testing.assert_allclose(scores.sort_index(), expected, rtol=1e-8, atol=1e-8)
    assert list(scores.columns) == list(expected.columns)
