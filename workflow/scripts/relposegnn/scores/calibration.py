"""Stated errors: the errors in metres and degrees to expect of an estimated pose.

They are computed from indicators of each estimate. For a regressed pose, these are how far the
estimates of single edges lie apart, the motion from the first neighbour's camera, how much the most
similar image differs, the distance of the edges' features from those that the network knows, and,
if it was trained on this place, the way to the nearest image that it was trained on. For a refined
pose, they are how sharply the matches fix it, and how well they agree. Indicators rank estimates
well, but their scale differs between places and networks and is measured (``error_scales``). Poses
that could not be refined have a scale of their own. No stated error is larger than the place.

Two errors are stated: sigma, meant to hold in 68 % of the cases, and one meant to hold in 95 %.
For other shares, errors are assumed to follow the Weibull distribution with these two quantiles.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..estimates.predictions import (
    ALL_EDGES,
    DISTANCES,
    EDGE_SPREADS,
    FIRST_EDGE,
    MATCHED,
    NEAREST,
    PREFIXES,
    REFERENCE,
    REFINED,
    SIMILARITY,
    SOLVED,
    pose_arrays,
)
from ..files.json_files import (
    READING_ERRORS,
    check_keys,
    number,
    numbers,
    read_object,
    unreadable,
    whole_number,
    write_object,
)
from ..files.owners import OfScene, Owner, check_owner, told_of
from .metrics import pose_errors

LEVELS = (0.68, 0.95)  # shares of errors that the two stated ones are meant to hold for
# Shape of the Weibull distribution, times the logarithm of the ratio of the two errors.
DECADES = float(np.log(np.log1p(-LEVELS[1]) / np.log1p(-LEVELS[0])))
SUMS = 15  # sums of indicators at which errors are corrected, see ``Scale.corrections``
USUAL_RATIO = 2.0  # of the two, as in a normal distribution
UNREFINED = "not refined"  # poses of all edges that could not be refined
FACTORS = {FIRST_EDGE: 4, ALL_EDGES: 4, REFINED: 2, SOLVED: 2, UNREFINED: 1}  # indicators of each
LEAST_USUAL = 1e-6  # of misfits and distances
TINY = 1e-12  # least error, factor or motion to divide by, or to take the logarithm of
LEAST_EXTENT = 1e-6  # metres, for a place whose images are all taken from one point
OWN_PREFIXES = PREFIXES | {UNREFINED: PREFIXES[ALL_EDGES]}


class Scale(NamedTuple):
    """From the indicators of an estimate to its stated errors.

    Attributes:
        metres: factors (F) by which indicators in metres, see ``told_of_errors``, add up to sigma.
        degrees: factors (F) of indicators in degrees.
        ratios: of the error stated for 95 % to sigma, in metres and degrees.
        median: of the errors in metres and degrees on the place's own left-out frames; if the
            network was trained on the place, on those that it does not know. None if there are
            none.
        frames: their number. Factors, ratios and ``farther`` may come from other scenes too.
        extent: the largest distance between two of the place's images, in metres and degrees.
        usual: the distance of features within which most frames lie; for refined poses, the median
            misfit, see ``Refined``; None for ``UNREFINED``.
        farther: sigma grows by these shares, in metres and degrees, times the root of the way to
            the nearest image that the network was trained on, in extents of the place; 0 if it was
            trained elsewhere.
        corrections: for metres and for degrees, sums of the indicators (ascending), factors there
            of sigma, and of the other stated error: (3, K) each, interpolated over the logarithm of
            the sum. Empty: no factors.
    """

    metres: list[float]
    degrees: list[float]
    ratios: tuple[float, float]
    median: tuple[float, float] | None
    frames: int
    extent: tuple[float, float]
    usual: float | None = None
    farther: tuple[float, float] = (0.0, 0.0)
    corrections: tuple[list[list[float]], list[list[float]]] = ([], [])


class StatedErrors(NamedTuple):
    """Stated errors of N estimates, for 68 % and for 95 % of the cases.

    Attributes:
        metres: (2, N), NaN where nothing is known.
        degrees: (2, N).
    """

    metres: np.ndarray
    degrees: np.ndarray


Calibration = dict[str, Scale]  # by estimator, ``UNREFINED`` included


def share_within(error: float, stated: np.ndarray) -> np.ndarray:
    """Return the probability (N,) that errors stated as (2, N) are at most ``error``."""
    sigma, wide = stated
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(sigma > 0, error / sigma, np.inf)
        shape = DECADES / np.log(np.where(np.isfinite(wide / sigma), wide / sigma, USUAL_RATIO))
        return np.where(np.isnan(sigma), 0.0, -np.expm1(np.log1p(-LEVELS[0]) * ratio**shape))


def probability_within(stated: StatedErrors, limit: tuple[float, float]) -> np.ndarray:
    """Return the probability (N,) that both parts of an error are within limits (metres, degrees).

    It is the smaller of the two probabilities, since both parts tend to be large together.
    """
    return np.minimum(*(share_within(most, each) for most, each in zip(limit, stated, strict=True)))


def write_calibration(
    calibration_file: str | Path,
    calibration: Calibration,
    owner: Owner,
    held_out: Sequence[int] = (),
) -> None:
    """Write the scales of stated errors, with the scene and network that they belong to.

    ``held_out`` are the database frames held out from the network's training on the scene.
    """
    scales = {name: scale._asdict() for name, scale in calibration.items()}
    told = told_of(owner) | {"held_out": [int(row) for row in held_out], "scales": scales}
    write_object(calibration_file, told, indent=2)


def read_calibration(calibration_file: str | Path, owner: OfScene | None = None) -> Calibration:
    """Return the scales of stated errors.

    Raises:
        InputError: the file is not one of ``write_calibration``, or not of the ``owner``.
    """
    return read_calibration_file(calibration_file, owner)[0]


def read_calibration_file(
    calibration_file: str | Path, owner: OfScene | None = None
) -> tuple[Calibration, np.ndarray]:
    """Return the scales, and the database frames that were held out from training on the scene.

    Raises:
        InputError: as ``read_calibration``.
    """
    try:
        contents = read_object(calibration_file)
        check_keys(contents, {"dataset", "scene", "model", "held_out", "scales"})
        held_out = [whole_number(row, "held_out", least=0) for row in contents["held_out"]]
        scales = {name: _read_scale(name, told) for name, told in contents["scales"].items()}
    except READING_ERRORS as error:
        raise unreadable(calibration_file, "a calibration", error, "make it again") from error
    if owner is not None:
        check_owner(calibration_file, contents, owner)
    return scales, np.array(held_out, dtype=np.int64)


def _read_scale(name: str, told: dict) -> Scale:
    """Return an estimator's scale from a file's entry; raise one of ``READING_ERRORS``."""
    if name not in FACTORS:
        raise ValueError(f"it has a scale of {name!r}, expected {', '.join(FACTORS)}")
    check_keys(told, set(Scale._fields))
    for field in ("metres", "degrees"):
        numbers(told[field], f"{name}, {field}", FACTORS[name], least=0)
    measured = ["median"] if whole_number(told["frames"], f"{name}, frames", least=0) else []
    for field in ("ratios", "extent", "farther", *measured):
        numbers(told[field], f"{name}, {field}", 2, least=0)
    if not measured and told["median"] is not None:
        raise ValueError(f"{name}, median is {told['median']!r:.60} of no frames, expected null")
    for unit, rows in zip(("metres", "degrees"), told["corrections"], strict=True):
        for row in rows:
            numbers(row, f"{name}, corrections in {unit}", SUMS, least=0)
        if len(rows) not in (0, 3) or rows[:1] != [sorted(row) for row in rows[:1]]:
            raise ValueError(
                f"{name}, corrections in {unit}: expected 3 lists or none, the first ascending"
            )
    if name != UNREFINED:
        number(told["usual"], f"{name}, usual", least=LEAST_USUAL)
    return Scale(**told)


def stated_errors(
    arrays: Mapping[str, np.ndarray], estimator: str, calibration: Calibration
) -> StatedErrors:
    """Return the stated errors of N estimates, NaN where nothing is known.

    A pose that is not refined gets the larger error of the regressed pose and of ``UNREFINED``; a
    refined one, too, if there is no scale for it: too few left-out frames are refined.

    Args:
        arrays: of predictions, see ``predictions.read_predictions``.
        estimator: whose estimates.
        calibration: of the same run and place.
    """
    least = MATCHED[estimator].least if estimator in MATCHED else ()
    stated = _stated(arrays, estimator, calibration, least)
    if least:
        pair = (_stated(arrays, own, calibration, least) for own in (ALL_EDGES, UNREFINED))
        kept = estimator not in calibration or arrays[MATCHED[estimator].points] == 0
        stated = np.where(kept, np.fmax(*pair), stated)
    return StatedErrors(*stated)


def _stated(
    arrays: Mapping[str, np.ndarray],
    estimator: str,
    calibration: Calibration,
    least: Sequence[str] = (),
) -> np.ndarray:
    """Return errors by the scale of an estimator, or of ``UNREFINED``, (unit, level, N).

    They are at most the way to the first neighbour plus the extent of the place. Sigma is at least
    what the arrays called ``least`` say, in metres and degrees, see ``refinement.Refined``.
    """
    scale = calibration.get(estimator)
    told = scale and told_of_errors(arrays, estimator, calibration, scale.usual)
    needs_similarity = estimator in NEAREST and told and max(scale.metres[3], scale.degrees[3]) > 0
    if told is None or (needs_similarity and SIMILARITY not in arrays):
        return np.full((2, 2, len(arrays[f"{OWN_PREFIXES[estimator]}_t"])), np.nan)
    sigma = np.einsum("unf,uf->un", told, scale[:2])
    if estimator in NEAREST:
        sigma *= 1 + np.outer(scale.farther, root_of_way(arrays, estimator, scale.extent[0]))
    if least:
        sigma = np.maximum(sigma, [arrays[name] for name in least])
    stated = sigma[:, None] * np.stack([[1, 1], scale.ratios], axis=1)[..., None]
    for own, corrections, sums in zip(stated, scale.corrections, sigma, strict=True):
        own *= _factors_at(sums, corrections)
    most = np.add(_motions(arrays, estimator), np.array(scale.extent)[:, None])
    return np.minimum(stated, most[:, None])


def _factors_at(sums: np.ndarray, corrections: Sequence[Sequence[float]]) -> np.ndarray | float:
    """Return the factors (2, N) of both stated errors at sums of indicators (N,), see ``Scale``."""
    if not len(corrections):
        return 1.0
    at, logs = np.log(np.maximum(sums, TINY)), np.log(np.maximum(corrections, TINY))
    return np.exp([np.interp(at, logs[0], own) for own in logs[1:]])


def _motions(arrays: Mapping[str, np.ndarray], estimator: str) -> tuple[np.ndarray, np.ndarray]:
    """Return metres and degrees (N) from the first neighbours' cameras to the estimated poses."""
    prefixes = OWN_PREFIXES[estimator], PREFIXES[REFERENCE]
    return pose_errors(*(pose_arrays(arrays, prefix) for prefix in prefixes))


