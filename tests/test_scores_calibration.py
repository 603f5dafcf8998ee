"""Stated errors: planted ones are covered as often as is stated, whatever their unit and spread."""

import json

import numpy as np
import pytest
from conftest import OWNED
from planted_errors import SHAPE, calibrate, covered, predictions, quaternions
from scipy.spatial.transform import Rotation

from relposegnn.estimates.predictions import (
    ALL_EDGES,
    DISTANCES,
    FIRST_EDGE,
    MATCHED,
    MOST_SIMILAR,
    REFINED,
    SOLVED,
)
from relposegnn.files.owners import Owner
from relposegnn.runtime import InputError
from relposegnn.scores.calibration import (
    DECADES,
    LEVELS,
    UNREFINED,
    Scale,
    StatedErrors,
    probability_within,
    read_calibration,
    read_calibration_file,
    share_within,
    stated_errors,
    write_calibration,
)


@pytest.mark.parametrize("estimator", [FIRST_EDGE, ALL_EDGES, REFINED, SOLVED])
def test_planted_errors_of_other_frames_are_covered_as_stated(tmp_path, estimator):
    """Of all, and of the sure and the unsure alone."""
    calibration = calibrate(tmp_path, predictions(refined=True))
    arrays = predictions(seed=1, refined=True)
    found = covered(arrays, estimator, calibration)
    sigma = stated_errors(arrays, estimator, calibration).metres[0]
    parts = np.ones(3000, dtype=bool), sigma < np.median(sigma), sigma >= np.median(sigma)
    for part in parts:
        np.testing.assert_allclose(found[0][:, part].mean(axis=1), LEVELS[0], atol=0.05)
        np.testing.assert_allclose(found[1][:, part].mean(axis=1), LEVELS[1], atol=0.03)


def test_what_is_told_comes_to_what_is_stated():
    scale = Scale([0.1, 0.5, 0.25, 1], [1.0, 2.0, 0.0, 0], (2, 1.5), (0.1, 1.0), 200, (9, 99), 4.0)
    pose, first = np.zeros((3, 3)), np.array([[0, 0, 0], [0, 2, 0], [0, 0, 4.0]])
    turns = Rotation.from_rotvec([[0, 0, 0], [0.1, 0, 0], [0, 1, 0]])
    arrays = {"robust_t": pose, "robust_q": quaternions(Rotation.identity(3))}
    arrays |= {"reference_t": first, "reference_q": quaternions(turns)}
    arrays |= {"spread_m": np.array([0, 0.4, 2]), "spread_deg": np.array([3, 0, np.nan])}
    arrays["similarity"] = np.array([1, 0.5, 1 + 1e-6])
    arrays["robust_distance"], arrays["robust_nearest"] = np.array([[1, 3, 1], [0, 0, 0.25]])
    metres, degrees = stated_errors(arrays, ALL_EDGES, {ALL_EDGES: scale})
    np.testing.assert_allclose(metres, np.outer([1, 2], [0.1, 2.4 + 3, 2.1]))
    np.testing.assert_allclose(degrees, np.outer([1, 1.5], [7.0, 3.0, np.nan]))
    scale = scale._replace(farther=(12.0, 1.0))  # by the root of a way that is .25 of 9 m
    metres, _ = stated_errors(arrays, ALL_EDGES, {ALL_EDGES: scale})
    np.testing.assert_allclose(metres, np.outer([1, 2], [0.1, 2.4 + 3, 2.1 * 3]))
    scale = scale._replace(corrections=([[0.1, 5.4], [0.5, 2], [3, 3]], []))
    metres, same = stated_errors(arrays, ALL_EDGES, {ALL_EDGES: scale})
    np.testing.assert_allclose(metres, [[0.05, 10.8, 12.6], [0.6, 2 + 9, 4 + 9]])
    np.testing.assert_allclose(same, np.outer([1, 1.5], [7.0, 3.0, np.nan]))


