"""Errors of every query, and what they come to: medians, means and recall.

A failed query has infinite errors and stays in every figure: it counts in medians and recall, and
one such query makes a mean infinite.
"""

import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .limits import check_npz, refuse_special_file
from .owners import OfScene, Owner, check_owner
from .poses import rotation_error_deg, translation_error
from .runtime import InputError, atomic_path

logger = logging.getLogger(__name__)

MOST_SIMILAR, AFFINE = "most similar image", "affine combination"
REFERENCE, FIRST_EDGE, ALL_EDGES = "reference neighbour", "first edge", "all edges"
REFINED = "refined by matches"
# Of the edge from a query's best-ranked neighbour, by what else is in the graph, see ``context``.
OWN, ALONE, FOREIGN = "own neighbours", "alone", "foreign neighbours"
# Estimator -> prefix of its arrays in a predictions file, which keeps the published array names.
PREFIXES = {
    MOST_SIMILAR: "similar",
    AFFINE: "affine",
    REFERENCE: "reference",
    FIRST_EDGE: "abs",
    ALL_EDGES: "robust",
    REFINED: "refined",
}
# Arrays (N,) of a predictions file, where they are: how far the estimates by single edges lie
# apart, and the points by which a pose was refined, 0 where it was not.
EDGE_SPREADS, POINTS = ["spread_m", "spread_deg"], "refined_points"
DEVIATIONS = ["refined_deviation_m", "refined_deviation_deg"]  # by the curvature of the cost
COPIES = [MOST_SIMILAR, REFERENCE]  # an image's pose; the first that is known is what ratios are to
SINGLE = [*EDGE_SPREADS, POINTS, *DEVIATIONS]
TRANSLATION, ROTATION = "translation_error_m", "rotation_error_deg"
# Stated errors, columns of scores: those that hold in 68 % of the cases, and in 95 %.
STATED = ["sigma_m", "sigma_deg", "sigma95_m", "sigma95_deg"]
WITHIN = [f"within_{name}" for name in STATED]  # columns of a summary: shares of queries
KEPT = "kept"  # 1 of a query whose pose could not be refined, 0 of others; a column of scores
LABELS = ["dataset", "scene"]  # first columns of scores, and of other files of queries
NAMES, WIDTHS = "rel_path", {"t": 3, "q": 4}  # of predictions; columns of a pair of arrays
SHORTEST_QUATERNION = 1e-6  # below it has no direction


def score_poses(
    predictions_file: str | Path,
    scores_file: str | Path,
    stated: Callable[[Mapping[str, np.ndarray], str], np.ndarray] | None = None,
) -> None:
    """Write the errors of every query and estimator of one scene.

    Args:
        predictions_file: the npz of the prediction step: ``rel_path`` (N), ``targ_t`` (N, 3) in
            metres, ``targ_q`` (N, 4) wxyz, and the same pair per estimator, with the
            prefixes of ``PREFIXES``.
        scores_file: CSV to write, one row per query and estimator.
        stated: the errors in metres and in degrees at both levels, (2, 2, N), that an estimator
            states of the poses in the arrays, see ``calibration.stated_errors``; None: none are.

    Raises:
        InputError: see ``read_predictions``.
    """
    arrays = read_predictions(predictions_file, (REFERENCE, FIRST_EDGE, ALL_EDGES))
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
    """Return stated errors (2, 2, N), metres and degrees at each level, as columns ``STATED``."""
    return np.asarray(stated).transpose(2, 1, 0).reshape(-1, len(STATED))


