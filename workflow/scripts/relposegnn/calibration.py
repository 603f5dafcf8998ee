"""Errors in metres and degrees that estimates are stated with, calibrated on frames of known pose.

What an estimate itself tells of its error orders estimates well, but its scale differs between
places and networks. Of a regressed pose: how far the estimates by single edges lie apart, and how
far the camera has moved from the first neighbour's; of a refined one: how sharply matches fix it.
Regressed poses that matches should refine and do not are further off than others: they have a scale
of their own. Scales are measured on database frames that were localised without those around
(``left_out``).

Two errors are stated: sigma, meant to hold in 68 % of the cases, and one that holds in 95 %.
Between and beyond, errors are taken to follow the Weibull distribution that has both levels.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .json_files import READING_ERRORS, check_keys, numbers, read_object, unreadable, whole_number
from .metrics import pose_errors
from .owners import OfScene, Owner, check_owner, told_of
from .predictions import (
    ALL_EDGES,
    DEVIATIONS,
    EDGE_SPREADS,
    FIRST_EDGE,
    POINTS,
    PREFIXES,
    REFERENCE,
    REFINED,
    pose_arrays,
    predictions_owner,
    present_estimators,
    read_predictions,
)
from .runtime import InputError, atomic_path

logger = logging.getLogger(__name__)

LEVELS = (0.68, 0.95)  # shares of errors within the two that are stated
DECADES = float(np.log(np.log1p(-LEVELS[1]) / np.log1p(-LEVELS[0])))  # between them, of a Weibull's
USUAL_RATIO = 2.0  # of the two, as in a normal distribution
LEAST_RATIO = 1.1
USUAL_FRAMES = 20  # as many frames as that counts for
FEWEST = 10  # frames that a scale is told from
ROUNDS = 5  # of reweighted least squares
UNREFINED = "not refined"  # of all edges, where matches should refine a pose and do not
FACTORS = {FIRST_EDGE: 3, ALL_EDGES: 3, REFINED: 2, UNREFINED: 1}  # of what each estimator tells
OWN_PREFIXES = PREFIXES | {UNREFINED: PREFIXES[ALL_EDGES]}


class Scale(NamedTuple):
    """From what an estimate tells of its error to the error that is stated.

    Attributes:
        metres: factors (F) of what is told in metres, see ``_told``, to sigma.
        degrees: factors (F) of what is told in degrees.
        ratios: of the error that holds in 95 % of the cases to sigma, in metres and degrees.
        median: of the errors in metres and degrees that were measured.
        frames: that it was measured on.
    """

    metres: list[float]
    degrees: list[float]
    ratios: tuple[float, float]
    median: tuple[float, float]
    frames: int


class StatedErrors(NamedTuple):
    """What is stated of N estimates: errors that hold in 68 % of the cases, and in 95 %.

    Attributes:
        metres: (2, N), NaN where nothing is known.
        degrees: (2, N).
    """

    metres: np.ndarray
    degrees: np.ndarray


Calibration = dict[str, Scale]  # by estimator, and of ``UNREFINED``


def share_within(error: float, stated: np.ndarray) -> np.ndarray:
    """Return the probability (N,) that errors of stated sizes (2, N) are within ``error``."""
    sigma, wide = stated
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(sigma > 0, error / sigma, np.inf)
        shape = DECADES / np.log(np.where(np.isfinite(wide / sigma), wide / sigma, USUAL_RATIO))
    return np.where(np.isnan(sigma), 0.0, -np.expm1(np.log1p(-LEVELS[0]) * ratio**shape))


def probability_within(stated: StatedErrors, limit: tuple[float, float]) -> np.ndarray:
    """Return the probability (N,) that both parts of an error are within limits (metres, degrees).

    That of the less sure part: both are large together.
    """
    return np.minimum(*(share_within(most, each) for most, each in zip(limit, stated, strict=True)))


def calibrate_errors(
    predictions_file: str | Path, calibration_file: str | Path, known: np.ndarray
) -> None:
    """Write the scales of stated errors, as JSON.

    Refined poses are measured on all frames: they hardly depend on the network. Regressed ones on
    those that it does not know; where these are fewer than ``FEWEST``, on all, with a warning.

    Args:
        predictions_file: of left-out frames, refined where poses are to be refined.
        calibration_file: to write.
        known: (N,) which of these frames the network was trained with, see
            ``left_out.known_frames``.

    Raises:
        InputError: the predictions are not of the prediction step, or of other frames.
    """
    arrays = read_predictions(predictions_file, (FIRST_EDGE, ALL_EDGES))
    if len(known) != len(arrays["targ_t"]):
        raise InputError(
            f"{predictions_file}: is of {len(arrays['targ_t'])} frames, expected the {len(known)} "
            "that are left out; predict them again"
        )
    if (~known).sum() < FEWEST and known.any():
        logger.warning(
            "%s: the network knows all but %d of %d frames, expected %d that it does not know, for "
            "validation (graphs.validation): regressed poses have larger errors than are stated",
            *(predictions_file, (~known).sum(), len(known), FEWEST),
        )
        known = np.zeros(len(known), dtype=bool)
    used = {FIRST_EDGE: ~known, ALL_EDGES: ~known}
    if REFINED in present_estimators(arrays):
        used |= {REFINED: arrays[POINTS] > 0, UNREFINED: ~known & (arrays[POINTS] == 0)}
    scales: Calibration = {}
    for name, frames in used.items():
        if scale := _scale(arrays, name, frames, scales):
            scales[name] = scale
            logger.info(
                "%s: median error %.3f m, %.2f degrees on %d left-out frames",
                *(name, *scale.median, scale.frames),
            )
        elif name != UNREFINED:  # which are taken for poses as all others then
            logger.warning(
                "%s: fewer than %d frames to tell errors from; none are stated", name, FEWEST
            )
    write_calibration(calibration_file, scales, predictions_owner(predictions_file))


def write_calibration(calibration_file: str | Path, calibration: Calibration, owner: Owner) -> None:
    """Write the scales of stated errors, and the scene and network that they are of."""
    scales = {name: scale._asdict() for name, scale in calibration.items()}
    with atomic_path(calibration_file) as unfinished:
        text = json.dumps(told_of(owner) | {"scales": scales}, indent=2) + "\n"
        unfinished.write_text(text, encoding="utf-8")


def read_calibration(calibration_file: str | Path, owner: OfScene | None = None) -> Calibration:
    """Return the scales of stated errors.

    Raises:
        InputError: the file cannot be read as one of ``write_calibration``, or is not of the
            ``owner``.
    """
    try:
        contents = read_object(calibration_file)
        check_keys(contents, {"dataset", "scene", "model", "scales"})
        scales = {name: _read_scale(name, told) for name, told in contents["scales"].items()}
    except READING_ERRORS as error:
        raise unreadable(calibration_file, "a calibration", error, "make it again") from error
    if owner is not None:
        check_owner(calibration_file, contents, owner)
    return scales


def _read_scale(name: str, told: dict) -> Scale:
    """Return an estimator's scale as a file tells it; it raises one of ``READING_ERRORS``."""
    if name not in FACTORS:
        raise ValueError(f"it tells of {name!r}, expected {', '.join(FACTORS)}")
    check_keys(told, set(Scale._fields))
    for field in ("metres", "degrees"):
        numbers(told[field], f"{name}, {field}", FACTORS[name], least=0)
    for field in ("ratios", "median"):
        numbers(told[field], f"{name}, {field}", 2, least=0)
    whole_number(told["frames"], f"{name}, frames", least=1)
    return Scale(**told)