def regressed(distance, motion, spread):
    """Return the arrays of regressed poses, each of which comes from one image."""
    count = len(distance)
    arrays = {"robust_t": np.zeros((count, 3)), "reference_t": np.outer(motion, [1, 0, 0])}
    arrays |= dict.fromkeys(("robust_q", "reference_q"), np.tile([1.0, 0, 0, 0], (count, 1)))
    return arrays | {
        "robust_distance": np.array(distance),
        "robust_nearest": np.ones(count),
        "spread_m": np.full(count, spread),
        "spread_deg": np.full(count, 10.0 * spread),
        "similarity": np.full(count, 0.5),
    }


def test_beyond_the_usual_distance_of_features_errors_grow_with_its_square():
    scale = Scale([0, 0.5, 0, 0], [0, 1, 0, 0], (2, 2), (0.1, 1.0), 200, (99, 180), 3.0)
    arrays = regressed([1, 3, 6, 30], [0.2] * 4, 0.2)
    metres, degrees = stated_errors(arrays, ALL_EDGES, {ALL_EDGES: scale})
    np.testing.assert_allclose(metres[0], [0.1, 0.3, 1.2, 30])
    np.testing.assert_allclose(degrees[0], [2, 6, 24, 180])


def test_no_error_is_stated_to_be_larger_than_the_place(tmp_path):
    """Than to its farthest image from the nearest one; also of poses that matches do not refine."""
    scale = Scale([0, 0.5, 0, 0], [0, 1, 0, 0], (2, 2), (0.1, 1.0), 200, (4, 90), 3.0)
    stays = Scale([3], [3], (2, 2), (0.1, 1.0), 20, (4, 90))
    arrays = regressed([3, 30, 30], [0.2, 0.2, 1], 0.2)
    arrays |= {f"refined_{part}": arrays[f"robust_{part}"] for part in "tq"}
    arrays |= dict.fromkeys(MATCHED[REFINED].all(), np.zeros(3))
    calibration = {ALL_EDGES: scale, UNREFINED: stays}
    for estimator, near in ((ALL_EDGES, 1), (REFINED, 3)):
        metres, degrees = stated_errors(arrays, estimator, calibration)
        np.testing.assert_allclose(metres, [[0.3 * near, 4.2, 5], [0.6 * near, 4.2, 5]])
        np.testing.assert_allclose(degrees, [[6 * near, 90, 90], [12 * near, 90, 90]])


def test_the_usual_distance_of_features_is_that_of_frames_the_network_does_not_know(tmp_path):
    arrays, known = predictions(600), np.arange(600) >= 200
    for estimator, name in DISTANCES.items():
        arrays[name][known] = 1e3
        expected = np.quantile(arrays[name][:200], 0.9)
        assert calibrate(tmp_path, arrays, known)[estimator].usual == pytest.approx(expected)


def test_poses_that_stay_as_regressed_have_the_error_of_regressed_ones(tmp_path):
    arrays = predictions(refined=True)
    calibration = calibrate(tmp_path, arrays)
    stays = arrays["refined_points"] == 0
    regressed, refined = (
        np.stack(stated_errors(arrays, name, calibration)) for name in (ALL_EDGES, REFINED)
    )
    # Here they are no further off than others.
    np.testing.assert_allclose(refined[..., stays] / regressed[..., stays], 1, atol=0.1)
    assert (refined[..., ~stays] < regressed[..., ~stays]).mean() > 0.9
    del calibration[REFINED], calibration[UNREFINED]
    alone = np.stack(stated_errors(arrays, REFINED, calibration))
    np.testing.assert_array_equal(alone, regressed)
    arrays["refined_least_m"] = np.full(len(stays), 2.0)
    assert (stated_errors(arrays, REFINED, calibration).metres[:, ~stays] >= 1.8).all()
    assert np.isnan(stated_errors(arrays, REFINED, {})).all()


def farther(arrays, factor):
    """Return predictions whose poses that stay as regressed have errors times a factor."""
    stays = arrays["refined_points"] == 0
    for prefix in ("robust", "refined"):
        error = arrays[f"{prefix}_t"][stays] - arrays["targ_t"][stays]
        arrays[f"{prefix}_t"][stays] += (factor - 1) * error
    return arrays


