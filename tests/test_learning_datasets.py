"""Graphs as PyTorch Geometric data: what an item and a batch hold."""

import shutil
from typing import NamedTuple

import h5py
import numpy as np
import pytest
import torch
from conftest import turn_world, with_validation, write_tiny_scene
from torch_geometric.loader import DataLoader

from relposegnn.data.frames import Frames
from relposegnn.data.scene_files import SceneFiles
from relposegnn.learning import datasets
from relposegnn.learning.datasets import (
    GraphDataset,
    read_training_graphs,
    shuffled_batches,
    true_relative,
)
from relposegnn.network.edges import complete_edges
from relposegnn.network.relative_poses import (
    KINDS,
    RELATIVE,
    SCENE_DIFFERENCE,
    WORLD_DIFFERENCE,
    relative_pose,
    scene_from_world,
)
from relposegnn.network.scene_images import normalise_images
from relposegnn.retrieval.graphs import read_graphs, write_split


def test_an_item_holds_query_and_neighbours_in_order(tiny_scene):
    dataset = GraphDataset(tiny_scene, "test", RELATIVE)
    _, neighbours = read_graphs(tiny_scene.graphs, "test")
    graph = dataset[2]
    assert graph.images.dtype == torch.uint8
    assert graph.images.shape == (4, 3, 32, 40)
    with Frames(tiny_scene.frames) as frames:
        images = np.concatenate([frames.images("test", [2]), frames.images("train", neighbours[2])])
        poses = np.concatenate([frames.poses("test")[[2]], frames.poses("train")[neighbours[2]]])
    np.testing.assert_array_equal(graph.images.permute(0, 2, 3, 1), images)
    expected = relative_pose(RELATIVE, poses[:, None], poses[None])
    np.testing.assert_allclose(graph.relative, expected, atol=1e-6)
    np.testing.assert_array_equal(graph.edge_index, complete_edges(4))


def test_batches_count_nodes_on(tiny_scene):
    dataset = GraphDataset(tiny_scene, "train", RELATIVE)
    batch = next(iter(DataLoader(dataset, batch_size=3)))
    assert batch.images.shape == (12, 3, 32, 40)
    assert batch.batch.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert batch.mean.shape == (3, 3)
    np.testing.assert_array_equal(batch.edge_index[:, 24:], complete_edges(4) + 8)


@pytest.mark.parametrize("pose", KINDS)
def test_true_relative_poses_are_those_of_the_edges_asked_for(tiny_scene, pose):
    dataset = GraphDataset(tiny_scene, "train", pose)
    batch = next(iter(DataLoader(dataset, batch_size=2)))
    edge_index = torch.tensor([[0, 3, 7, 5], [2, 1, 4, 6]])  # two of each graph, in any order
    with Frames(tiny_scene.frames) as frames:
        world_from_cam = frames.poses("train")
    world_from_cam = scene_from_world(pose, world_from_cam) @ world_from_cam
    frame_of_node = np.concatenate([[g, *dataset.neighbours[g]] for g in (0, 1)])
    source, target = world_from_cam[frame_of_node[edge_index]]
    expected = relative_pose(pose, source, target)
    np.testing.assert_allclose(true_relative(batch, edge_index), expected, atol=1e-6)


@pytest.mark.parametrize("pose", [WORLD_DIFFERENCE, RELATIVE])
def test_targets_lose_nothing_far_from_the_origin(tiny_scene, tmp_path, pose):
    far = shutil.copy(tiny_scene.frames, tmp_path / "far.h5")
    with h5py.File(far, "r+") as file:
        for split in ("train", "test"):
            file[f"{split}/world_from_cam"][:, :3, 3] += [5_572_094.0, 691_233.0, 120.0]
    near, shifted = (
        GraphDataset(tiny_scene._replace(frames=path), "train", pose)[0].relative
        for path in (tiny_scene.frames, far)
    )
    np.testing.assert_allclose(shifted, near, atol=1e-6)


