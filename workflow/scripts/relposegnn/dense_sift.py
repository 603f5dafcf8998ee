"""Dense RootSIFT: a classical map of an image, which needs no trained weights.

One upright SIFT descriptor per cell (Lowe, IJCV 2004), L1-normalised, of which the square root is
taken (Arandjelovic & Zisserman, CVPR 2012).
"""

from functools import lru_cache

import cv2
import numpy as np

# A patch has 4 x 4 cells of 1.5 x size pixels: 48 x 48 pixels. Compared with rendered depth, match
# fields of smaller patches err more, and those of larger ones no less.
KEYPOINT_SIZE = 8.0


def sift_map(image: np.ndarray, stride: int) -> np.ndarray:
    """Return RootSIFT (128, H/stride, W/stride), float32, of an image (H, W, 3) uint8 RGB.

    Patches are centred in cells of ``stride`` pixels. The channels of a cell are a unit vector,
    or zeros where its patch has no gradient.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = (side // stride for side in grey.shape)
    _, sift = cv2.SIFT_create().compute(grey, _cell_centres(height, width, stride))
    total = sift.sum(axis=1, keepdims=True)
    rooted = np.sqrt(np.divide(sift, total, out=np.zeros_like(sift), where=total > 0))
    return np.ascontiguousarray(rooted.T).reshape(-1, height, width)


@lru_cache(maxsize=4)
def _cell_centres(height: int, width: int, stride: int) -> tuple[cv2.KeyPoint, ...]:
    """Return upright key points row by row; the centre of pixel (0, 0) is at (0, 0)."""
    middle = (stride - 1) / 2
    return tuple(
        cv2.KeyPoint(x * stride + middle, y * stride + middle, KEYPOINT_SIZE, angle=0.0)
        for y in range(height)
        for x in range(width)
    )
