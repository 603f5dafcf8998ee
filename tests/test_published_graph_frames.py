"""Frames out of published graphs: each stored once, as the graphs had them."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import write_tiny_scene
from graph_archives import graphs_of_frames, member_name, planted_graphs, write_tar

from relposegnn.datasets import GraphDataset
from relposegnn.frames import Frames
from relposegnn.graphs import read_graphs
from relposegnn.images import read_image
from relposegnn.poses import check_pose
from relposegnn.published.graph_frames import import_frames_and_graphs
from relposegnn.published.graph_matching import import_graphs
from relposegnn.runtime import InputError

STATISTICS = {"mean": [0.5] * 3, "variance": [0.08] * 3}  # of the tiny scene
SHAPE = (32, 40)


@pytest.fixture
def archives(tmp_path) -> dict[str, Path]:
    """Return archives of a tiny scene's graphs by split: 9 of 12 database frames, 5 queries."""
    frames = write_tiny_scene(tmp_path, "tiny").frames
    query, neighbours = planted_graphs(6, 9)
    return {
        "train": write_tar(
            tmp_path / "train.tar", graphs_of_frames(frames, "train", query, neighbours)
        ),
        "test": write_tar(
            tmp_path / "test.tar", graphs_of_frames(frames, "test", *planted_graphs(5, 9, seed=1))
        ),
    }


def import_tiny(archives: dict[str, Path], folder: Path, **changes: object) -> tuple[Path, Path]:
    """Import frames and graphs; return their files."""
    files = folder / "frames.h5", folder / "graphs.h5"
    arguments = {**STATISTICS, "image_shape": SHAPE, **changes}
    import_frames_and_graphs(archives, *files, "published", "tiny", **arguments)
    return files


@pytest.mark.parametrize("split", ["train", "test"])
def test_both_ways_of_import_give_the_same_graphs(split, archives, tmp_path):
    frames, graphs = import_tiny(archives, tmp_path)
    matched = tmp_path / "matched.h5"
    import_graphs(archives, tmp_path / "tiny-frames.h5", matched, "tiny")
    expected = GraphDataset(tmp_path / "tiny-frames.h5", matched, split)
    found = GraphDataset(frames, graphs, split)
    assert len(found) == len(expected) > 0
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.images, theirs.images)
        np.testing.assert_allclose(mine.poses, theirs.poses, atol=1e-6)
        np.testing.assert_array_equal(mine.mean, theirs.mean)
        np.testing.assert_array_equal(mine.deviation, theirs.deviation)


def test_each_frame_is_stored_once(archives, tmp_path):
    frames, _ = import_tiny(archives, tmp_path)
    with Frames(frames) as found, Frames(tmp_path / "tiny-frames.h5") as original:
        assert (found.dataset, found.scene, found.image_shape) == ("published", "tiny", SHAPE)
        assert (found.count("train"), found.count("test")) == (9, 5)
        for split in ("train", "test"):
            everything = np.arange(found.count(split))
            pixels = {image.tobytes() for image in found.images(split, everything)}
            known = original.images(split, np.arange(original.count(split)))
            assert pixels <= {image.tobytes() for image in known}
            assert len(pixels) == len(everything)
            for pose, name in zip(found.poses(split), found.names(split), strict=True):
                check_pose(pose, name)
        assert found.names("train")[8] == "published/database-000008"
        assert found.names("test")[3] == "published/query-000003"
        assert found.sources("test")[3] == f"test.tar: {member_name(3)}, node 0"
    with h5py.File(frames) as file:
        assert file["train/images"].chunks == (1, *SHAPE, 3)


def test_published_frames_come_back(reference, shared, tmp_path):
    folder = reference / "prebuilt_graphs"
    sources = json.loads((folder / "frames.json").read_text())
    statistics = json.loads((reference / "normalisation.json").read_text())["redkitchen"]
    archive = write_tar(
        tmp_path / "a.tar", {name: (folder / name).read_bytes() for name in sources}
    )
    images = sorted((shared / "data/7scenes/redkitchen").glob("seq-*/*.color.*"))
    files = tmp_path / "frames.h5", tmp_path / "graphs.h5"
    import_frames_and_graphs({"test": archive}, *files, "7scenes", "redkitchen", **statistics)
    dataset = GraphDataset(*files, "test")
    assert (dataset.frames.count("train"), dataset.frames.count("test")) == (21, 3)
    for graph, name in zip(dataset, sorted(sources), strict=True):
        expected = [read_image(images[index], (341, 256)) for index in sources[name]]
        np.testing.assert_array_equal(graph.images.permute(0, 2, 3, 1), expected)


@pytest.mark.parametrize("split, database, queries", [("test", 9, 5), ("train", 9, 0)])
def test_one_archive_is_enough(split, database, queries, archives, tmp_path):
    frames, graphs = import_tiny({split: archives[split]}, tmp_path)
    assert len(GraphDataset(frames, graphs, split)) == {"train": 6, "test": 5}[split]
    assert len(GraphDataset(frames, graphs, "test" if split == "train" else "train")) == 0
    with Frames(frames) as found:
        assert (found.count("train"), found.count("test")) == (database, queries)


