"""Align new poses of a place with its old ones, to keep the old world and unit of length.

So a walk can be added to a place, and exported poses and measured distances stay valid.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

FEWEST = 3  # photos with poses in both worlds
MOST_APART = 0.1  # largest median distance of aligned cameras, as share of the old cameras' extent
ROUNDS = 5  # of least squares
TINY = 1e-12
NEAR = 3.0  # medians; photos with larger errors are outliers, and are not used


class Alignment(NamedTuple):
    """A similarity transform of two worlds, ``x_old = scale * rotation @ x_new + translation``.

    Attributes:
        scale: units of the old world in one of the new.
        rotation: from the new world's axes to those of the old.
        translation: (3,) in units of the old world.
        photos: number of photos with poses in both.
        apart: median distance between their old and aligned cameras, in units of the old world.
    """

    scale: float
    rotation: Rotation
    translation: np.ndarray
    photos: int
    apart: float


def align_poses(old: Mapping[str, np.ndarray], new: Mapping[str, np.ndarray]) -> Alignment | None:
    """Return the alignment of a new world to an old one, from photos with poses in both.

    The rotation is found from the cameras' axes, so that cameras on one line suffice. A minority of
    wrong poses does little harm. None if fewer than ``FEWEST`` photos are in both, if most of their
    cameras are at one place, or if the aligned cameras are farther apart than ``MOST_APART``.

    Args:
        old: poses ``world_from_cam`` (4, 4) by the photos' names.
        new: likewise, possibly of other photos, too.
    """
    names = sorted(old.keys() & new.keys())
    if len(names) < FEWEST:
        return None
    first, second = (np.stack([poses[name] for name in names]) for poses in (old, new))
    turns = Rotation.from_matrix(first[:, :3, :3] @ second[:, :3, :3].transpose(0, 2, 1))
    angles = np.stack([(turn.inv() * turns).magnitude() for turn in turns])
    middle = int(np.argmin(np.median(angles, axis=1)))  # nearest to the others
    rotation = turns[_near(angles[middle])].mean()
    centres, turned = first[:, :3, 3], rotation.apply(second[:, :3, 3])
    deviations, own = (points - np.median(points, axis=0) for points in (centres, turned))
    extent, own_extent = (np.median(np.linalg.norm(each, axis=1)) for each in (deviations, own))
    if not min(extent, own_extent) > 0:
        return None
    apart = np.linalg.norm(deviations - extent / own_extent * own, axis=1)
    for _ in range(ROUNDS):
        near = _near(apart)
        means = centres[near].mean(axis=0), turned[near].mean(axis=0)
        deviations, own = centres[near] - means[0], turned[near] - means[1]
        scale = float((deviations * own).sum() / max((own**2).sum(), TINY))  # least squares
        translation = means[0] - scale * means[1]
        apart = np.linalg.norm(scale * turned + translation - centres, axis=1)
    median = float(np.median(apart))
    if not (scale > 0 and median <= MOST_APART * extent):
        return None
    return Alignment(scale, rotation, translation, len(names), median)


def _near(apart: np.ndarray) -> np.ndarray:
    """Return which of N distances are at most ``NEAR`` medians, (N,) bool."""
    return apart <= NEAR * np.median(apart)
