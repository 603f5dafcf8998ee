"""The authors' graphs become indices of a scene's frames: by pose, and by image where poses tie."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import write_tiny_scene
from graph_archives import graphs_of_frames, planted_graphs, write_tar
from PIL import Image
from scipy.spatial.transform import Rotation

from relposegnn.authors.graph_archives import ArchivedGraph, ArchivedPoses, read_archive
from relposegnn.authors.graph_matching import FrameMatcher, import_graphs
from relposegnn.frames import Frames
from relposegnn.graphs import read_graphs
from relposegnn.images import read_image
from relposegnn.layouts.seven_scenes import read_pose
from relposegnn.poses import inverse_pose, vector_from_pose
from relposegnn.relative_poses import WORLD_DIFFERENCE, WORLD_TO_CAMERA
from relposegnn.runtime import InputError
from relposegnn.storage import create_hdf5

PLAIN = ArchivedPoses(WORLD_DIFFERENCE, [0, 0, 0], [1, 1, 1])
CAMBRIDGE = ArchivedPoses(
    WORLD_TO_CAMERA, [-6.7909009, 8.1958034, 30.1203467], [12.6376063, 5.3801193, 19.3833127]
)


@pytest.fixture
def scene(tmp_path) -> Path:
    """Return the frames file of 12 database frames and 5 queries."""
    return write_tiny_scene(tmp_path, "tiny").frames


def write_archive(frames: Path, split: str, query: np.ndarray, neighbours: np.ndarray) -> Path:
    members = graphs_of_frames(frames, split, query, neighbours)
    return write_tar(frames.with_name(f"{split}.tar"), members)


def write_frames(path: Path, images: np.ndarray, poses: np.ndarray, queries: np.ndarray) -> Path:
    """Write a frames file with a database of these frames, and some of them as queries."""
    with create_hdf5(path, "frames", {}) as file:
        file.attrs.update(dataset="tiny", scene="attic", mean=[0.5] * 3, variance=[0.08] * 3)
        for split, chosen in (("train", np.arange(len(poses))), ("test", queries)):
            file[f"{split}/images"], file[f"{split}/world_from_cam"] = images[chosen], poses[chosen]
            names = [f"{split}-{index}" for index in chosen]
            for label in ("name", "source"):
                file.create_dataset(f"{split}/{label}", data=names, dtype=h5py.string_dtype())
    return path


def test_planted_indices_come_back(scene, caplog):
    planted = {"train": planted_graphs(12, 12, seed=1), "test": planted_graphs(5, 12)}
    archives = {split: write_archive(scene, split, *graphs) for split, graphs in planted.items()}
    import_graphs(archives, scene, scene.with_name("imported.h5"), PLAIN)
    for split, (query, neighbours) in planted.items():
        found = read_graphs(scene.with_name("imported.h5"), split)
        np.testing.assert_array_equal(found[0], query)
        np.testing.assert_array_equal(found[1], neighbours)
    assert "WARNING" not in [record.levelname for record in caplog.records]


def test_standardised_world_to_camera_poses_find_their_frames(scene):
    """As in the authors' graphs of Cambridge, whose vectors are of the inverse pose."""
    query, neighbours = planted_graphs(5, 12)
    members = graphs_of_frames(scene, "test", query, neighbours, CAMBRIDGE)
    archive = write_tar(scene.with_name("test.tar"), members)
    import_graphs({"test": archive}, scene, scene.with_name("imported.h5"), CAMBRIDGE)
    found = read_graphs(scene.with_name("imported.h5"), "test")
    np.testing.assert_array_equal(found[0], query)
    np.testing.assert_array_equal(found[1], neighbours)
    for wrong in (PLAIN, CAMBRIDGE._replace(translation_mean=[0, 0, 0])):
        with pytest.raises(InputError, match="has the pose of no test frame"):
            import_graphs({"test": archive}, scene, scene.with_name("imported.h5"), wrong)