def root_of_way(arrays: Mapping[str, np.ndarray], estimator: str, extent: float) -> np.ndarray:
    """Return the root (N,) of the way from regressed poses to the nearest image trained on.

    The way is in extents of the place, so the result does not depend on the unit of length.
    """
    return np.sqrt(arrays[NEAREST[estimator]] / max(extent, LEAST_EXTENT))


def told_of_errors(
    arrays: Mapping[str, np.ndarray],
    estimator: str,
    calibration: Calibration,
    usual: float | None = None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the indicators of N estimates in metres and in degrees, (N, F) each.

    For regressed poses, F = 4: a constant, the spread of the edges, the motion from the first
    neighbour's camera, and the squared distance between the descriptors of query and most similar
    image (0 if unknown), all times the distance of the edges' features from known ones; beyond the
    ``usual`` distance, about the largest of left-out frames, times its square over ``usual``. For
    refined poses, F = 2: the deviation from the cost's curvature, and this times the metres to the
    first neighbour, since common errors of the database's poses act on a lever there; both are
    multiplied by misfit / ``usual`` if that is above 1. For ``UNREFINED``, F = 1: sigma as of all
    edges. None if the arrays lack any of this.
    """
    if estimator == UNREFINED:
        return tuple(sigma[:, None] for sigma, _ in _stated(arrays, ALL_EDGES, calibration))
    matched = MATCHED.get(estimator)
    regressed = *EDGE_SPREADS, DISTANCES.get(estimator), NEAREST.get(estimator)
    if not set(matched.all() if matched else regressed) <= arrays.keys():
        return None
    motions = _motions(arrays, estimator)
    if matched:
        lever = np.stack([np.ones(len(motions[0])), motions[0]], axis=1)
        lever *= np.maximum(arrays[matched.misfit] / usual, 1)[:, None]
        return tuple(arrays[name][:, None] * lever for name in matched.deviations)
    distance = arrays[DISTANCES[estimator]]
    distance = distance * np.maximum(distance / usual, 1)
    apart = np.maximum(2 - 2 * arrays.get(SIMILARITY, np.ones_like(distance)), 0)
    return tuple(
        np.stack([np.ones_like(apart), arrays[spread], motion, apart], axis=1) * distance[:, None]
        for spread, motion in zip(EDGE_SPREADS, motions, strict=True)
    )
