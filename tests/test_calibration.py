"""Stated errors: planted ones are covered as often as is stated, whatever their unit and spread."""

import json

import numpy as np
import pytest
from conftest import OWNED
from scipy.spatial.transform import Rotation

from relposegnn.calibration import (
    DECADES,
    LEVELS,
    UNREFINED,
    USUAL_RATIO,
    Scale,
    StatedErrors,
    probability_within,
    read_calibration,
    share_within,
    stated_errors,
)
from relposegnn.error_scales import FEWEST, LeftOutPredictions, calibrate_errors
from relposegnn.metrics import score_poses
from relposegnn.owners import Owner
from relposegnn.poses import quaternion_from_matrix
from relposegnn.predictions import ALL_EDGES, FIRST_EDGE, MOST_SIMILAR, REFINED
from relposegnn.runtime import InputError

SHAPE = DECADES / np.log(USUAL_RATIO)  # of the Weibull distribution that has the usual ratio
PREFIX = {FIRST_EDGE: "abs", ALL_EDGES: "robust", REFINED: "refined"}


def turned_and_shifted(rng, poses, metres, degrees):
    """Return centres (N, 3) and rotations this far from others, in any direction."""
    direction = rng.standard_normal((2, len(metres), 3))
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    turn = Rotation.from_rotvec(np.radians(degrees)[:, None] * direction[1])
    return poses[0] + metres[:, None] * direction[0], poses[1] * turn


def quaternions(rotations):
    return quaternion_from_matrix(rotations.as_matrix())


PLANTED = {"metres": [0.01, 0.5, 0.2], "degrees": [0.3, 1.0, 0.1]}  # of a constant, spread, motion


def predictions(count=3000, seed=0, refined=False, factor=1.0):
    """Return predictions whose errors are what is told of them, times factors and draws.

    Of refined poses, the first third stay as regressed; those of others are nearer.
    """
    rng = np.random.default_rng(seed)
    spread, motion = rng.lognormal(np.log([[0.1], [0.3]]), 0.8, (2, count))
    told = np.stack([np.ones(count), spread, motion], axis=1)
    told = {"metres": told, "degrees": told * [1, 20, 40]}
    distance = rng.lognormal(0, 0.5, count)
    sizes = [factor * distance * (told[unit] @ PLANTED[unit]) for unit in PLANTED]
    truth = np.zeros((count, 3)), Rotation.identity(count)
    arrays = {"targ_t": truth[0], "targ_q": quaternions(truth[1])}
    arrays["rel_path"] = np.array([f"seq-01/{number}" for number in range(count)])
    draws = rng.weibull(SHAPE, (2, count))
    pose = turned_and_shifted(rng, truth, sizes[0] * draws[0], sizes[1] * draws[1])
    first = turned_and_shifted(rng, pose, motion, 40 * motion)
    for prefix, (centres, rotations) in (("abs", pose), ("robust", pose), ("reference", first)):
        arrays |= {f"{prefix}_t": centres.copy(), f"{prefix}_q": quaternions(rotations)}
    arrays |= {"spread_m": spread, "spread_deg": 20 * spread}
    arrays |= {"abs_distance": distance, "robust_distance": distance}
    if refined:
        deviation = rng.lognormal(np.log(0.005), 0.8, count)
        draws = factor * 2 * rng.weibull(1.2, (2, count))
        near = turned_and_shifted(rng, truth, deviation * draws[0], 30 * deviation * draws[1])
        stays = np.arange(count) < count // 3
        told = np.where(stays, 3**0.5 * spread, deviation)
        arrays |= {"refined_deviation_m": told, "refined_deviation_deg": 20 * told}
        arrays["refined_points"] = np.where(stays, 0, 50)
        arrays["refined_misfit"] = np.where(stays, np.nan, 0.5)
        for part, own in (("t", near[0]), ("q", quaternions(near[1]))):
            arrays[f"refined_{part}"] = np.where(stays[:, None], arrays[f"robust_{part}"], own)
    return arrays


