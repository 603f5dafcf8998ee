"""How large stated errors are is told by left-out frames: which of them, and by how many."""

import numpy as np
import pytest
from conftest import OWNED
from planted_errors import PLANTED, calibrate, covered, joined, predictions, uncorrected

from relposegnn.estimates.predictions import ALL_EDGES, FIRST_EDGE, MATCHED, REFINED, SOLVED
from relposegnn.photos.preparing import tell_quality
from relposegnn.runtime import InputError
from relposegnn.scores.calibration import (
    DECADES,
    LEVELS,
    UNREFINED,
    USUAL_RATIO,
    stated_errors,
)
from relposegnn.scores.error_scales import FEWEST, LeftOutPredictions, calibrate_errors
from relposegnn.scores.metrics import score_poses


def test_planted_factors_are_found_but_for_a_common_one(tmp_path):
    scale = calibrate(tmp_path, predictions())[ALL_EDGES]
    for unit, factors in PLANTED.items():
        ratio = np.divide(getattr(scale, unit), factors)
        np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.3)


def test_the_factors_grow_as_the_errors_do(tmp_path):
    one, three = (
        calibrate(tmp_path, predictions(refined=True, factor=factor)) for factor in (1, 3)
    )
    twice = 2 * np.array(one[REFINED].median)
    np.testing.assert_allclose(one[SOLVED].median, twice, rtol=0.1)
    for name in (FIRST_EDGE, ALL_EDGES, REFINED, SOLVED):
        np.testing.assert_allclose(three[name].median, 3 * np.array(one[name].median), rtol=0.05)
        assert three[name].frames == (2000 if name in MATCHED else 3000)
    arrays = predictions(seed=1, refined=True)
    for name in (ALL_EDGES, REFINED):
        ratio = np.divide(*(np.stack(stated_errors(arrays, name, each)) for each in (one, three)))
        np.testing.assert_allclose(np.median(ratio, axis=2), 1 / 3, rtol=0.1)


@pytest.mark.parametrize(("unknown", "told"), [(FEWEST - 1, False), (FEWEST, True)])
def test_poses_that_stay_have_a_scale_by_frames_enough(tmp_path, unknown, told):
    arrays = predictions(300, refined=True)
    known = np.arange(300) >= unknown  # the first hundred stay
    known[-50:] = False
    assert (UNREFINED in calibrate(tmp_path, arrays, known)) == told


def test_unknown_frames_tell_how_errors_grow_away_from_what_is_known(tmp_path):
    """Of regressed poses, by the root of the way. Of refined ones all frames tell the same."""
    unknown = predictions(800, 1, refined=True, farther=9, way=0.05)
    arrays, known = joined(unknown, predictions(600, 2, refined=True)), np.arange(1400) >= 800
    calibration = calibrate(tmp_path, arrays, known)
    assert calibration[FIRST_EDGE].frames == 800
    assert calibration[REFINED].frames == 1400 - 1400 // 3
    assert calibration[REFINED].farther == [0, 0]
    for name in (FIRST_EDGE, ALL_EDGES):
        scale = calibration[name]
        np.testing.assert_allclose(scale.farther, 9 * scale.extent[0] ** 0.5, rtol=0.15)
        for way in (0.002, 0.05, 1.0):
            queries = predictions(seed=3, farther=9, way=way)
            found = covered(queries, name, calibration).mean(axis=2)
            np.testing.assert_allclose(found[0], LEVELS[0], atol=0.06)
            np.testing.assert_allclose(found[1], LEVELS[1], atol=0.03)


def in_units(arrays, length):
    """Return predictions of a world whose unit of length is shorter by a factor."""
    lengths = ("_t", "_m", "_nearest")
    return {name: own * length if name.endswith(lengths) else own for name, own in arrays.items()}


def test_scenes_of_different_units_of_length_tell_the_same(tmp_path):
    """One may be a model of COLMAP that was never scaled."""
    arrays, fellow = (
        joined(predictions(80, seed, farther=9), predictions(200, seed + 1)) for seed in (1, 3)
    )
    known = np.arange(280) >= 80
    queries = predictions(seed=5, farther=9)
    expected = covered(queries, ALL_EDGES, calibrate(tmp_path, arrays, known, [(fellow, known)]))
    for own, other in ((100, 1), (1, 100), (0.01, 1)):
        scenes = in_units(arrays, own), [(in_units(fellow, other), known)]
        calibration = calibrate(tmp_path, scenes[0], known, scenes[1])
        found = covered(in_units(queries, own), ALL_EDGES, calibration)
        assert (found == expected).mean() > 0.995


