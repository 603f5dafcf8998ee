"""Errors of every query, and their summary: medians, means and recall.

A failed query has infinite errors and is never dropped: it counts in medians and recall, and a
single one makes a mean infinite.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..estimates.predictions import (
    ALL_EDGES,
    FIRST_EDGE,
    NAMES,
    POINTS,
    PREFIXES,
    REFERENCE,
    REFINED,
    TRUTH,
    check_names,
    pose_arrays,
    predictions_owner,
    present_estimators,
    read_predictions,
)
from ..files.csv_files import read_errors, write_errors
from ..poses import rotation_error_deg, translation_error

logger = logging.getLogger(__name__)

TRANSLATION, ROTATION = "translation_error_m", "rotation_error_deg"
# Columns of scores: stated errors, meant to hold in 68 % of the cases, and in 95 %.
STATED = ["sigma_m", "sigma_deg", "sigma95_m", "sigma95_deg"]
WITHIN = [f"within_{name}" for name in STATED]  # columns of a summary: shares of queries
KEPT = "kept"  # column of scores: 1 for a pose that could not be refined, else 0


def score_poses(
    predictions_file: str | Path,
    scores_file: str | Path,
    stated: Callable[[Mapping[str, np.ndarray], str], np.ndarray] | None = None,
) -> None:
    """Write the errors of every query and estimator of one scene.

    Args:
        predictions_file: the npz of the prediction step: ``rel_path`` (N), ``targ_t`` (N, 3) in
            metres, ``targ_q`` (N, 4) wxyz, and the same pair per estimator, with the
            prefixes of ``predictions.PREFIXES``.
        scores_file: CSV to write, one row per query and estimator.
        stated: from arrays and an estimator to its stated errors in metres and degrees at both
            levels, (2, 2, N), see ``calibration.stated_errors``; None: none are stated.

    Raises:
        InputError: see ``predictions.read_predictions``, or queries have no names.
    """
    arrays = read_predictions(predictions_file, (REFERENCE, FIRST_EDGE, ALL_EDGES))
    check_names(arrays, predictions_file)
    owner = predictions_owner(predictions_file)
    parts = [score_estimator(arrays, name) for name in present_estimators(arrays)]
    if stated is not None:
        for scores in parts:
            scores[STATED] = stated_columns(stated(arrays, scores["estimator"].iloc[0]))
    scores = pd.concat(parts, ignore_index=True)
    write_errors(scores_file, scores, owner)
    for name, errors in scores.groupby("estimator", sort=False):
        medians = np.median(errors[TRANSLATION]), np.median(errors[ROTATION])
        logger.info("%s: median error %.3f m, %.2f degrees", name, *medians)


def stated_columns(stated: np.ndarray) -> np.ndarray:
    """Return stated errors (2, 2, N), metres and degrees at each level, as columns ``STATED``.

    Degrees are at most 180, the largest error of a rotation.
    """
    metres, degrees = np.asarray(stated)
    columns = np.stack([metres, np.minimum(degrees, 180)])
    return columns.transpose(2, 1, 0).reshape(-1, len(STATED))


def score_estimator(arrays: dict[str, np.ndarray], estimator: str) -> pd.DataFrame:
    """Return one estimator's rows of the scores, in the order of the predictions."""
    estimates, truths = (pose_arrays(arrays, prefix) for prefix in (PREFIXES[estimator], TRUTH))
    translation, rotation = pose_errors(estimates, truths)
    scores = {
        "query": arrays[NAMES],
        "estimator": estimator,
        TRANSLATION: translation,
        ROTATION: rotation,
    }
    if estimator == REFINED:
        scores[KEPT] = (arrays[POINTS] == 0).astype(int)
    return pd.DataFrame(scores)


def pose_errors(
    estimates: tuple[np.ndarray, np.ndarray], truths: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return metres and degrees (N) between poses; both are infinite where an estimate failed.

    Poses are camera centres (N, 3) in metres and quaternions (N, 4).
    """
    metres = translation_error(estimates[0], truths[0])
    with np.errstate(invalid="ignore"):  # a quaternion of zeros becomes NaN: failed
        degrees = rotation_error_deg(estimates[1], truths[1])
    failed = ~(np.isfinite(metres) & np.isfinite(degrees))
    return np.where(failed, np.inf, metres), np.where(failed, np.inf, degrees)


def read_scores(scores_file: str | Path, scene: str) -> pd.DataFrame:
    """Return the scores of one scene, see ``csv_files.read_errors``."""
    return read_errors(scores_file, ["query", "estimator"], [TRANSLATION, ROTATION], scene)


def recall_column(metres: float, degrees: float) -> str:
    """Return the name of a recall column, e.g. ``recall_5cm_5deg``."""
    return f"recall_{100 * metres:.4g}cm_{degrees:.4g}deg"


def summarise(scores: pd.DataFrame, recall: Sequence[tuple[float, float]]) -> pd.DataFrame:
    """Return one row per estimator, in the order of ``scores``.

    Args:
        scores: what ``read_scores`` returns.
        recall: pairs of thresholds (metres, degrees); a query counts if both its errors are at most
            these.

    Returns:
        Columns ``estimator``, ``queries``, ``failed``, ``kept`` (poses that could not be refined,
        0 for other estimators), ``median_translation_m``, ``median_rotation_deg``,
        ``mean_translation_m``, ``mean_rotation_deg``, a share of queries (0 to 1) per pair of
        thresholds, and those of ``WITHIN``.
    """
    groups = scores.groupby("estimator", sort=False)
    return pd.DataFrame([_summarise_estimator(str(name), own, recall) for name, own in groups])


def _summarise_estimator(
    name: str, scores: pd.DataFrame, recall: Sequence[tuple[float, float]]
) -> dict[str, float | str]:
    """Return one row of the summary."""
    metres, degrees = scores[TRANSLATION].to_numpy(), scores[ROTATION].to_numpy()
    row = {
        "estimator": name,
        "queries": len(scores),
        "failed": int(np.isinf(metres).sum()),
        KEPT: int(scores[KEPT].sum()) if KEPT in scores else 0,
        "median_translation_m": np.median(metres),
        "median_rotation_deg": np.median(degrees),
        "mean_translation_m": np.mean(metres),
        "mean_rotation_deg": np.mean(degrees),
    }
    for limit_m, limit_deg in recall:
        within = (metres <= limit_m) & (degrees <= limit_deg)
        row[recall_column(limit_m, limit_deg)] = np.mean(within)
    for share, column, errors in zip(WITHIN, STATED, (metres, degrees) * 2, strict=True):
        row[share] = coverage(errors, scores.get(column))
    return row


def coverage(errors: np.ndarray, stated: pd.Series | None) -> float:
    """Return the share of errors within the stated ones; NaN if none are stated."""
    if stated is None or not stated.notna().any():
        return np.nan
    known = stated.notna().to_numpy() | np.isinf(errors)  # a failed query is never within
    within = np.isfinite(errors) & (errors <= stated.to_numpy())
    return float(np.mean(within[known]))