def test_noise_of_rotations_does_not_lose_cameras_far_from_the_origin(scene):
    """Of -R c, noise in R moves the centre by as much of its distance."""
    with h5py.File(scene, "r+") as file:
        for split in ("train", "test"):
            file[f"{split}/world_from_cam"][:, :3, 3] += [200.0, -100.0, 30.0]
    with Frames(scene) as frames:
        matcher = FrameMatcher(frames, "train")
        for row, pose in enumerate(frames.poses("train")):
            vector = vector_from_pose(inverse_pose(pose))
            vector[3:] += [2e-5, -1e-5, 1e-5]  # moves the centre by some 7 mm
            found = CAMBRIDGE._replace(translation_mean=[0, 0, 0], translation_deviation=[1, 1, 1])
            graph = ArchivedGraph("a graph", 0, np.zeros((1, 3, 6, 8)), found.decode(vector[None]))
            assert matcher.match(graph, 0) == row


def test_a_split_without_archive_has_no_graphs(scene, caplog):
    query, neighbours = planted_graphs(5, 12)
    archive = write_archive(scene, "test", query[:3], neighbours[:3])
    import_graphs({"test": archive}, scene, scene.with_name("imported.h5"), PLAIN)
    found = read_graphs(scene.with_name("imported.h5"), "train")
    assert (found[0].shape, found[1].shape) == ((0,), (0, 7))
    assert "tiny, test: 2 frames have no graph" in caplog.text


def test_graphs_are_numbered_by_their_files_in_whatever_order(scene):
    query, neighbours = planted_graphs(5, 12)
    members = graphs_of_frames(scene, "test", query, neighbours)
    archive = write_tar(scene.with_name("test.tar"), dict(reversed(members.items())))
    import_graphs({"test": archive}, scene, scene.with_name("imported.h5"), PLAIN)
    found = read_graphs(scene.with_name("imported.h5"), "test")
    np.testing.assert_array_equal(found[0], query)
    np.testing.assert_array_equal(found[1], neighbours)


@pytest.fixture
def kitchen(reference, shared, tmp_path) -> tuple[list[Path], dict[str, list[int]], Path]:
    """Return images of redkitchen, which of them each of the authors' graphs has, their archive."""
    images = sorted((shared / "data/7scenes/redkitchen").glob("seq-*/*.color.*"))
    folder = reference / "prebuilt_graphs"
    sources = json.loads((folder / "frames.json").read_text())
    members = {name: (folder / name).read_bytes() for name in sources}
    return images, sources, write_tar(tmp_path / "graphs.tar", members)


def test_the_authors_graphs_are_those_of_their_frames(kitchen, tmp_path):
    images, sources, archive = kitchen
    images = images[:360]
    poses = [path.with_name(path.name.split(".")[0] + ".pose.txt") for path in images]
    queries = np.array([300, 17, 60, 160])
    frames = write_frames(
        tmp_path / "frames.h5",
        np.stack([read_image(path, (85, 64)) for path in images]),
        np.stack([read_pose(path) for path in poses]),
        queries,
    )
    import_graphs({"test": archive}, frames, tmp_path / "graphs.h5", PLAIN)
    query, neighbours = read_graphs(tmp_path / "graphs.h5", "test")
    expected = np.array([sources[name] for name in sorted(sources)])
    np.testing.assert_array_equal(queries[query], expected[:, 0])
    np.testing.assert_array_equal(neighbours, expected[:, 1:])


