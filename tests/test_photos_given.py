"""What is handed over as photos is taken as it is meant, or refused in words."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from relposegnn.photos.files import PhotoError
from relposegnn.photos.given import listed_photos
from relposegnn.runtime import InputError

RGB = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


@pytest.mark.parametrize("single", [RGB, RGB[..., 0], Image.fromarray(RGB), "a.jpg", Path("a.jpg")])
def test_a_single_photo_is_a_list_of_one_and_may_have_a_single_name(single):
    photos, names = listed_photos(single, None)
    assert (len(photos), names) in ((1, ["0"]), (1, ["a.jpg"]))
    assert listed_photos(single, "front")[1] == listed_photos([single], ["front"])[1] == ["front"]


def test_several_photos_keep_their_order_and_names_may_be_numbers():
    photos, names = listed_photos(iter([Path("b/1.jpg"), "a.jpg", RGB]), None)
    assert photos[:2] == [Path("b/1.jpg"), Path("a.jpg")]
    assert names == ["1.jpg", "a.jpg", "2"]
    np.testing.assert_array_equal(np.asarray(photos[2]), RGB)
    assert listed_photos(np.stack([RGB, RGB]), (number for number in (17, 18)))[1] == ["17", "18"]
    assert listed_photos([], None) == ([], [])


def test_a_grey_picture_is_one_photo_whose_channels_are_the_same():
    (photo,), _ = listed_photos(RGB[..., 0], None)
    np.testing.assert_array_equal(
        np.asarray(photo.convert("RGB")), np.repeat(RGB[..., :1], 3, axis=2)
    )


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (RGB[..., 0].astype(np.uint16), r"array \(6, 8\) of uint16"),
        (RGB / 255, r"array \(6, 8, 3\) of float64"),
        (RGB[..., :1], r"array \(6, 8, 1\) of uint8"),
        (RGB.transpose(2, 0, 1), r"array \(3, 6, 8\) of uint8"),
        (RGB[:0], r"array \(0, 8, 3\) of uint8"),
        ([RGB, None], "is NoneType, expected a path, .*PIL.Image.open"),
        (None, "is NoneType"),
        (b"\xff\xd8\xff", "is bytes"),
        (io.BytesIO(b"\xff\xd8\xff"), "is bytes"),
        (torch.from_numpy(RGB), "is Tensor"),
    ],
)
def test_what_is_no_photo_is_told(given, found):
    with pytest.raises(InputError, match=f"photo: is (an )?{found.removeprefix('is ')}"):
        listed_photos(given, None)


def test_damaged_and_huge_images_that_pillow_has_opened_are_photos_that_cannot_be_read(monkeypatch):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        file, "PNG"
    )
    cut = file.getvalue()[:2000]
    with pytest.raises(PhotoError, match=r"photo: cannot be read as an image .*truncated"):
        listed_photos(Image.open(io.BytesIO(cut)), None)
    monkeypatch.setenv("RELPOSEGNN_MAX_PIXELS", "4000")
    with pytest.raises(PhotoError, match="photo: has 4096 pixels, expected at most 4000"):
        listed_photos(Image.open(file), None)
