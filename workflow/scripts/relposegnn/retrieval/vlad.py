"""VLAD: one vector per image from classical local features, with no trained weights.

SIFT on a dense upright grid; RootSIFT (Arandjelovic & Zisserman, CVPR 2012); residuals to the
words of a vocabulary, summed (Jegou et al., CVPR 2010, section 3) and intra-normalised
(Arandjelovic & Zisserman, CVPR 2013, section 3.1). On frames of 7-Scenes, a grid retrieves nearer
images than SIFT's own keypoints do, and it also describes images with few keypoints well.
"""

from functools import lru_cache

import cv2
import numpy as np

GRID_STEP = 10  # pixels between keypoints
# A patch has 4 x 4 cells of 1.5 x size pixels: 48 x 48 pixels. It is described at half the image's
# resolution (octave 1), which costs a quarter and retrieves equally well.
KEYPOINT_SIZE, OCTAVE = 8.0, 1


def local_features(image: np.ndarray) -> np.ndarray:
    """Return the RootSIFT features (N, 128), float32 unit rows, of an image (H, W, 3) uint8 RGB.

    Patches without any gradient are left out: a blank image has no features, N = 0.
    """
    cv2.setNumThreads(1)  # the caller describes several images at once, in threads
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    _, sift = cv2.SIFT_create().compute(grey, _grid(*grey.shape))
    return _root_sift(sift)


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> tuple[cv2.KeyPoint, ...]:
    """Return upright keypoints on a grid over the whole image, at least one."""
    rows = np.arange(min(GRID_STEP, height) // 2, height, GRID_STEP)
    columns = np.arange(min(GRID_STEP, width) // 2, width, GRID_STEP)
    return tuple(
        cv2.KeyPoint(float(x), float(y), KEYPOINT_SIZE, angle=0.0, octave=OCTAVE)
        for y in rows
        for x in columns
    )


def _root_sift(sift: np.ndarray) -> np.ndarray:
    """Return the square roots of L1-normalised SIFT descriptors (N, 128), without zero rows."""
    total = sift.sum(axis=1, keepdims=True)
    textured = total[:, 0] > 0
    return np.sqrt(sift[textured] / total[textured])


def vlad(features_ND: np.ndarray, centroids_KD: np.ndarray) -> np.ndarray:
    """Return the VLAD descriptor (K D,), a float32 unit vector.

    A word to which no feature is assigned, or whose residuals cancel, is a block of zeros. If all
    blocks are zero, in particular for an image without features, all entries of the descriptor are
    equal: a valid unit vector, the same for all such images, and nearly orthogonal to other
    descriptors, whose residuals have either sign.

    Args:
        features_ND: (N, D) local features, N >= 0.
        centroids_KD: (K, D) words of the vocabulary.
    """
    scores_NK = features_ND @ centroids_KD.T - 0.5 * np.sum(centroids_KD**2, axis=1)
    assigned_KN = scores_NK.argmax(axis=1) == np.arange(len(centroids_KD))[:, None]
    residuals_KD = (
        assigned_KN.astype(np.float32) @ features_ND
        - assigned_KN.sum(axis=1, keepdims=True) * centroids_KD
    )
    norm = np.linalg.norm(residuals_KD, axis=1, keepdims=True)
    # Below this, a sum of residuals is rounding error; normalised, it would be noise of length 1.
    present = norm > 1e-5
    blocks = np.divide(residuals_KD, norm, out=np.zeros_like(centroids_KD), where=present)
    if not present.any():
        blocks[:] = 1.0
    return (blocks / np.linalg.norm(blocks)).astype(np.float32).ravel()