def stated_errors(
    arrays: Mapping[str, np.ndarray], estimator: str, calibration: Calibration
) -> StatedErrors:
    """Return the errors that are stated with estimates of N queries.

    NaN where nothing is known. A pose that stays as regressed has the error of the regressed one,
    or the larger one that such poses are told to have.

    Args:
        arrays: of predictions, see ``predictions.read_predictions``.
        estimator: whose estimates.
        calibration: of the same run and place.
    """
    stated = _stated(arrays, estimator, calibration)
    if estimator == REFINED:
        regressed = (_stated(arrays, name, calibration) for name in (ALL_EDGES, UNREFINED))
        stated = np.where(arrays[POINTS] == 0, np.fmax(*regressed), stated)
    return StatedErrors(*stated)


def _stated(
    arrays: Mapping[str, np.ndarray], estimator: str, calibration: Calibration
) -> np.ndarray:
    """Return what the scale of an estimator, or of ``UNREFINED``, comes to, (unit, level, N)."""
    told, scale = _told(arrays, estimator, calibration), calibration.get(estimator)
    if told is None or scale is None:
        return np.full((2, 2, len(arrays[f"{OWN_PREFIXES[estimator]}_t"])), np.nan)
    sigma = told[0] @ np.array(scale.metres), told[1] @ np.array(scale.degrees)
    return np.stack(
        [np.outer([1, wide], own) for wide, own in zip(scale.ratios, sigma, strict=True)]
    )


