"""Frames files: labels and pixels come back, in any order and process."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from planted_scenes import TEST, TRAIN, write_noise, write_tables

from relposegnn.data.camera_files import write_camera
from relposegnn.data.frames import Frames
from relposegnn.data.images import read_image
from relposegnn.data.packing import Packing, pack_frames
from relposegnn.files.owners import Owner
from relposegnn.layouts.reading import read_scene
from relposegnn.runtime import InputError


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> tuple[Path, Path]:
    """Return a scene's folder and its frames file."""
    folder = write_noise(tmp_path_factory.mktemp("scenes") / "attic")
    pack_frames(folder, folder.parent / "attic.h5", "synthetic", "attic", Packing(12), workers=2)
    return folder, folder.parent / "attic.h5"


def test_everything_comes_back(packed):
    folder, file = packed
    scene = read_scene(folder)
    with Frames(file) as frames:
        assert (frames.dataset, frames.scene) == ("synthetic", "attic")
        assert frames.image_shape == (12, 16)
        assert (frames.count("train"), frames.count("test")) == (9, 3)
        for split in ("train", "test"):
            expected = scene.frames(split)
            assert frames.names(split) == [f.name for f in expected]
            poses = np.stack([f.world_from_cam for f in expected])
            np.testing.assert_array_equal(frames.poses(split), poses)
            images = np.stack([read_image(f.image, (16, 12)) for f in expected])
            np.testing.assert_array_equal(frames.images(split, np.arange(len(expected))), images)
            assert [folder / source for source in frames.sources(split)] == [
                f.image for f in expected
            ]
    assert frames.sources("test")[0] == "seq-02/frame-000000.color.png"


@pytest.mark.parametrize("indices", [[8, 0, 3], [4, 4, 4], [2, 1, 2, 8, 1], [5], []])
def test_indices_in_any_order(packed, indices):
    with Frames(packed[1]) as frames:
        everything = frames.images("train", range(9))
        np.testing.assert_array_equal(frames.images("train", indices), everything[indices])
        np.testing.assert_array_equal(
            frames.images("train", np.array(indices, dtype=np.int32)), everything[indices]
        )


@pytest.mark.parametrize("indices", [[9], [0, -1]])
def test_indices_out_of_range(packed, indices):
    with (
        Frames(packed[1]) as frames,
        pytest.raises(IndexError, match="train/images has frames 0 to 8"),
    ):
        frames.images("train", indices)


def test_reads_again_after_closing(packed):
    with Frames(packed[1]) as frames:
        before = frames.images("test", [1])
    np.testing.assert_array_equal(frames.images("test", [1]), before)
    frames.close()


def test_copies_travel_to_other_processes(packed):
    with Frames(packed[1]) as frames:
        expected = frames.images("train", [3, 1])
        copy = pickle.loads(pickle.dumps(frames))
    np.testing.assert_array_equal(copy.images("train", [3, 1]), expected)
    copy.close()


def read_often(frames: Frames, seed: int) -> bool:
    """Return whether a hundred random reads are right, frame by frame."""
    rng = np.random.default_rng(seed)
    everything = frames.images("train", range(9))
    draws = [rng.integers(0, 9, 4) for _ in range(100)]
    return all(np.array_equal(frames.images("train", d), everything[d]) for d in draws)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_at_the_same_time(packed, method):
    """Readers that were open in the parent work in its children, forked or spawned."""
    with Frames(packed[1]) as frames:
        assert read_often(frames, 0)
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert all(pool.map(read_often, [frames] * 4, range(4)))
        assert read_often(frames, 5)


def test_inherited_reader_opens_its_own_file(packed):
    """What a fork inherits is left alone: the child opens the file for itself."""
    with Frames(packed[1]) as frames:
        frames.images("train", [0])
        inherited = frames._opened.file
        frames._opened = frames._opened._replace(process=-1)  # as a child sees it
        frames.images("train", [0])
        assert frames._opened.file is not inherited
        inherited.close()


def test_not_a_frames_file(tmp_path):
    (tmp_path / "attic.h5").write_text("nothing")
    with pytest.raises(InputError, match=r"attic\.h5: cannot be read as HDF5"):
        Frames(tmp_path / "attic.h5")
    with h5py.File(tmp_path / "graphs.h5", "w") as file:
        file.attrs.update(kind="graphs", schema="1.0")
    with pytest.raises(InputError, match=r"graphs\.h5: holds 'graphs' .* expected 'frames'"):
        Frames(tmp_path / "graphs.h5")


def test_frames_of_unknown_focal_length_have_the_camera_files(tmp_path):
    folder, path, bare = tmp_path / "garage", tmp_path / "given.h5", tmp_path / "bare.h5"
    write_tables(folder, "csv")
    for file, given in ((path, (0.8, None)), (bare, None)):
        pack_frames(folder, file, "mine", "garage", Packing(24, focal_lengths=given))
    with h5py.File(path, "r+") as file:
        file["train/focal_length"][1] = file["test/focal_length"][0] = np.nan
    write_camera(tmp_path / "camera.json", 0.7, "planted", Owner("mine", "garage"))
    with Frames(path, tmp_path / "camera.json") as frames:
        np.testing.assert_array_equal(frames.focal_lengths("train"), [0.8, 0.7, 0.8, 0.8])
        np.testing.assert_array_equal(frames.focal_lengths("test"), [0.7, 0.8])
    with Frames(bare, tmp_path / "camera.json") as frames:
        np.testing.assert_array_equal(frames.focal_lengths("train"), np.full(len(TRAIN), 0.7))
        np.testing.assert_array_equal(frames.focal_lengths("test"), np.full(len(TEST), 0.7))
    write_camera(tmp_path / "camera.json", np.nan, "unknown", Owner("mine", "garage"))
    with Frames(bare, tmp_path / "camera.json") as frames:
        assert np.isnan(frames.focal_lengths("train")).all()
    with pytest.raises(InputError, match=r"none\.json: cannot be read as a camera"):
        Frames(bare, tmp_path / "none.json")
