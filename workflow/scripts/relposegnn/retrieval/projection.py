"""Shorter descriptors: principal components, whitened or not (Jegou & Chum, ECCV 2012, section 3).

As NetVLAD's authors do (section 5): principal components of database descriptors, each divided by
its standard deviation, then normalised to a unit vector. With few images, the last components are
noise, which whitening gives the same weight as the first ones.

Dimensions: M descriptors of length D, of length N after the projection.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ..runtime import InputError

AT_ONCE = 64  # descriptors that are projected together
LEAST_SHARE = 1e-4  # of the first component's deviation; anything below is rounding
# Images per whitened component: with fewer, rankings of a real kitchen get worse.
WELL_TOLD = 8
DIGITS = 16  # of a digest, hexadecimal


class Projection(NamedTuple):
    """A projection of descriptors.

    Attributes:
        mean: (D,) float32.
        components: (N, D) float32; if whitened, each is divided by its deviation.
    """

    mean: np.ndarray
    components: np.ndarray

    @property
    def digest(self) -> str:
        """Return a digest that identifies the projection."""
        contents = self.mean.tobytes() + self.components.tobytes()
        return hashlib.sha256(contents).hexdigest()[:DIGITS]

    def rows(self, rows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the projections (N,) of descriptors (D,), float32 unit vectors.

        A descriptor equal to the mean has no direction: it gets equal entries, like an image
        without features in ``vlad``.
        """
        rows = iter(rows)
        while block := list(itertools.islice(rows, AT_ONCE)):
            made = (np.stack(block) - self.mean) @ self.components.T
            made[~made.any(axis=1)] = 1
            yield from made / np.linalg.norm(made, axis=1, keepdims=True)


def principal_components(
    descriptors_MD: np.ndarray, dimensions: int, whitened: bool, source: str
) -> Projection:
    """Return the projection onto the first principal components.

    The sign of a component is such that its entry of largest magnitude is positive.

    Args:
        descriptors_MD: (M, D) float32, overwritten.
        dimensions: N.
        whitened: whether all components get equal weight.
        source: of the descriptors, for messages.

    Raises:
        InputError: the descriptors are shorter than N, or vary in fewer directions.
    """
    most = min(len(descriptors_MD) - 1, descriptors_MD.shape[1])
    check_dimensions(dimensions, most, source)
    mean = descriptors_MD.mean(axis=0)
    descriptors_MD -= mean
    _, deviations, components = np.linalg.svd(descriptors_MD, full_matrices=False)
    check_dimensions(dimensions, int((deviations > LEAST_SHARE * deviations[0]).sum()), source)
    components = components[:dimensions]
    largest = np.abs(components).argmax(axis=1)[:, None]
    signs = np.sign(np.take_along_axis(components, largest, axis=1))
    if whitened:
        signs = signs * np.sqrt(len(descriptors_MD)) / deviations[:dimensions, None]
    return Projection(mean, np.ascontiguousarray(components * signs, dtype=np.float32))


def check_dimensions(dimensions: int, most: int, source: str) -> None:
    """Raise an InputError if there are more dimensions than the descriptors can determine."""
    if dimensions > most:
        raise InputError(
            f"{source}: got {dimensions} as retrieval.dimensions, expected at most {most}, the "
            "components that its training images determine; set fewer, or null"
        )
