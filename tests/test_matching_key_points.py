"""Key points of images, in places that do not depend on an image's size, and their matches."""

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from relposegnn.data.images import UPRIGHT
from relposegnn.matching.key_points import KeyPoints, find_key_points, match_key_points


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Return grey values (240, 320) of soft blobs."""
    rng = np.random.default_rng(0)
    large = cv2.GaussianBlur(rng.integers(0, 256, (240, 320), dtype=np.uint8), (0, 0), 3)
    return cv2.normalize(large, None, 0, 255, cv2.NORM_MINMAX)


def matched_places(first: KeyPoints, second: KeyPoints) -> tuple[np.ndarray, np.ndarray]:
    rows, others = match_key_points(first, second)
    return first.places[rows], second.places[others]


def test_key_points_of_a_moved_picture_match(picture, tmp_path):
    """In longer sides from the middle; twice the size changes nothing."""
    small, moved = picture[:180, :240], picture[30:210, 48:288]
    doubled = cv2.resize(small, (1280, 960), interpolation=cv2.INTER_LINEAR)
    for name, image in (("small", small), ("moved", moved), ("doubled", doubled)):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    points = {
        name: find_key_points(tmp_path / f"{name}.png", 1000)
        for name in ("small", "moved", "doubled")
    }
    first, second = matched_places(points["small"], points["moved"])
    assert len(first) > 50
    np.testing.assert_allclose(np.median(first - second, axis=0), [48 / 240, 30 / 240], atol=1e-3)
    first, second = matched_places(points["small"], points["doubled"])
    assert len(first) > 50
    np.testing.assert_allclose(np.median(first - second, axis=0), 0, atol=1e-3)


def test_key_points_are_where_blobs_are(tmp_path):
    """To a twentieth of a pixel, wherever in it they are."""
    height, width = 480, 640
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[40:440:60, 40:600:60].reshape(2, -1) + rng.random((2, 70))
    y, x = np.mgrid[:height, :width]
    pixels = np.full((height, width), 60.0)
    for row, column in zip(rows, columns, strict=True):
        pixels += 150 * np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * 5**2))
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "blobs.png")
    places = find_key_points(tmp_path / "blobs.png", 1000).places
    found = places * width + [(width - 1) / 2, (height - 1) / 2]
    off = found[:, None] - np.stack([columns, rows], axis=1)
    nearest = np.linalg.norm(off, axis=2).argmin(axis=1)
    off = off[np.arange(len(off)), nearest]
    off = off[np.linalg.norm(off, axis=1) < 1]
    assert len(off) > 50
    np.testing.assert_allclose(np.median(off, axis=0), 0, atol=0.05)


def test_a_photo_is_turned_as_its_tag_says(picture, tmp_path):
    image, tag = Image.fromarray(picture), Image.Exif()
    tag[ExifTags.Base.Orientation] = 6  # to be turned by a quarter, clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "tagged.png", exif=tag)
    image.save(tmp_path / "upright.png")
    upright = find_key_points(tmp_path / "upright.png", 1000)
    np.testing.assert_array_equal(
        find_key_points(tmp_path / "tagged.png", 1000, orientation=UPRIGHT).places, upright.places
    )
    as_stored = find_key_points(tmp_path / "tagged.png", 1000).places
    assert np.abs(as_stored[:, 1]).max() > np.abs(upright.places[:, 1]).max()


def test_the_strongest_key_points_are_taken(picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "a.png")
    some, all_of_them = (find_key_points(tmp_path / "a.png", count) for count in (20, 1000))
    assert some.places.shape == (20, 2)
    assert some.descriptors.shape == (20, 128)
    known = {tuple(place) for place in all_of_them.places.round(6)}
    assert {tuple(place) for place in some.places.round(6)} <= known
    np.testing.assert_allclose(np.linalg.norm(some.descriptors, axis=1), 1, atol=1e-5)


def test_a_blank_image_has_no_key_points_and_matches_nothing(picture, tmp_path):
    Image.new("RGB", (256, 192), (90, 80, 70)).save(tmp_path / "wall.png")
    Image.fromarray(picture).save(tmp_path / "a.png")
    wall, textured = (find_key_points(tmp_path / f"{name}.png", 100) for name in ("wall", "a"))
    assert wall.places.shape == (0, 2)
    for pair in ((wall, textured), (textured, wall), (wall, wall)):
        assert [len(rows) for rows in match_key_points(*pair)] == [0, 0]