def calibrate(folder, arrays, known=False, fellows=()):
    """Return the calibration by predictions of left-out frames, some of which may be known.

    Fellows are predictions of other scenes, and which of their frames are known.
    """
    left_out = []
    for number, (own, seen) in enumerate([(arrays, known), *fellows]):
        np.savez(folder / f"predictions-{number}.npz", **own | OWNED)
        seen = np.broadcast_to(seen, len(own["targ_t"]))
        left_out.append(LeftOutPredictions(folder / f"predictions-{number}.npz", seen))
    calibrate_errors(left_out[0], folder / "calibration.json", left_out[1:])
    return read_calibration(folder / "calibration.json")


def covered(arrays, estimator, calibration):
    """Return which errors in metres, degrees are within the stated ones (levels, 2, N)."""
    stated = np.stack(stated_errors(arrays, estimator, calibration), axis=1)
    centres, quaternions = (arrays[f"{PREFIX[estimator]}_{part}"] for part in "tq")
    turns = Rotation.from_quat(quaternions, scalar_first=True).magnitude()
    errors = np.stack([np.linalg.norm(centres, axis=1), np.degrees(turns)])
    return errors <= stated


@pytest.mark.parametrize("estimator", [FIRST_EDGE, ALL_EDGES, REFINED])
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


def test_planted_factors_are_found_but_for_a_common_one(tmp_path):
    scale = calibrate(tmp_path, predictions())[ALL_EDGES]
    for unit, factors in PLANTED.items():
        ratio = np.divide(getattr(scale, unit), factors)
        np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.3)


def test_what_is_told_comes_to_what_is_stated():
    scale = Scale([0.1, 0.5, 0.25], [1.0, 2.0, 0.0], (2, 1.5), (0.1, 1.0), 200)
    pose, first = np.zeros((3, 3)), np.array([[0, 0, 0], [0, 2, 0], [0, 0, 4.0]])
    turns = Rotation.from_rotvec([[0, 0, 0], [0.1, 0, 0], [0, 1, 0]])
    arrays = {"robust_t": pose, "robust_q": quaternions(Rotation.identity(3))}
    arrays |= {"reference_t": first, "reference_q": quaternions(turns)}
    arrays |= {"spread_m": np.array([0, 0.4, 2]), "spread_deg": np.array([3, 0, np.nan])}
    arrays["robust_distance"] = np.array([1, 3, 1])
    metres, degrees = stated_errors(arrays, ALL_EDGES, {ALL_EDGES: scale})
    np.testing.assert_allclose(metres, np.outer([1, 2], [0.1, 2.4, 2.1]))
    np.testing.assert_allclose(degrees, np.outer([1, 1.5], [7.0, 3.0, np.nan]))


def test_the_factors_grow_as_the_errors_do(tmp_path):
    one, three = (
        calibrate(tmp_path, predictions(refined=True, factor=factor)) for factor in (1, 3)
    )
    for name in (FIRST_EDGE, ALL_EDGES, REFINED):
        np.testing.assert_allclose(three[name].median, 3 * np.array(one[name].median), rtol=0.05)
        assert three[name].frames == (2000 if name == REFINED else 3000)
    arrays = predictions(seed=1, refined=True)
    for name in (ALL_EDGES, REFINED):
        ratio = np.divide(*(np.stack(stated_errors(arrays, name, each)) for each in (one, three)))
        np.testing.assert_allclose(np.median(ratio, axis=2), 1 / 3, rtol=0.1)


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
    np.testing.assert_array_equal(alone[..., stays], regressed[..., stays])
    assert np.isnan(alone[..., ~stays]).all()


def farther(arrays, factor):
    """Return predictions whose poses that stay as regressed have errors times a factor."""
    stays = arrays["refined_points"] == 0
    for prefix in ("robust", "refined"):
        arrays[f"{prefix}_t"][stays] *= factor
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


@pytest.mark.parametrize(("unknown", "told"), [(FEWEST - 1, False), (FEWEST, True)])
def test_poses_that_stay_have_a_scale_by_frames_enough(tmp_path, unknown, told):
    arrays = predictions(300, refined=True)
    known = np.arange(300) >= unknown  # the first hundred stay
    known[-50:] = False
    assert (UNREFINED in calibrate(tmp_path, arrays, known)) == told


