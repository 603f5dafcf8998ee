"""A predictions file: true poses of a scene's queries, and estimates by several estimators."""

import logging
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..files.limits import check_npz, refuse_special_file
from ..files.owners import OfScene, Owner, check_owner
from ..runtime import InputError

logger = logging.getLogger(__name__)

# Estimators: from retrieval (copies of an image's pose, and a combination), then from the network.
MOST_SIMILAR, AFFINE = "most similar image", "affine combination"
REFERENCE, FIRST_EDGE, ALL_EDGES = "reference neighbour", "first edge", "all edges"
REFINED = "refined by matches"
SOLVED = "refined, focal length solved for"  # of photos, and of left-out frames treated as such
COPIES = [MOST_SIMILAR, REFERENCE]  # ratios are relative to the first that is there
# Estimates by the edge from the best-ranked neighbour, with different other images in the graph,
# see ``context``; not in predictions files.
OWN, ALONE, FOREIGN = "own neighbours", "alone", "foreign neighbours"

# Cosine of the descriptors of the query and of the best-ranked image, see ``graphs``.
SIMILARITY = "similarity"
NAMES = "rel_path"  # array of the queries' names
TRUTH = "targ"  # prefix of the two arrays of true poses; prefixes keep the published names
# Estimator -> prefix of its two arrays.
PREFIXES = {
    MOST_SIMILAR: "similar",
    AFFINE: "affine",
    REFERENCE: "reference",
    FIRST_EDGE: "abs",
    ALL_EDGES: "robust",
    REFINED: "refined",
    SOLVED: "solved",
}
WIDTHS = {"t": 3, "q": 4}  # suffix -> columns: camera centres, quaternions wxyz
EDGE_SPREADS = ["spread_m", "spread_deg"]  # how far the estimates of single edges lie apart
# Distance of the edges' features from those that the network knows, see ``KnownFeatures``.
DISTANCES = {FIRST_EDGE: "abs_distance", ALL_EDGES: "robust_distance"}
# Metres to the nearest database image that is not held out from training.
NEAREST = {FIRST_EDGE: "abs_nearest", ALL_EDGES: "robust_nearest"}
SHORTEST_QUATERNION = 1e-6  # a shorter one has no direction


class MatchedNames(NamedTuple):
    """Names of the arrays (N,) that describe refined poses, see ``refinement.Refined``.

    Attributes:
        points: number of matched points, 0 if the pose was not refined.
        deviations: in metres and degrees, from the curvature of the cost.
        misfit: of the matches.
        least: lower bounds of the errors, in metres and degrees.
    """

    points: str
    deviations: list[str]
    misfit: str
    least: list[str]

    @classmethod
    def of(cls, estimator: str) -> "MatchedNames":
        """Return the names of an estimator of ``MATCHED``."""
        prefix = PREFIXES[estimator]
        deviations, least = (
            [f"{prefix}_{part}_{unit}" for unit in ("m", "deg")] for part in ("deviation", "least")
        )
        return cls(f"{prefix}_points", deviations, f"{prefix}_misfit", least)

    def all(self) -> list[str]:
        """Return all names."""
        return [self.points, *self.deviations, self.misfit, *self.least]


MATCHED = {name: MatchedNames.of(name) for name in (REFINED, SOLVED)}
POINTS = MATCHED[REFINED].points
SINGLE = [SIMILARITY, *EDGE_SPREADS, *DISTANCES.values(), *NEAREST.values()]  # optional arrays (N,)
SINGLE += [name for names in MATCHED.values() for name in names.all()]