def test_poses_that_stay_as_regressed_may_be_further_off_than_others(tmp_path):
    """Never nearer, by what is stated; and of regressed poses as such the scale is another."""
    far, near = (calibrate(tmp_path, farther(predictions(refined=True), f)) for f in (3, 0.3))
    arrays = farther(predictions(seed=1, refined=True), 3)
    stays = arrays["refined_points"] == 0
    shares = [covered(arrays, name, far)[:, 0, stays].mean(axis=1) for name in (REFINED, ALL_EDGES)]
    np.testing.assert_allclose(shares[0], LEVELS, atol=0.08)
    assert (shares[1] < np.array(LEVELS) - [0.1, 0.05]).all()
    refined, regressed = (
        np.stack(stated_errors(arrays, name, near))[..., stays] for name in (REFINED, ALL_EDGES)
    )
    np.testing.assert_array_equal(refined[0], regressed[0])


def test_nothing_is_stated_of_copied_poses(tmp_path):
    arrays = predictions(40)
    arrays |= {f"similar_{part}": arrays[f"abs_{part}"] for part in "tq"}
    calibration = calibrate(tmp_path, arrays)
    assert np.isnan(stated_errors(arrays, MOST_SIMILAR, calibration)).all()
    assert np.shape(stated_errors(arrays, MOST_SIMILAR, calibration)) == (2, 2, 40)


def test_errors_of_refined_poses_grow_with_the_way_to_the_first_neighbour(tmp_path):
    rng = np.random.default_rng(0)
    arrays = predictions(refined=True)
    arrays["refined_points"][:], arrays["refined_misfit"][:] = 50, 0.5
    arrays["refined_deviation_m"] = np.full(3000, 0.01)
    arrays["refined_deviation_deg"] = np.full(3000, 0.1)
    way = rng.uniform(0, 0.5, 3000)
    direction = rng.standard_normal((2, 3000, 3))
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    size = 0.01 * (1 + 4 * way) * rng.weibull(SHAPE, 3000)
    arrays["refined_t"] = arrays["targ_t"] + size[:, None] * direction[0]
    arrays["reference_t"] = arrays["refined_t"] + way[:, None] * direction[1]
    sigma = stated_errors(arrays, REFINED, calibrate(tmp_path, arrays)).metres[0]
    near, far = way < 0.1, way > 0.4
    assert np.median(sigma[far]) / np.median(sigma[near]) == pytest.approx(2.8 / 1.2, rel=0.15)
    for part in (near, far):
        assert np.mean(size[part] <= sigma[part]) == pytest.approx(LEVELS[0], abs=0.06)


def test_errors_of_refined_poses_grow_with_a_misfit_larger_than_usual(tmp_path):
    arrays = predictions(refined=True)
    calibration = calibrate(tmp_path, arrays)
    assert calibration[REFINED].usual == 0.5
    before = stated_errors(arrays, REFINED, calibration)
    arrays["refined_misfit"] *= np.resize([0.2, 1, 3], 3000)
    expected = np.where(arrays["refined_points"] > 0, np.resize([1, 1, 3], 3000), 1)
    for found, each in zip(stated_errors(arrays, REFINED, calibration), before, strict=True):
        np.testing.assert_allclose(found, expected * each)


def test_errors_are_no_less_than_their_lower_bounds(tmp_path):
    arrays = predictions(refined=True)
    calibration = calibrate(tmp_path, arrays)
    before = stated_errors(arrays, REFINED, calibration)
    least = np.resize([0, 1e-9, 0.05, 9], 3000)
    arrays["refined_least_m"], arrays["refined_least_deg"] = least, 10 * least
    found = stated_errors(arrays, REFINED, calibration)
    for unit, (own, told) in enumerate(zip(found, before, strict=True)):
        expected = np.maximum(told[0], [1, 10][unit] * least)
        assert (expected > told[0]).mean() > 0.2
        np.testing.assert_allclose(own[0], expected, rtol=0.1)  # they are corrected, too
        assert (own[1] >= told[1]).all()


