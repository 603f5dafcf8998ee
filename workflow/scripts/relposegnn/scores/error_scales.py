"""Scales of the stated errors (``calibration``), measured on frames of known pose.

These are left-out frames of the scene's database (``left_out``). A network errs less on frames that
it was trained on than on others, and on these the more, the farther they are from all that it was
trained on. So for regressed poses, the frames that it knows show how errors grow in a scene, and
the validation frames of all scenes that it was trained on, together, how much larger errors are
away from what it knows. Near frames count for its regressed poses where it was trained elsewhere.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..estimates.predictions import (
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
from ..files.owners import check_owner, told_of
from ..retrieval.validation import ValidationSettings, held_out_count
from ..runtime import InputError
from .calibration import (
    LEAST_USUAL,
    OWN_PREFIXES,
    UNREFINED,
    Calibration,
    Scale,
    root_of_way,
    told_of_errors,
    write_calibration,
)
from .error_growth import FEWEST, Errors, growth_of_errors
from .metrics import pose_errors

logger = logging.getLogger(__name__)

FEW_REFINED = 0.3  # share of left-out frames; a warning is logged if fewer are refined
ADVISED = ValidationSettings(share=0.15, stretch=10)  # advice for a place with nothing held out
USUAL_SHARE = 0.9  # share of frames whose distance of features counts as usual


class LeftOutPredictions(NamedTuple):
    """Estimates of left-out frames of a scene.

    Attributes:
        file: of predictions, with refined poses if poses are refined.
        known: (N,) bool, which of these frames the network was trained on, see
            ``left_out.known_frames``.
        near: (N,) bool, which of them are near ones, see ``left_out``.
    """

    file: str | Path
    known: np.ndarray
    near: np.ndarray

    def read(self, with_near: bool) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Return the predictions, which are known, and which near; all or without near ones.

        Raises:
            InputError: they are not predictions of these frames.
        """
        arrays = read_predictions(self.file, (FIRST_EDGE, ALL_EDGES))
        if len(self.known) != len(arrays["targ_t"]):
            raise InputError(
                f"{self.file}: has {len(arrays['targ_t'])} frames, expected the "
                f"{len(self.known)} left-out ones; predict them again"
            )
        used = ~self.near | with_near
        return {name: own[used] for name, own in arrays.items()}, self.known[used], self.near[used]


class _Frames(NamedTuple):
    """Predictions of N left-out frames of a scene, and the use of each frame.

    Attributes:
        arrays: of predictions.
        growing: (N,) bool, frames that show how errors grow with their indicators.
        unknown: (N,) bool, frames that show how much larger errors are away from the images that
            the network was trained on; none if it was trained elsewhere, or for refined poses.
        near: (N,) bool, growing frames whose errors are not told in the scale's median.
        extent: the largest distance between two true poses of the scene, in metres and degrees.
    """

    arrays: Mapping[str, np.ndarray]
    growing: np.ndarray
    unknown: np.ndarray
    near: np.ndarray
    extent: tuple[float, float]

    def alike(self, chosen: np.ndarray) -> "_Frames":
        """Return the scene with ``chosen`` (N,) frames, all to show how errors grow."""
        return self._replace(growing=chosen, unknown=np.zeros_like(chosen))


def calibrate_errors(
    left_out: LeftOutPredictions,
    calibration_file: str | Path,
    fellows: Sequence[LeftOutPredictions] = (),
    held_out: Sequence[int] = (),
) -> None:
    """Write the scales of stated errors, as JSON.

    Refined poses, with given focal lengths and with those solved for, are measured on all frames
    but near ones: they hardly depend on the network. For regressed poses, see the module; if too
    few frames are unknown to the network, they are measured on all frames, with a warning.

    Args:
        left_out: of the scene.
        calibration_file: to write.
        fellows: of the other scenes that the network was trained on, if it was trained on this one.
        held_out: database frames that were held out from training on the scene, to be recorded.

    Raises:
        InputError: predictions are not of the prediction step, or of other frames, or those of
            fellows are of another data set or network.
    """
    elsewhere = not left_out.known.any()  # where the network was trained
    scenes = [each.read(with_near=elsewhere) for each in (left_out, *fellows)]
    owner = predictions_owner(left_out.file)
    for fellow in fellows:
        theirs = predictions_owner(fellow.file)
        check_owner(fellow.file, told_of(theirs), owner._replace(scene=theirs.scene))
    arrays, known, near = scenes[0]
    unknown = [sum(~seen & _with_poses(own)) for own, seen, _ in scenes]
    if known.any() and sum(unknown) < FEWEST:
        _warn_of_known(left_out.file, unknown[0], len(known))
        known = np.zeros_like(known)
    used = [_Frames(own, seen, ~seen, beside, _extent(own)) for own, seen, beside in scenes]
    scene = used[0]
    if known.sum() < FEWEST:
        used = [scene.alike(~known)]
    scales: Calibration = {}
    _add_scale(scales, FIRST_EDGE, used, local=elsewhere)
    _add_scale(scales, ALL_EDGES, used, local=elsewhere)
    for name, names in MATCHED.items():
        if name not in present_estimators(arrays):
            continue
        refined = arrays[names.points] > 0
        _warn_of_unrefined(left_out.file, refined[~near])
        _add_scale(scales, name, [scene.alike(refined & ~near)])
        if name == REFINED:
            stay = ~refined & ~known & ~near
            _add_scale(scales, UNREFINED, [scene.alike(stay)])
    write_calibration(calibration_file, scales, owner, held_out)