def test_a_fellow_without_unknown_frames_tells_nothing_of_the_way(tmp_path):
    arrays, known = joined(predictions(80, 1, farther=9), predictions(200, 2)), np.arange(280) >= 80
    fellow = predictions(50, 3), np.ones(50, dtype=bool)
    alone, both = (calibrate(tmp_path, arrays, known, own)[ALL_EDGES] for own in ([], [fellow]))
    assert both.farther == alone.farther
    assert both.frames == alone.frames == 80


def test_few_refined_frames_are_told_of(tmp_path, caplog):
    arrays = predictions(100, refined=True)
    for count, warned in ((29, True), (30, False)):
        caplog.clear()
        arrays["refined_points"] = np.where(np.arange(100) < count, 50, 0)
        calibrate(tmp_path, arrays)
        assert (f"matches refine only {count} of 100 left-out frames" in caplog.text) == warned


def test_unknown_frames_without_a_pose_do_not_count(tmp_path, caplog):
    arrays, known = predictions(300), np.arange(300) >= 20
    arrays["robust_t"][: 21 - FEWEST] = np.nan
    assert calibrate(tmp_path, arrays, known) == uncorrected(calibrate(tmp_path, arrays))
    (told,) = (record.getMessage() for record in caplog.records)
    assert f"knows all but {FEWEST - 1} of 300 frames" in told


def test_a_network_that_knows_no_frame_errs_alike_near_and_far(tmp_path):
    assert calibrate(tmp_path, predictions(200))[ALL_EDGES].farther == [0, 0]


def test_frames_of_all_scenes_that_a_network_knows_tell_how_much_larger_errors_are(tmp_path):
    """How they grow, those that it knows: here three times as fast as in the other scene."""
    easy, hard = (
        joined(predictions(count, 1, factor=2 * own), predictions(900, 2, factor=own))
        for own, count in ((1, 300), (3, 6))
    )
    known = [np.arange(len(own["targ_t"])) >= len(own["targ_t"]) - 900 for own in (easy, hard)]
    calibration = calibrate(tmp_path, hard, known[1], [(easy, known[0])])
    assert calibration[ALL_EDGES].frames == 6
    own = np.linalg.norm(hard["robust_t"] - hard["targ_t"], axis=1)[:6]
    assert calibration[ALL_EDGES].median[0] == pytest.approx(np.median(own))
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
    assert calibration[ALL_EDGES].frames == 0
    assert calibration[ALL_EDGES].median is None
    assert "unknown, because it has too few images" in tell_quality(calibration)
    assert caplog.records == []
    found = covered(predictions(seed=3, factor=3), ALL_EDGES, calibration).mean(axis=2)
    np.testing.assert_allclose(found[0], LEVELS[0], atol=0.1)
    np.testing.assert_allclose(found[1], LEVELS[1], atol=0.05)


@pytest.mark.parametrize("told", [{"dataset": "e"}, {"model": "n"}])
def test_a_fellow_of_another_data_set_or_network_is_refused(tmp_path, told):
    left_out = []
    for name, owner in (("own", OWNED), ("other", OWNED | {"scene": "hall"} | told)):
        np.savez(tmp_path / f"{name}.npz", **predictions(40) | owner)
        which = np.arange(40) > 15, np.zeros(40, dtype=bool)
        left_out.append(LeftOutPredictions(tmp_path / f"{name}.npz", *which))
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
    assert alone.frames == 50
    assert calibrate(tmp_path, arrays, known, [fellow, (other, seen)])[ALL_EDGES] == alone


def test_of_a_network_that_knows_few_frames_the_others_tell_all(tmp_path):
    arrays, known = predictions(200), np.arange(200) < FEWEST - 1
    others = {name: values[FEWEST - 1 :] for name, values in arrays.items()}
    assert calibrate(tmp_path, arrays, known) == uncorrected(calibrate(tmp_path, others))


def test_of_a_network_that_knows_nearly_all_frames_too_small_errors_are_told_of(tmp_path, caplog):
    arrays = predictions(200)
    known = np.arange(200) >= FEWEST - 1
    assert calibrate(tmp_path, arrays, known) == uncorrected(calibrate(tmp_path, arrays))
    (told,) = (record.getMessage() for record in caplog.records)
    assert f"knows all but {FEWEST - 1} of 200 frames" in told
    assert told.endswith("{share: 0.15, stretch: 10} holds some of a small place out")


def test_of_a_place_too_small_to_hold_some_out_nothing_is_advised(tmp_path, caplog):
    calibrate(tmp_path, predictions(33), np.ones(33, dtype=bool))
    assert "The place is too small to hold some out" in caplog.text
    assert "graphs.validation" not in caplog.text