@pytest.mark.parametrize("sigma", [0.02, 3.0])
@pytest.mark.parametrize("ratio", [1.3, 2.0, 2.7])
def test_errors_are_within_the_stated_ones_as_often_as_is_stated(sigma, ratio):
    stated = sigma * np.array([[1], [ratio]])
    for error, level in zip(stated, LEVELS, strict=True):
        np.testing.assert_allclose(share_within(error, stated), level)
    shares = [float(share_within(times * sigma, stated)[0]) for times in (0, 0.1, 0.7, 1.5, 9)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, pytest.approx(1, abs=1e-4))
    draws = np.random.default_rng(0).weibull(DECADES / np.log(ratio), 100_000)
    draws *= sigma / np.quantile(draws, LEVELS[0])  # sigma is not its unit
    assert float(share_within(1.5 * sigma, stated)[0]) == pytest.approx(
        np.mean(draws <= 1.5 * sigma), abs=0.01
    )


@pytest.mark.filterwarnings("error")
def test_unknown_errors_are_within_nothing_and_none_at_all_within_all():
    stated = np.array([np.nan, 0, np.inf]) * np.array([[1], [2]])
    np.testing.assert_array_equal(share_within(0.1, stated), [0, 1, 0])
    assert share_within(0.25, np.array([[0.2], [0.20005]])) == 1  # both near the place's extent


def test_both_parts_of_an_error_are_within_their_limits_as_the_less_sure_is():
    metres, degrees = np.array([0.1, 0.1, 0.2, np.nan]), np.array([5, 10, 5, 5.0])
    stated = StatedErrors(*(np.outer([1, 2], each) for each in (metres, degrees)))
    found = probability_within(stated, (0.2, 10.0))
    np.testing.assert_allclose(found, [LEVELS[1], LEVELS[0], LEVELS[0], 0])


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "3", '{"scales": {}}'),
        *(
            f'{{"dataset": "d", "scene": "room", "model": "m", "scales": {scales}}}'
            for scales in (
                *("[]", "3", '{"all edges": 3}', '{"all edges": {"metres": [1]}}'),
                *(
                    f'{{"{name}": {{"metres": [1], "degrees": [1], "ratios": [2, 2], '
                    '"median": [1, 1], "frames": 20}}'
                    for name in ("all edges", "copies")
                ),
            )
        ),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(tmp_path, text):
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(InputError, match=r"calibration\.json: cannot be read as a calibration"):
        read_calibration(tmp_path / "calibration.json")
    with pytest.raises(InputError, match=r"none\.json: cannot be read as a calibration"):
        read_calibration(tmp_path / "none.json")


def test_the_file_holds_the_scales_by_estimator(tmp_path):
    arrays = predictions(40)
    arrays["targ_t"][:], arrays["targ_q"][:] = 0, [1, 0, 0, 0]
    arrays["targ_t"][[3, 5], [0, 1]] = 1.8, 2.4
    arrays["targ_q"][7] = 3, 0, 3, 0  # of any length
    calibrate(tmp_path, arrays)
    contents = json.loads((tmp_path / "calibration.json").read_text())
    assert {name: contents.pop(name) for name in OWNED} == OWNED
    scales = contents.pop("scales")
    assert contents == {"held_out": []}
    assert scales.keys() == {FIRST_EDGE, ALL_EDGES}
    assert scales[ALL_EDGES].keys() == {*Scale._fields}
    assert scales[ALL_EDGES]["extent"] == pytest.approx([3, 90])
    assert scales[ALL_EDGES]["frames"] == 40


def test_the_file_tells_which_frames_were_held_out(tmp_path):
    file = tmp_path / "calibration.json"
    write_calibration(file, {}, Owner(**OWNED), np.array([7, 8]))
    np.testing.assert_array_equal(read_calibration_file(file)[1], [7, 8])
    told = json.loads(file.read_text())
    for rows in ([-1], [0.5], "none", None):
        file.write_text(json.dumps(told | {"held_out": rows}))
        with pytest.raises(InputError, match=r"calibration\.json: cannot be read"):
            read_calibration_file(file)


@pytest.mark.parametrize("told", [{"dataset": "e"}, {"scene": "hall"}, {"model": "n"}])
def test_a_calibration_of_another_scene_or_network_is_refused(tmp_path, told):
    calibrate(tmp_path, predictions(40))
    own = Owner(**OWNED)
    file = tmp_path / "calibration.json"
    assert read_calibration(file, own) == read_calibration(file)
    ((name, value),) = told.items()
    with pytest.raises(InputError, match=f"is of the {name} '{OWNED[name]}', expected '{value}'"):
        read_calibration(file, own._replace(**told))