@pytest.mark.parametrize(("pose", "same"), [(SCENE_DIFFERENCE, True), (WORLD_DIFFERENCE, False)])
def test_differences_in_the_scenes_axes_are_the_same_in_a_turned_world(
    tiny_scene, tmp_path, pose, same
):
    turned = turn_world(tiny_scene, tmp_path, [5_572_094.0, 691_233.0, 120.0])
    here, there = (
        GraphDataset(tiny_scene._replace(frames=path), "train", pose)[0].relative
        for path in (tiny_scene.frames, turned)
    )
    close = torch.allclose(here, there, atol=1e-5)
    assert close == same


def test_neighbours_are_shuffled_anew_each_epoch_and_repeatably(tiny_scene):
    dataset = GraphDataset(tiny_scene, "train", RELATIVE)
    plain = dataset[0].relative[0]  # of the edges from the query

    def order(seed, epoch):
        dataset.shuffle_neighbours(seed, epoch)
        poses = torch.stack([dataset[index].relative[0] for index in range(len(dataset))])
        assert torch.equal(poses[0, 0], plain[0])  # the query stays node 0
        assert set(map(tuple, poses[0].tolist())) == set(map(tuple, plain.tolist()))
        return poses

    assert torch.equal(order(0, 0), order(0, 0))
    assert not torch.equal(order(0, 0), order(0, 1))
    assert not torch.equal(order(0, 0), order(1, 0))


class Batches(NamedTuple):
    """The settings of a training that make its batches."""

    batch_size: int = 9
    shuffle_once: bool = False
    seed: int = 0
    drop_last_batch: bool = False


def test_shuffled_batches_leave_the_validation_graphs_in_order(tiny_scene, tmp_path):
    dataset = GraphDataset(tiny_scene, "train", RELATIVE)
    expected = [graph.relative for graph in dataset]
    train_set, validation_set = read_training_graphs(
        {"tiny": with_validation(tiny_scene, tmp_path)}, RELATIVE
    )
    loader = shuffled_batches(train_set, Batches(), torch.device("cpu"), epoch=0)
    # The relative poses from a query say which query it is, and in which order its neighbours are.
    shuffled = next(iter(loader)).relative.view(9, 4, 4, 6)[:, 0, 1:]
    ordered = torch.stack([relative[0, 1:] for relative in expected[:9]])
    assert not torch.equal(shuffled, ordered)
    assert {*map(tuple, shuffled.flatten(0, 1).tolist())} == {
        *map(tuple, ordered.flatten(0, 1).tolist())
    }
    assert len(validation_set) == 3
    for index, graph in enumerate(validation_set, start=9):
        assert torch.equal(graph.relative, expected[index])


@pytest.mark.parametrize("once", [True, False])
def test_neighbours_are_shuffled_once_or_each_epoch(tiny_scene, once):
    train_set, validation_set = read_training_graphs({"tiny": tiny_scene}, RELATIVE)
    assert len(validation_set) == 0
    orders = []
    for epoch in (3, 4):
        shuffled_batches(train_set, Batches(shuffle_once=once), torch.device("cpu"), epoch)
        orders.append(torch.stack([graph.relative[0] for graph in train_set]))
    assert torch.equal(*orders) == once


@pytest.mark.parametrize("drop", [True, False])
def test_a_last_short_batch_is_dropped_or_kept(tiny_scene, drop):
    train_set, _ = read_training_graphs({"tiny": tiny_scene}, RELATIVE)
    settings = Batches(batch_size=5, drop_last_batch=drop)
    loader = shuffled_batches(train_set, settings, torch.device("cpu"), 0)
    sizes = [batch.num_graphs for batch in loader]
    assert sizes == ([5, 5] if drop else [5, 5, 2])


def test_workers_read_the_same_batches(tiny_scene):
    dataset = GraphDataset(tiny_scene, "train", RELATIVE)
    dataset[0]  # opens the file in this process first
    alone = [batch.images for batch in DataLoader(dataset, batch_size=4)]
    others = [batch.images for batch in DataLoader(dataset, batch_size=4, num_workers=2)]
    assert all(torch.equal(a, b) for a, b in zip(alone, others, strict=True))


