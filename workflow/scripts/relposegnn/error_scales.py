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
from .validation import ValidationSettings, held_out_count

logger = logging.getLogger(__name__)

FEW_REFINED = 0.3  # of left-out frames
ADVISED = ValidationSettings(share=0.15, stretch=10)  # where nothing is held out
USUAL_SHARE = 0.9  # of frames, whose distances of features are usual


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
    held_out: Sequence[int] = (),
) -> None:
    """Write the scales of stated errors, as JSON.

    Refined poses, by focal lengths that are told and by those that are solved for, are measured on
    all frames: they hardly depend on the network. Regressed ones are as the module says; without
    enough frames that the network does not know, on those that it knows, with a warning.

    Args:
        left_out: of the scene.
        calibration_file: to write.
        fellows: of other scenes that the network was trained on, where it was on this one.
        held_out: frames of the scene's database that were held out from its training, to be told.

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
    unknown = [sum(~seen & _with_poses(own)) for own, seen in scenes]
    if known.any() and sum(unknown) < FEWEST:
        _warn_of_known(left_out, unknown[0])
        known = np.zeros_like(known)
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
        _warn_of_unrefined(left_out, refined)
        _add_scale(scales, name, [_Frames.alike(arrays, refined)])
        if name == REFINED:
            _add_scale(scales, UNREFINED, [_Frames.alike(arrays, ~refined & ~known)])
    write_calibration(calibration_file, scales, owner, held_out)


def _warn_of_known(left_out: LeftOutPredictions, unknown: int) -> None:
    """Tell that the network knows nearly all frames, and what helps, where something does."""
    advice = "The place is too small to hold some out"
    if held_out_count(len(left_out.known), ADVISED):
        advice = (
            f"graphs.validation: {{share: {ADVISED.share}, stretch: {ADVISED.stretch}}} holds some "
            "of a small place out"
        )
    logger.warning(
        "%s: the network knows all but %d of %d frames, expected %d that it does not know, for "
        "validation: regressed poses may have larger errors than are stated; what refined ones "
        "have holds. %s",
        *(left_out.file, unknown, len(left_out.known), FEWEST, advice),
    )


def _warn_of_unrefined(left_out: LeftOutPredictions, refined: np.ndarray) -> None:
    """Tell where matches refine few of the frames (N,)."""
    if refined.mean() < FEW_REFINED:
        logger.warning(
            "%s: matches refine %d of %d left-out frames: images have little texture, or poses "
            "and images do not agree (see the log of measure_camera)",
            *(left_out.file, refined.sum(), len(refined)),
        )


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
    growths = [growth_of_errors(own, away) for own in zip(*found, strict=True)]
    if None in growths:
        if name != UNREFINED:  # which are taken for poses as all others then
            logger.warning(
                "%s: fewer than %d frames to tell errors from; none are stated of such poses",
                *(name, FEWEST),
            )
        return
    factors, farther, ratios, medians, counts = zip(*growths, strict=True)
    extent = _extent(used[0].arrays)
    own = medians if counts[0] else None
    scales[name] = Scale(*factors, ratios, own, counts[0], extent, usual, farther)
    if own is None:
        logger.info("%s: no frames of its own that the network does not know", name)
    else:
        logger.info(
            "%s: median error %.3f m, %.2f degrees on %d left-out frames", name, *own, counts[0]
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


def _with_poses(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return which of N frames have finite poses by one edge and by all of them."""
    both = (arrays[f"{PREFIXES[name]}_t"] for name in (FIRST_EDGE, ALL_EDGES))
    return np.isfinite(np.hstack(list(both))).all(axis=1)


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
) -> tuple[Errors, Errors]:
    """Return the finite errors in metres and in degrees of some of N frames, ``chosen`` (N,)."""
    if told is None:
        return (Errors(np.empty((0, 1)), np.empty(0), np.empty(0)),) * 2
    estimates, truths = (pose_arrays(arrays, each) for each in (OWN_PREFIXES[estimator], TRUTH))
    error = np.stack(pose_errors(estimates, truths), axis=1)
    chosen = chosen & np.isfinite(np.hstack([*told, error])).all(axis=1)
    root = np.zeros(len(chosen))
    if estimator in NEAREST:
        root = root_of_way(arrays, estimator, _extent(arrays)[0])
    return tuple(
        Errors(part[chosen], root[chosen], own[chosen])
        for part, own in zip(told, error.T, strict=True)
    )