def refuse(archives: dict[str, Path], folder: Path, message: str, **changes: object) -> None:
    """Check that an import fails with ``message`` and leaves nothing behind."""
    before = sorted(folder.iterdir())
    with pytest.raises(InputError, match=message):
        import_tiny(archives, folder, **changes)
    assert sorted(folder.iterdir()) == before


def test_statistics_of_another_scene_are_refused(archives, tmp_path):
    message = r"test\.tar: .*data_000000\.pt, node 0: .* belong to another scene"
    refuse(archives, tmp_path, message, mean=[0.5, 0.5, 0.48])
    refuse(archives, tmp_path, message, variance=[0.08, 0.07, 0.08])


def test_swapped_archives_are_refused(archives, tmp_path):
    swapped = {"train": archives["test"], "test": archives["train"]}
    refuse(swapped, tmp_path, r"train\.tar: .* node 0: .* also in the database")


def test_a_bad_graph_in_the_last_archive_leaves_nothing(archives, tmp_path):
    frames = tmp_path / "tiny-frames.h5"
    members = graphs_of_frames(frames, "train", *planted_graphs(6, 9))
    members[member_name(5)] = members[member_name(5)][:-1]
    archives["train"] = write_tar(tmp_path / "train.tar", members)
    refuse(archives, tmp_path, r"train\.tar: .*data_000005\.pt cannot be read")


def test_images_of_another_size_are_refused(archives, tmp_path):
    refuse(archives, tmp_path, "expected .* for images of 341x256", image_shape=(256, 341))


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_graph_twice_is_refused(split, archives, tmp_path):
    members = graphs_of_frames(tmp_path / "tiny-frames.h5", split, *planted_graphs(3, 9))
    members[member_name(2)] = members[member_name(0)]
    archives[split] = write_tar(tmp_path / f"{split}.tar", members)
    refuse(archives, tmp_path, r"data_000002\.pt has the query of .*data_000000\.pt and its neigh")


@pytest.mark.parametrize("split, kind", [("train", "database"), ("test", "query")])
def test_each_of_several_equal_queries_is_a_frame(split, kind, archives, tmp_path, caplog):
    query, neighbours = planted_graphs(4, 9)
    query[2] = query[3] = query[0]
    original = tmp_path / "tiny-frames.h5"
    members = graphs_of_frames(original, split, query, neighbours)
    archive = write_tar(tmp_path / f"{split}.tar", members)
    frames, graphs = import_tiny({split: archive}, tmp_path)
    found, expected = read_graphs(graphs, split), np.unique(np.append(neighbours, query[:2]))
    assert len(set(found[0])) == 4
    assert "2 queries have pose and pixels of another" in caplog.text
    with Frames(frames) as made, Frames(original) as scene:
        np.testing.assert_array_equal(made.images(split, found[0]), scene.images(split, query))
        np.testing.assert_allclose(
            made.poses(split)[found[0]], scene.poses(split)[query], atol=1e-6
        )
        for mine, theirs in zip(found[1], neighbours, strict=True):
            pixels = made.images("train", mine), scene.images("train", theirs)
            np.testing.assert_array_equal(*pixels)
        assert made.sources(split)[found[0][3]] == f"{split}.tar: {member_name(3)}, node 0"
        assert made.names(split)[found[0][3]] == f"published/{kind}-{found[0][3]:06}"
        if split == "train":
            assert made.count("train") == len(expected) + 2


@pytest.mark.parametrize("splits", [[], ["validation"]])
def test_no_archive_of_a_known_split_is_refused(splits, archives, tmp_path):
    refuse(dict.fromkeys(splits, archives["test"]), tmp_path, r"tiny: got graphs of the splits \[")


@pytest.mark.parametrize("name", ["mean", "variance"])
@pytest.mark.parametrize("values", [[0.5], [0.5] * 4, [[0.5] * 3], [0.5, np.nan, 0.5], [2, 0, 0]])
def test_statistics_that_are_none_are_refused(name, values, archives, tmp_path):
    refuse(archives, tmp_path, f"tiny: {name} of the channels is .*, exp", **{name: values})


def test_variances_of_zero_are_refused(archives, tmp_path):
    refuse(archives, tmp_path, "variance of the channels is", variance=[0.1, 0, 0.1])


@pytest.mark.parametrize("split", ["train", "test"])
def test_messages_name_the_archive_once(split, archives, tmp_path):
    swapped = {"train": archives["test"], "test": archives["train"]}
    changes = {"mean": [0.5, 0.5, 0.48]} if split == "test" else {}
    with pytest.raises(InputError) as refused:
        import_tiny(swapped, tmp_path, **changes)
    assert str(refused.value).count("train.tar") == 1
