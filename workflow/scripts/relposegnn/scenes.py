"""What a scene is: a place with posed images, whatever layout they were read from.

``layouts.reading.read_scene`` makes a ``Scene`` of a folder; each layout has its reader module.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Frame:
    """One posed image.

    Attributes:
        name: unique in its scene: the image's path without its suffix, seq-03/frame-000017.
        image: path of the colour image.
        world_from_cam: pose (4, 4), float64, metres, OpenCV camera axes.
        focal_length: in longer sides of the image; NaN where the layout does not tell it.
    """

    name: str
    image: Path
    world_from_cam: np.ndarray
    focal_length: float = math.nan


@dataclass(frozen=True, eq=False)
class Scene:
    """A place: frames of its database (train) and of its queries (test), in recorded order."""

    name: str
    train: list[Frame]
    test: list[Frame]

    def frames(self, split: str) -> list[Frame]:
        """Return the frames of ``train`` or ``test``."""
        return {"train": self.train, "test": self.test}[split]
