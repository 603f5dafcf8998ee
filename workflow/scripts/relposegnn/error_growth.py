"""How errors grow with what estimates tell of them, and how large they are: a fit to frames.

In metres or in degrees; ``error_scales`` has which frames of which scenes tell what.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .calibration import LEVELS, USUAL_RATIO

LEAST_RATIO = 1.1
USUAL_FRAMES = 20  # as many frames as the usual ratio counts for
FEWEST = 10  # frames that a scale is told from
ROUNDS = 5  # of reweighted least squares
LEAST_ROOT = 1e-3  # of a way, that rates are told by


class Errors(NamedTuple):
    """Errors of N estimates, beside what these tell of them; in metres, or in degrees.

    Attributes:
        told: (N, F), see ``calibration.told_of_errors``.
        root: (N,) of the way to the nearest image trained on; 0 of refined poses.
        error: (N,).
    """

    told: np.ndarray
    root: np.ndarray
    error: np.ndarray


class Growth(NamedTuple):
    """How errors grow with what is told of them, see ``calibration.Scale``.

    Attributes:
        factors: (F) by which what is told comes to sigma.
        farther: share by which it grows with the root of the way to what was trained on.
        ratio: of the errors at the two levels, the nearer to the usual the fewer frames there are.
        median: of the first scene's own errors, or of the unknown ones; None where it has none.
        frames: their number.
    """

    factors: list[float]
    farther: float
    ratio: float
    median: float | None
    frames: int


def growth_of_errors(scenes: Sequence[tuple[Errors, Errors]], away: bool) -> Growth | None:
    """Return how errors grow in the first of some scenes; None by too few.

    Args:
        scenes: in each, errors that tell how they grow, and those of frames that are unknown.
        away: whether some are unknown, which tell how much larger errors are away from the others.
    """
    if len(scenes[0][0].error) < FEWEST:
        return None
    scenes = [own for own in scenes if len(own[0].error) >= FEWEST]
    fits = [_fit(growing) for growing, _ in scenes]
    known, unknown = (
        np.concatenate([_relative(own[part], *fit) for own, fit in zip(scenes, fits, strict=True)])
        for part in (0, 1)
    )
    if away and len(unknown) < FEWEST:
        return None
    farther = 0.0
    if away:
        roots = np.concatenate([own.root for _, own in scenes])
        rates = (unknown - 1) / np.maximum(roots, LEAST_ROOT)
        farther = max(float(np.quantile(rates, LEVELS[0])), 0.0)
        unknown = unknown / (1 + farther * roots)
    relative = np.concatenate([known, unknown])
    low, high = np.quantile(relative, LEVELS)
    usual = USUAL_FRAMES / (USUAL_FRAMES + len(relative))
    ratio = USUAL_RATIO**usual * max(high / max(low, 1e-12), LEAST_RATIO) ** (1 - usual)
    # As near to one level as to the other.
    factors = fits[0][0] * np.sqrt(low * high / ratio)
    own = scenes[0][away].error
    median = float(np.median(own)) if len(own) else None
    return Growth(factors.tolist(), farther, float(ratio), median, len(own))


def _fit(errors: Errors) -> tuple[np.ndarray, float]:
    """Return factors (F), none negative, of what is told to what 68 % of the errors are within.

    Errors grow as by least squares relative to what they come to, which is at least the number that
    is returned too.
    """
    from scipy.optimize import nnls  # a third of a second to load

    floor = max(1e-3 * float(np.median(errors.error)), 1e-12)
    weight = np.ones(len(errors.error))
    for _ in range(ROUNDS):
        factors, _ = nnls(errors.told * weight[:, None], errors.error * weight)
        weight = 1 / np.maximum(errors.told @ factors, floor)
    level = max(float(np.quantile(_relative(errors, factors, floor), LEVELS[0])), 1e-12)
    return factors * level, floor * level


def _relative(errors: Errors, factors: np.ndarray, floor: float) -> np.ndarray:
    """Return errors (N,) as multiples of what factors of what is told come to, or of a floor."""
    return errors.error / np.maximum(errors.told @ factors, floor)