def present_estimators(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return the estimators whose poses are among the arrays of a predictions file."""
    return [name for name, prefix in PREFIXES.items() if f"{prefix}_t" in arrays]


def shown_estimator(estimators: Container[str]) -> str:
    """Return the estimator that figures show: refined poses if there are any."""
    return REFINED if REFINED in estimators else FIRST_EDGE


def copied_image(estimators: Container[str]) -> str | None:
    """Return the estimator, a copied pose, that ratios are relative to; None if there is none."""
    return next((name for name in COPIES if name in estimators), None)


def read_predictions(
    predictions_file: str | Path,
    estimators: Iterable[str] = (FIRST_EDGE,),
    owner: OfScene | None = None,
) -> dict[str, np.ndarray]:
    """Return true and estimated poses in float64, and ``rel_path`` if it names all queries.

    Poses of ``estimators`` are required; those of others in ``PREFIXES`` are read if they are
    there. The authors' files, which may lack names and an owner, are read too.

    Raises:
        InputError: the file cannot be read, lacks poses or holds none, poses are not numbers, their
            counts differ, a true pose is not finite or has a quaternion of zeros, or the file is
            not of the ``owner``.
    """
    path = Path(predictions_file)
    found, names, told = _read_npz(path)
    if owner is not None:
        check_owner(path, told, owner)
    known = [p for p in PREFIXES.values() if {f"{p}_t", f"{p}_q"} & found.keys()]
    prefixes = dict.fromkeys([TRUTH, *(PREFIXES[name] for name in estimators), *known])
    widths = {f"{p}_{part}": width for p in prefixes for part, width in WIDTHS.items()}
    single = [name for name in SINGLE if name in found]
    arrays = {name: found[name] for name in (*widths, *single) if name in found}
    points = [own.points for name, own in MATCHED.items() if f"{PREFIXES[name]}_t" in widths]
    wanted = [*widths, *points]
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


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, str]]:
    """Return the known arrays of an npz file, its names, and what it tells of its owner."""
    refuse_special_file(path)
    known = {f"{prefix}_{part}" for prefix in (TRUTH, *PREFIXES.values()) for part in WIDTHS}
    try:
        check_npz(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in known.union(SINGLE)}
            return arrays, _text_names(file), _told(file)
    except InputError:
        raise
    except Exception as error:  # damaged bytes end in nearly every kind of exception
        raise InputError(
            f"{path}: cannot be read as npz ({error}); make it again or download it again"
        ) from error


def predictions_owner(predictions_file: str | Path) -> Owner:
    """Return the owner of a file that ``read_predictions`` accepted; InputError if none is told."""
    with np.load(predictions_file, allow_pickle=False) as file:
        told = _told(file)
    if told.keys() != {"dataset", "scene", "model"}:
        raise InputError(
            f"{predictions_file}: does not name its data set, scene and model, expected what the "
            "prediction step of this version writes; predict again"
        )
    return Owner(**told, path=predictions_file)


def _told(file: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return what an npz file tells of its owner."""
    return {name: str(file[name]) for name in ("dataset", "scene", "model") if name in file}


def _text_names(file: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the names in an npz file; none if they are not text."""
    try:
        names = np.ravel(file[NAMES])
    except (KeyError, ValueError):  # ValueError: pickled objects, which could run code
        return np.empty(0, dtype=str)
    return names[: len(names) if names.dtype.kind in "SU" else 0]


def _checked(array: np.ndarray, shape: tuple[int, ...], label: str) -> np.ndarray:
    """Return an array in float64.

    Raises:
        InputError: it does not hold numbers, has another shape, or is empty.
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
        InputError: they are not finite, or a quaternion is zero.
    """
    truth = np.hstack(pose_arrays(arrays, TRUTH))
    lengths = np.linalg.norm(arrays["targ_q"], axis=1)
    wrong = ~(np.isfinite(truth).all(axis=1) & (lengths >= SHORTEST_QUATERNION))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: targ_t and targ_q of query {row} are {truth[row].tolist()} ({wrong.sum()} of "
            f"{len(wrong)} are wrong), expected finite numbers and a quaternion other than zero; "
            "check the poses of the scene, or download the authors' file again"
        )


def pose_arrays(arrays: Mapping[str, np.ndarray], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Return camera centres (N, 3) and quaternions (N, 4) of predictions, e.g. ``TRUTH``."""
    return arrays[f"{prefix}_t"], arrays[f"{prefix}_q"]


def arrays_of_poses(
    prefix: str, centres: np.ndarray, quaternions: np.ndarray
) -> dict[str, np.ndarray]:
    """Return poses as arrays of predictions, for ``pose_arrays``."""
    return {f"{prefix}_t": centres, f"{prefix}_q": quaternions}


def check_names(arrays: Mapping[str, np.ndarray], predictions_file: str | Path) -> None:
    """Check that the queries of predictions have names.

    Raises:
        InputError: they have none.
    """
    if NAMES not in arrays:
        raise InputError(
            f"{predictions_file}: has no names of its queries, expected one per query in {NAMES}; "
            "predict again"
        )
