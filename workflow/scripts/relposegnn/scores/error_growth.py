"""How errors grow with the indicators of estimates: a fit to frames of known pose.

In metres or in degrees; ``error_scales`` chooses the frames and scenes.

Errors are first taken for a weighted sum of indicators. Where frames show it, this sum is then
corrected: of the frames with the most similar sums, as many errors as intended are within the
stated ones: a local form of split conformal prediction (Lei et al., JASA 2018). How large errors
are relative to a sum is measured on frames that the weights were not fitted to (cross-conformal
prediction, Vovk, Annals of Mathematics and Artificial Intelligence 2015): weights fitted to few
frames follow these too closely.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .calibration import LEVELS, SUMS, TINY, USUAL_RATIO

LEAST_RATIO = 1.1
USUAL_FRAMES = 20  # the usual ratio counts as much as so many frames
FEWEST = 10  # frames, at least, to measure a scale on
ROUNDS = 5  # of reweighted least squares
FOLDS = 10  # of the frames; factors are fitted without one after the other
LEAST_ROOT = 1e-3  # of a way; rates are divided by it
ALIKE = 0.2  # share of the frames whose sums of indicators count as alike
FEWEST_ALIKE = 20


class Errors(NamedTuple):
    """Errors of N estimates, and their indicators; in metres, or in degrees.

    Attributes:
        told: (N, F) indicators, see ``calibration.told_of_errors``.
        root: (N,) of the way to the nearest image trained on; 0 for refined poses.
        error: (N,).
    """

    told: np.ndarray
    root: np.ndarray
    error: np.ndarray


class Growth(NamedTuple):
    """How errors grow with their indicators, see ``calibration.Scale``.

    Attributes:
        factors: (F) by which indicators add up to sigma.
        farther: share by which sigma grows with the root of the way to the nearest image trained
            on.
        ratio: of the errors at the two levels; the fewer frames, the nearer to the usual ratio.
        corrections: see ``calibration.Scale``.
    """

    factors: list[float]
    farther: float
    ratio: float
    corrections: list[list[float]]


def growth_of_errors(
    scenes: Sequence[tuple[Errors, Errors]], away: bool, local: bool
) -> Growth | None:
    """Return how errors grow in the first of some scenes; None if there are too few errors.

    Args:
        scenes: for each scene, errors to which growth is fitted, and errors of unknown frames.
        away: whether there are unknown frames, which show how much larger errors are away from the
            others.
        local: whether what the factors add up to is corrected.
    """
    if len(scenes[0][0].error) < FEWEST:
        return None
    scenes = [own for own in scenes if len(own[0].error) >= FEWEST]
    fits = [_fit(growing) for growing, _ in scenes]
    sums = [_crossed_sums(growing) for growing, _ in scenes]
    known = np.concatenate([own.error / each for (own, _), each in zip(scenes, sums, strict=True)])
    unknown = np.concatenate(
        [own.error / _sums(own, *fit) for (_, own), fit in zip(scenes, fits, strict=True)]
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
    low, high = np.quantile(relative, _shares_of(len(relative)))
    usual = USUAL_FRAMES / (USUAL_FRAMES + len(relative))
    ratio = USUAL_RATIO**usual * max(high / max(low, TINY), LEAST_RATIO) ** (1 - usual)
    scale = np.sqrt(low * high / ratio)  # both stated errors miss their quantiles by the same ratio
    factors = fits[0][0] * scale
    corrections = _corrections(scenes[0][0].error, sums[0] * scale, float(ratio)) if local else []
    return Growth(factors.tolist(), farther, float(ratio), corrections)


def _corrections(error: np.ndarray, sigma: np.ndarray, ratio: float) -> list[list[float]]:
    """Return sums of indicators, and factors of both stated errors there, see ``Scale``.

    Args:
        error: (N,).
        sigma: (N,) what the indicators of these add up to.
        ratio: of the two stated errors.
    """
    sigma = np.maximum(sigma, TINY)
    logs = np.log(sigma)
    count = min(max(FEWEST_ALIKE, round(ALIKE * len(logs))), len(logs))
    sums = np.quantile(logs, np.linspace(0, 1, SUMS + 2)[1:-1])
    found = []
    for own in sums:
        alike = np.argsort(np.abs(logs - own), kind="stable")[:count]
        low, high = np.quantile(error[alike] / sigma[alike], _shares_of(count))
        low = max(low, TINY)
        found.append((low, max(high, LEAST_RATIO * low) / ratio))
    return [np.exp(sums).tolist(), *(list(own) for own in zip(*found, strict=True))]


def _shares_of(count: int) -> np.ndarray:
    """Return the shares (2,) of ``count`` frames whose errors are to be within the stated ones.

    Of few frames, that is one frame more, so that the error of another one is within as often.
    """
    return np.minimum(np.multiply(LEVELS, 1 + 1 / count), 1)


def _crossed_sums(errors: Errors) -> np.ndarray:
    """Return what indicators add up to (N,), by factors fitted to other tenths of the frames."""
    sums, frames = np.empty(len(errors.error)), np.arange(len(errors.error))
    for own in np.array_split(frames, FOLDS):
        others = Errors(*(np.delete(each, own, axis=0) for each in errors))
        sums[own] = _sums(Errors(*(each[own] for each in errors)), *_fit(others))
    return sums


def _fit(errors: Errors) -> tuple[np.ndarray, float]:
    """Return non-negative factors (F) from indicators to 68 % limits of errors, and a lower limit.

    The factors minimise squared errors relative to the limits that they give, and are scaled so
    that 68 % of the errors are within; no limit is below the number returned second.
    """
    from scipy.optimize import nnls  # a third of a second to load

    floor = max(1e-3 * float(np.median(errors.error)), TINY)
    weight = np.ones(len(errors.error))
    for _ in range(ROUNDS):
        factors, _ = nnls(errors.told * weight[:, None], errors.error * weight)
        weight = 1 / np.maximum(errors.told @ factors, floor)
    sums = _sums(errors, factors, floor)
    level = max(float(np.quantile(errors.error / sums, LEVELS[0])), TINY)
    return factors * level, floor * level


def _sums(errors: Errors, factors: np.ndarray, floor: float) -> np.ndarray:
    """Return what indicators add up to (N,) by factors (F), at least ``floor``."""
    return np.maximum(errors.told @ factors, floor)
