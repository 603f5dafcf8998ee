"""Which photos of a place are matched with which: those taken next, and those that look alike.

To match all with all takes the square of their number. Photos that were taken one after another
overlap; where a walk comes by again, retrieval tells.
"""

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from ..images import read_images, resized_shape
from ..retrieval.vlad import local_features, vlad
from ..retrieval.vocabulary import fit_centroids
from ..threads import map_in_threads

FOLLOWING = 10  # photos after one that it is matched with
SIMILAR = 20  # photos that look most like one
SHORTER_SIDE = 240  # pixels, of what is described
WORDS, FITTED = 64, 100  # of the vocabulary, and the photos that it is fitted to, at most
SEED = 0


def pairs_to_match(
    photos: Sequence[Path], size: tuple[int, int], workers: int
) -> list[tuple[int, int]]:
    """Return the rows of photos to be matched with each other, the lower one first, ascending.

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
    """Return the rows (N, K) of photos that look most like each, itself among them."""
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
