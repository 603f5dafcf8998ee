"""The gallery of retrieval shows planted queries and neighbours, and refuses files of others."""

import h5py
import numpy as np
import pytest
from drawn_figures import write_frames
from matplotlib.image import imread
from PIL import Image

from relposegnn.data.frames import Frames
from relposegnn.figures.gallery import choose_queries, draw_gallery, plot_gallery
from relposegnn.figures.style import ERROR_COLOURS
from relposegnn.files.storage import create_hdf5
from relposegnn.runtime import InputError

# Gallery: the original of frame i shows the grey value 20 i, of a database frame 1 more.

TRAIN_X = np.array([0.0, 0.5, 1.0, 2.0, 4.0])


TEST_X = np.array([0.0, 0.1, 0.2, 0.3, 0.4])


def poses_along_x(x: np.ndarray) -> np.ndarray:
    """Return poses (N, 4, 4) at these x, turned about y by 10 degrees a metre."""
    angle = np.radians(10 * x)
    poses = np.tile(np.eye(4), (len(x), 1, 1))
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angle)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(angle), -np.sin(angle)
    poses[:, 0, 3] = x
    return poses


@pytest.fixture
def retrieval(tmp_path):
    """Return frames, neighbours and graphs files of five queries with two neighbours each."""
    write_frames(tmp_path / "frames.h5", poses_along_x(TRAIN_X), poses_along_x(TEST_X))
    with create_hdf5(tmp_path / "neighbours.h5", "neighbours", {}) as file:
        file["test/index"] = np.tile(np.array([3, 0, 2], dtype=np.int32), (5, 1))
        file["test/similarity"] = np.tile(np.array([0.9, 0.8, 0.7], dtype=np.float32), (5, 1))
    with create_hdf5(tmp_path / "graphs.h5", "graphs", {}) as file:
        file["test/query"] = np.arange(5, dtype=np.int32)
        file["test/neighbours"] = np.tile(np.array([0, 2], dtype=np.int32), (5, 1))
    for split in ("train", "test"):
        for i in range(5):
            path = tmp_path / f"{split}/seq-01/frame-{i:06d}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (640, 480), (20 * i + (split == "train"),) * 3).save(path, "PNG")
    with h5py.File(tmp_path / "frames.h5", "r+") as file:
        for split in ("train", "test"):
            names = file[f"{split}/name"].asstr()[:]
            file[f"{split}/source"][...] = [f"{split}/{name}" for name in names]
    return [*(tmp_path / f"{kind}.h5" for kind in ("frames", "neighbours", "graphs")), tmp_path]


def test_queries_are_spread(retrieval):
    with Frames(retrieval[0]) as frames:
        queries, neighbours, similarity = choose_queries(frames, *retrieval[1:3], count=3)
    assert queries.tolist() == [0, 2, 4]
    assert neighbours.tolist() == [[0, 2]] * 3
    np.testing.assert_allclose(similarity, [[0.8, 0.7]] * 3, rtol=1e-6)


def test_gallery_shows_queries_then_neighbours_with_captions(retrieval):
    with Frames(retrieval[0]) as frames:
        figure = draw_gallery(
            frames, retrieval[3], *choose_queries(frames, *retrieval[1:3], count=3)
        )
    panels = figure.axes[:-1]  # the last is the colour bar
    shown = [panel.images[0].get_array()[0, 0, 0] for panel in panels]
    assert shown == [0, 1, 41, 40, 1, 41, 80, 1, 41]
    assert {panel.images[0].get_array().shape for panel in panels} == {(240, 320, 3)}
    titles = [panel.get_title(loc="left") for panel in panels]
    assert titles[3:6] == [
        "seq-01\nframe-000002",
        "similarity 0.80\n0.20 m, 2°",
        "similarity 0.70\n0.80 m, 8°",
    ]
    borders = [panel.spines["top"].get_edgecolor() for panel in panels[3:6]]
    assert borders[1] == pytest.approx(ERROR_COLOURS(0.2))
    assert borders[2] == pytest.approx(ERROR_COLOURS(0.8))


def test_gallery_step_writes_a_picture(retrieval, tmp_path):
    plot_gallery(*retrieval, tmp_path / "gallery.png", queries=50)
    picture = imread(tmp_path / "gallery.png")
    assert picture.shape[0] > picture.shape[1]  # five rows of three pictures
    np.testing.assert_allclose(picture[2, 2, :3], 1.0)


def test_neighbours_beyond_the_ranking_have_no_similarity(retrieval):
    """Graphs of random and of sequential neighbours have some."""
    with create_hdf5(retrieval[2], "graphs", {}) as file:
        file["test/query"] = np.arange(5, dtype=np.int32)
        file["test/neighbours"] = np.tile(np.array([4, 2], dtype=np.int32), (5, 1))
    with Frames(retrieval[0]) as frames:
        found = choose_queries(frames, *retrieval[1:3], count=1)
        figure = draw_gallery(frames, retrieval[3], *found)
    titles = [panel.get_title(loc="left") for panel in figure.axes[1:3]]
    assert titles == ["not ranked\n4.00 m, 40°", "similarity 0.70\n1.00 m, 10°"]


def test_graphs_of_other_frames_are_refused(retrieval, tmp_path):
    with create_hdf5(retrieval[2], "graphs", {}) as file:
        file["test/query"] = np.arange(9, dtype=np.int32)
        file["test/neighbours"] = np.zeros((9, 2), dtype=np.int32)
    with pytest.raises(InputError, match=r"test/query: found 0 to 8, expected .* from 0 to 4"):
        plot_gallery(*retrieval, tmp_path / "gallery.png")
