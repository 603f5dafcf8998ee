import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relposegnn.photos.confidence import (
    SimilarityScale,
    agreement,
    pair_spread,
    recognition,
    similarity_scale,
)
from relposegnn.poses import pose_from_quaternion, quaternion_from_matrix

SCALE = SimilarityScale(0.2, 0.8)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def quaternions(rotations: Rotation) -> np.ndarray:
    return quaternion_from_matrix(rotations.as_matrix())


def make_database(random, count=40):
    return pose_from_quaternion(
        random.standard_normal((count, 3)) * [4, 3, 1],
        quaternions(Rotation.random(count, rng=random)),
    )


def make_estimates(random, metres, degrees, queries=5, edges=7):
    """Return estimates (queries, edges) scattered around one pose each."""
    count = queries * edges
    small = Rotation.from_rotvec(np.radians(degrees) * random.standard_normal((count, 3)))
    centre = np.repeat(random.standard_normal((queries, 3)), edges, axis=0)
    translation = centre + metres * random.standard_normal((count, 3))
    return translation.reshape(queries, edges, 3), quaternions(small).reshape(queries, edges, 4)


def test_identical_estimates_agree_fully(random):
    estimates = make_estimates(random, 0, 0)
    np.testing.assert_allclose(agreement(*pair_spread(*estimates), make_database(random)), 1)


def test_estimates_as_scattered_as_the_database_do_not_agree(random):
    database = make_database(random)
    own = np.stack([random.permutation(40)[:30] for _ in range(20)])
    translation = database[own, :3, 3]
    spread = pair_spread(translation, quaternion_from_matrix(database[own, :3, :3]))
    assert agreement(*spread, database).max() < 0.2
    np.testing.assert_array_equal(agreement(spread[0] * 1.5, spread[1], database), 0)


@pytest.mark.parametrize(("metres", "degrees"), [(0.01, 40), (2.0, 0.1)])
def test_the_worse_of_translation_and_rotation_counts(random, metres, degrees):
    database = make_database(random)
    good = agreement(*pair_spread(*make_estimates(random, 0.01, 0.1)), database)
    bad = agreement(*pair_spread(*make_estimates(random, metres, degrees)), database)
    assert good.min() > 0.95 > 0.7 > bad.max()


def test_one_outlier_among_the_edges_hardly_matters(random):
    translation, quaternion = make_estimates(random, 0.01, 0.1)
    database = make_database(random)
    expected = agreement(*pair_spread(translation, quaternion), database)
    translation[:, 3] += 100
    found = agreement(*pair_spread(translation, quaternion), database)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_agreement_knows_no_metres_and_no_axes(random):
    database, (translation, quaternion) = make_database(random), make_estimates(random, 0.3, 10)
    expected = agreement(*pair_spread(translation, quaternion), database)
    assert 0 < expected.min() < expected.max() < 1
    turn, scale = Rotation.random(rng=random), 250.0
    moved = database.copy()
    moved[:, :3, :3] = turn.as_matrix() @ database[:, :3, :3]
    moved[:, :3, 3] = scale * turn.apply(database[:, :3, 3]) + [5, 6, 7]
    flat = Rotation.from_quat(quaternion.reshape(-1, 4)[:, [1, 2, 3, 0]])
    turned = quaternions(turn * flat).reshape(quaternion.shape)
    shifted = scale * turn.apply(translation.reshape(-1, 3)).reshape(translation.shape) + [5, 6, 7]
    np.testing.assert_allclose(agreement(*pair_spread(shifted, turned), moved), expected, atol=1e-9)


def test_estimate_that_is_not_finite_does_not_agree(random):
    translation, quaternion = make_estimates(random, 0.01, 0.1)
    translation[1, 0, 2] = np.nan
    found = agreement(*pair_spread(translation, quaternion), make_database(random))
    assert found[1] == 0
    assert np.delete(found, 1).min() > 0.9


def test_recognition_rises_from_unrelated_to_related():
    found = recognition(np.array([-0.3, 0.2, 0.5, 0.8, 1.0]), SCALE)
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(recognition(np.array([0.1, 1]), SimilarityScale(1, 1)), [1, 1])


def test_single_estimate_agrees_with_itself(random):
    spread = pair_spread(*make_estimates(random, 0.3, 10, edges=1))
    np.testing.assert_array_equal(agreement(*spread, make_database(random)), 1)


def test_database_at_one_spot_tells_coincidence_from_scatter(random):
    same = np.repeat(make_database(random, 1), 9, axis=0)
    found = agreement(np.array([0.0, 0.1]), np.array([0.0, 0.0]), same)
    np.testing.assert_array_equal(found, [1, 0])


def test_scale_of_planted_similarities(tmp_path):
    # Pairs of images: cosine 0.9 within a pair, 0.36 between any two of different pairs.
    pairs = 700
    common, own = 0.6, np.sqrt(0.54)
    rows = np.zeros((2 * pairs, 1 + 3 * pairs), np.float32)
    rows[:, 0] = common
    rows[np.arange(2 * pairs), 1 + np.arange(2 * pairs) // 2] = own
    rows[np.arange(2 * pairs), 1 + pairs + np.arange(2 * pairs)] = np.sqrt(1 - common**2 - 0.54)
    expected = SimilarityScale(0.36, 0.9)
    np.testing.assert_allclose(similarity_scale(rows), expected, atol=1e-5)
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["rows"] = rows
        np.testing.assert_allclose(similarity_scale(file["rows"]), expected, atol=1e-5)
