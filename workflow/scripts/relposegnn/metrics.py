"""Errors of every query, and what they come to: medians, means and recall.

A failed query has infinite errors and stays in every figure: it counts in medians and recall, and
one such query makes a mean infinite.
"""

import logging
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from .poses import rotation_error_deg, translation_error
from .runtime import InputError, atomic_path

MOST_SIMILAR, AFFINE = "most similar image", "affine combination"
REFERENCE, FIRST_EDGE, ALL_EDGES = "reference neighbour", "first edge", "all edges"
# Estimator -> prefix of its arrays in a predictions file, which keeps the published array names.
PREFIXES = {
    MOST_SIMILAR: "similar",
    AFFINE: "affine",
    REFERENCE: "reference",
    FIRST_EDGE: "abs",
    ALL_EDGES: "robust",
}
COPIES = [MOST_SIMILAR, REFERENCE]  # an image's pose; the first that is known is what ratios are to
TRANSLATION, ROTATION = "translation_error_m", "rotation_error_deg"
SCORE_COLUMNS = ["query", "estimator", TRANSLATION, ROTATION]


def score_poses(predictions_file: str | Path, scores_file: str | Path) -> None:
    """Write the errors of every query and estimator of one scene.

    Prediction files as published hold the first edge alone: an estimator is scored where the file
    has its two arrays.

    Args:
        predictions_file: the npz of the prediction step: ``rel_path`` (N), ``targ_t`` (N, 3) in
            metres, ``targ_q`` (N, 4) wxyz, and the same pair per estimator, with the
            prefixes of ``PREFIXES``.
        scores_file: CSV to write, one row per query and estimator.

    Raises:
        InputError: arrays are missing or differ in length, the ground truth is not finite, or a
            query occurs twice.
    """
    arrays = read_predictions(predictions_file)
    parts = [score_estimator(arrays, name) for name in present_estimators(arrays)]
    scores = pd.concat(parts, ignore_index=True)
    with atomic_path(scores_file) as partial:
        scores.to_csv(partial, index=False, float_format="%.9g")
    for name, errors in scores.groupby("estimator", sort=False):
        medians = np.median(errors[TRANSLATION]), np.median(errors[ROTATION])
        logging.info("%s: median error %.3f m, %.2f degrees", name, *medians)


