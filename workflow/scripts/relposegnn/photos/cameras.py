"""The cameras of photos: what is assumed of them, and what is told once they are placed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..exchange.pose_formats import Pinhole
from ..matching.most_probable import Guess, Prior
from ..matching.refinement import FREE, Refined
from ..matching.scenes import UNTOLD

CAMERA = list(Pinhole._fields)  # columns of a table of photos
TOLD = 0.02  # deviation of a focal length's logarithm by EXIF, which has whole millimetres
# That a photo of another aspect or way up than the database's was cropped otherwise than is
# assumed, or stretched. Chosen on database frames: see docs/experiments.md.
CUT_ODDS = 10.0
SAME_ASPECT = 0.03  # of an aspect's logarithm: packed frames have whole pixels
FIXED = 1e-3  # deviation of what a part of an image leaves as it is
SENSOR = 4 / 3  # aspect of sensors, at most: film, which is wider, is what is left of it


class AssumedCameras(NamedTuple):
    """What is assumed of the cameras of N photos; their principal points are in the middle.

    Attributes:
        sizes: (N, 2) width and height in pixels, of photos that are turned as their poses have it.
        focal_lengths: (N,) in longer sides.
        deviations: (N,) of the logarithms of these; 0: they are exact.
        parts: (N, 4) deviations of intrinsics, as in a ``Prior``, of photos that are any part, as
            wide or as high, of what the database's camera sees; NaN of those of its aspect.
    """

    sizes: np.ndarray
    focal_lengths: np.ndarray
    deviations: np.ndarray
    parts: np.ndarray

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
        unknown = np.isnan(told)
        sensor = np.maximum(longer, shorter * min(max(size) / min(size), SENSOR))
        whole = np.where(unknown, sensor, longer)
        lengths = np.where(unknown, usual, told) * (whole / longer)
        deviations = np.where(unknown, UNTOLD, 0.0 if exact else TOLD)
        image = (sizes / size).max(axis=1)[:, None] * size  # of which a photo is a part
        zoom = np.hypot(deviations, np.log(image.max(axis=1) / whole))
        # The middle is anywhere along the side that was cut: evenly, so with this deviation.
        middle = (image - sizes) / np.sqrt(12) / (lengths * longer)[:, None]
        parts = np.column_stack([zoom, np.maximum(middle, FIXED), np.full(len(sizes), FIXED)])
        same = np.abs(np.log(sizes[:, 0] / sizes[:, 1] * size[1] / size[0])) < SAME_ASPECT
        parts[same] = np.nan
        return cls(sizes, lengths, deviations, parts)

    def assumed(self, row: int, regressed: Prior) -> Prior:
        """Return the regressed pose of a photo, by its number, with what is assumed of its camera.

        Where its focal length is not given exactly, it may have been cropped or stretched.
        """
        if not self.deviations[row]:
            return regressed
        others = (FREE,)
        if np.isfinite(self.parts[row]).all():
            part = Guess(tuple(self.parts[row].tolist()), CUT_ODDS)
            others = (part, FREE._replace(odds=CUT_ODDS))
        return regressed._replace(intrinsics=(self.deviations[row],), others=others)

    def columns(self, refined: Sequence[Refined]) -> dict[str, np.ndarray]:
        """Return ``CAMERA`` of refined poses, in pixels."""
        pixels = self.focal_lengths * self.sizes.max(axis=1)
        numbers = np.stack([each.intrinsics for each in refined]) * pixels[:, None]
        numbers[:, 2:] += self.sizes / 2
        return dict(zip(CAMERA, (*self.sizes.T, *numbers.T), strict=True))
