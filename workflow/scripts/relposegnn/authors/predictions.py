"""The authors' predictions, and which of their queries are ours.

A file holds the arrays that our own predictions files have too: ``rel_path`` (N), ``abs_t`` (N, 3)
and ``abs_q`` (N, 4) estimated, ``targ_t`` and ``targ_q`` true. How it names its queries is not
known: names are compared by sequence and frame, or else the true poses tell.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ..poses import rotation_error_deg
from ..runtime import InputError

logger = logging.getLogger(__name__)

NAMES, WIDTHS = "rel_path", {"abs_t": 3, "abs_q": 4, "targ_t": 3, "targ_q": 4}
SAME_FRAME_M, SAME_FRAME_DEG = 1e-4, 0.01  # true poses of one frame, written twice
IMAGE_FOLDERS = {"rgb", "color", "colour", "images"}  # between sequence and frame, in some copies
FILE_SUFFIX = re.compile(r"(\.color)?(\.(png|jpe?g|bmp|tiff?|ppm|webp))?$|\.pose\.txt$")
SHORTEST_QUATERNION = 1e-6  # below it has no direction


def read_authors_predictions(path: str | Path) -> dict[str, np.ndarray]:
    """Return the poses of the authors' predictions in float64, and ``rel_path`` where readable.

    Raises:
        InputError: the file cannot be read, lacks poses, they are no numbers, their counts differ,
            or a true pose is not finite or has a quaternion of zeros.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in WIDTHS if name in file.files}
            names = _text_names(file)
    except Exception as error:  # damaged bytes end in nearly every kind of exception
        raise InputError(f"{path}: cannot be read as npz ({error}); download it again") from error
    missing = [name for name in WIDTHS if name not in arrays]
    if missing:
        raise InputError(
            f"{path}: lacks {', '.join(missing)} (it holds {', '.join(arrays) or 'no poses'}); "
            "expected the authors' predictions; check authors.predictions in the configuration"
        )
    count = arrays["abs_t"].shape[0] if arrays["abs_t"].ndim else 0
    for name, width in WIDTHS.items():
        arrays[name] = _checked(arrays[name], (count, width), f"{path}: {name}")
    _check_truth(arrays, path)
    if len(names) == count:
        return {**arrays, NAMES: names}
    logger.warning("%s: %d names for %d queries cannot be used", path, len(names), count)
    return arrays


def _text_names(file: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the names of an npz file, none where they are no text."""
    try:
        names = np.ravel(file[NAMES])
    except (KeyError, ValueError):  # pickled objects, which are not read: that could run code
        return np.empty(0, dtype=str)
    return names[: len(names) if names.dtype.kind in "SU" else 0]


def _checked(array: np.ndarray, shape: tuple[int, int], label: str) -> np.ndarray:
    """Return poses in float64.

    Raises:
        InputError: they are no numbers, not of that shape, or none.
    """
    if array.dtype.kind not in "fiu":
        raise InputError(f"{label} holds values of type {array.dtype}, expected numbers")
    if array.shape != shape or not shape[0]:
        expected = f"({shape[0] or 'N'}, {shape[1]})"
        raise InputError(f"{label} has shape {array.shape}, expected {expected}")
    return array.astype(np.float64)


def _check_truth(arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Check the true poses.

    Raises:
        InputError: they are not finite, or a quaternion is of zeros.
    """
    truth = np.hstack([arrays["targ_t"], arrays["targ_q"]])
    lengths = np.linalg.norm(arrays["targ_q"], axis=1)
    wrong = ~(np.isfinite(truth).all(axis=1) & (lengths >= SHORTEST_QUATERNION))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: targ_t and targ_q of query {row} are {truth[row].tolist()} ({wrong.sum()} of "
            f"{len(wrong)} are so), expected finite numbers and a quaternion; download it again"
        )


def normalise_name(name: str | bytes) -> str:
    """Return sequence and frame of a query, the same for every way to write them.

    E.g. ``seq000003/frame000017`` of ``chess/seq-03/rgb/frame-000017.color.png``: the scene's
    folder and the suffixes of files are dropped, numbers padded.
    """
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    parts = [part for part in re.split(r"[\\/]+", text.lower().strip()) if part not in ("", ".")]
    parts = [part for part in parts if part not in IMAGE_FOLDERS] or [""]
    parts[-1] = FILE_SUFFIX.sub("", parts[-1], count=1)
    words = re.sub(r"[-_ ]", "", "/".join(parts[-2:])).replace("sequence", "seq")
    return re.sub(r"\d+", lambda digits: f"{int(digits[0]):06d}", words)


def match_queries(
    own: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of our queries are which of theirs: two index arrays of one length.

    Names decide where they find every query of ours. Otherwise true poses do, where they find
    more: equal within SAME_FRAME_M and SAME_FRAME_DEG, and to one frame of either file alone.
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
    """Return the pairs (2, M) of queries with one name, used once in either file."""
    once = [
        pd.Series([normalise_name(name) for name in names]).drop_duplicates(keep=False)
        for names in (own, theirs)
    ]
    _, first, second = np.intersect1d(*once, assume_unique=True, return_indices=True)
    pairs = np.array([once[0].index[first], once[1].index[second]])
    return pairs[:, np.argsort(pairs[0])]


def _match_poses(own: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the pairs (2, M) of queries with one true pose, had once in either file."""
    trees = [cKDTree(arrays["targ_t"]) for arrays in (own, theirs)]
    near = trees[0].sparse_distance_matrix(trees[1], SAME_FRAME_M, output_type="ndarray")
    with np.errstate(invalid="ignore"):  # a quaternion of zeros equals none
        angle = rotation_error_deg(own["targ_q"][near["i"]], theirs["targ_q"][near["j"]])
    pairs = np.array([near["i"], near["j"]])[:, angle <= SAME_FRAME_DEG]
    once = [np.bincount(side, minlength=side.max(initial=0) + 1)[side] == 1 for side in pairs]
    pairs = pairs[:, once[0] & once[1]]
    return pairs[:, np.argsort(pairs[0])]
