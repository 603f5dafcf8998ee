"""Dark images are seen brighter, and others as they are."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from relposegnn.data.brightness import LEAST, brightening
from relposegnn.encoding.encoders import ImageEncoder
from relposegnn.matching.key_points import find_key_points, match_key_points

TIMES = 8.0


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Return an image (240, 320, 3) of soft blobs whose mean is ``LEAST``."""
    rng = np.random.default_rng(0)
    blobs = cv2.GaussianBlur(rng.uniform(0, 255, (240, 320, 1)), (0, 0), 3)
    blobs = cv2.normalize(blobs, None, 0, 1, cv2.NORM_MINMAX)
    grey = np.round(blobs * LEAST / blobs.mean() / TIMES) * TIMES
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def test_factors_are_of_dark_images_alone():
    means = np.array([0.0, 0.5, LEAST / TIMES, LEAST, 2 * LEAST])
    expected = [64, 64, TIMES, 1, 1]
    np.testing.assert_array_equal(brightening(means), expected)
    np.testing.assert_array_equal(brightening(torch.from_numpy(means)).numpy(), expected)


class Seen(torch.nn.Module):
    """In the place of a network: its maps are what it sees."""

    def forward(self, images):
        return images, images


def test_an_encoder_sees_dark_images_brighter_and_none_above_white(picture):
    encoder = ImageEncoder(Seen(), [0.0] * 3, [1.0] * 3, "none")
    lamp = np.zeros_like(picture)
    lamp[:20, :20] = 255
    images = np.stack([np.maximum(picture, 96), lamp, picture // int(TIMES)])
    bright, black, dark = encoder(torch.from_numpy(images))[0].permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(bright, images[0])
    np.testing.assert_array_equal(black, lamp)
    np.testing.assert_allclose(dark, picture, rtol=0.01)


def test_key_points_of_a_dark_image_are_those_of_the_bright_one(picture):
    bright = find_key_points(Image.fromarray(picture), 1000)
    dark = find_key_points(Image.fromarray((picture / TIMES).astype(np.uint8)), 1000)
    rows, others = match_key_points(bright, dark)
    assert len(rows) > 0.9 * len(bright.places) > 50
    np.testing.assert_allclose(bright.places[rows], dark.places[others], atol=1e-3)