def present_estimators(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return the estimators whose poses are among the arrays of a predictions file."""
    return [name for name, prefix in PREFIXES.items() if f"{prefix}_t" in arrays]


def copied_image(estimators: Container[str]) -> str | None:
    """Return which image's pose was copied, of some estimators: what ratios are to; None: none."""
    return next((name for name in COPIES if name in estimators), None)


def read_predictions(predictions_file: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of a predictions file, checked.

    Raises:
        InputError: see ``score_poses``.
    """
    path = Path(predictions_file)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as npz ({error}); predict again") from error
    _check_arrays(arrays, path)
    queries, counts = np.unique(arrays["rel_path"], return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"{path}: query {queries[counts > 1][0]} occurs {counts.max()} times, expected once; "
            "predict again"
        )
    if not (np.isfinite(arrays["targ_t"]).all() and np.isfinite(arrays["targ_q"]).all()):
        raise InputError(
            f"{path}: the ground truth (targ_t, targ_q) holds numbers that are not finite; "
            "check the poses of the scene"
        )
    return arrays


def _check_arrays(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Check that the arrays are complete pairs with one row per query.

    Raises:
        InputError: an array is missing, or has another shape.
    """
    optional = [p for p in PREFIXES.values() if f"{p}_t" in arrays or f"{p}_q" in arrays]
    prefixes = dict.fromkeys(["targ", "abs", *optional])
    widths = {f"{p}_{part}": width for p in prefixes for part, width in (("t", 3), ("q", 4))}
    missing = [name for name in ["rel_path", *widths] if name not in arrays]
    if missing:
        raise InputError(
            f"{path}: lacks {', '.join(missing)} (it holds {', '.join(arrays) or 'nothing'}); "
            "expected the arrays that the prediction step writes"
        )
    count = len(arrays["rel_path"])
    if count == 0:
        raise InputError(f"{path}: holds no queries, expected at least one; check the test split")
    for name, width in widths.items():
        if arrays[name].shape != (count, width):
            raise InputError(
                f"{path}: {name} has shape {arrays[name].shape}, expected {(count, width)}: "
                f"rel_path names {count} queries; predict again"
            )


def score_estimator(arrays: dict[str, np.ndarray], estimator: str) -> pd.DataFrame:
    """Return one estimator's rows of the scores, in the order of the predictions."""
    estimates, truths = (pose_arrays(arrays, prefix) for prefix in (PREFIXES[estimator], "targ"))
    translation, rotation = pose_errors(estimates, truths)
    return pd.DataFrame(
        {
            "query": arrays["rel_path"],
            "estimator": estimator,
            TRANSLATION: translation,
            ROTATION: rotation,
        }
    )


def pose_arrays(arrays: Mapping[str, np.ndarray], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Return camera centres (N, 3) and quaternions (N, 4) of predictions, e.g. ``targ``."""
    return arrays[f"{prefix}_t"], arrays[f"{prefix}_q"]


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


def read_scores(scores_file: str | Path) -> pd.DataFrame:
    """Return the scores of one scene, checked.

    Raises:
        InputError: columns are missing, there are no rows, an error is missing or negative, or
            estimators cover different queries.
    """
    scores = read_csv(scores_file, SCORE_COLUMNS)
    errors = scores[[TRANSLATION, ROTATION]]
    if not (errors >= 0).all(axis=None):
        row = int(np.flatnonzero(~(errors >= 0).all(axis=1))[0])
        raise InputError(
            f"{scores_file}: errors of row {row + 2} are {errors.iloc[row].tolist()}, expected "
            "numbers >= 0, or inf for a failed query; score again"
        )
    queries = {name: rows["query"] for name, rows in scores.groupby("estimator", sort=False)}
    everything = set(scores["query"])
    for name, own in queries.items():
        if len(own) != len(everything) or set(own) != everything:
            raise InputError(
                f"{scores_file}: estimator {name!r} has {len(own)} rows ({own.nunique()} "
                f"different queries), expected one for each of the {len(everything)} queries; "
                "score again"
            )
    return scores


def read_csv(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return a CSV file that has at least ``columns`` and one row.

    Raises:
        InputError: it has not, or cannot be read.
    """
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise InputError(f"{path}: cannot be read as CSV ({error}); make it again") from error
    missing = [name for name in columns if name not in frame]
    if missing or frame.empty:
        found = f"{len(frame)} rows of {', '.join(frame)}"
        raise InputError(
            f"{path}: holds {found}; expected at least one row of {', '.join(columns)}; "
            "make it again"
        )
    return frame


def recall_column(metres: float, degrees: float) -> str:
    """Return the name of a recall column, e.g. ``recall_5cm_5deg``."""
    return f"recall_{100 * metres:.4g}cm_{degrees:.4g}deg"


def summarise(scores: pd.DataFrame, recall: Sequence[tuple[float, float]]) -> pd.DataFrame:
    """Return one row per estimator, in the order of ``scores``.

    Args:
        scores: what ``read_scores`` returns.
        recall: pairs of thresholds (metres, degrees); a query counts when both its errors are at
            most these.

    Returns:
        Columns ``estimator``, ``queries``, ``failed``, ``median_translation_m``,
        ``median_rotation_deg``, ``mean_translation_m``, ``mean_rotation_deg`` and a share of
        queries (0 to 1) per pair of thresholds. Failed queries are infinite errors throughout, so
        a mean over them is infinite.
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
        "median_translation_m": np.median(metres),
        "median_rotation_deg": np.median(degrees),
        "mean_translation_m": np.mean(metres),
        "mean_rotation_deg": np.mean(degrees),
    }
    for limit_m, limit_deg in recall:
        within = (metres <= limit_m) & (degrees <= limit_deg)
        row[recall_column(limit_m, limit_deg)] = np.mean(within)
    return row
