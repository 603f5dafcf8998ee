"""Estimates without a network: planted combinations, and what must not change them."""

import h5py
import numpy as np
import pytest
from rankings import write_ranking
from scipy.spatial.transform import Rotation

from relposegnn.data.frames import Frames
from relposegnn.estimates import yardsticks
from relposegnn.estimates.yardsticks import (
    affine_combination,
    affine_weights,
    most_similar,
    yardstick_poses,
)
from relposegnn.files.storage import create_hdf5
from relposegnn.poses import pose_from_quaternion
from relposegnn.retrieval.rankings import Ranking
from relposegnn.runtime import InputError

SLIGHT = 1e-11  # a ridge that changes nothing
DATABASE, WIDTH, QUERIES = 70, 96, 3 * yardsticks.QUERIES + 5


def unit_rows(rows) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def database(rng) -> np.ndarray:
    return unit_rows(rng.standard_normal((DATABASE, WIDTH)))


@pytest.fixture
def ranking(rng) -> np.ndarray:
    """Return 30 images for each query, so that some have to be left out."""
    return np.stack([rng.permutation(DATABASE)[:30] for _ in range(QUERIES)]).astype(np.int32)


@pytest.fixture
def poses(rng) -> np.ndarray:
    """Return poses turned about z alone, by up to a radian; centres have few digits."""
    world_from_cam = np.tile(np.eye(4), (DATABASE, 1, 1))
    turns = [[0, 0, angle] for angle in rng.uniform(-1, 1, DATABASE)]
    world_from_cam[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    world_from_cam[:, :3, 3] = rng.integers(-300, 300, (DATABASE, 3)) / 64
    return world_from_cam


@pytest.fixture
def planted(rng) -> np.ndarray:
    """Return weights of each sign and sum 1, for the 20 best."""
    weights = rng.normal(0.05, 0.1, (QUERIES, 20))
    return weights + (1 - weights.sum(axis=1, keepdims=True)) / 20


@pytest.fixture
def queries(database, ranking, planted) -> np.ndarray:
    """Return the planted combinations of descriptors."""
    return np.einsum("gk,gkd->gd", planted, database[ranking[:, :20]])


def turned_by(poses: np.ndarray) -> np.ndarray:
    """Return the angles about z in radians."""
    return np.arctan2(poses[..., 1, 0], poses[..., 0, 0])


def test_most_similar_copies_the_best_ranked(ranking, poses):
    np.testing.assert_array_equal(most_similar(ranking, poses), poses[ranking[:, 0]])


def test_planted_combination_is_found(queries, database, ranking, poses, planted):
    weights = affine_weights(queries, database, ranking[:, :20], SLIGHT)
    np.testing.assert_allclose(weights, planted, atol=1e-8)
    found = affine_combination(queries, database, ranking, poses, SLIGHT)
    chosen = poses[ranking[:, :20]]
    centres = (planted[..., None] * chosen[..., :3, 3]).sum(axis=1)
    np.testing.assert_allclose(found[:, :3, 3], centres, atol=1e-7)
    angles = turned_by(chosen)
    sine, cosine = ((planted * part(angles)).sum(axis=1) for part in (np.sin, np.cos))
    np.testing.assert_allclose(turned_by(found), np.arctan2(sine, cosine), atol=1e-7)
    np.testing.assert_array_equal(found[:, 3], poses[ranking[:, 0], 3])


@pytest.mark.parametrize("rank", [0, 7, 19])
def test_a_query_that_is_a_database_image_gets_its_pose(database, ranking, poses, rank):
    itself = ranking[:, rank]
    found = affine_combination(database[itself], database, ranking, poses, SLIGHT)
    np.testing.assert_allclose(found, poses[itself], atol=1e-7)


def test_images_beyond_the_combined_ones_count_for_nothing(queries, database, ranking, poses):
    expected = affine_combination(queries[:1], database, ranking[:1], poses)
    unused = np.setdiff1d(np.arange(DATABASE), ranking[0, :20])
    database[unused], poses[unused] = np.nan, np.nan
    found = affine_combination(queries[:1], database, ranking[:1], poses)
    np.testing.assert_array_equal(found, expected)


def test_ridge_shrinks_weights_to_equal_ones():
    """Query e1, images e1 and e2, weights 1 - u and u: 2 u^2 + ridge ((1 - u)^2 + u^2) is least."""
    for ridge, u in ((SLIGHT, 0), (1, 1 / 4), (1e9, 1 / 2)):
        weights = affine_weights(np.eye(2)[:1], np.eye(2), np.array([[0, 1]]), ridge)
        np.testing.assert_allclose(weights, [[1 - u, u]], atol=1e-8)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_copies_in_the_database_do_no_harm(rng, database, poses, kind):
    """Of 20 images four are different, but for rounding; copies share what one would have had."""
    database, ranking = database.astype(kind), np.arange(20)[None]
    copies = np.tile(database[:4], (4, 1))
    database[4:20] = np.nextafter(copies, rng.choice([-1, 1], copies.shape).astype(kind))
    query = unit_rows(np.array([[0.4, 0.3, 0.2, 0.1]], kind) @ database[:4])
    weights = affine_weights(query, database, ranking, yardsticks.RIDGE)
    assert weights.sum() == pytest.approx(1, abs=1e-9)
    shares = weights.reshape(5, 4)
    np.testing.assert_allclose(shares, np.tile(shares[0], (5, 1)), rtol=0, atol=1e-3)
    alone = affine_weights(query, database, ranking[:, :4], yardsticks.RIDGE / 5)
    np.testing.assert_allclose(shares.sum(axis=0), alone[0], atol=1e-4)
    assert np.isfinite(affine_combination(query, database, ranking, poses)).all()


def test_nothing_but_copies_share_alike(database, poses):
    database[:20] = database[0]
    ranking = np.arange(20)[None]
    weights = affine_weights(database[30:31], database, ranking, yardsticks.RIDGE)
    np.testing.assert_allclose(weights, np.full((1, 20), 1 / 20), atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 19])
