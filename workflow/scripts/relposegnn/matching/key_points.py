"""SIFT key points of images (Lowe, IJCV 2004) with RootSIFT descriptors, and their matches.

Places in an image are measured from its middle in longer sides, x right and y down. Divided by a
focal length in the same unit, they are x/z and y/z of rays.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ..data.brightness import brightening
from ..data.images import open_image

SIDE = 640  # pixels of the longer side; larger images are reduced before key points are found
MATCHING_ERROR = 1 / SIDE  # scale of the error of a key point, in longer sides of the image
CONTRAST = 0.02  # least contrast of a key point: half of OpenCV's default, for the walls of rooms
# OpenCV's places are too far right and down by so many pixels: it enlarges an image about its
# corner, but halves places about the centre of the corner pixel. With enable_precise_upscale, they
# scatter.
UPSCALED = 0.25
RATIO = 0.8  # largest ratio of the distances to the best and the second-best match


class KeyPoints(NamedTuple):
    """Key points of one image: ``places`` (n, 2); ``descriptors`` (n, 128), float32 unit rows."""

    places: np.ndarray
    descriptors: np.ndarray


def find_key_points(
    path: str | Path | Image.Image, count: int, orientation: int | None = None
) -> KeyPoints:
    """Return the ``count`` strongest key points of an image, or fewer, see ``find_sift``."""
    return root_sift(*find_sift(path, count, orientation))


def root_sift(places: np.ndarray, sift: np.ndarray) -> KeyPoints:
    """Return key points, given their places (n, 2) and SIFT descriptors (n, 128) uint8."""
    rows = sift.astype(np.float32)
    return KeyPoints(places, np.sqrt(rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-9)))


def find_sift(
    path: str | Path | Image.Image, count: int, orientation: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return places (n, 2) and SIFT descriptors (n, 128) uint8 of an image's strongest key points.

    Dark images are brightened first, see ``brightness``.

    Args:
        path: of the image, or the image itself.
        count: of key points, at most.
        orientation: of photos, see ``images.open_image``; None: pixels as stored.

    Raises:
        InputError: as ``images.open_image``.
    """
    image = open_image(path, orientation).convert("L")
    scale = min(1.0, SIDE / max(image.size))
    size = tuple(round(side * scale) for side in image.size)
    pixels = np.array(image.resize(size, Image.Resampling.BILINEAR))
    pixels = cv2.convertScaleAbs(pixels, alpha=brightening(pixels.mean()))  # at most 255
    detector = cv2.SIFT_create(count, contrastThreshold=CONTRAST)
    found, sift = detector.detectAndCompute(pixels, None)
    if not found:
        return np.zeros((0, 2)), np.zeros((0, 128), np.uint8)
    middle = (np.array(size) - 1) / 2  # the centre of pixel (0, 0) is at (0, 0)
    places = (np.array([point.pt for point in found]) - UPSCALED - middle) / max(size)
    # OpenCV may return more: all that are as strong as the last one. Its descriptors are integers.
    return places[:count], sift[:count].astype(np.uint8)


def match_key_points(first: KeyPoints, second: KeyPoints) -> tuple[np.ndarray, np.ndarray]:
    """Return rows (k,) of both, of key points that are mutual best matches and pass ``RATIO``."""
    if min(len(first.places), len(second.places)) < 2:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    cosine, rows = first.descriptors @ second.descriptors.T, np.arange(len(first.places))
    best = cosine.argmax(axis=1)
    top = cosine[rows, best]
    mutual = top == cosine.max(axis=0)[best]
    cosine[rows, best] = -1
    # Squared distances of unit vectors, halved.
    distinct = 1 - top < RATIO**2 * (1 - cosine.max(axis=1))
    rows = np.flatnonzero(mutual & distinct)
    return rows, best[rows]
