"""The cameras of photos: what is assumed of them, and what is told once they are placed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..exchange.pose_formats import Pinhole
from ..matching.refinement import Refined
from ..matching.scenes import UNTOLD

CAMERA = list(Pinhole._fields)  # columns of a table of photos
TOLD = 0.02  # deviation of a focal length's logarithm by EXIF, which has whole millimetres
# That a photo was cropped, or stretched, otherwise than is assumed, where it is not of the
# database's aspect and way up; else 1. Chosen on database frames: see docs/experiments.md.
CUT_ODDS = 10.0
SAME_ASPECT = 0.03  # of an aspect's logarithm: packed frames have whole pixels
SENSOR = 4 / 3  # aspect of sensors, at most: film, which is wider, is what is left of it


class AssumedCameras(NamedTuple):
    """What is assumed of the cameras of N photos; their principal points are in the middle.

    Attributes:
        sizes: (N, 2) width and height in pixels, of photos that are turned as their poses have it.
        focal_lengths: (N,) in longer sides.
        deviations: (N,) of the logarithms of these; 0: they are exact.
        odds: (N,) that they and the principal points are quite other ones.
    """

    sizes: np.ndarray
    focal_lengths: np.ndarray
    deviations: np.ndarray
    odds: np.ndarray

    @classmethod
    def of_photos(
        cls, sizes: np.ndarray, told: np.ndarray, exact: bool, size: tuple[int, int], usual: float
    ) -> "AssumedCameras":
        """Return the cameras by what photos tell of them; where that is nothing, the database's.

        A photo of another aspect is taken for a part of what the camera's sensor sees, from edge to
        edge of it one way: film of a camera, or a square. The database's images are as wide as it.

        Args:
            sizes: (N, 2) of photos.
            told: (N,) focal lengths in longer sides, NaN where they are unknown.
            exact: whether these are so, or as EXIF has them.
            size: of the database's images, in any unit.
            usual: focal length of these, in longer sides.
        """
        longer, shorter = sizes.max(axis=1), sizes.min(axis=1)
        whole = np.maximum(longer, shorter * min(max(size) / min(size), SENSOR))
        unknown = np.isnan(told)
        deviations = np.where(unknown, UNTOLD, 0.0 if exact else TOLD)
        same = np.abs(np.log(sizes[:, 0] / sizes[:, 1] * size[1] / size[0])) < SAME_ASPECT
        odds = np.where(same, 1.0, CUT_ODDS)
        return cls(sizes, np.where(unknown, usual * whole / longer, told), deviations, odds)

    def columns(self, refined: Sequence[Refined]) -> dict[str, np.ndarray]:
        """Return ``CAMERA`` of refined poses, in pixels."""
        pixels = self.focal_lengths * self.sizes.max(axis=1)
        numbers = np.stack([each.intrinsics for each in refined]) * pixels[:, None]
        numbers[:, 2:] += self.sizes / 2
        return dict(zip(CAMERA, (*self.sizes.T, *numbers.T), strict=True))