def _told(
    arrays: Mapping[str, np.ndarray], estimator: str, calibration: Calibration
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what N estimates tell of their errors in metres and in degrees, (N, F) each.

    Of regressed poses F = 3: a constant, the spread of the edges, and the motion from the first
    neighbour's camera. Of refined ones F = 2: the deviation by the cost's curvature, and that times
    the metres to the first neighbour: away from it, errors that the database's poses have in common
    act as on a lever. Of ``UNREFINED`` F = 1: sigma as of all edges. None where the arrays have it
    not.
    """
    if estimator == UNREFINED:
        return tuple(sigma[:, None] for sigma, _ in _stated(arrays, ALL_EDGES, calibration))
    names = DEVIATIONS if estimator == REFINED else EDGE_SPREADS
    if estimator not in (FIRST_EDGE, ALL_EDGES, REFINED) or names[0] not in arrays:
        return None
    own, first = (pose_arrays(arrays, PREFIXES[each]) for each in (estimator, REFERENCE))
    motions = pose_errors(own, first)
    if estimator == REFINED:
        lever = np.stack([np.ones(len(motions[0])), motions[0]], axis=1)
        return tuple(arrays[name][:, None] * lever for name in DEVIATIONS)
    constant = np.ones(len(motions[0]))
    spreads = (arrays[name] for name in EDGE_SPREADS)
    return tuple(
        np.stack([constant, spread, motion], axis=1)
        for spread, motion in zip(spreads, motions, strict=True)
    )


def _scale(
    arrays: Mapping[str, np.ndarray], estimator: str, used: np.ndarray, scales: Calibration
) -> Scale | None:
    """Return an estimator's scale by some of N predictions, ``used`` (N,); None by too few.

    That of ``UNREFINED`` comes after that of all edges, which is among ``scales`` then.
    """
    told = _told(arrays, estimator, scales)
    if told is None:
        return None
    estimates, truths = (pose_arrays(arrays, each) for each in (OWN_PREFIXES[estimator], "targ"))
    error = np.stack(pose_errors(estimates, truths), axis=1)
    used = used & np.isfinite(np.hstack([*told, error])).all(axis=1)
    if used.sum() < FEWEST:
        return None
    error = error[used]
    fitted = [_factors(part[used], error[:, column]) for column, part in enumerate(told)]
    factors, ratios = zip(*fitted, strict=True)
    return Scale(*factors, ratios, tuple(np.median(error, axis=0).tolist()), len(error))


def _factors(told: np.ndarray, error: np.ndarray) -> tuple[list[float], float]:
    """Return factors (F), none negative, by which what is told (N, F) comes to sigma; the ratio.

    Least squares relative to what they come to, then scaled to hold as often as is stated. The
    fewer frames there are, the nearer is the ratio of the errors at the two levels to the usual.
    """
    from scipy.optimize import nnls  # a third of a second to load; whoever states errors needs none

    floor = max(1e-3 * float(np.median(error)), 1e-12)
    weight = np.ones(len(error))
    for _ in range(ROUNDS):
        factors, _ = nnls(told * weight[:, None], error * weight)
        weight = 1 / np.maximum(told @ factors, floor)
    low, high = np.quantile(error * weight, LEVELS)
    usual = USUAL_FRAMES / (USUAL_FRAMES + len(error))
    ratio = USUAL_RATIO**usual * max(high / max(low, floor), LEAST_RATIO) ** (1 - usual)
    # As near to one level as to the other.
    return (factors * np.sqrt(low * high / ratio)).tolist(), float(ratio)
