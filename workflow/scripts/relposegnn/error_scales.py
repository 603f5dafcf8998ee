"""Scales of the errors that are stated (``calibration``), measured on frames of known pose.

The frames are of the scene's database and were localised without those around (``left_out``). A
network that was trained on them errs less on them than on others, and on these the more the farther
they are from all that it was trained on. So of regressed poses the frames that it knows tell how
errors grow in a scene, and the others, those for validation, of all scenes that it was trained on
together, by how much they are larger away from what it knows.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .calibration import (
    LEAST_USUAL,
    LEVELS,
    OWN_PREFIXES,
    UNREFINED,
    USUAL_RATIO,
    Calibration,
    Scale,
    root_of_way,
    told_of_errors,
    write_calibration,
)
from .metrics import pose_errors
from .owners import check_owner, told_of
from .predictions import (
    ALL_EDGES,
    DISTANCES,
    FIRST_EDGE,
    MATCHED,
    NEAREST,
    PREFIXES,
    REFINED,
    TRUTH,
    pose_arrays,
    predictions_owner,
    present_estimators,
    read_predictions,
)
from .runtime import InputError

logger = logging.getLogger(__name__)

LEAST_RATIO = 1.1
USUAL_FRAMES = 20  # as many frames as the usual ratio counts for
FEWEST = 10  # frames that a scale is told from
ROUNDS = 5  # of reweighted least squares
USUAL_SHARE = 0.9  # of frames, whose distances of features are usual
LEAST_ROOT = 1e-3  # of a way, in metres, before errors are told by it


class LeftOutPredictions(NamedTuple):
    """Estimates of left-out frames of a scene.

    Attributes:
        file: of predictions, refined where poses are to be refined.
        known: (N,) which of these frames the network was trained with, see
            ``left_out.known_frames``.
    """

    file: str | Path
    known: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the predictions; InputError where they are none, or of other frames."""
        arrays = read_predictions(self.file, (FIRST_EDGE, ALL_EDGES))
        if len(self.known) != len(arrays["targ_t"]):
            raise InputError(
                f"{self.file}: is of {len(arrays['targ_t'])} frames, expected the "
                f"{len(self.known)} that are left out; predict them again"
            )
        return arrays


class _Errors(NamedTuple):
    """Errors of N estimates, beside what these tell of them; in metres, or in degrees.

    Attributes:
        told: (N, F), see ``calibration.told_of_errors``.
        root: (N,) of the way to the nearest image trained on; 0 of refined poses.
        error: (N,).
    """

    told: np.ndarray
    root: np.ndarray
    error: np.ndarray


class _Frames(NamedTuple):
    """Predictions of N left-out frames of a scene, and what these are used for.

    Attributes:
        arrays: of predictions.
        growing: (N,) which ones tell how errors grow with what is told of them.
        unknown: (N,) which others tell how much larger they are away from what was trained on;
            none of a network that was trained elsewhere, and of refined poses.
    """

    arrays: Mapping[str, np.ndarray]
    growing: np.ndarray
    unknown: np.ndarray

    @classmethod
    def alike(cls, arrays: Mapping[str, np.ndarray], chosen: np.ndarray) -> "_Frames":
        """Return frames that tell the same, some of N, ``chosen`` (N,)."""
        return cls(arrays, chosen, np.zeros_like(chosen))


def calibrate_errors(
    left_out: LeftOutPredictions,
    calibration_file: str | Path,
    fellows: Sequence[LeftOutPredictions] = (),
) -> None:
    """Write the scales of stated errors, as JSON.

    Refined poses are measured on all frames: they hardly depend on the network. Those by focal
    lengths that are told and those by focal lengths that are solved for have scales of their own.
    Regressed ones are measured as the module says; without enough frames that the network does not
    know, on those that it knows, with a warning.

    Args:
        left_out: of the scene.
        calibration_file: to write.
        fellows: of other scenes that the network was trained on, where it was on this one.

    Raises:
        InputError: predictions are not of the prediction step, or of other frames, or fellows' of
            another data set or network.
    """
    scenes = [(each.arrays(), each.known) for each in (left_out, *fellows)]
    owner = predictions_owner(left_out.file)
    for fellow in fellows:
        theirs = predictions_owner(fellow.file)
        check_owner(fellow.file, told_of(theirs), owner._replace(scene=theirs.scene))
    arrays, known = scenes[0]
    if known.any() and sum((~own).sum() for _, own in scenes) < FEWEST:
        logger.warning(
            "%s: the network knows all but %d of %d frames, expected %d that it does not know, for "
            "validation (graphs.validation): regressed poses have larger errors than are stated",
            *(left_out.file, (~known).sum(), len(known), FEWEST),
        )
        known = np.zeros(len(known), dtype=bool)
    used = [_Frames.alike(arrays, ~known)]
    if known.sum() >= FEWEST:
        used = [_Frames(own, seen, ~seen) for own, seen in scenes]
    scales: Calibration = {}
    _add_scale(scales, FIRST_EDGE, used)
    _add_scale(scales, ALL_EDGES, used)
    for name, names in MATCHED.items():
        if name not in present_estimators(arrays):
            continue
        refined = arrays[names.points] > 0
        _add_scale(scales, name, [_Frames.alike(arrays, refined)])
        if name == REFINED:
            _add_scale(scales, UNREFINED, [_Frames.alike(arrays, ~refined & ~known)])
    write_calibration(calibration_file, scales, owner)