def test_fewer_ranked_images_than_usual(queries, database, ranking, poses, count):
    few = ranking[:, :count]
    weights = affine_weights(queries, database, few, yardsticks.RIDGE)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    found = affine_combination(queries, database, few, poses)
    centres = (weights[..., None] * poses[few][..., :3, 3]).sum(axis=1)
    np.testing.assert_allclose(found[:, :3, 3], centres, atol=1e-12)
    if count == 1:
        np.testing.assert_allclose(found, poses[few[:, 0]], atol=1e-12)


@pytest.mark.parametrize("ridge", [SLIGHT, yardsticks.RIDGE, 1.0])
def test_weights_sum_to_one(rng, database, ranking, ridge):
    elsewhere = unit_rows(rng.standard_normal((QUERIES, WIDTH)))
    weights = affine_weights(elsewhere, database, ranking[:, :20], ridge)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)


def test_estimates_turn_and_move_with_the_world(queries, database, ranking, poses):
    poses[:, :3, :3] = Rotation.random(DATABASE, rng=np.random.default_rng(1)).as_matrix()
    b_from_a = np.eye(4)
    b_from_a[:3, :3] = Rotation.from_rotvec([1.0, -1.5, 1.1]).as_matrix()
    b_from_a[:3, 3] = [30, -20, 10]
    here = affine_combination(queries, database, ranking, poses)
    there = affine_combination(queries, database, ranking, b_from_a @ poses)
    np.testing.assert_allclose(there, b_from_a @ here, atol=1e-9)


def test_centres_far_from_the_origin_keep_their_digits(queries, database, ranking, poses):
    here = affine_combination(queries, database, ranking, poses)
    far = np.array([477_000.0, 5_572_094.0, 120.0])
    poses[:, :3, 3] += far
    there = affine_combination(queries, database, ranking, poses)
    rounding = np.spacing(far) / 2  # of the sum alone
    assert (np.abs(there[:, :3, 3] - far - here[:, :3, 3]) <= rounding * 1.001).all()
    np.testing.assert_array_equal(there[:, :3, :3], here[:, :3, :3])


