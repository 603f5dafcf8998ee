"""Predictions as the authors published them, and which of their queries are ours.

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


def read_published_predictions(path: str | Path) -> dict[str, np.ndarray]:
    """Return the poses of published predictions in float64, and ``rel_path`` where readable.

    Names that are pickled objects are not read, since reading them could run code.

    Raises:
        InputError: the file cannot be read, lacks poses, they are no numbers, their counts differ,
            or the ground truth is not finite or has quaternions of zeros.
    """
    arrays = _load(path)
    missing = [name for name in WIDTHS if name not in arrays]
    if missing:
        raise InputError(
            f"{path}: lacks {', '.join(missing)} (it holds {', '.join(arrays) or 'nothing'}); "
            "expected published predictions; check published_predictions in the configuration"
        )
    count = arrays["abs_t"].shape[0] if arrays["abs_t"].ndim else 0
    for name, width in WIDTHS.items():
        arrays[name] = _checked(arrays[name], count, width, f"{path}: {name}")
    _check_truth(arrays, path)
    if NAMES in arrays and len(arrays[NAMES]) != count:
        names = arrays.pop(NAMES)
        logger.warning("%s: %d names for %d queries cannot be used", path, len(names), count)
    return arrays


def _checked(array: np.ndarray, count: int, width: int, label: str) -> np.ndarray:
    """Return poses in float64.

    Raises:
        InputError: they are no numbers, or not of shape (count, width).
    """
    if array.dtype.kind not in "fiu":
        raise InputError(f"{label} holds values of type {array.dtype}, expected numbers")
    if array.shape != (count, width) or not count:
        expected = f"({count or 'N'}, {width})"
        raise InputError(f"{label} has shape {array.shape}, expected {expected}")
    return array.astype(np.float64)


def _check_truth(arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Check the true poses.

    Raises:
        InputError: they are not finite, or a quaternion is of zeros.
    """
    if not all(np.isfinite(arrays[name]).all() for name in ("targ_t", "targ_q")):
        raise InputError(f"{path}: the ground truth (targ_t, targ_q) is not finite throughout")
    without = np.linalg.norm(arrays["targ_q"], axis=1) < SHORTEST_QUATERNION
    if without.any():
        row = int(np.flatnonzero(without)[0])
        raise InputError(
            f"{path}: targ_q of query {row} is {arrays['targ_q'][row].tolist()} ({without.sum()} "
            f"of {len(without)} are so), expected quaternions; download it again"
        )


def _load(path: str | Path) -> dict[str, np.ndarray]:
    """Return the known arrays of an npz file as they are, names only if they can be used.

    Raises:
        InputError: it cannot be read.
    """
    arrays = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in (name for name in WIDTHS if name in file.files):
                arrays[name] = file[name]
            arrays |= _load_names(file, path)
    except Exception as error:  # damaged bytes end in nearly every kind of exception
        raise InputError(f"{path}: cannot be read as npz ({error}); download it again") from error
    return arrays


def _load_names(file: Mapping[str, np.ndarray], path: str | Path) -> dict[str, np.ndarray]:
    """Return the names of an npz file, or nothing, with the reason logged."""
    try:
        names = np.ravel(file[NAMES])
    except (KeyError, ValueError) as error:
        logger.warning("%s: its names cannot be used (%s)", path, error)
        return {}
    if names.dtype.kind not in "SU":
        logger.warning("%s: %d names of type %s cannot be used", path, len(names), names.dtype)
        return {}
    return {NAMES: names}


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
    own: Mapping[str, np.ndarray], published: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of our queries are which of theirs: two index arrays of one length.

    Names decide where they find every query of ours. Otherwise true poses do, where they find
    more: equal within SAME_FRAME_M and SAME_FRAME_DEG, and to one frame of either file alone.
    """
    found = np.zeros((2, 0), dtype=int)
    if NAMES in published:
        found = _match_names(own[NAMES], published[NAMES])
    if found.shape[1] < len(own[NAMES]):
        by_pose = _match_poses(own, published)
        logger.info("matched %d queries by name, %d by pose", found.shape[1], by_pose.shape[1])
        found = max(found, by_pose, key=lambda pairs: pairs.shape[1])
    return found[0], found[1]


def _match_names(own: Sequence, published: Sequence) -> np.ndarray:
    """Return the pairs (2, M) of queries with one name, used once in either file."""
    own, published = (
        pd.Series([normalise_name(name) for name in names]).drop_duplicates(keep=False)
        for names in (own, published)
    )
    theirs = pd.Series(published.index, index=published.to_numpy()).reindex(own.to_numpy())
    known = theirs.notna().to_numpy()
    return np.array([own.index[known], theirs[known]], dtype=int)


def _match_poses(own: Mapping[str, np.ndarray], published: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the pairs (2, M) of queries with one true pose, had once in either file."""
    trees = [cKDTree(arrays["targ_t"]) for arrays in (own, published)]
    near = trees[0].sparse_distance_matrix(trees[1], SAME_FRAME_M, output_type="ndarray")
    with np.errstate(invalid="ignore"):  # a quaternion of zeros equals none
        angle = rotation_error_deg(own["targ_q"][near["i"]], published["targ_q"][near["j"]])
    pairs = np.array([near["i"], near["j"]])[:, angle <= SAME_FRAME_DEG]
    once = [np.bincount(side, minlength=side.max(initial=0) + 1)[side] == 1 for side in pairs]
    pairs = pairs[:, once[0] & once[1]]
    return pairs[:, np.argsort(pairs[0])]