def _add_scale(scales: Calibration, name: str, used: Sequence[_Frames]) -> None:
    """Add an estimator's scale in the first of some scenes, and tell of it; none by too few.

    That of ``UNREFINED`` comes after that of all edges, which is among the scales then.
    """
    away = any(own.unknown.any() for own in used)
    found, usual = [], _usual(name, used, away)
    for arrays, *parts in used:
        told = told_of_errors(arrays, name, scales, usual)
        pair = (_errors(arrays, name, told, each) for each in parts)
        found.append(list(zip(*pair, strict=True)))
    levels = [_levels(own, away) for own in zip(*found, strict=True)]
    if None in levels:
        if name != UNREFINED:  # which are taken for poses as all others then
            logger.warning(
                "%s: fewer than %d frames to tell errors from; none are stated", name, FEWEST
            )
        return
    factors, farther, ratios, medians, counts = zip(*levels, strict=True)
    extent = _extent(used[0].arrays)
    scales[name] = Scale(*factors, ratios, medians, counts[0], extent, usual, farther)
    logger.info(
        "%s: median error %.3f m, %.2f degrees on %d left-out frames", name, *medians, counts[0]
    )


def _usual(name: str, used: Sequence[_Frames], away: bool) -> float | None:
    """Return the distance of features, or the misfit, that is usual; None of ``UNREFINED``.

    Of the frames with a pose, where some are unknown (``away``) of these; 1 where there are none.
    """
    if name == UNREFINED:
        return None
    matched = MATCHED.get(name)
    quality, share = (matched.misfit, 0.5) if matched else (DISTANCES[name], USUAL_SHARE)
    found = []
    for arrays, growing, unknown in used:
        if quality in arrays and growing.sum() >= FEWEST:
            with_pose = np.isfinite(arrays[f"{PREFIXES[name]}_t"]).all(axis=1)
            found.append(arrays[quality][with_pose & (unknown if away else growing)])
    values = np.concatenate(found or [np.empty(0)])
    values = values[np.isfinite(values)]
    return max(float(np.quantile(values, share)), LEAST_USUAL) if len(values) else 1.0


def _extent(arrays: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Return the metres and degrees that the true poses of predictions lie apart at most."""
    from scipy.spatial.distance import pdist

    centres, quaternions = pose_arrays(arrays, TRUTH)
    quaternions = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    alike = np.min(np.abs(quaternions @ quaternions.T)).clip(max=1)
    metres = pdist(centres).max(initial=0)
    return float(metres), float(np.degrees(2 * np.arccos(alike)))


def _errors(
    arrays: Mapping[str, np.ndarray],
    estimator: str,
    told: tuple[np.ndarray, np.ndarray] | None,
    chosen: np.ndarray,
) -> tuple[_Errors, _Errors]:
    """Return the finite errors in metres and in degrees of some of N frames, ``chosen`` (N,)."""
    if told is None:
        return (_Errors(np.empty((0, 1)), np.empty(0), np.empty(0)),) * 2
    estimates, truths = (pose_arrays(arrays, each) for each in (OWN_PREFIXES[estimator], TRUTH))
    error = np.stack(pose_errors(estimates, truths), axis=1)
    chosen = chosen & np.isfinite(np.hstack([*told, error])).all(axis=1)
    root = root_of_way(arrays, estimator) if estimator in NEAREST else np.zeros(len(chosen))
    return tuple(
        _Errors(part[chosen], root[chosen], own[chosen])
        for part, own in zip(told, error.T, strict=True)
    )


def _levels(
    scenes: Sequence[tuple[_Errors, _Errors]], away: bool
) -> tuple[list[float], float, float, float, int] | None:
    """Return factors by which what is told comes to sigma in the first of some scenes.

    And the share by which it grows with the root of the way to what was trained on; the ratio of
    the errors at the two levels, which is the nearer to the usual the fewer frames there are; the
    median of the errors, or of the unknown ones, and their number. None by too few.

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
    errors, roots = (
        np.concatenate([getattr(own[away], field) for own in scenes]) for field in ("error", "root")
    )
    farther = 0.0
    if away:
        rates = (unknown - 1) / np.maximum(roots, LEAST_ROOT)
        farther = max(float(np.quantile(rates, LEVELS[0])), 0.0)
        unknown = unknown / (1 + farther * roots)
    relative = np.concatenate([known, unknown])
    low, high = np.quantile(relative, LEVELS)
    usual = USUAL_FRAMES / (USUAL_FRAMES + len(relative))
    ratio = USUAL_RATIO**usual * max(high / max(low, 1e-12), LEAST_RATIO) ** (1 - usual)
    # As near to one level as to the other.
    factors = fits[0][0] * np.sqrt(low * high / ratio)
    return factors.tolist(), farther, float(ratio), float(np.median(errors)), len(errors)


def _fit(errors: _Errors) -> tuple[np.ndarray, float]:
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


def _relative(errors: _Errors, factors: np.ndarray, floor: float) -> np.ndarray:
    """Return errors (N,) as multiples of what factors of what is told come to, or of a floor."""
    return errors.error / np.maximum(errors.told @ factors, floor)
