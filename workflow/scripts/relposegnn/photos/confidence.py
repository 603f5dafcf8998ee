"""How far an estimated pose can be trusted, from 0 to 1.

Two questions, each answered in [0, 1]. Recognition: is the most similar database image as similar
to the photo as the database's images are to each other? Agreement: do the neighbours' estimates
of the pose lie together, compared with how far the database's cameras lie apart? The confidence is
the product. It has no unit, and does not depend on the place's size, axes or kind of descriptor.

On the demo's rooms and on real frames it is recognition that tells photos of the place from others
and good estimates from bad ones. Agreement adds little: all estimates share the query's features,
so the network agrees with itself on a photo of another place too. It is there for a network that
fails. Confidence orders estimates; it is no probability.
"""

from typing import NamedTuple

import numpy as np

from ..aggregation import pair_spread
from ..poses import quaternion_from_matrix

SAMPLE = 512  # database images that stand for all, evenly spread


class SimilarityScale(NamedTuple):
    """What similarities mean in one database.

    Attributes:
        unrelated: median similarity of two of its images.
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
    blocks = [
        sample @ np.asarray(descriptors[start : start + SAMPLE], dtype=np.float32).T
        for start in range(0, len(descriptors), SAMPLE)
    ]
    similarity = np.concatenate(blocks, axis=1)
    similarity[np.arange(len(chosen)), chosen] = np.nan  # of an image to itself
    best = np.nanmax(similarity, axis=1)
    return SimilarityScale(float(np.nanmedian(similarity)), float(np.median(best)))


def recognition(similarity: np.ndarray, scale: SimilarityScale) -> np.ndarray:
    """Return where best similarities (G,) lie between unrelated, 0, and related, 1.

    1 too where all of the database is alike: then nothing is known, and nothing speaks against it.
    """
    span = scale.related - scale.unrelated
    if span <= 0:
        return np.ones(len(similarity))
    return np.clip((np.asarray(similarity) - scale.unrelated) / span, 0, 1)


def agreement(
    spread_m: np.ndarray, spread_deg: np.ndarray, world_from_cam: np.ndarray
) -> np.ndarray:
    """Return 1 (G,) where the estimates coincide, 0 where they lie apart as the database's cameras.

    The smaller value of translation and rotation; 0 where an estimate is not finite.

    Args:
        spread_m: (G,) of each query's estimates, from ``aggregation.pair_spread``.
        spread_deg: (G,) likewise.
        world_from_cam: (M, 4, 4) poses of the database.
    """
    poses = world_from_cam[_evenly(len(world_from_cam))]
    extent_m, extent_deg = pair_spread(
        poses[None, :, :3, 3], quaternion_from_matrix(poses[None, :, :3, :3])
    )
    share = np.maximum(_ratio(spread_m, extent_m[0]), _ratio(spread_deg, extent_deg[0]))
    return np.clip(1 - np.nan_to_num(share, nan=1.0), 0, 1)


def _ratio(spread: np.ndarray, extent: float) -> np.ndarray:
    """Return spread / extent; of 0 / 0, no spread at all, 0."""
    full = np.where(np.asarray(spread) > 0, np.inf, np.asarray(spread))
    return np.divide(spread, extent, out=full, where=extent > 0)


def _evenly(count: int) -> np.ndarray:
    """Return at most ``SAMPLE`` indices below ``count``, ascending, each once."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(int))
