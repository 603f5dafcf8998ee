"""Frames at one place are told apart by their images, and equal images by their poses."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from graph_archives import PLAIN, write_archive, write_frames
from PIL import Image
from scipy.spatial.transform import Rotation

from relposegnn.authors.graph_archives import ArchivedGraph
from relposegnn.authors.graph_matching import FrameMatcher, import_graphs
from relposegnn.data.frames import Frames
from relposegnn.retrieval.graphs import read_graphs
from relposegnn.runtime import InputError


@pytest.mark.parametrize("scale", [1, 2])
def test_images_decide_between_frames_at_one_place(scale, tmp_path, caplog):
    rng = np.random.default_rng(0)
    large = np.array(
        [
            Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((80, 60))
            for _ in range(12)
        ]
    )
    large[9] = large[4]
    poses = np.tile(np.eye(4), (12, 1, 1))
    poses[6:, 0, 3] = np.arange(6) * 2e-5  # apart by less than the tolerance
    poses[:6, 1, 3] = 1
    query, neighbours = np.arange(4), np.stack([rng.permutation(12)[:7] for _ in range(4)])
    neighbours[0] = [9, 4, 11, 6, 0, 5, 10]
    whole = write_frames(tmp_path / "whole.h5", large, poses, query)
    size = (80 // scale, 60 // scale)
    small = np.array([Image.fromarray(i).resize(size, Image.Resampling.BILINEAR) for i in large])
    frames = write_frames(tmp_path / "frames.h5", small, poses, query)
    archive = write_archive(whole, "test", query, neighbours)
    import_graphs({"test": archive}, frames, tmp_path / "graphs.h5", PLAIN)
    found = read_graphs(tmp_path / "graphs.h5", "test")
    np.testing.assert_array_equal(found[0], query)
    np.testing.assert_array_equal(found[1], neighbours)
    assert "look alike" not in caplog.text


def test_the_first_of_identical_frames_is_taken(tmp_path, caplog):
    images = np.full((9, 12, 16, 3), 100, dtype=np.uint8)
    images[8, 0, 0] = 101
    frames = write_frames(tmp_path / "f.h5", images, np.tile(np.eye(4), (9, 1, 1)), np.arange(1))
    archive = write_archive(frames, "test", np.arange(1), np.array([[8, 7, 6, 5, 4, 3, 2]]))
    import_graphs({"test": archive}, frames, tmp_path / "graphs.h5", PLAIN)
    _, neighbours = read_graphs(tmp_path / "graphs.h5", "test")
    np.testing.assert_array_equal(neighbours, [[8, 0, 0, 0, 0, 0, 0]])
    assert "for 6 nodes, several frames have the same pose and look alike" in caplog.text


def still_camera(path: Path, poses: np.ndarray, queries: int) -> Path:
    """Write frames with these poses and one image, the first of them as queries."""
    images = np.full((len(poses), 12, 16, 3), 100, dtype=np.uint8)
    return write_frames(path, images, poses, np.arange(queries))


def test_poses_decide_between_equal_images(tmp_path, caplog):
    poses = np.tile(np.eye(4), (12, 1, 1))
    poses[:, :3, :3] = Rotation.random(rng=np.random.default_rng(0)).as_matrix()
    poses[:, 0, 3] = 2 + np.arange(12) * 5e-5
    frames = still_camera(tmp_path / "f.h5", poses, 3)
    planted = np.array([2, 0, 1]), np.array([[11, 0, 2, 7, 3, 4, 5]] * 3)
    archive = write_archive(frames, "test", *planted)
    import_graphs({"test": archive}, frames, tmp_path / "graphs.h5", PLAIN)
    found = read_graphs(tmp_path / "graphs.h5", "test")
    np.testing.assert_array_equal(found[0], planted[0])
    np.testing.assert_array_equal(found[1], planted[1])
    assert "look alike" not in caplog.text


def test_queries_that_cannot_be_told_apart_are_each_taken_once(tmp_path, caplog):
    poses = np.tile(np.eye(4), (9, 1, 1))
    poses[3:, 0, 3] = np.arange(1, 7)
    frames = still_camera(tmp_path / "f.h5", poses, 5)
    planted = np.array([4, 2, 1, 0]), np.array([[3, 4, 5, 6, 7, 8, 4]] * 4)
    archive = write_archive(frames, "test", *planted)
    import_graphs({"test": archive}, frames, tmp_path / "graphs.h5", PLAIN)
    query, neighbours = read_graphs(tmp_path / "graphs.h5", "test")
    np.testing.assert_array_equal(query, [4, 0, 1, 2])
    np.testing.assert_array_equal(neighbours, planted[1])
    assert "for 3 nodes, several frames" in caplog.text
    archive = write_archive(frames, "test", np.array([2, 1, 0, 1]), planted[1])
    with pytest.raises(
        InputError, match=r"data_000003\.pt has the same query as .*data_000000\.pt"
    ):
        import_graphs({"test": archive}, frames, tmp_path / "graphs.h5", PLAIN)


def test_memory_of_a_still_camera_is_bounded(tmp_path):
    poses, shape = np.tile(np.eye(4), (200, 1, 1)), (96, 128, 3)
    frames = write_frames(tmp_path / "f.h5", np.zeros((200, *shape), np.uint8), poses, np.arange(1))
    image = np.zeros((8, 3, *shape[:2]), dtype=np.float32)
    graph = ArchivedGraph("", 0, image, np.zeros((8, 6), dtype=np.float32))
    with Frames(frames) as reader:
        matcher = FrameMatcher(reader, "train")
        tracemalloc.start()
        matcher.match(graph, 0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # In grey values of 4 bytes: the graph's image, that of one frame, and their differences.
    assert peak < 8 * 4 * np.prod(shape)


def test_doubtful_images_are_counted(tmp_path):
    images = np.full((2, 12, 16, 3), 100, dtype=np.uint8)
    images[1] = 102
    frames = write_frames(tmp_path / "f.h5", images, np.tile(np.eye(4), (2, 1, 1)), np.arange(1))
    between = np.full((8, 3, 12, 16), (101.1 / 255 - 0.5) / 0.08**0.5, dtype=np.float32)
    graph = ArchivedGraph("data_000000.pt", 0, between, np.zeros((8, 6), dtype=np.float32))
    with Frames(frames) as reader:
        matcher = FrameMatcher(reader, "train")
        assert [matcher.match(graph, node) for node in (1, 2, 3)] == [1, 1, 1]
    assert matcher.unclear == 3
