"""Near frames, and corrections: how stated errors hold from near to far."""

import json

import numpy as np
import pytest
from planted_errors import PLANTED, calibrate, covered, joined, predictions, uncorrected
from scipy.spatial.transform import Rotation

from relposegnn.estimates.predictions import ALL_EDGES, FIRST_EDGE, MATCHED
from relposegnn.runtime import InputError
from relposegnn.scores.calibration import LEVELS, read_calibration, stated_errors
from relposegnn.scores.error_growth import Errors, growth_of_errors


def bent(count, seed):
    """Return predictions whose errors are a third where they seem small, twice where large.

    And the errors in metres that indicators tell of.
    """
    arrays = predictions(count, seed)
    motion = np.linalg.norm(arrays["abs_t"] - arrays["reference_t"], axis=1)
    told = np.ones(count), arrays["spread_m"], motion, 2 - 2 * arrays["similarity"]
    sums = arrays["abs_distance"] * (PLANTED["metres"] @ np.stack(told))
    times = np.where(sums < 0.2, 1 / 3, 2)[:, None]
    arrays["abs_t"] = arrays["targ_t"] + times * (arrays["abs_t"] - arrays["targ_t"])
    turn = Rotation.random(count, rng=seed)  # of the motion, which is kept
    arrays["reference_t"] = arrays["abs_t"] + turn.apply([1, 0, 0]) * motion[:, None]
    return arrays, sums


def test_what_indicators_add_up_to_is_corrected(tmp_path):
    arrays, sums = bent(3000, 1)
    calibration = calibrate(tmp_path, bent(800, 0)[0])
    found = covered(arrays, FIRST_EDGE, calibration)[:, 0]
    before = covered(arrays, FIRST_EDGE, uncorrected(calibration))[:, 0]
    for part in (sums < 0.15, sums > 0.3):
        np.testing.assert_allclose(found[:, part].mean(axis=1), LEVELS, atol=0.07)
        assert abs(before[0, part].mean() - LEVELS[0]) > 0.1
    for scale in calibration.values():
        for sums, *factors in scale.corrections:
            assert sums == sorted(sums)
            assert np.isfinite(factors).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.reverse(), "the first ascending"),
        (lambda rows: rows.pop(), "expected 3 lists or none"),
        (lambda rows: rows[1].pop(), "corrections in degrees is .*, expected 15 numbers"),
        (
            lambda rows: rows[1].__setitem__(3, -0.1),
            "corrections in degrees is -0.1, expected 0 to",
        ),
    ],
)
def test_corrections_that_cannot_be_are_refused(tmp_path, change, message):
    calibrate(tmp_path, predictions(100))
    contents = json.loads((tmp_path / "calibration.json").read_text())
    change(contents["scales"][ALL_EDGES]["corrections"][1])
    (tmp_path / "calibration.json").write_text(json.dumps(contents))
    with pytest.raises(InputError, match=message):
        read_calibration(tmp_path / "calibration.json")


def test_of_a_place_without_any_error_none_is_stated(tmp_path):
    """In degrees, as of cameras that are never turned."""
    arrays = predictions(100)
    for prefix in ("targ", "abs", "robust", "reference"):
        arrays[f"{prefix}_q"][:] = 1, 0, 0, 0
    stated = stated_errors(arrays, ALL_EDGES, calibrate(tmp_path, arrays))
    assert np.isfinite(stated.degrees).all()
    assert (stated.degrees < 1e-6).all()
    assert (stated.metres > 1e-4).all()


def test_of_few_frames_one_more_than_their_share_is_within(tmp_path):
    """Over many places of as many frames as errors can be measured on."""
    queries = predictions(2000, 99)
    found = [
        covered(queries, ALL_EDGES, calibrate(tmp_path, predictions(20, seed))).mean(axis=2)
        for seed in range(40)
    ]
    assert (np.mean(found, axis=0)[0] > LEVELS[0] - 0.03).all()


def test_errors_of_few_frames_are_measured_on_others_than_factors_are_fitted_to():
    """Over many places, with three indicators that say nothing."""
    rng = np.random.default_rng(0)

    def draw(count):
        told = 0.1 + np.abs(rng.standard_normal((count, 4)))
        return Errors(told, np.zeros(count), told[:, 1] * np.abs(rng.standard_normal(count)))

    found = []
    for few in [draw(25) for _ in range(100)]:
        growth, others = growth_of_errors([(few, draw(0))], away=False, local=False), draw(1000)
        sigma = others.told @ growth.factors
        found.append([(others.error <= each).mean() for each in (sigma, growth.ratio * sigma)])
    # Their ratio is drawn to the usual one of 2, which is that of these errors.
    np.testing.assert_allclose(np.mean(found, axis=0), [0.71, 0.96], atol=0.02)


def test_near_frames_tell_how_errors_grow_and_are_not_told_of(tmp_path):
    arrays, near = joined(predictions(400), predictions(100, 1, factor=0.1)), np.arange(500) >= 400
    alone, both = calibrate(tmp_path, predictions(400)), calibrate(tmp_path, arrays, near=near)
    for name in (FIRST_EDGE, ALL_EDGES):
        assert both[name].frames == 400
        assert both[name].median == alone[name].median
        assert both[name].metres != alone[name].metres


def test_near_frames_tell_nothing_of_refined_poses_nor_of_a_place_that_is_known(tmp_path):
    few = predictions(400, refined=True)
    arrays = joined(few, predictions(100, 1, refined=True, factor=9))
    near, known = np.arange(500) >= 400, np.arange(500) >= 50
    alone, both = calibrate(tmp_path, few), calibrate(tmp_path, arrays, near=near)
    for name in MATCHED:
        assert both[name]._replace(extent=None) == alone[name]._replace(extent=None)
    alone = calibrate(tmp_path, few, known[:400])
    assert calibrate(tmp_path, arrays, known, near=near) == alone
