"""Pictures in a film's frames: as many as fit, upright, sharp and read once; none that is known."""

import numpy as np
import pytest
from conftest import OWNED
from filmed_scene import COLOURS, COUNT, drawn, write_images, write_scene
from PIL import ExifTags, Image

from relposegnn.files.storage import create_hdf5
from relposegnn.videos.film import (
    HEIGHT,
    LEFT,
    QUERY_BOX,
    RIGHT,
    STRIP_MOST,
    STRIP_TOP,
    WIDTH,
    Film,
)
from relposegnn.videos.panels import RETRIEVED


def write_black_scene(folder, neighbours: int, size=(16, 12), failed=False) -> Film:
    """Write a scene like ``write_scene``'s of black images with larger graphs; return its film."""
    arrays = write_scene(folder)
    write_images(folder, np.zeros_like(COLOURS), size)
    with create_hdf5(folder / "graphs.h5", "graphs", {}) as file:
        file["test/query"] = np.arange(COUNT)
        file["test/neighbours"] = np.tile(np.arange(neighbours) % COUNT, (COUNT, 1))
    if failed:
        arrays["abs_t"][:] = np.nan
        np.savez(folder / "predictions.npz", **arrays | OWNED)
    return drawn((folder,))


@pytest.mark.parametrize("neighbours", [1, 3, 7, 30])
@pytest.mark.parametrize("size", [(1600, 900), (9, 16)])
def test_strip_holds_graphs_of_any_size(neighbours, size, tmp_path):
    frame = write_black_scene(tmp_path, neighbours, size).draw(COUNT - 1)
    assert frame.shape == (HEIGHT, WIDTH, 3)
    ring = np.array([int(RETRIEVED[i : i + 2], 16) for i in (1, 3, 5)])
    bordered = (np.abs(frame[STRIP_TOP + 60].astype(int) - ring) <= 1).all(axis=1)
    starts = np.flatnonzero(np.diff(bordered.astype(int)) == 1)
    assert len(starts) == 2 * min(neighbours, STRIP_MOST)  # a left and a right border each
    assert starts[0] >= LEFT - 4
    assert starts[-1] <= RIGHT + 2


def test_pictures_are_upright_sharp_and_read_once(tmp_path):
    write_scene(tmp_path)
    stripes = np.zeros((900, 1200, 3), dtype=np.uint8)
    stripes[:, 600:] = 255  # stored sideways: black above white when it is turned
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for i in range(COUNT):
        Image.fromarray(stripes).save(tmp_path / f"{i}.png", exif=turned)
    film = drawn((tmp_path,))
    frame = film.draw(0)
    left, top, width, height = QUERY_BOX
    column = frame[top + 4 : top + height - 4, left + width // 2, 0].astype(int)
    assert (column[: height // 2 - 8] == 0).all()
    assert (column[height // 2 + 4 :] == 255).all()
    assert (frame[top + 20, left : left + 80] > 250).all()  # a portrait, with nothing beside it
    film.draw(1)
    read = film._picture.cache_info()
    assert (read.misses, read.hits) == (5, 1)  # 2 queries, neighbours 1, 2 and 2, 3


def test_a_scene_where_every_query_failed_is_drawn(tmp_path):
    film = write_black_scene(tmp_path, 3, failed=True)
    film.draw(COUNT - 1)
    assert film.texts["error metres"].get_text() == "failed"
    assert film.texts["median metres"].get_text() == "∞ m"
    assert len(film.panels[0].failed.get_xydata()) == COUNT
