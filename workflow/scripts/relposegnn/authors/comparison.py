"""Comparison of our estimates with the authors', query by query.

It is not known how the authors' files name their queries: they are matched by sequence and frame in
their names, or else by their true poses.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ..estimates.predictions import (
    FIRST_EDGE,
    NAMES,
    PREFIXES,
    TRUTH,
    check_names,
    pose_arrays,
    predictions_owner,
    read_predictions,
)
from ..files.csv_files import write_errors
from ..poses import rotation_error_deg
from ..runtime import InputError
from ..scores.metrics import ROTATION, TRANSLATION, pose_errors

logger = logging.getLogger(__name__)

SAME_FRAME_M, SAME_FRAME_DEG = 1e-4, 0.01  # poses this close are of the same frame
SAME_TRUTH_M, SAME_TRUTH_DEG = 0.01, 0.5  # beyond: another scene, or another ground truth
IMAGE_FOLDERS = {"rgb", "color", "colour", "images"}  # between sequence and frame, in some copies
FILE_SUFFIX = re.compile(r"(\.color)?(\.(png|jpe?g|bmp|tiff?|ppm|webp))?$|\.pose\.txt$")
FIGURES = [  # columns of the comparison: our errors, theirs, and between the two estimates
    *(TRANSLATION, ROTATION),
    *(f"authors_{TRANSLATION}", f"authors_{ROTATION}"),
    *("distance_m", "angle_deg"),
]

Predictions = Mapping[str, np.ndarray]  # see ``predictions.read_predictions``


def compare_predictions(
    predictions_file: str | Path, authors_file: str | Path, comparison_file: str | Path
) -> None:
    """Write the errors of our estimates and the authors' for one scene's queries.

    Ours are the estimates of the first edge. Queries are matched by ``match_queries``; those in
    only one of the files are counted and left out.

    Args:
        predictions_file: ours, see ``metrics.score_poses``.
        authors_file: theirs, with the same arrays of the first edge, maybe without names.
        comparison_file: CSV to write, a row per query in both files: ``query``, our errors and
            theirs (``translation_error_m``, ``rotation_error_deg``, ``authors_...``), ours minus
            theirs (``..._difference_...``; empty if both failed), and distance and angle between
            the two estimates. Errors and distances of failed estimates are infinite.

    Raises:
        InputError: a file cannot be read, ours has no names, no query is in both files, or the two
            true poses of a query differ by more than SAME_TRUTH_M or SAME_TRUTH_DEG.
    """
    files = predictions_file, authors_file
    both = [read_predictions(file) for file in files]
    check_names(both[0], predictions_file)
    rows = match_queries(*both)
    if not len(rows[0]):
        examples = [str(arrays[NAMES][0]) for arrays in both if NAMES in arrays]
        raise InputError(
            f"{authors_file}: none of its {len(both[1]['targ_t'])} queries is among the "
            f"{len(both[0]['targ_t'])} of {predictions_file}, neither by name (such as "
            f"{', '.join(examples)}) nor by true pose; check that both are of the same scene"
        )
    logger.info("%d queries in both files", len(rows[0]))
    for arrays, matched, file in zip(both, rows, files, strict=True):
        if alone := len(arrays["targ_t"]) - len(matched):
            logger.warning("%d queries are only in %s and are left out", alone, file)
    own, theirs = (
        {name: array[matched] for name, array in arrays.items()}
        for arrays, matched in zip(both, rows, strict=True)
    )
    _check_truths(own, theirs, files)
    comparison = _compare(own, theirs)
    write_errors(comparison_file, comparison, predictions_owner(predictions_file))
    medians = [np.median(comparison[name]) for name in FIGURES]
    logger.info("ours: %.3f m, %.2f degrees; the authors': %.3f m, %.2f degrees", *medians[:4])
    logger.info("between the two estimates: %.3f m, %.2f degrees (medians)", *medians[4:])


def _check_truths(
    own: Predictions, theirs: Predictions, files: tuple[str | Path, str | Path]
) -> None:
    """Check that both files have the same true poses.

    Raises:
        InputError: they differ.
    """
    distance, angle = pose_errors(pose_arrays(own, TRUTH), pose_arrays(theirs, TRUTH))
    different = (distance > SAME_TRUTH_M) | (angle > SAME_TRUTH_DEG)
    if different.any():
        first = int(np.flatnonzero(different)[0])
        raise InputError(
            f"{files[1]}: the true pose of {own[NAMES][first]} is {distance[first]:.3g} m and "
            f"{angle[first]:.3g} degrees off that in {files[0]} ({different.sum()} of "
            f"{len(different)} queries differ), expected at most {SAME_TRUTH_M} m and "
            f"{SAME_TRUTH_DEG} degrees: another scene or another ground truth"
        )


def _compare(own: Predictions, theirs: Predictions) -> pd.DataFrame:
    """Return the rows of the comparison; both files' queries are in the same order."""
    our_estimates, their_estimates = (
        pose_arrays(each, PREFIXES[FIRST_EDGE]) for each in (own, theirs)
    )
    ours = pose_errors(our_estimates, pose_arrays(own, TRUTH))
    others = pose_errors(their_estimates, pose_arrays(theirs, TRUTH))
    with np.errstate(invalid="ignore"):  # both infinite: the difference is unknown, NaN
        differences = np.subtract(ours, others)
    names = [*FIGURES[:4], "translation_difference_m", "rotation_difference_deg", *FIGURES[4:]]
    figures = [*ours, *others, *differences, *pose_errors(our_estimates, their_estimates)]
    return pd.DataFrame({"query": own[NAMES], **dict(zip(names, figures, strict=True))})


