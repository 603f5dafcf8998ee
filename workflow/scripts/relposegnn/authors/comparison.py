"""Our estimates beside the published ones, query by query."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ..metrics import ROTATION, TRANSLATION, read_csv, read_predictions
from ..poses import rotation_error_deg, translation_error
from ..runtime import InputError, atomic_path
from .predictions import match_queries, read_published_predictions

logger = logging.getLogger(__name__)

SAME_TRUTH_M, SAME_TRUTH_DEG = 0.01, 0.5  # beyond: another scene, or another ground truth
THEIR_TRANSLATION, THEIR_ROTATION = f"published_{TRANSLATION}", f"published_{ROTATION}"
DISTANCE, ANGLE = "distance_m", "angle_deg"
FIGURES = [TRANSLATION, ROTATION, THEIR_TRANSLATION, THEIR_ROTATION, DISTANCE, ANGLE]


def compare_predictions(
    predictions_file: str | Path, published_file: str | Path, comparison_file: str | Path
) -> None:
    """Write the errors of our and of the published estimates of one scene's queries.

    Ours is the estimate of the first edge. Queries are matched by ``match_queries``; those in one
    of the files alone are counted and left out.

    Args:
        predictions_file: ours, see ``metrics.score_poses``.
        published_file: theirs, see ``read_published_predictions``.
        comparison_file: CSV to write, a row per query of both: ``query``, our errors and theirs
            (``translation_error_m``, ``rotation_error_deg``, ``published_...``), ours minus theirs
            (``..._difference_...``; empty where both failed), and distance and angle between the
            two estimates. Failed estimates are infinitely wrong and infinitely far.

    Raises:
        InputError: a file cannot be read, no query is in both, or the two ground truths of a query
            differ by more than SAME_TRUTH_M or SAME_TRUTH_DEG.
    """
    own, published = read_predictions(predictions_file), read_published_predictions(published_file)
    mine, theirs = match_queries(own, published)
    _report_matches(len(mine), own, published, predictions_file, published_file)
    own = {name: own[name][mine] for name in ("rel_path", "abs_t", "abs_q", "targ_t", "targ_q")}
    published = {name: published[name][theirs] for name in own if name != "rel_path"}
    _check_truths(own, published, predictions_file, published_file)
    comparison = _compare(own, published)
    with atomic_path(comparison_file) as partial:
        comparison.to_csv(partial, index=False, float_format="%.9g")
    medians = [np.median(comparison[name]) for name in FIGURES]
    logger.info("ours: %.3f m, %.2f degrees; published: %.3f m, %.2f degrees", *medians[:4])
    logger.info("between the two estimates: %.3f m, %.2f degrees (medians)", *medians[4:])


def _report_matches(
    count: int,
    own: Mapping[str, np.ndarray],
    published: Mapping[str, np.ndarray],
    predictions_file: str | Path,
    published_file: str | Path,
) -> None:
    """Log how many queries are in one file alone.

    Raises:
        InputError: all are.
    """
    alone = len(own["targ_t"]) - count, len(published["targ_t"]) - count
    if count == 0:
        examples = [
            str(arrays["rel_path"][0]) for arrays in (own, published) if "rel_path" in arrays
        ]
        raise InputError(
            f"{published_file}: none of its {alone[1]} queries is among the {alone[0]} of "
            f"{predictions_file}, neither by name (such as {', '.join(examples)}) nor by true "
            "pose; check that both are of one scene"
        )
    logger.info("%d queries in both files", count)
    for number, path in zip(alone, (predictions_file, published_file), strict=True):
        if number:
            logger.warning("%d queries are in %s alone and are left out", number, path)


def _check_truths(
    own: Mapping[str, np.ndarray],
    published: Mapping[str, np.ndarray],
    predictions_file: str | Path,
    published_file: str | Path,
) -> None:
    """Check that both files have the same true poses.

    Raises:
        InputError: they differ.
    """
    distance = translation_error(own["targ_t"], published["targ_t"])
    with np.errstate(invalid="ignore"):
        angle = rotation_error_deg(own["targ_q"], published["targ_q"])
    same = (distance <= SAME_TRUTH_M) & (angle <= SAME_TRUTH_DEG)  # NaN is not the same
    if not same.all():
        first = int(np.flatnonzero(~same)[0])
        raise InputError(
            f"{published_file}: the true pose of {own['rel_path'][first]} is {distance[first]:.3g} "
            f"m and {angle[first]:.3g} degrees off that in {predictions_file} ({(~same).sum()} of "
            f"{len(same)} queries differ), expected at most {SAME_TRUTH_M} m and {SAME_TRUTH_DEG} "
            "degrees: another scene or another ground truth"
        )


def _compare(own: Mapping[str, np.ndarray], published: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return the rows of the comparison, queries of both in one order."""
    ours = _errors(own, own)
    theirs = _errors(published, published)
    between = _errors(own, {"targ_t": published["abs_t"], "targ_q": published["abs_q"]})
    with np.errstate(invalid="ignore"):  # both infinite: no difference can be told
        differences = [mine - their for mine, their in zip(ours, theirs, strict=True)]
    columns = ["translation_difference_m", "rotation_difference_deg"]
    figures = dict(zip(FIGURES, (*ours, *theirs, *between), strict=True))
    comparison = pd.DataFrame({"query": own["rel_path"], **figures})
    for position, (name, difference) in enumerate(zip(columns, differences, strict=True)):
        comparison.insert(5 + position, name, difference)
    return comparison


def _errors(
    estimates: Mapping[str, np.ndarray], truths: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return metres and degrees between estimates and truths, both infinite where one failed."""
    with np.errstate(invalid="ignore"):  # a quaternion of zeros becomes NaN: failed
        metres = translation_error(estimates["abs_t"], truths["targ_t"])
        degrees = rotation_error_deg(estimates["abs_q"], truths["targ_q"])
    failed = ~(np.isfinite(metres) & np.isfinite(degrees))
    return np.where(failed, np.inf, metres), np.where(failed, np.inf, degrees)


def read_comparison(comparison_file: str | Path) -> pd.DataFrame:
    """Return the comparison of one scene, checked.

    Raises:
        InputError: columns are missing, there are no rows, or a figure is missing or negative.
    """
    comparison = read_csv(comparison_file, ["query", *FIGURES])
    wrong = ~(comparison[FIGURES] >= 0).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{comparison_file}: figures of row {row + 2} are "
            f"{comparison.loc[row, FIGURES].tolist()}, expected numbers >= 0, or inf for a failed "
            "query; compare again"
        )
    return comparison
