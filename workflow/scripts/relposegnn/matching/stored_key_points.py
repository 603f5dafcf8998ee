"""Stored key points of a scene's database images, so that refinement does not need the images.

A file, or a map's group, of the kind ``key_points`` holds ``places`` float64 (T, 2) and ``sift``
uint8 (T, 128) of all images, one after another, and ``end`` int64 (M), the row after the last of
each image.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from ..files.storage import StoredFrames
from ..files.whole_files import reading
from ..threads import map_in_threads
from .key_points import KeyPoints, find_sift, root_sift
from .scenes import KEY_POINTS

KIND = "key_points"


class StoredKeyPoints(StoredFrames):
    """Reader of key points; those of an image are read when they are needed."""

    def __init__(self, path: str | Path) -> None:
        """Take the path of the file, which is opened when it is needed."""
        super().__init__(path, KIND)

    def of(self, image: int) -> KeyPoints:
        """Return the key points of a database image, as ``find_key_points`` found them."""
        with reading(self.path, KIND):
            end = self._array("end")
            rows = slice(int(end[image - 1]) if image else 0, int(end[image]))
            places, sift = self._array("places")[rows], self._array("sift")[rows]
            if places.shape != (len(sift), 2) or not np.isfinite(places).all():
                raise ValueError(f"key points of image {image}")
            return root_sift(places, sift)


def write_key_points(group: h5py.Group, images: Sequence[Path], workers: int) -> None:
    """Find the key points of M images and write them, image by image.

    Raises:
        InputError: an image cannot be read.
    """
    places, sift = (
        group.create_dataset(name, (0, width), kind, maxshape=(None, width), chunks=(2000, width))
        for name, width, kind in (("places", 2, "f8"), ("sift", 128, "u1"))
    )
    ends = []
    found = map_in_threads(partial(find_sift, count=KEY_POINTS), images, workers)
    for parts in tqdm(found, "key points", len(images), unit="img", disable=None):
        start = len(places)
        for array, part in zip((places, sift), parts, strict=True):
            array.resize(start + len(part), axis=0)
            array[start:] = part
        ends.append(len(places))
    group["end"] = ends
