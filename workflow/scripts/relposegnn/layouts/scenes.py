"""What a scene is: a place with posed images, whatever layout they were read from.

``layouts.reading.read_scene`` makes a ``Scene`` of a folder; each layout has its reader module.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from ..runtime import InputError

NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True, eq=False)
class Frame:
    """One posed image.

    Attributes:
        name: unique in its scene: the image's path without its suffix, seq-03/frame-000017.
        image: path of the colour image.
        world_from_cam: pose (4, 4), float64, metres, OpenCV camera axes. Not finite where the
            tracking was lost, until ``layouts.reading`` refuses such frames or leaves them out.
        focal_length: in longer sides of the image; NaN if the layout does not give it.
        where: where its pose was read, a file or a line of one; for messages.
    """

    name: str
    image: Path
    world_from_cam: np.ndarray
    focal_length: float = math.nan
    where: str = ""


@dataclass(frozen=True, eq=False)
class Scene:
    """A place: frames of its database (train) and of its queries (test), in recorded order."""

    name: str
    train: list[Frame]
    test: list[Frame]

    def frames(self, split: str) -> list[Frame]:
        """Return the frames of ``train`` or ``test``."""
        return {"train": self.train, "test": self.test}[split]


def recorded_order(name: str) -> tuple[list[list[str | Decimal]], str]:
    """Return the sort key of an image's name: ``seq/2.jpg`` comes before ``seq/10.jpg``.

    Digits after a point are decimals, as of times in seconds: ``0.05`` comes before ``0.1``.
    """
    parts = (NUMBER.split(part) for part in name.split("/"))  # alternately text and number
    key = [[Decimal(each) if n % 2 else each for n, each in enumerate(part)] for part in parts]
    return key, name


def in_recorded_order(frames: Iterable[Frame]) -> list[Frame]:
    """Return frames sorted by ``recorded_order``.

    Thus frames that are left out around a query, or held out together, are consecutive.
    """
    return sorted(frames, key=lambda frame: recorded_order(frame.name))


def hold_out(scene: Scene, stretch: int) -> Scene:
    """Return a scene split anew: whole stretches of its frames alternate between both splits.

    All frames are sorted by ``recorded_order`` and cut into stretches of ``stretch`` frames, of
    which the last may be shorter. The first is database, the second queries, and so on, so that
    most queries are far from the database in time.

    Raises:
        InputError: there are too few frames for a second stretch.
    """
    frames = in_recorded_order(scene.train + scene.test)
    if len(frames) <= stretch:
        raise InputError(
            f"{scene.name}: has {len(frames)} frames, expected more than frames.held_out = "
            f"{stretch}, since the first stretch is all database; lower it"
        )
    queries = np.arange(len(frames)) // stretch % 2 == 1
    splits = [[f for f, own in zip(frames, queries, strict=True) if own == s] for s in (0, 1)]
    return Scene(scene.name, *splits)