def joined(*parts):
    """Return the predictions of several sets of frames as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_of_regressed_poses_frames_that_the_network_does_not_know_tell(tmp_path):
    """Of refined ones all."""
    unknown, own = predictions(800, 1, factor=4, refined=True), predictions(600, 2, refined=True)
    arrays, known = joined(unknown, own), np.arange(1400) >= 800
    calibration, alone = calibrate(tmp_path, arrays, known), calibrate(tmp_path, unknown)
    assert calibration[ALL_EDGES] == alone[ALL_EDGES]
    assert calibration[FIRST_EDGE].frames == 800
    assert calibration[REFINED].frames == 1400 - 1400 // 3
    fellow = predictions(50, 3), np.ones(50, dtype=bool)  # it has none to tell by
    assert calibrate(tmp_path, arrays, known, [fellow])[ALL_EDGES] == alone[ALL_EDGES]


def test_frames_of_all_scenes_that_a_network_knows_tell_how_much_larger_errors_are(tmp_path):
    """How they grow, those that it knows: here three times as fast as in the other scene."""
    easy, hard = (
        joined(predictions(count, 1, factor=2 * own), predictions(900, 2, factor=own))
        for own, count in ((1, 300), (3, 6))
    )
    known = [np.arange(len(own["targ_t"])) >= len(own["targ_t"]) - 900 for own in (easy, hard)]
    calibration = calibrate(tmp_path, hard, known[1], [(easy, known[0])])
    assert calibration[ALL_EDGES].frames == 306
    queries = predictions(seed=3, factor=6)
    found = covered(queries, ALL_EDGES, calibration).mean(axis=2)
    np.testing.assert_allclose(found[0], LEVELS[0], atol=0.08)
    np.testing.assert_allclose(found[1], LEVELS[1], atol=0.04)
    apart = stated_errors(queries, ALL_EDGES, calibrate(tmp_path, easy, known[0])).metres[0]
    together = stated_errors(queries, ALL_EDGES, calibration).metres[0]
    assert np.median(together / apart) == pytest.approx(3, rel=0.1)


def test_a_scene_too_small_to_hold_frames_out_is_told_by_a_fellow(tmp_path, caplog):
    arrays, fellow = predictions(300), joined(predictions(200, 1, factor=3), predictions(300, 2))
    known = np.ones(300, dtype=bool), np.arange(500) >= 200
    calibration = calibrate(tmp_path, arrays, known[0], [(fellow, known[1])])
    assert calibration[ALL_EDGES].frames == 200
    assert caplog.records == []
    found = covered(predictions(seed=3, factor=3), ALL_EDGES, calibration).mean(axis=2)
    np.testing.assert_allclose(found[0], LEVELS[0], atol=0.1)
    np.testing.assert_allclose(found[1], LEVELS[1], atol=0.05)


@pytest.mark.parametrize("told", [{"dataset": "e"}, {"model": "n"}])
def test_a_fellow_of_another_data_set_or_network_is_refused(tmp_path, told):
    left_out = []
    for name, owner in (("own", OWNED), ("other", OWNED | {"scene": "hall"} | told)):
        np.savez(tmp_path / f"{name}.npz", **predictions(40) | owner)
        left_out.append(LeftOutPredictions(tmp_path / f"{name}.npz", np.arange(40) > 15))
    with pytest.raises(InputError, match=r"other\.npz: is of the (dataset|model) '[en]', expected"):
        calibrate_errors(left_out[0], tmp_path / "calibration.json", left_out[1:])
    assert not (tmp_path / "calibration.json").exists()


def test_fellows_say_nothing_of_a_scene_that_the_network_does_not_know(tmp_path):
    arrays, other = predictions(200), predictions(200, 1, factor=5)
    alone = calibrate(tmp_path, arrays)
    assert calibrate(tmp_path, arrays, False, [(other, np.arange(200) > 50)]) == alone


def test_fellows_with_too_few_known_frames_to_tell_how_errors_grow_are_left_out(tmp_path):
    (arrays, known), fellow = (
        (predictions(200, seed), np.arange(200) >= unknown) for seed, unknown in ((0, 50), (2, 30))
    )
    other, seen = predictions(100, 1, factor=5), np.arange(100) < FEWEST - 1
    alone = calibrate(tmp_path, arrays, known, [fellow])[ALL_EDGES]
    assert alone.frames == 80
    assert calibrate(tmp_path, arrays, known, [fellow, (other, seen)])[ALL_EDGES] == alone


def test_of_a_network_that_knows_few_frames_the_others_tell_all(tmp_path):
    arrays, known = predictions(200), np.arange(200) < FEWEST - 1
    others = {name: values[FEWEST - 1 :] for name, values in arrays.items()}
    assert calibrate(tmp_path, arrays, known) == calibrate(tmp_path, others)


def test_of_a_network_that_knows_nearly_all_frames_too_small_errors_are_told_of(tmp_path, caplog):
    arrays = predictions(200)
    known = np.arange(200) >= FEWEST - 1
    assert calibrate(tmp_path, arrays, known) == calibrate(tmp_path, arrays)
    (told,) = (record.getMessage() for record in caplog.records)
    assert f"knows all but {FEWEST - 1} of 200 frames" in told
    assert "graphs.validation" in told


def test_predictions_of_other_frames_are_refused(tmp_path):
    np.savez(tmp_path / "p.npz", **predictions(40))
    left_out = LeftOutPredictions(tmp_path / "p.npz", np.zeros(30, dtype=bool))
    with pytest.raises(InputError, match=r"p\.npz: is of 40 frames, expected the 30 that are left"):
        calibrate_errors(left_out, tmp_path / "c.json")


def test_of_too_few_frames_nothing_is_stated(tmp_path, caplog):
    """Those without a finite pose, and of refined ones those that stay, do not count."""
    arrays = predictions(FEWEST + 2, refined=True)
    calibration = calibrate(tmp_path, arrays)
    assert calibration.keys() == {FIRST_EDGE, ALL_EDGES}
    told = f"{REFINED}: fewer than {FEWEST} frames to tell errors from; none are stated"
    assert [record.getMessage() for record in caplog.records] == [told]
    arrays["robust_t"][:3] = np.nan
    assert calibrate(tmp_path, arrays).keys() == {FIRST_EDGE}
    arrays["abs_q"][4:7] = np.inf
    assert calibrate(tmp_path, arrays) == {}
    assert np.isnan(stated_errors(arrays, ALL_EDGES, {})).all()


def test_nothing_is_stated_of_copied_poses(tmp_path):
    arrays = predictions(40)
    arrays |= {f"similar_{part}": arrays[f"abs_{part}"] for part in "tq"}
    calibration = calibrate(tmp_path, arrays)
    assert np.isnan(stated_errors(arrays, MOST_SIMILAR, calibration)).all()
    assert np.shape(stated_errors(arrays, MOST_SIMILAR, calibration)) == (2, 2, 40)


def test_failed_estimates_are_left_out_of_the_scale(tmp_path):
    arrays = predictions(500)
    expected = calibrate(tmp_path, {name: each[5:] for name, each in arrays.items()})
    arrays["robust_t"][:5] = np.nan
    assert calibrate(tmp_path, arrays)[ALL_EDGES] == expected[ALL_EDGES]


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
    arrays["refined_t"] = size[:, None] * direction[0]
    arrays["reference_t"] = arrays["refined_t"] + way[:, None] * direction[1]
    sigma = stated_errors(arrays, REFINED, calibrate(tmp_path, arrays)).metres[0]
    near, far = way < 0.1, way > 0.4
    assert np.median(sigma[far]) / np.median(sigma[near]) == pytest.approx(2.8 / 1.2, rel=0.15)
    for part in (near, far):
        assert np.mean(size[part] <= sigma[part]) == pytest.approx(LEVELS[0], abs=0.06)


def test_errors_of_refined_poses_grow_with_a_misfit_larger_than_usual(tmp_path):
    arrays = predictions(refined=True)
    calibration = calibrate(tmp_path, arrays)
    assert calibration[REFINED].misfit == 0.5
    before = stated_errors(arrays, REFINED, calibration)
    arrays["refined_misfit"] *= np.resize([0.2, 1, 3], 3000)
    expected = np.where(arrays["refined_points"] > 0, np.resize([1, 1, 3], 3000), 1)
    for found, each in zip(stated_errors(arrays, REFINED, calibration), before, strict=True):
        np.testing.assert_allclose(found, expected * each)


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


def test_unknown_errors_are_within_nothing_and_none_at_all_within_all():
    stated = np.array([np.nan, 0, np.inf]) * np.array([[1], [2]])
    np.testing.assert_array_equal(share_within(0.1, stated), [0, 1, 0])


def test_both_parts_of_an_error_are_within_their_limits_as_the_less_sure_is():
    metres, degrees = np.array([0.1, 0.1, 0.2, np.nan]), np.array([5, 10, 5, 5.0])
    stated = StatedErrors(*(np.outer([1, 2], each) for each in (metres, degrees)))
    found = probability_within(stated, (0.2, 10.0))
    np.testing.assert_allclose(found, [LEVELS[1], LEVELS[0], LEVELS[0], 0])


@pytest.mark.parametrize("ratio", [1.5, 2.6])
def test_the_ratio_of_the_levels_is_measured_where_there_are_frames_enough(tmp_path, ratio):
    """Of few frames the usual one counts for more."""
    rng = np.random.default_rng(0)

    def measured(count):
        arrays = predictions(count)
        size = 0.1 * rng.weibull(DECADES / np.log(ratio), count)
        direction = rng.standard_normal((count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        arrays["robust_t"] = size[:, None] * direction
        arrays["reference_t"] = arrays["robust_t"] + 0.3 * direction
        arrays["spread_m"], arrays["robust_distance"] = np.full((2, count), [[0.1], [1]])
        return calibrate(tmp_path, arrays)[ALL_EDGES].ratios[0]

    many, few = measured(3000), np.mean([measured(12) for _ in range(10)])
    assert many == pytest.approx(ratio, rel=0.06)
    assert abs(np.log(few / USUAL_RATIO)) < 0.6 * abs(np.log(many / USUAL_RATIO))


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


def test_predictions_that_cannot_be_read_leave_no_calibration(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"broken\.npz: cannot be read"):
        left_out = LeftOutPredictions(tmp_path / "broken.npz", np.zeros(1))
        calibrate_errors(left_out, tmp_path / "calibration.json")
    assert not (tmp_path / "calibration.json").exists()


def test_the_file_holds_the_scales_by_estimator(tmp_path):
    calibrate(tmp_path, predictions(40))
    contents = json.loads((tmp_path / "calibration.json").read_text())
    assert {name: contents.pop(name) for name in OWNED} == OWNED
    scales = contents.pop("scales")
    assert not contents
    assert scales.keys() == {FIRST_EDGE, ALL_EDGES}
    assert scales[ALL_EDGES].keys() == {*Scale._fields}
    assert scales[ALL_EDGES]["misfit"] is None  # of refined poses alone
    assert scales[ALL_EDGES]["frames"] == 40


@pytest.mark.parametrize("told", [{"dataset": "e"}, {"scene": "hall"}, {"model": "n"}])
def test_a_calibration_of_another_scene_or_network_is_refused(tmp_path, told):
    calibrate(tmp_path, predictions(40))
    own = Owner(**OWNED)
    file = tmp_path / "calibration.json"
    assert read_calibration(file, own) == read_calibration(file)
    ((name, value),) = told.items()
    with pytest.raises(InputError, match=f"is of the {name} '{OWNED[name]}', expected '{value}'"):
        read_calibration(file, own._replace(**told))


def test_predictions_that_tell_no_network_are_not_calibrated_or_scored(tmp_path):
    np.savez(tmp_path / "p.npz", **predictions(40))
    message = r"p\.npz: does not tell dataset, scene and model, expected .*; predict again"
    left_out = LeftOutPredictions(tmp_path / "p.npz", np.zeros(40, dtype=bool))
    with pytest.raises(InputError, match=message):
        calibrate_errors(left_out, tmp_path / "c.json")
    with pytest.raises(InputError, match=message):
        score_poses(tmp_path / "p.npz", tmp_path / "scores.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"p.npz"}
