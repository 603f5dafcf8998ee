"""How far an estimated pose can be trusted: the probability that its errors are within limits.

The confidence is the product of two probabilities. First, that the photo shows this place: 1 if
matches have refined the pose; otherwise recognition decides, whether the photo is as similar to the
most similar database image as the database's images are to each other. Second, that the errors are
within the limits, which follows from the stated errors, see ``calibration``.
"""

from typing import NamedTuple

import numpy as np

from ..scores.calibration import StatedErrors, probability_within

SAMPLE = 512  # database images that represent all, evenly spread


class SimilarityScale(NamedTuple):
    """What similarities mean in one database.

    Attributes:
        unrelated: median similarity of any two of its images.
        related: median similarity of an image to the most similar other one.
    """

    unrelated: float
    related: float


def similarity_scale(descriptors: np.ndarray) -> SimilarityScale:
    """Return the scale of a database's descriptors (M, D), unit rows, M >= 2.

    ``descriptors`` may be an HDF5 dataset: a block of it is in memory at a time.
    """
    chosen = _evenly(len(descriptors))
    sample = np.asarray(descriptors[chosen], dtype=np.float32)
    similarity = np.empty((len(chosen), len(descriptors)), dtype=np.float32)
    for start in range(0, len(descriptors), SAMPLE):
        block = np.asarray(descriptors[start : start + SAMPLE], dtype=np.float32)
        similarity[:, start : start + len(block)] = sample @ block.T
    similarity[np.arange(len(chosen)), chosen] = np.nan  # of an image to itself
    best = np.nanmax(similarity, axis=1)
    unrelated = np.nanmedian(similarity, overwrite_input=True)  # no copy: 2 kB a database image
    return SimilarityScale(float(unrelated), float(np.median(best)))


def recognition(similarity: np.ndarray, scale: SimilarityScale) -> np.ndarray:
    """Return where best similarities (G,) lie between ``unrelated`` (0) and ``related`` (1).

    If all images of the database are alike, nothing can be said against the photo: 1.
    """
    span = scale.related - scale.unrelated
    if span <= 0:
        return np.ones(len(similarity))
    return np.clip((np.asarray(similarity) - scale.unrelated) / span, 0, 1)


def confidence(
    similarity: np.ndarray,
    scale: SimilarityScale,
    points: np.ndarray,
    stated: StatedErrors,
    within: tuple[float, float],
) -> np.ndarray:
    """Return the probability (G,) that poses are within limits; 0 where no error is stated.

    Args:
        similarity: (G,) to the most similar database image.
        scale: of similarities in this database.
        points: (G,) matched points by which the pose was refined; 0: it was not.
        stated: errors of G poses.
        within: the limits, metres and degrees.
    """
    of_this_place = np.where(points > 0, 1.0, recognition(similarity, scale))
    return of_this_place * probability_within(stated, within)


def _evenly(count: int) -> np.ndarray:
    """Return at most ``SAMPLE`` indices below ``count``, ascending, each once."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(int))