def normalise_name(name: str | bytes) -> str:
    """Return a query's sequence and frame, normalised so that all spellings become equal.

    E.g. ``chess/seq-03/rgb/frame-000017.color.png`` becomes ``seq000003/frame000017``: the scene's
    folder and suffixes are dropped, numbers are padded.
    """
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    parts = [part for part in re.split(r"[\\/]+", text.lower().strip()) if part not in ("", ".")]
    parts = [part for part in parts if part not in IMAGE_FOLDERS] or [""]
    parts[-1] = FILE_SUFFIX.sub("", parts[-1], count=1)
    words = re.sub(r"[-_ ]", "", "/".join(parts[-2:])).replace("sequence", "seq")
    return re.sub(r"\d+", lambda digits: f"{int(digits[0]):06d}", words)


def match_queries(own: Predictions, theirs: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return which of our queries are which of theirs: two index arrays of equal length.

    Names decide if they match all queries of ours, or at least as many as true poses do. True poses
    match if they are equal within SAME_FRAME_M and SAME_FRAME_DEG, and to no other frame of either
    file.
    """
    found = np.zeros((2, 0), dtype=int)
    if NAMES in theirs:
        found = _match_names(own[NAMES], theirs[NAMES])
    if found.shape[1] < len(own[NAMES]):
        by_pose = _match_poses(own, theirs)
        logger.info("matched %d queries by name, %d by pose", found.shape[1], by_pose.shape[1])
        found = max(found, by_pose, key=lambda pairs: pairs.shape[1])
    return found[0], found[1]


def _match_names(own: Sequence, theirs: Sequence) -> np.ndarray:
    """Return the pairs (2, M) of queries with the same name, used only once in either file."""
    once = [
        pd.Series([normalise_name(name) for name in names]).drop_duplicates(keep=False)
        for names in (own, theirs)
    ]
    _, first, second = np.intersect1d(*once, assume_unique=True, return_indices=True)
    pairs = np.array([once[0].index[first], once[1].index[second]])
    return pairs[:, np.argsort(pairs[0])]


def _match_poses(own: Predictions, theirs: Predictions) -> np.ndarray:
    """Return the pairs (2, M) of queries with the same true pose, unique in either file."""
    (our_centres, ours), (their_centres, others) = (
        pose_arrays(arrays, TRUTH) for arrays in (own, theirs)
    )
    trees = cKDTree(our_centres), cKDTree(their_centres)
    near = trees[0].sparse_distance_matrix(trees[1], SAME_FRAME_M, output_type="ndarray")
    with np.errstate(invalid="ignore"):  # a quaternion of zeros, NaN, equals no other
        angle = rotation_error_deg(ours[near["i"]], others[near["j"]])
    pairs = np.array([near["i"], near["j"]])[:, angle <= SAME_FRAME_DEG]
    once = [np.bincount(side, minlength=side.max(initial=0) + 1)[side] == 1 for side in pairs]
    pairs = pairs[:, once[0] & once[1]]
    return pairs[:, np.argsort(pairs[0])]