def test_predictions_of_other_frames_are_refused(tmp_path):
    np.savez(tmp_path / "p.npz", **predictions(40))
    left_out = LeftOutPredictions(tmp_path / "p.npz", *np.zeros((2, 30), dtype=bool))
    with pytest.raises(InputError, match=r"p\.npz: has 40 frames, expected the 30 left-out"):
        calibrate_errors(left_out, tmp_path / "c.json")


def test_predictions_that_tell_no_network_are_not_calibrated_or_scored(tmp_path):
    np.savez(tmp_path / "p.npz", **predictions(40))
    message = r"p\.npz: does not name its data set, scene and model, expected .*; predict again"
    left_out = LeftOutPredictions(tmp_path / "p.npz", *np.zeros((2, 40), dtype=bool))
    with pytest.raises(InputError, match=message):
        calibrate_errors(left_out, tmp_path / "c.json")
    with pytest.raises(InputError, match=message):
        score_poses(tmp_path / "p.npz", tmp_path / "scores.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"p.npz"}


def test_of_too_few_frames_nothing_is_stated(tmp_path, caplog):
    """Those without a finite pose, and of refined ones those that stay, do not count."""
    arrays = predictions(FEWEST + 2, refined=True)
    calibration = calibrate(tmp_path, arrays)
    assert calibration.keys() == {FIRST_EDGE, ALL_EDGES}
    told = f"fewer than {FEWEST} frames to measure errors on; those of regressed poses are stated"
    expected = [f"{name}: {told} for such poses" for name in MATCHED]
    assert [record.getMessage() for record in caplog.records] == expected
    arrays["robust_t"][:3] = np.nan
    assert calibrate(tmp_path, arrays).keys() == {FIRST_EDGE}
    arrays["abs_q"][4:7] = np.inf
    caplog.clear()
    assert calibrate(tmp_path, arrays) == {}
    assert f"{ALL_EDGES}: fewer than {FEWEST} frames to measure errors on; none" in caplog.text
    assert np.isnan(stated_errors(arrays, ALL_EDGES, {})).all()


def test_failed_estimates_are_left_out_of_the_scale(tmp_path):
    arrays = predictions(500)
    expected = calibrate(tmp_path, {name: each[5:] for name, each in arrays.items()})
    arrays["robust_t"][:5] = np.nan
    found = calibrate(tmp_path, arrays)[ALL_EDGES]
    assert found == expected[ALL_EDGES]._replace(extent=found.extent)  # of true poses


@pytest.mark.parametrize("ratio", [1.5, 2.6])
def test_the_ratio_of_the_levels_is_measured_where_there_are_frames_enough(tmp_path, ratio):
    """Of few frames the usual one counts for more."""
    rng = np.random.default_rng(0)

    def measured(count):
        arrays = predictions(count)
        size = 0.1 * rng.weibull(DECADES / np.log(ratio), count)
        direction = rng.standard_normal((count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        arrays["robust_t"] = arrays["targ_t"] + size[:, None] * direction
        arrays["reference_t"] = arrays["robust_t"] + 0.3 * direction
        arrays["spread_m"], arrays["robust_distance"] = np.full((2, count), [[0.1], [1]])
        return calibrate(tmp_path, arrays)[ALL_EDGES].ratios[0]

    many, few = measured(3000), np.mean([measured(12) for _ in range(10)])
    assert many == pytest.approx(ratio, rel=0.06)
    assert abs(np.log(few / USUAL_RATIO)) < 0.6 * abs(np.log(many / USUAL_RATIO))


def test_where_no_similarity_is_told_it_counts_for_nothing(tmp_path):
    known, queries = predictions(400), predictions(seed=1)
    del known["similarity"]
    calibration = calibrate(tmp_path, known)
    assert calibration[ALL_EDGES].metres[3] == 0
    stated = stated_errors(queries, ALL_EDGES, calibration)
    del queries["similarity"]
    np.testing.assert_array_equal(stated_errors(queries, ALL_EDGES, calibration), stated)
    found = covered(queries, ALL_EDGES, calibration).mean(axis=2)
    np.testing.assert_allclose(found[0], LEVELS[0], atol=0.07)
    calibration = calibrate(tmp_path, predictions(400))
    assert calibration[ALL_EDGES].metres[3] > 0
    assert np.isnan(stated_errors(queries, ALL_EDGES, calibration)).all()  # not as if it were 1


def test_predictions_that_cannot_be_read_leave_no_calibration(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"broken\.npz: cannot be read"):
        left_out = LeftOutPredictions(tmp_path / "broken.npz", *np.zeros((2, 1), dtype=bool))
        calibrate_errors(left_out, tmp_path / "calibration.json")
    assert not (tmp_path / "calibration.json").exists()
