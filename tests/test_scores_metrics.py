"""Planted errors come out as planted medians, means and recall."""

import numpy as np
import pandas as pd
import pytest
from conftest import OWNED

from relposegnn.estimates.predictions import (
    AFFINE,
    ALL_EDGES,
    FIRST_EDGE,
    MOST_SIMILAR,
    REFERENCE,
    REFINED,
)
from relposegnn.runtime import InputError
from relposegnn.scores.metrics import (
    KEPT,
    ROTATION,
    TRANSLATION,
    WITHIN,
    read_scores,
    recall_column,
    score_poses,
    stated_columns,
    summarise,
)

METRES = np.array([0.01, 0.04, 0.20, 0.60])
DEGREES = np.array([1.0, 4.0, 9.0, 120.0])


def quaternions_about_axis(axis: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Return quaternions (N, 4) wxyz of rotations about one axis."""
    half = np.radians(degrees)[:, None] / 2
    return np.concatenate([np.cos(half), np.sin(half) * axis / np.linalg.norm(axis)], axis=1)


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Return predictions whose first edge is off by METRES and DEGREES, all edges by half."""
    axis, direction = np.array([1.0, -2.0, 0.5]), np.array([0.6, 0.0, -0.8])
    centres = np.random.default_rng(0).normal(size=(4, 3))
    start = np.array([10.0, 80.0, 170.0, 300.0])

    def off_by(metres, degrees):
        estimate = centres + metres[:, None] * direction
        return estimate, quaternions_about_axis(axis, start + degrees)

    first, every, reference = (
        off_by(METRES, DEGREES),
        off_by(METRES / 2, DEGREES / 2),
        off_by(METRES * 2, np.full(4, 15.0)),
    )
    return {
        "rel_path": np.array([f"seq-03/frame-{i:06d}" for i in range(4)]),
        "targ_t": centres,
        "targ_q": -quaternions_about_axis(axis, start),  # the sign of a quaternion means nothing
        "abs_t": first[0],
        "abs_q": first[1],
        "robust_t": every[0],
        "robust_q": every[1],
        "reference_t": reference[0],
        "reference_q": reference[1],
    }


def score(arrays, folder) -> pd.DataFrame:
    """Save, score and read back."""
    np.savez(folder / "predictions.npz", **arrays | OWNED)
    score_poses(folder / "predictions.npz", folder / "scores.csv")
    return read_scores(folder / "scores.csv", "room")


def test_planted_errors_are_found(arrays, tmp_path):
    scores = score(arrays, tmp_path)
    assert list(scores) == ["dataset", "scene", "query", "estimator", TRANSLATION, ROTATION]
    first = scores[scores["estimator"] == FIRST_EDGE]
    assert first["query"].tolist() == arrays["rel_path"].tolist()
    np.testing.assert_allclose(first[TRANSLATION], METRES, rtol=1e-6)
    np.testing.assert_allclose(first[ROTATION], DEGREES, rtol=1e-6)
    every = scores[scores["estimator"] == ALL_EDGES]
    np.testing.assert_allclose(every[TRANSLATION], METRES / 2, rtol=1e-6)
    reference = scores[scores["estimator"] == REFERENCE]
    np.testing.assert_allclose(reference[ROTATION], 15.0, rtol=1e-6)


def test_yardsticks_are_scored_first(arrays, tmp_path):
    for prefix, source in (("similar", "robust"), ("affine", "abs")):
        arrays |= {f"{prefix}_{part}": arrays[f"{source}_{part}"] for part in "tq"}
    scores = score(arrays, tmp_path)
    order = [MOST_SIMILAR, AFFINE, REFERENCE, FIRST_EDGE, ALL_EDGES]
    assert scores["estimator"].unique().tolist() == order
    by_name = scores.set_index("estimator")[TRANSLATION]
    np.testing.assert_allclose(by_name[MOST_SIMILAR], METRES / 2, rtol=1e-6)
    np.testing.assert_allclose(by_name[AFFINE], METRES, rtol=1e-6)


def test_summary_has_true_medians_and_recall(arrays, tmp_path):
    summary = summarise(score(arrays, tmp_path), [(0.05, 5.0), (0.5, 10.0)])
    first = summary.set_index("estimator").loc[FIRST_EDGE]
    assert first["median_translation_m"] == pytest.approx(0.12)  # between 0.04 and 0.20
    assert first["median_rotation_deg"] == pytest.approx(6.5)
    assert first["mean_translation_m"] == pytest.approx(METRES.mean())
    assert first["recall_5cm_5deg"] == 0.5
    assert first["recall_50cm_10deg"] == 0.75
    assert (first["queries"], first["failed"]) == (4, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("array", ["abs_t", "abs_q"])
def test_failed_query_counts_as_infinite(arrays, tmp_path, array, value):
    arrays[array][0] = value
    summary = summarise(score(arrays, tmp_path), [(0.05, 5.0)]).set_index("estimator")
    first = summary.loc[FIRST_EDGE]
    assert (first["queries"], first["failed"]) == (4, 1)
    assert first["median_translation_m"] == pytest.approx(0.40)  # of 0.04, 0.20, 0.60, inf
    assert np.isinf(first["mean_translation_m"])
    assert np.isinf(first["mean_rotation_deg"])
    assert first["recall_5cm_5deg"] == 0.25
    assert summary.loc[ALL_EDGES, "failed"] == 0


def test_quaternion_of_zeros_is_a_failure(arrays, tmp_path):
    arrays["abs_q"][2] = 0
    scores = score(arrays, tmp_path)
    first = scores[scores["estimator"] == FIRST_EDGE]
    assert np.isinf(first[ROTATION]).tolist() == [False, False, True, False]
    assert np.isinf(first[TRANSLATION]).tolist() == [False, False, True, False]


def test_recall_columns_are_named_by_their_thresholds():
    assert recall_column(0.05, 5.0) == "recall_5cm_5deg"
    assert recall_column(0.025, 2.5) == "recall_2.5cm_2.5deg"
    assert recall_column(5, 10) == "recall_500cm_10deg"


def test_queries_without_names_are_refused(arrays, tmp_path):
    arrays["rel_path"] = arrays["rel_path"][:3]
    with pytest.raises(
        InputError, match=r"predictions\.npz: has no names .* one per query in rel_"
    ):
        score(arrays, tmp_path)
    assert not (tmp_path / "scores.csv").exists()


def test_refined_poses_tell_how_many_were_kept(arrays, tmp_path):
    arrays |= {f"refined_{part}": arrays[f"robust_{part}"] for part in "tq"}
    arrays["refined_points"] = np.array([0, 31, 12, 0])
    np.savez(tmp_path / "refined.npz", **arrays | OWNED)
    score_poses(tmp_path / "refined.npz", tmp_path / "scores.csv")
    scores = read_scores(tmp_path / "scores.csv", "room")
    assert scores.loc[scores["estimator"] == REFINED, KEPT].tolist() == [1, 0, 0, 1]
    summary = summarise(scores, []).set_index("estimator")
    assert summary[KEPT].to_dict() == {REFERENCE: 0, FIRST_EDGE: 0, ALL_EDGES: 0, REFINED: 2}
    assert summary.loc[REFINED, "median_translation_m"] == pytest.approx(np.median(METRES) / 2)


def test_errors_within_the_stated_ones_are_counted(arrays, tmp_path):
    """Of queries whose error is stated; of the reference neighbour none is."""
    asked = []

    def stated(own, estimator):
        asked.append(estimator)
        np.testing.assert_array_equal(own["targ_t"], arrays["targ_t"])
        if estimator == REFERENCE:
            return np.full((2, 2, 4), np.nan)
        sigma = np.array([0.02, 0.02, 0.15, np.nan])
        return np.multiply.outer([[1, 2], [100, 200]], sigma)

    np.savez(tmp_path / "predictions.npz", **arrays | OWNED)
    score_poses(tmp_path / "predictions.npz", tmp_path / "scores.csv", stated)
    scores = read_scores(tmp_path / "scores.csv", "room")
    assert asked == [REFERENCE, FIRST_EDGE, ALL_EDGES]
    own = scores[scores["estimator"] == FIRST_EDGE]
    np.testing.assert_allclose(own["sigma_m"], [0.02, 0.02, 0.15, np.nan])
    np.testing.assert_allclose(own["sigma_deg"], [2, 2, 15, np.nan])
    np.testing.assert_allclose(own["sigma95_m"], [0.04, 0.04, 0.3, np.nan])
    np.testing.assert_allclose(own["sigma95_deg"], [4, 4, 30, np.nan])
    summary = summarise(scores, []).set_index("estimator")
    # Errors 0.01, 0.04, 0.20 m and 1, 4, 9 degrees beside 0.02, 0.02, 0.15 m and 2, 2, 15 degrees.
    expected = {"within_sigma_m": 1 / 3, "within_sigma_deg": 2 / 3}
    expected |= {"within_sigma95_m": 1, "within_sigma95_deg": 1}
    assert list(expected) == WITHIN
    assert summary.loc[FIRST_EDGE, WITHIN].to_dict() == pytest.approx(expected)
    assert summary.loc[REFERENCE, WITHIN].isna().all()


def test_where_no_errors_are_stated_none_are_counted(arrays, tmp_path):
    summary = summarise(score(arrays, tmp_path), [])
    assert summary[WITHIN].isna().all(axis=None)


def test_failed_queries_are_outside_the_errors_that_are_stated(arrays, tmp_path):
    arrays["abs_t"][0] = np.nan
    np.savez(tmp_path / "predictions.npz", **arrays | OWNED)
    stated = np.array([[[0.3], [0.6]], [[200.0], [400.0]]]) * np.ones(4)
    score_poses(tmp_path / "predictions.npz", tmp_path / "scores.csv", lambda *_: stated)
    summary = summarise(read_scores(tmp_path / "scores.csv", "room"), []).set_index("estimator")
    assert summary.loc[FIRST_EDGE, WITHIN].tolist() == [0.5, 0.75, 0.75, 0.75]


def test_no_rotation_is_stated_to_be_further_off_than_half_a_turn():
    stated = np.array([[[0.1, 9.0], [0.2, 18.0]], [[2.0, 100.0], [4.0, 250.0]]])
    assert stated_columns(stated).tolist() == [[0.1, 2, 0.2, 4], [9, 100, 18, 180]]