def test_the_authors_images_are_those_of_their_frames(reference, kitchen, tmp_path):
    images, sources, archive = kitchen
    used = sorted({frame for frames in sources.values() for frame in frames})
    one_pose = np.tile(np.eye(4), (len(used), 1, 1))
    pixels = np.stack([read_image(images[frame], (341, 256)) for frame in used])
    path = write_frames(tmp_path / "frames.h5", pixels, one_pose, np.arange(1))
    with h5py.File(path, "r+") as file:
        statistics = json.loads((reference / "normalisation.json").read_text())
        file.attrs.update(statistics["redkitchen"])
    with Frames(path) as frames:
        matcher = FrameMatcher(frames, "train")
        for graph in read_archive(archive, frames.image_shape):
            still = replace(graph, poses=np.zeros((8, 6), dtype=np.float32))
            found = [used[matcher.match(still, node)] for node in range(8)]
            assert found == sources[f"data_{graph.number:06}.pt"]
    assert matcher.unclear == 0


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
    assert "for 6 nodes several frames have the pose and look alike" in caplog.text


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
    assert "for 3 nodes several frames" in caplog.text
    archive = write_archive(frames, "test", np.array([2, 1, 0, 1]), planted[1])
    with pytest.raises(InputError, match=r"data_000003\.pt has the query of .*data_000000\.pt"):
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


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_frames_is_refused(split, scene, tmp_path):
    archive = write_archive(scene, split, *planted_graphs(3, 12))
    with h5py.File(scene, "r+") as file:
        for name in list(file[split]):
            empty = file[split][name][:0]
            dtype = file[split][name].dtype
            del file[split][name]
            file[split].create_dataset(name, data=empty, dtype=dtype)
    with pytest.raises(InputError, match=rf"tiny-frames\.h5: has no {split} frames, expected"):
        import_graphs({split: archive}, scene, tmp_path / "imported.h5", PLAIN)


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


@pytest.mark.parametrize("sign", [1, -1])
def test_half_turns_are_found_whatever_the_sign_of_their_logarithm(sign, tmp_path):
    rotations = Rotation.from_rotvec((np.pi - 1e-6) * np.eye(3)).as_matrix()
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, :3, :3] = rotations
    images = np.zeros((3, 12, 16, 3), dtype=np.uint8)
    frames = write_frames(tmp_path / "frames.h5", images, poses, np.arange(1))
    vectors = np.resize(vector_from_pose(poses), (8, 6))
    vectors[:, 3:] *= sign
    graph = ArchivedGraph("", 0, np.zeros((8, 3, 12, 16)), vectors.astype(np.float32))
    with Frames(frames) as reader:
        matcher = FrameMatcher(reader, "train")
        found = [matcher.match(graph, node) for node in range(8)]
    assert found == [0, 1, 2, 0, 1, 2, 0, 1]


def test_graphs_of_another_scene_are_refused(scene, tmp_path):
    other = write_tiny_scene(tmp_path, "other", seed=1).frames
    archive = write_archive(other, "test", *planted_graphs(5, 12))
    expected = r"test\.tar: .*data_000000\.pt, node 0: .* m and .* deg away.*another scene"
    with pytest.raises(InputError, match=expected):
        import_graphs({"test": archive}, scene, tmp_path / "imported.h5", PLAIN)
    assert not (tmp_path / "imported.h5").exists()


def test_the_archive_of_the_other_split_is_refused(scene, tmp_path):
    archive = write_archive(scene, "train", *planted_graphs(12, 12))
    with pytest.raises(InputError, match=r"has the pose of no test frame .*split\?"):
        import_graphs({"test": archive}, scene, tmp_path / "imported.h5", PLAIN)


def test_a_neighbour_that_moved_is_named_with_its_distance(scene, tmp_path):
    query, neighbours = planted_graphs(5, 12)
    archive = write_archive(scene, "test", query, neighbours)
    moved = int(neighbours[2, 4])
    with h5py.File(scene, "r+") as file:
        pose = file["train/world_from_cam"][moved]
        pose[:3, 3] += [0, 0.03, 0.04]
        file["train/world_from_cam"][moved] = pose
    with pytest.raises(InputError, match=rf"frame-{moved:06}, is 0\.05 m and .* deg away"):
        import_graphs({"test": archive}, scene, tmp_path / "imported.h5", PLAIN)


def test_two_graphs_of_one_query_are_refused(scene, tmp_path):
    query, neighbours = planted_graphs(5, 12)
    query[4] = query[1]
    archive = write_archive(scene, "test", query, neighbours)
    with pytest.raises(InputError, match=r"data_000004\.pt has the query of .*data_000001\.pt"):
        import_graphs({"test": archive}, scene, tmp_path / "imported.h5", PLAIN)
