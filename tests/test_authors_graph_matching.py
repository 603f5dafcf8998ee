"""The authors' graphs become indices of a scene's frames: by pose, and by image where poses tie."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import write_tiny_scene
from graph_archives import (
    PLAIN,
    graphs_of_frames,
    planted_graphs,
    write_archive,
    write_frames,
    write_tar,
)
from scipy.spatial.transform import Rotation

from relposegnn.authors.graph_archives import ArchivedGraph, ArchivedPoses, read_archive
from relposegnn.authors.graph_matching import FrameMatcher, import_graphs
from relposegnn.data.frames import Frames
from relposegnn.data.images import read_image
from relposegnn.layouts.seven_scenes import read_pose
from relposegnn.network.relative_poses import WORLD_TO_CAMERA
from relposegnn.poses import inverse_pose, vector_from_pose
from relposegnn.retrieval.graphs import read_graphs
from relposegnn.runtime import InputError

CAMBRIDGE = ArchivedPoses(
    WORLD_TO_CAMERA, [-6.7909009, 8.1958034, 30.1203467], [12.6376063, 5.3801193, 19.3833127]
)


@pytest.fixture
def scene(tmp_path) -> Path:
    """Return the frames file of 12 database frames and 5 queries."""
    return write_tiny_scene(tmp_path, "tiny").frames


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


@pytest.mark.slow
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
    with pytest.raises(InputError, match=r"has the pose of no test frame .*split,"):
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
    with pytest.raises(
        InputError, match=r"data_000004\.pt has the same query as .*data_000001\.pt"
    ):
        import_graphs({"test": archive}, scene, tmp_path / "imported.h5", PLAIN)
