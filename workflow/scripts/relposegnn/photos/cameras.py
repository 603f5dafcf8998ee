"""The cameras of photos: as assumed before localising, and as written to the table after it."""

from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np

from ..exchange.pose_formats import Pinhole
from ..layouts.posed_images import FOCAL_LENGTHS, LENGTH_ADVICE
from ..matching.most_probable import Guess, Prior
from ..matching.refinement import FREE, Refined
from ..matching.scenes import GUESS_DEVIATION
from ..runtime import InputError

CAMERA = list(Pinhole._fields)  # columns of a table of photos
EXIF_DEVIATION = 0.02  # of the logarithm of EXIF's focal length, which is in whole millimetres
# For a photo whose aspect ratio differs from the database's: the odds of each of two guesses beside
# what is assumed, that it was cropped elsewhere, and that it is from quite another camera. Chosen
# on database frames: see docs/experiments.md.
CUT_ODDS = 10.0
SAME_ASPECT = 0.03  # of an aspect ratio's logarithm: packed frames have whole pixels
FIXED = 1e-3  # deviation of what cropping does not change
SENSOR = 4 / 3  # largest aspect ratio of a sensor; wider video is taken for a crop of it


def check_focal_length(length: float | None) -> None:
    """Check that a focal length, if given, is one of a real lens, in longer sides of the photo.

    Raises:
        InputError: it is not.
    """
    least, most = FOCAL_LENGTHS
    if length is not None and not (isinstance(length, Real) and least <= length <= most):
        raise InputError(
            f"focal length is {length}, expected {least} to {most} longer sides of the photo; "
            f"{LENGTH_ADVICE}"
        )


class AssumedCameras(NamedTuple):
    """What is assumed of the cameras of N photos; the principal point is the photo's middle.

    Attributes:
        sizes: (N, 2) width and height in pixels, of photos turned as their poses have it.
        focal_lengths: (N,) in longer sides of the photo.
        deviations: (N,) of the focal lengths' logarithms; 0: the focal length is exact.
        parts: (N, 4) deviations of intrinsics, as in a ``Guess``, if the photo is any part of a
            picture of the database's aspect ratio; NaN if the photo has this ratio itself, and
            without focal lengths.
    """

    sizes: np.ndarray
    focal_lengths: np.ndarray
    deviations: np.ndarray
    parts: np.ndarray

    @classmethod
    def of_photos(
        cls, sizes: np.ndarray, frames: np.ndarray, told: np.ndarray, exact: bool, usual: float
    ) -> "AssumedCameras":
        """Return the photos' cameras; an unknown focal length is taken from the database.

        A photo of another aspect ratio is assumed to be a crop of what the camera's sensor sees, as
        wide or as high as the sensor: video, or a square. The database's images are assumed to be
        as wide as the sensor.

        Args:
            sizes: (N, 2) of photos.
            frames: (N, 2) of the frames around them, see ``files.Photo``.
            told: (N,) known focal lengths in longer sides; NaN: unknown.
            exact: whether these are exact, else they are from EXIF.
            usual: focal length of the database's images, in longer sides.
        """
        longer, shorter = sizes.max(axis=1), sizes.min(axis=1)
        same = np.abs(np.log(frames / sizes)).max(axis=1) < SAME_ASPECT
        unknown = np.isnan(told)
        aspect = frames.max(axis=1) / frames.min(axis=1)
        sensor = np.maximum(longer, shorter * np.minimum(aspect, SENSOR))  # its longer side
        assumed = np.where(unknown & ~same, sensor, longer)
        lengths = np.where(unknown, usual, told) * (assumed / longer)
        deviations = np.where(unknown, GUESS_DEVIATION, 0.0 if exact else EXIF_DEVIATION)
        # EXIF's focal length stands for the angle from corner to corner; a crop has less of it.
        diagonals = np.linalg.norm(frames, axis=1) / np.linalg.norm(sizes, axis=1)
        growth = np.where(unknown, frames.max(axis=1) / assumed, diagonals)
        parts = np.full((len(sizes), 4), FIXED)
        parts[:, 0] = np.hypot(deviations, np.log(growth))
        # The crop may lie anywhere along the cropped side: the deviation of a uniform distribution.
        middle = (frames - sizes) / np.sqrt(12) / (lengths * longer)[:, None]
        parts[:, 1:3] = np.maximum(middle, FIXED)
        parts[same] = np.nan
        return cls(sizes, lengths, deviations, parts)

    def assumed(self, row: int, regressed: Prior) -> Prior:
        """Return the regressed pose of a photo (by its row) with what is assumed of its camera.

        A photo whose focal length is not exact may have been cropped or stretched.
        """
        if not self.deviations[row]:
            return regressed
        others = (FREE,)
        if np.isfinite(self.parts[row]).all():
            part = Guess(tuple(self.parts[row].tolist()), CUT_ODDS)
            others = (part, FREE._replace(odds=CUT_ODDS))
        return regressed._replace(intrinsics=(self.deviations[row],), others=others)

    def columns(self, refined: Sequence[Refined]) -> dict[str, np.ndarray]:
        """Return the columns ``CAMERA`` of refined poses, in pixels."""
        pixels = self.focal_lengths * self.sizes.max(axis=1)
        numbers = np.stack([each.intrinsics for each in refined]) * pixels[:, None]
        numbers[:, 2:] += self.sizes / 2
        return dict(zip(CAMERA, (*self.sizes.T, *numbers.T), strict=True))