def test_descriptors_of_an_open_file(tmp_path, queries, database, ranking, poses):
    expected = affine_combination(queries, database, ranking, poses)
    with h5py.File(tmp_path / "descriptors.h5", "w") as file:
        file["test"], file["train"] = queries, database
        found = affine_combination(file["test"], file["train"], ranking, poses)
    np.testing.assert_array_equal(found, expected)


def test_a_database_is_read_a_block_of_queries_at_a_time(queries, database, ranking, monkeypatch):
    """Each row once a block, and no more at once than the block's queries rank."""
    blocks = []

    class Recorded:
        def __getitem__(self, index):
            blocks[-1].append(index)
            return database[index]

    products = yardsticks._inner_products
    monkeypatch.setattr(
        yardsticks, "_inner_products", lambda *given: blocks.append([]) or products(*given)
    )
    affine_weights(queries, Recorded(), ranking[:, :2], ridge=1e-3)
    size = yardsticks.QUERIES
    expected = [np.unique(ranking[i : i + size, :2]).tolist() for i in range(0, QUERIES, size)]
    assert blocks == expected
    assert len(blocks) == 4


@pytest.mark.parametrize(("rankings", "images"), [(QUERIES - 1, 20), (QUERIES, 0)])
def test_rankings_that_do_not_fit(queries, database, ranking, poses, rankings, images):
    message = f"got {rankings} rankings of {images} images for {QUERIES} query descriptors"
    with pytest.raises(InputError, match=message):
        affine_combination(queries, database, ranking[:rankings, :images], poses)


def write_files(folder, scene, ranking, described=12):
    """Write rankings and descriptors of the tiny scene; return the three files and the last."""
    rng = np.random.default_rng(3)
    database, queries = (unit_rows(rng.standard_normal((n, 40))) for n in (described, 5))
    files = scene.frames, folder / "neighbours.h5", folder / "descriptors.h5"
    with create_hdf5(files[1], "neighbours", {}) as file:
        write_ranking(file, "test", Ranking(ranking, np.zeros(ranking.shape)))
    with create_hdf5(files[2], "descriptors", {}) as file:
        file["train/descriptor"], file["test/descriptor"] = database, queries
    return files, queries, database


def test_poses_of_a_scenes_files(tiny_scene, tmp_path, rng):
    ranking = np.stack([rng.permutation(12)[:11] for _ in range(5)])
    files, queries, database = write_files(tmp_path, tiny_scene, ranking)
    found = yardstick_poses(*files)
    with Frames(tiny_scene.frames) as frames:
        poses = frames.poses("train")
    expected = {
        "similar": poses[ranking[:, 0]],
        "affine": affine_combination(queries, database, ranking, poses),
    }
    assert list(found) == ["similar_t", "similar_q", "affine_t", "affine_q"]
    for prefix, world_from_cam in expected.items():
        estimates = pose_from_quaternion(found[f"{prefix}_t"], found[f"{prefix}_q"])
        np.testing.assert_allclose(estimates, world_from_cam, atol=1e-9)


@pytest.mark.parametrize(
    ("rankings", "highest", "described", "message"),
    [
        (4, 0, 12, r"neighbours\.h5 \(.*, test\): has rankings for 4 frames, expected the 5 of"),
        (5, 12, 12, r"neighbours\.h5: test/index: found 0 to 12, expected integers from 0 to 11"),
        (5, 0, 13, r"descriptors\.h5: describes 13 training and 5 test .* expected the 12 and 5"),
        (5, 0, 11, r"descriptors\.h5: describes 11 training and 5 test .* expected the 12 and 5"),
    ],
)
def test_files_of_other_frames_are_refused(
    tiny_scene, tmp_path, rankings, highest, described, message
):
    ranking = np.zeros((rankings, 3), dtype=int)
    ranking[-1, -1] = highest
    files, _, _ = write_files(tmp_path, tiny_scene, ranking, described)
    with pytest.raises(InputError, match=message):
        yardstick_poses(*files)
