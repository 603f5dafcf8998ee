"""Positions of the cells of images: in the image, or as rays, by the focal lengths of cameras.

Positions of cells are in half widths of an image (``match_fields.cell_positions``). The scales of
this module turn them into the x/z and y/z of rays, which do not depend on a camera's field of view.
The unit is chosen so that for a focal length of 585 pixels at 640 x 480 nothing changes.
"""

import numpy as np
import torch
from torch import Tensor

from ..data.frames import Frames
from ..runtime import InputError

IMAGE, RAYS = "image", "rays"  # kinds of positions
REFERENCE = 585 / 640  # focal length, in longer sides of the image, for which scales are 1


def frame_scales(positions: str, frames: Frames, split: str, grid: tuple[int, int]) -> Tensor:
    """Return the scales (N, 2) of x and y in the frames of a split, see ``image_scales``.

    Raises:
        InputError: as ``image_scales``; or rays need a focal length that is unknown.
    """
    focal_lengths = frames.focal_lengths(split)
    unknown = int(np.isnan(focal_lengths).sum())
    if positions == RAYS and unknown:
        raise InputError(
            f"{frames.path}: the focal length of {unknown} of {len(focal_lengths)} {split} frames "
            "is unknown, expected that of all, since model.positions is rays; give it in "
            f"frames.focal_lengths.{frames.scene}, or train a network with model.positions: image"
        )
    return image_scales(positions, focal_lengths, frames.image_shape, grid)


def image_scales(
    positions: str, focal_lengths: np.ndarray, image_shape: tuple[int, int], grid: tuple[int, int]
) -> Tensor:
    """Return the factors (n, 2), float32, of positions (x, y) in images.

    Args:
        positions: ``image``: factors are 1; ``rays``: factors turn positions into rays.
        focal_lengths: (n) in longer sides of the image.
        image_shape: (H, W) of the images, in pixels.
        grid: (h, w) cells of an image, whose aspect ratio is only about that of the image.

    Raises:
        InputError: ``positions`` is neither.
    """
    if positions == IMAGE:
        return torch.ones(len(focal_lengths), 2)
    if positions != RAYS:
        raise InputError(f"model.positions: got {positions!r}, expected {IMAGE} or {RAYS}")
    height, width = image_shape
    x = REFERENCE / focal_lengths * width / max(height, width)
    y = x * (height / width) / (grid[0] / grid[1])
    return torch.from_numpy(np.stack([x, y], axis=1)).float()
