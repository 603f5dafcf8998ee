"""Our estimates beside the authors', query by query."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ..metrics import ROTATION, TRANSLATION, pose_arrays, pose_errors, read_csv, read_predictions
from ..runtime import InputError, atomic_path
from .predictions import NAMES, WIDTHS, match_queries, read_authors_predictions

logger = logging.getLogger(__name__)

SAME_TRUTH_M, SAME_TRUTH_DEG = 0.01, 0.5  # beyond: another scene, or another ground truth
THEIR_TRANSLATION, THEIR_ROTATION = f"authors_{TRANSLATION}", f"authors_{ROTATION}"
DISTANCE, ANGLE = "distance_m", "angle_deg"
FIGURES = [TRANSLATION, ROTATION, THEIR_TRANSLATION, THEIR_ROTATION, DISTANCE, ANGLE]


def compare_predictions(
    predictions_file: str | Path, authors_file: str | Path, comparison_file: str | Path
) -> None:
    """Write the errors of our and of the authors' estimates of one scene's queries.

    Ours is the estimate of the first edge. Queries are matched by ``match_queries``; those in one
    of the files alone are counted and left out.

    Args:
        predictions_file: ours, see ``metrics.score_poses``.
        authors_file: theirs, see ``read_authors_predictions``.
        comparison_file: CSV to write, a row per query of both: ``query``, our errors and theirs
            (``translation_error_m``, ``rotation_error_deg``, ``authors_...``), ours minus theirs
            (``..._difference_...``; empty where both failed), and distance and angle between the
            two estimates. Failed estimates are infinitely wrong and infinitely far.

    Raises:
        InputError: a file cannot be read, no query is in both, or the two ground truths of a query
            differ by more than SAME_TRUTH_M or SAME_TRUTH_DEG.
    """
    own, theirs = read_predictions(predictions_file), read_authors_predictions(authors_file)
    files = predictions_file, authors_file
    rows = match_queries(own, theirs)
    _report_matches(len(rows[0]), (own, theirs), files)
    own = {name: own[name][rows[0]] for name in (NAMES, *WIDTHS)}
    theirs = {name: theirs[name][rows[1]] for name in WIDTHS}
    _check_truths(own, theirs, files)
    comparison = _compare(own, theirs)
    with atomic_path(comparison_file) as partial:
        comparison.to_csv(partial, index=False, float_format="%.9g")
    medians = [np.median(comparison[name]) for name in FIGURES]
    logger.info("ours: %.3f m, %.2f degrees; the authors': %.3f m, %.2f degrees", *medians[:4])
    logger.info("between the two estimates: %.3f m, %.2f degrees (medians)", *medians[4:])


def _report_matches(
    count: int,
    both: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]],
    files: tuple[str | Path, str | Path],
) -> None:
    """Log how many queries are in one file alone.

    Raises:
        InputError: all are.
    """
    alone = [len(arrays["targ_t"]) - count for arrays in both]
    if count == 0:
        examples = [str(arrays[NAMES][0]) for arrays in both if NAMES in arrays]
        raise InputError(
            f"{files[1]}: none of its {alone[1]} queries is among the {alone[0]} of {files[0]}, "
            f"neither by name (such as {', '.join(examples)}) nor by true pose; check that both "
            "are of one scene"
        )
    logger.info("%d queries in both files", count)
    for number, path in zip(alone, files, strict=True):
        if number:
            logger.warning("%d queries are in %s alone and are left out", number, path)


def _check_truths(
    own: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    files: tuple[str | Path, str | Path],
) -> None:
    """Check that both files have the same true poses.

    Raises:
        InputError: they differ.
    """
    distance, angle = pose_errors(pose_arrays(own, "targ"), pose_arrays(theirs, "targ"))
    different = (distance > SAME_TRUTH_M) | (angle > SAME_TRUTH_DEG)
    if different.any():
        first = int(np.flatnonzero(different)[0])
        raise InputError(
            f"{files[1]}: the true pose of {own[NAMES][first]} is {distance[first]:.3g} m and "
            f"{angle[first]:.3g} degrees off that in {files[0]} ({different.sum()} of "
            f"{len(different)} queries differ), expected at most {SAME_TRUTH_M} m and "
            f"{SAME_TRUTH_DEG} degrees: another scene or another ground truth"
        )


def _compare(own: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return the rows of the comparison, queries of both in one order."""
    our_estimates, their_estimates = pose_arrays(own, "abs"), pose_arrays(theirs, "abs")
    ours = pose_errors(our_estimates, pose_arrays(own, "targ"))
    their = pose_errors(their_estimates, pose_arrays(theirs, "targ"))
    between = pose_errors(our_estimates, their_estimates)
    with np.errstate(invalid="ignore"):  # both infinite: no difference can be told
        difference = np.subtract(ours, their)
    return pd.DataFrame(
        {
            "query": own[NAMES],
            TRANSLATION: ours[0],
            ROTATION: ours[1],
            THEIR_TRANSLATION: their[0],
            THEIR_ROTATION: their[1],
            "translation_difference_m": difference[0],
            "rotation_difference_deg": difference[1],
            DISTANCE: between[0],
            ANGLE: between[1],
        }
    )


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
