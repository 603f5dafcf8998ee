"""The benchmark of cropped and stretched photos: what is cut out, and what EXIF tells of it."""

import importlib

import numpy as np
import pytest
from PIL import Image
from project import REPOSITORY

from relposegnn.data.images import open_image
from relposegnn.photos.files import read_photo


@pytest.fixture(scope="module")
def changed_photos():
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(REPOSITORY / "benchmarks")
        return importlib.import_module("changed_photos")


@pytest.mark.parametrize(
    ("name", "size", "corner"),
    [
        ("as they are", (640, 480), (0, 0)),
        ("middle half", (320, 240), (160, 120)),
        ("portrait format from the middle", (360, 480), (140, 0)),
        ("corner, four fifths", (512, 384), (0, 0)),
        ("lower three fifths", (640, 288), (0, 192)),
        ("square from the middle", (480, 480), (80, 0)),
        ("16:9 from the middle", (640, 360), (0, 60)),
    ],
)
def test_parts_are_cut_where_they_are_said_to_be(changed_photos, name, size, corner):
    across, down = np.meshgrid(np.arange(640) % 256, np.arange(480) % 256)
    image = Image.fromarray(np.stack([across, down, across // 3], axis=-1).astype(np.uint8))
    found = changed_photos.CHANGES[name](image)
    assert found.size == size
    assert found.getpixel((0, 0)) == image.getpixel(corner)


def test_exif_tells_the_focal_length_of_the_whole_picture(changed_photos, tmp_path):
    Image.new("RGB", (640, 480), "grey").save(tmp_path / "whole.png")
    half = changed_photos.CHANGES["middle half"]
    [told] = changed_photos.write_changed([tmp_path / "whole.png"], half, tmp_path, 0.82)
    assert open_image(told).size == (320, 240)
    size = (96, 64), (96, 64), (96, 64), 1.0
    assert read_photo(told, *size).focal_length == pytest.approx(0.82, rel=0.02)
    [untold] = changed_photos.write_changed([tmp_path / "whole.png"], half, tmp_path, None)
    assert np.isnan(read_photo(untold, *size).focal_length)