def _warn_of_known(file: str | Path, unknown: int, frames: int) -> None:
    """Warn that the network knows nearly all frames, and advise what helps, if anything does."""
    advice = "The place is too small to hold some out"
    if held_out_count(frames, ADVISED):
        advice = (
            f"graphs.validation: {{share: {ADVISED.share}, stretch: {ADVISED.stretch}}} holds some "
            "of a small place out"
        )
    logger.warning(
        "%s: the network knows all but %d of %d frames, expected %d unknown ones, for validation: "
        "errors of regressed poses may be larger than stated; those of refined poses are not "
        "affected. %s",
        *(file, unknown, frames, FEWEST, advice),
    )


def _warn_of_unrefined(file: str | Path, refined: np.ndarray) -> None:
    """Warn if matches refine only few of the frames (N,)."""
    if refined.mean() < FEW_REFINED:
        logger.warning(
            "%s: matches refine only %d of %d left-out frames: images have little texture, or "
            "poses and images do not agree (see the log of measure_camera)",
            *(file, refined.sum(), len(refined)),
        )


def _add_scale(
    scales: Calibration, name: str, used: Sequence[_Frames], local: bool = False
) -> None:
    """Add an estimator's scale in the first of some scenes and log it; none for too few frames.

    ``UNREFINED`` needs the scale of all edges, which has to be added before. ``local``: see
    ``growth_of_errors``.
    """
    away = any(own.unknown.any() for own in used)
    found, usual = [], _usual(name, used, away)
    for own in used:
        told = told_of_errors(own.arrays, name, scales, usual)
        pair = (_errors(own, name, told, chosen) for chosen in (own.growing, own.unknown))
        found.append(list(zip(*pair, strict=True)))
    growths = [growth_of_errors(own, away, local) for own in zip(*found, strict=True)]
    if None in growths:
        if name != UNREFINED:  # such poses then have the stated errors of all edges
            stated = "those of regressed poses are" if name in MATCHED else "none are"
            logger.warning(
                "%s: fewer than %d frames to measure errors on; %s stated for such poses",
                *(name, FEWEST, stated),
            )
        return
    factors, farther, ratios, corrections = zip(*growths, strict=True)
    own, count = _medians(used[0], name, scales, usual, away)
    extent = used[0].extent
    scales[name] = Scale(*factors, ratios, own, count, extent, usual, farther, corrections)
    if own is None:
        logger.info("%s: the scene has no frames that the network does not know", name)
    else:
        logger.info(
            "%s: median error %.3f m, %.2f degrees on %d left-out frames", name, *own, count
        )


def _medians(
    frames: _Frames, name: str, scales: Calibration, usual: float | None, away: bool
) -> tuple[tuple[float, float] | None, int]:
    """Return the median errors that are told of a scene, None without any, and their number."""
    chosen = frames.unknown if away else frames.growing & ~frames.near
    told = told_of_errors(frames.arrays, name, scales, usual)
    errors = [own.error for own in _errors(frames, name, told, chosen)]
    count = len(errors[0])
    return tuple(float(np.median(own)) for own in errors) if count else None, count


def _usual(name: str, used: Sequence[_Frames], away: bool) -> float | None:
    """Return the usual distance of features, or the usual misfit; None for ``UNREFINED``.

    It is measured on frames with a pose, only unknown ones if there are any (``away``); 1 without
    any frame.
    """
    if name == UNREFINED:
        return None
    matched = MATCHED.get(name)
    quality, share = (matched.misfit, 0.5) if matched else (DISTANCES[name], USUAL_SHARE)
    found = []
    for arrays, growing, unknown, *_ in used:
        if quality in arrays and growing.sum() >= FEWEST:
            with_pose = np.isfinite(arrays[f"{PREFIXES[name]}_t"]).all(axis=1)
            found.append(arrays[quality][with_pose & (unknown if away else growing)])
    values = np.concatenate(found or [np.empty(0)])
    values = values[np.isfinite(values)]
    return max(float(np.quantile(values, share)), LEAST_USUAL) if len(values) else 1.0


def _with_poses(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return which of N frames have finite poses from the first edge and from all edges."""
    both = (arrays[f"{PREFIXES[name]}_t"] for name in (FIRST_EDGE, ALL_EDGES))
    return np.isfinite(np.hstack(list(both))).all(axis=1)


def _extent(arrays: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Return the largest distance between two true poses, in metres and degrees."""
    from scipy.spatial.distance import pdist

    centres, quaternions = pose_arrays(arrays, TRUTH)
    quaternions = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    alike = np.min(np.abs(quaternions @ quaternions.T)).clip(max=1)
    metres = pdist(centres).max(initial=0)
    return float(metres), float(np.degrees(2 * np.arccos(alike)))


def _errors(
    frames: _Frames,
    estimator: str,
    told: tuple[np.ndarray, np.ndarray] | None,
    chosen: np.ndarray,
) -> tuple[Errors, Errors]:
    """Return the finite errors in metres and in degrees of some of N frames, ``chosen`` (N,)."""
    arrays = frames.arrays
    if told is None:
        return (Errors(np.empty((0, 1)), np.empty(0), np.empty(0)),) * 2
    estimates, truths = (pose_arrays(arrays, each) for each in (OWN_PREFIXES[estimator], TRUTH))
    error = np.stack(pose_errors(estimates, truths), axis=1)
    chosen = chosen & np.isfinite(np.hstack([*told, error])).all(axis=1)
    root = np.zeros(len(chosen))
    if estimator in NEAREST:
        root = root_of_way(arrays, estimator, frames.extent[0])
    return tuple(
        Errors(part[chosen], root[chosen], own[chosen])
        for part, own in zip(told, error.T, strict=True)
    )
