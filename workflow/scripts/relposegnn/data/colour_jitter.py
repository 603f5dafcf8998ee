"""Random changes of the colours of images, an option of packing training frames."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageEnhance


def jitter_colours(
    image: Image.Image, strengths: Sequence[float], generator: np.random.Generator
) -> Image.Image:
    """Return an RGB image with changed colours, as torchvision's ``ColorJitter``.

    In random order, brightness, contrast and saturation are multiplied by factors drawn from
    [1 - strength, 1 + strength], not below 0, and the hue is shifted by a share of the circle drawn
    from [-strength, strength]. Pillow does the work, as in torchvision, so packing needs no torch.

    Args:
        image: as read.
        strengths: of brightness, contrast, saturation and hue.
        generator: of the draws.
    """
    low = np.maximum(0, 1 - np.array(strengths))
    factors = generator.uniform(low, 1 + np.array(strengths))
    shift = generator.uniform(-strengths[3], strengths[3])
    enhancers = ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color
    for change in generator.permutation(4).tolist():
        if change < 3:
            image = enhancers[change](image).enhance(factors[change])
        else:
            image = shift_hue(image, shift)
    return image


def shift_hue(image: Image.Image, share: float) -> Image.Image:
    """Return an RGB image whose hues are shifted by a share of the circle."""
    hue, saturation, value = image.convert("HSV").split()
    steps = int(share * 255) % 256
    hue = Image.fromarray(np.array(hue) + np.uint8(steps))  # wraps around
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")
