import h5py
import numpy as np
import pytest

from relposegnn.photos.confidence import (
    SimilarityScale,
    confidence,
    recognition,
    similarity_scale,
)
from relposegnn.scores.calibration import LEVELS, StatedErrors

SCALE = SimilarityScale(0.2, 0.8)
WITHIN = (0.2, 10.0)


def told(similarity=0.8, points=0, metres=0.2, degrees=0.1):
    """Return the confidence in one photo."""
    stated = StatedErrors(*(np.array([[sigma], [2 * sigma]]) for sigma in (metres, degrees)))
    found = confidence(np.array([similarity]), SCALE, np.array([points]), stated, WITHIN)
    return float(found[0])


def test_confidence_is_the_probability_to_be_within_the_limits():
    assert told(metres=0.2) == pytest.approx(LEVELS[0])
    assert told(metres=0.1) == pytest.approx(LEVELS[1])
    assert told(metres=0.001) == pytest.approx(1)
    assert told(metres=20) < 0.01


def test_the_less_sure_of_metres_and_degrees_counts():
    assert told(metres=0.1, degrees=10) == told(metres=0.2, degrees=5) == pytest.approx(LEVELS[0])


def test_a_pose_that_matches_do_not_refine_needs_recognition():
    assert told(similarity=0.5) == pytest.approx(0.5 * LEVELS[0])
    assert told(similarity=0.5, points=100) == pytest.approx(LEVELS[0])
    assert told(similarity=0.1) == 0
    assert told(similarity=0.1, points=100) == pytest.approx(LEVELS[0])


@pytest.mark.parametrize("points", [100, 0])
@pytest.mark.parametrize("unknown", [{"metres": np.nan}, {"degrees": np.nan}])
def test_where_no_error_is_stated_there_is_no_confidence(points, unknown):
    assert told(points=points, **unknown) == 0


def test_recognition_rises_from_unrelated_to_related():
    found = recognition(np.array([-0.3, 0.2, 0.5, 0.8, 1.0]), SCALE)
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(recognition(np.array([0.1, 1]), SimilarityScale(1, 1)), [1, 1])


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