def test_fingerprints_tell_data_apart(tiny_scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    same = write_tiny_scene(folder, "tiny")
    other = write_tiny_scene(folder, "other", seed=1)
    prints = [
        GraphDataset(scene, "train", RELATIVE).fingerprint() for scene in (tiny_scene, same, other)
    ]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("change", ["size", "files", "settings"])
def test_other_pixels_of_the_same_frames_are_other_data(tmp_path, change):
    """Where channel statistics are given they tell nothing of images."""
    scene = write_tiny_scene(tmp_path, "tiny")
    with h5py.File(scene.frames, "a") as frames:
        frames["train/source_bytes"] = np.arange(12)
    before = GraphDataset(scene, "train", RELATIVE).fingerprint()
    with h5py.File(scene.frames, "a") as frames:
        if change == "size":
            for split in ("train", "test"):
                images = frames[f"{split}/images"][:, ::2]
                del frames[f"{split}/images"]
                frames[f"{split}/images"] = images
        elif change == "files":
            frames["train/source_bytes"][3] += 1
        else:
            frames.attrs["settings"] = '{"colour_jitter": true}'
    assert GraphDataset(scene, "train", RELATIVE).fingerprint() != before


def test_a_scene_without_queries_has_training_graphs_alone(tiny_scene, tmp_path):
    files = [tmp_path / "frames.h5", tmp_path / "graphs.h5"]
    for source, copy in zip((tiny_scene.frames, tiny_scene.graphs), files, strict=True):
        shutil.copy(source, copy)
    with h5py.File(files[0], "a") as frames, h5py.File(files[1], "a") as graphs:
        del frames["test"], graphs["test"]
        frames["test/images"] = np.empty((0, 32, 40, 3), dtype=np.uint8)
        frames["test/world_from_cam"] = np.empty((0, 4, 4))
        for label in ("name", "source"):
            frames.create_dataset(f"test/{label}", (0,), dtype=h5py.string_dtype())
        write_split(graphs, "test", np.empty(0), np.empty((0, 3)))
    train, test = (GraphDataset(SceneFiles(*files), split, RELATIVE) for split in ("train", "test"))
    assert (len(train), len(test)) == (12, 0)
    original = GraphDataset(tiny_scene, "train", RELATIVE)
    assert torch.equal(train[3].relative, original[3].relative)
    assert train.fingerprint() == original.fingerprint() != test.fingerprint()


def test_normalised_images_have_the_planted_statistics():
    images = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 3, 4, 4)
    mean = torch.tensor([[0.5, 0.0, 1.0], [0.5, 0.0, 1.0]])
    deviation = torch.tensor([[0.5, 1.0, 0.25], [0.5, 1.0, 0.25]])
    result = normalise_images(images, mean, deviation)[:, :, 0, 0]
    torch.testing.assert_close(result, torch.tensor([[-1.0, 0, -4], [1.0, 1, 0]]))


class Disk(NamedTuple):
    """What ``shutil.disk_usage`` tells."""

    free: int


@pytest.mark.parametrize(("share", "expected"), [(100.0, 3), (2.5, 2), (0.9, 0)])
def test_no_more_processes_read_than_shared_memory_has_room_for(
    tiny_scene, monkeypatch, caplog, share, expected
):
    """``share``: of what one process keeps, three batches."""
    dataset = GraphDataset(tiny_scene, "train", RELATIVE)
    graph = dataset[0]
    stored = sum(value.nbytes for value in graph.to_dict().values() if torch.is_tensor(value))
    assert stored > graph.images.nbytes
    free = int(share * 3 * 5 * stored)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(free))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert datasets.reading_processes(dataset, 5) == expected
    assert (f"{datasets.SHARED_MEMORY}: has" in caplog.text) == (expected < 3)
    assert (f"only {expected} are started" in caplog.text) == (expected < 3)


def test_without_shared_memory_or_threads_nothing_is_asked(tiny_scene, monkeypatch, tmp_path):
    dataset = GraphDataset(tiny_scene, "train", RELATIVE)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert datasets.reading_processes(dataset, 5) == 0
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(datasets, "SHARED_MEMORY", tmp_path / "none")
    assert datasets.reading_processes(dataset, 5) == 3