def present_estimators(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return the estimators whose poses are among the arrays of a predictions file."""
    return [name for name, prefix in PREFIXES.items() if f"{prefix}_t" in arrays]


def shown_estimator(estimators: Container[str]) -> str:
    """Return which of some estimators pictures show: refined poses where they are."""
    return REFINED if REFINED in estimators else FIRST_EDGE


def copied_image(estimators: Container[str]) -> str | None:
    """Return which image's pose was copied, of some estimators: what ratios are to; None: none."""
    return next((name for name in COPIES if name in estimators), None)


def read_predictions(
    predictions_file: str | Path,
    estimators: Iterable[str] = (FIRST_EDGE,),
    owner: OfScene | None = None,
) -> dict[str, np.ndarray]:
    """Return true and estimated poses in float64, and ``rel_path`` where it names all queries.

    Those of ``estimators`` have to be there; others of ``PREFIXES`` are read where they are. The
    authors' files are read too: how they name their queries, and what they are of, is not known.

    Raises:
        InputError: the file cannot be read, lacks poses or holds none, they are no numbers, their
            counts differ, a true pose is not finite or has a quaternion of zeros, or it is not of
            the ``owner``.
    """
    path = Path(predictions_file)
    refuse_special_file(path)
    try:
        check_npz(path)
        with np.load(path, allow_pickle=False) as file:
            known = [p for p in PREFIXES.values() if {f"{p}_t", f"{p}_q"} & set(file.files)]
            prefixes = dict.fromkeys(["targ", *(PREFIXES[name] for name in estimators), *known])
            widths = {f"{p}_{part}": width for p in prefixes for part, width in WIDTHS.items()}
            single = [name for name in SINGLE if name in file.files]
            arrays = {name: file[name] for name in (*widths, *single) if name in file.files}
            names, told = _text_names(file), _told(file)
    except InputError:
        raise
    except Exception as error:  # damaged bytes end in nearly every kind of exception
        raise InputError(
            f"{path}: cannot be read as npz ({error}); make it again or download it again"
        ) from error
    if owner is not None:
        check_owner(path, told, owner)
    wanted = [*widths, *([POINTS] if f"{PREFIXES[REFINED]}_t" in widths else [])]
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise InputError(
            f"{path}: lacks {', '.join(missing)} (it holds {', '.join(arrays) or 'no poses'}); "
            "expected what the prediction step writes, or the authors' predictions; predict again "
            "or check authors.predictions in the configuration"
        )
    count = arrays["targ_t"].shape[0] if arrays["targ_t"].ndim else 0
    for name, width in widths.items():
        arrays[name] = _checked(arrays[name], (count, width), f"{path}: {name}")
    for name in single:
        arrays[name] = _checked(arrays[name], (count,), f"{path}: {name}")
    _check_truth(arrays, path)
    if len(names) == count:
        return {**arrays, NAMES: names}
    logger.warning("%s: %d names for %d queries cannot be used", path, len(names), count)
    return arrays


def predictions_owner(predictions_file: str | Path) -> Owner:
    """Return what a file that ``read_predictions`` has read is of; InputError: it tells not."""
    with np.load(predictions_file, allow_pickle=False) as file:
        told = _told(file)
    if told.keys() != {"dataset", "scene", "model"}:
        raise InputError(
            f"{predictions_file}: does not tell dataset, scene and model, expected what the "
            "prediction step of this version writes; predict again"
        )
    return Owner(**told, path=predictions_file)


def _told(file: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return what an npz file tells of its owner."""
    return {name: str(file[name]) for name in ("dataset", "scene", "model") if name in file}


def _text_names(file: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the names of an npz file, none where they are no text."""
    try:
        names = np.ravel(file[NAMES])
    except (KeyError, ValueError):  # pickled objects, which are not read: that could run code
        return np.empty(0, dtype=str)
    return names[: len(names) if names.dtype.kind in "SU" else 0]


def _checked(array: np.ndarray, shape: tuple[int, ...], label: str) -> np.ndarray:
    """Return numbers of queries in float64.

    Raises:
        InputError: they are no numbers, not of that shape, or none.
    """
    if array.dtype.kind not in "fiu":
        raise InputError(f"{label} holds values of type {array.dtype}, expected numbers")
    if array.shape != shape or not shape[0]:
        expected = f"({', '.join(map(str, (shape[0] or 'N', *shape[1:])))})"
        raise InputError(f"{label} has shape {array.shape}, expected {expected}")
    return array.astype(np.float64)


def _check_truth(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Check the true poses.

    Raises:
        InputError: they are not finite, or a quaternion is of zeros.
    """
    truth = np.hstack(pose_arrays(arrays, "targ"))
    lengths = np.linalg.norm(arrays["targ_q"], axis=1)
    wrong = ~(np.isfinite(truth).all(axis=1) & (lengths >= SHORTEST_QUATERNION))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: targ_t and targ_q of query {row} are {truth[row].tolist()} ({wrong.sum()} of "
            f"{len(wrong)} are so), expected the finite numbers and the quaternion of a true pose; "
            "check the poses of the scene, or download the authors' file again"
        )


def score_estimator(arrays: dict[str, np.ndarray], estimator: str) -> pd.DataFrame:
    """Return one estimator's rows of the scores, in the order of the predictions."""
    estimates, truths = (pose_arrays(arrays, prefix) for prefix in (PREFIXES[estimator], "targ"))
    translation, rotation = pose_errors(estimates, truths)
    scores = {
        "query": arrays["rel_path"],
        "estimator": estimator,
        TRANSLATION: translation,
        ROTATION: rotation,
    }
    if estimator == REFINED:
        scores[KEPT] = (arrays[POINTS] == 0).astype(int)
    return pd.DataFrame(scores)


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


def write_errors(path: str | Path, frame: pd.DataFrame, owner: OfScene) -> None:
    """Write a CSV file with a row per query, behind its data set and scene."""
    frame = frame.assign(dataset=owner.dataset, scene=owner.scene)[[*LABELS, *frame]]
    with atomic_path(path) as partial:
        frame.to_csv(partial, index=False, float_format="%.9g")


def read_scores(scores_file: str | Path, scene: str) -> pd.DataFrame:
    """Return the scores of one scene, see ``read_errors``."""
    return read_errors(scores_file, ["query", "estimator"], [TRANSLATION, ROTATION], scene)


def read_errors(
    path: str | Path, labels: Sequence[str], errors: Sequence[str], scene: str
) -> pd.DataFrame:
    """Return a CSV file of ``write_errors`` with these columns, checked.

    Raises:
        InputError: as ``read_csv``, it is of another scene, or an error is missing or negative.
    """
    frame = read_csv(path, [*LABELS, *labels, *errors], converters=dict.fromkeys(LABELS, str))
    if others := sorted({*frame["scene"]} - {scene}):
        raise InputError(
            f"{path}: is of the scene {others[0]!r}, expected {scene!r}; give the right file, or "
            "make it again"
        )
    wrong = ~(frame[errors] >= 0).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: errors of row {row + 2} are {frame.loc[row, errors].tolist()}, expected "
            "numbers >= 0, or inf for a failed query; make it again"
        )
    return frame


def read_csv(path: str | Path, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """Return a CSV file that has at least ``columns`` and one row; ``options`` are of pandas.

    Raises:
        InputError: it has not, or cannot be read.
    """
    try:
        frame = pd.read_csv(path, **options)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise InputError(
            f"{path}: cannot be read as CSV ({error}); mend it or make it again"
        ) from error
    missing = [name for name in columns if name not in frame]
    if missing or frame.empty:
        found = f"{len(frame)} rows of {', '.join(frame)}"
        raise InputError(
            f"{path}: holds {found}; expected at least one row of {', '.join(columns)}; "
            "mend it or make it again"
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
        Columns ``estimator``, ``queries``, ``failed``, ``kept`` (poses that a refinement left
        as they were, 0 of other estimators), ``median_translation_m``,
        ``median_rotation_deg``, ``mean_translation_m``, ``mean_rotation_deg`` and a share of
        queries (0 to 1) per pair of thresholds, then those of ``WITHIN``. Failed queries are
        infinite errors throughout, so a mean over them is infinite.
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
    for name, errors in zip(STATED, (metres, degrees) * 2, strict=True):
        row[f"within_{name}"] = _share_within(errors, scores.get(name))
    return row


def _share_within(errors: np.ndarray, stated: pd.Series | None) -> float:
    """Return the share of errors within the stated ones; NaN where none is stated."""
    if stated is None or not stated.notna().any():
        return np.nan
    known = stated.notna().to_numpy() | np.isinf(errors)  # a failed query is never within
    within = np.isfinite(errors) & (errors <= stated.to_numpy())
    return float(np.mean(within[known]))
