"""Choose the pairs of photos to match: photos taken one after another, and those that look alike.

Matching all pairs would take time with the square of the number of photos. Photos that were taken
one after another overlap; retrieval finds where a walk passes the same spot again.
"""

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from ..data.images import read_images, resized_shape
from ..retrieval.vlad import local_features, vlad
from ..retrieval.vocabulary import fit_centroids
from ..threads import map_in_threads

FOLLOWING = 10  # each photo is matched with so many that follow it
SIMILAR = 20  # and with so many that look most like it
SHORTER_SIDE = 240  # pixels, of the photos as they are described
WORDS, FITTED = 64, 100  # words of the vocabulary; photos that it is fitted to, at most
SEED = 0


def pairs_to_match(
    photos: Sequence[Path], size: tuple[int, int], workers: int
) -> list[tuple[int, int]]:
    """Return the pairs of photos to match, as rows, the lower one first, in ascending order.

    Args:
        photos: in the order in which they were taken.
        size: (width, height) of all of them.
        workers: threads.

    Raises:
        InputError: a photo cannot be read, or they have too little texture to be told apart.
    """
    rows = np.arange(len(photos))
    next_ones = [rows[row + 1 : row + 1 + FOLLOWING] for row in rows]
    alike = _similar(photos, size, workers)
    found = {
        (min(row, int(other)), max(row, int(other)))
        for row in rows.tolist()
        for other in (*next_ones[row], *alike[row])
        if other != row
    }
    return sorted(found)


def _similar(photos: Sequence[Path], size: tuple[int, int], workers: int) -> np.ndarray:
    """Return the rows (N, K) of the photos most similar to each photo, including itself."""
    size = resized_shape(*size, SHORTER_SIDE)
    spread = np.linspace(0, len(photos) - 1, min(FITTED, len(photos))).astype(int)
    some = read_images([photos[row] for row in spread], size, workers)
    points = np.concatenate(list(map_in_threads(local_features, some, workers)))
    words = fit_centroids(points, WORDS, SEED, str(photos[0].parent))

    def described(image: np.ndarray) -> np.ndarray:
        """Return the descriptor of an image."""
        return vlad(local_features(image), words)

    images = read_images(photos, size, workers)
    descriptors = np.stack(list(map_in_threads(described, images, workers)))
    nearest = min(SIMILAR + 1, len(photos))
    return faiss.knn(descriptors, descriptors, nearest, faiss.METRIC_INNER_PRODUCT)[1]
