"""Yardsticks: poses from retrieval alone, without a network, which estimates have to beat.

Descriptors (N, D), unit rows, may be arrays or datasets of an open file: only the database rows
that a block of queries needs are in memory at once. Rankings (G, K) hold indices into the
database, most similar first.
"""

from pathlib import Path

import h5py
import numpy as np

from ..data.frames import Frames
from ..files.storage import check_scene, open_hdf5
from ..poses import nearest_rotation, quaternion_from_matrix
from ..retrieval.rankings import read_ranking
from ..runtime import InputError
from .predictions import AFFINE, MOST_SIMILAR, PREFIXES, arrays_of_poses

COMBINED = 20  # images in a combination, as in the literature
# Chosen on training frames of the real kitchen, each localised by the others: median errors are
# equal within 1 % from 0 to 0.003, and grow from 0.03 on.
RIDGE = 1e-3
QUERIES = 16  # at once: in a video, most of their similar images are the same

Descriptors = np.ndarray | h5py.Dataset


def yardstick_poses(
    frames_file: str | Path, neighbours_file: str | Path, descriptors_file: str | Path
) -> dict[str, np.ndarray]:
    """Return the poses of every test frame of a scene from retrieval alone.

    Camera centres (N, 3) in metres and quaternions (N, 4): ``similar_t``, ``similar_q`` of
    ``most_similar``, ``affine_t``, ``affine_q`` of ``affine_combination``.

    Raises:
        InputError: the files are not of one scene.
    """
    with Frames(frames_file) as frames, open_hdf5(descriptors_file, "descriptors") as file:
        check_scene(file, frames)
        ranking = read_ranking(neighbours_file, "test", frames).index
        database, queries = frames.poses("train"), file["test/descriptor"]
        counts = len(database), frames.count("test")
        described = len(file["train/descriptor"]), len(queries)
        if described != counts:
            raise InputError(
                f"{descriptors_file}: describes {described[0]} training and {described[1]} test "
                f"frames, expected the {counts[0]} and {counts[1]} in {frames_file}; describe and "
                "rank the frames again"
            )
        estimates = {
            MOST_SIMILAR: most_similar(ranking, database),
            AFFINE: affine_combination(queries, file["train/descriptor"], ranking, database),
        }
    arrays = {}
    for estimator, poses in estimates.items():
        quaternions = quaternion_from_matrix(poses[:, :3, :3])
        arrays |= arrays_of_poses(PREFIXES[estimator], poses[:, :3, 3], quaternions)
    return arrays


def most_similar(ranking: np.ndarray, database_poses: np.ndarray) -> np.ndarray:
    """Return the poses (G, 4, 4) of the best-ranked images; ``database_poses`` is (M, 4, 4)."""
    return np.asarray(database_poses, dtype=np.float64)[ranking[:, 0]]


def affine_combination(
    queries: Descriptors,
    database: Descriptors,
    ranking: np.ndarray,
    database_poses: np.ndarray,
    ridge: float = RIDGE,
) -> np.ndarray:
    """Return the poses (G, 4, 4) that combine those of the most similar images.

    They are the weighted sum of camera centres, and the rotation nearest to the weighted sum of
    rotations, with the weights of ``affine_weights`` (Torii, Sivic and Pajdla 2011; Sattler et al.
    2019).

    Args:
        queries: (G, D) unit descriptors.
        database: (M, D) unit descriptors.
        ranking: (G, K) indices; the first ``COMBINED`` count, or all if there are fewer.
        database_poses: (M, 4, 4) ``world_from_cam``.
        ridge: see ``affine_weights``.

    Raises:
        InputError: not every query has one ranking of at least one image.
    """
    chosen = ranking[:, :COMBINED]
    weights = affine_weights(queries, database, chosen, ridge)
    poses = np.asarray(database_poses, dtype=np.float64)[chosen]
    combined = most_similar(ranking, database_poses)
    origin = combined[:, None, :3, 3]  # differences keep the digits that large coordinates lose
    combined[:, :3, 3] += np.einsum("gk,gkd->gd", weights, poses[..., :3, 3] - origin)
    total = np.einsum("gk,gkij->gij", weights, poses[..., :3, :3])
    combined[:, :3, :3] = nearest_rotation(total)
    return combined


def affine_weights(
    queries: Descriptors, database: Descriptors, chosen: np.ndarray, ridge: float
) -> np.ndarray:
    """Return weights (G, k) that best approximate queries by database descriptors; rows sum to 1.

    They minimise |query - sum of weights x descriptors|^2 + ``ridge`` |weights|^2. The ridge keeps
    weights small if descriptors are nearly dependent.

    Args:
        queries: (G, D) descriptors.
        database: (M, D) descriptors.
        chosen: (G, k) indices into the database.
        ridge: above 0.

    Raises:
        InputError: not every query has one row of ``chosen``, of at least one image.
    """
    count, size = chosen.shape
    if count != len(queries) or size == 0:
        raise InputError(
            f"got {count} rankings of {size} images for {len(queries)} query descriptors, expected "
            "one ranking for each, of at least one image; rank the frames again"
        )
    # Stationary points of the Lagrangian: (gram + ridge) weights + multiplier = product, sum 1.
    system = np.ones((count, size + 1, size + 1))
    right = np.ones((count, size + 1, 1))
    for start in range(0, count, QUERIES):
        part = slice(start, start + QUERIES)
        products = _inner_products(queries[part], database, chosen[part])
        system[part, :size, :size], right[part, :size, 0] = products
    system[:, :size, :size] += ridge * np.eye(size)
    system[:, size, size] = 0
    return np.linalg.solve(system, right)[:, :size, 0]


def _inner_products(
    queries: np.ndarray, database: Descriptors, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return inner products of chosen images (n, k, k), and of these with the queries (n, k)."""
    needed, local = np.unique(chosen, return_inverse=True)
    local = local.reshape(chosen.shape)
    # One read per row: h5py can take all (increasing) indices at once, but far more slowly.
    rows = np.stack([database[index] for index in needed.tolist()])
    gram, product = rows @ rows.T, queries @ rows.T
    return gram[local[:, :, None], local[:, None, :]], np.take_along_axis(product, local, axis=1)
