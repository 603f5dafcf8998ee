"""Planted errors and distances come out of the comparison, and of its table."""

import numpy as np
import pandas as pd
import pytest
from conftest import OWNED
from table_files import assert_sound_latex, markdown_rows, outputs, read_outputs, row_of

from relposegnn.authors.comparison import FIGURES, compare_predictions
from relposegnn.files.csv_files import read_errors
from relposegnn.runtime import InputError
from relposegnn.tables.predictions import tabulate_predictions

OURS = np.array([[0.1, 1.0], [0.2, 8.0], [0.3, 3.0], [0.4, 4.0]])  # metres, degrees off
THEIRS = np.array([[0.3, 2.0], [0.1, 2.0], [0.5, 2.5], [0.6, 9.0]])


def turned(degrees):
    """Return quaternions (N, 4) of rotations about one axis."""
    half = np.radians(degrees)[:, None] / 2
    return np.concatenate([np.cos(half), np.sin(half) * np.array([0.6, 0.0, 0.8])], axis=1)


def plant(errors, rows=slice(None)):
    """Return predictions of four queries, all off in one direction and about one axis."""
    truth = np.array([[0.0, 0, 1], [2, 0, 0], [0, 3, 0], [4, 4, 4]])
    start = np.array([10.0, 80.0, 170.0, 300.0])
    arrays = {
        "rel_path": np.array([f"seq-01/frame-{i:06d}" for i in range(4)]),
        "targ_t": truth,
        "targ_q": turned(start),
        "abs_t": truth + errors[:, :1] * np.array([0.0, 0.6, -0.8]),
        "abs_q": turned(start + errors[:, 1]),
    }
    return {name: array[rows] for name, array in arrays.items()}


def compare(folder, own, theirs, scene="chess"):
    """Return the comparison of planted predictions."""
    np.savez(folder / "own.npz", **own, **OWNED | {"scene": scene})
    np.savez(folder / "theirs.npz", **theirs)
    compare_predictions(folder / "own.npz", folder / "theirs.npz", folder / "comparison.csv")
    return read_errors(folder / "comparison.csv", ["query"], FIGURES, scene)


def test_errors_differences_and_distances_are_the_planted_ones(tmp_path):
    # In another order and another style of names.
    theirs = plant(THEIRS, [2, 0, 3, 1])
    names = [f"chess/{name}.color.png" for name in theirs["rel_path"]]
    comparison = compare(tmp_path, plant(OURS), theirs | {"rel_path": np.array(names, "S")})
    assert comparison["query"].tolist() == plant(OURS)["rel_path"].tolist()
    planted = {
        ("translation_error_m", "rotation_error_deg"): OURS,
        ("authors_translation_error_m", "authors_rotation_error_deg"): THEIRS,
        ("translation_difference_m", "rotation_difference_deg"): OURS - THEIRS,
        ("distance_m", "angle_deg"): np.abs(OURS - THEIRS),
    }
    for columns, expected in planted.items():
        np.testing.assert_allclose(comparison[list(columns)], expected, atol=1e-8)


def test_estimates_equally_wrong_on_opposite_sides_are_far_apart(tmp_path):
    comparison = compare(tmp_path, plant(OURS), plant(-OURS))
    np.testing.assert_allclose(comparison["translation_difference_m"], 0.0, atol=1e-8)
    np.testing.assert_allclose(comparison[["distance_m", "angle_deg"]], 2 * OURS, atol=1e-8)


def test_failed_estimates_are_infinitely_wrong(tmp_path):
    own, theirs = plant(OURS), plant(THEIRS)
    own["abs_t"][0], own["abs_q"][1] = np.nan, 0.0
    theirs["abs_t"][1] = np.inf
    comparison = compare(tmp_path, own, theirs)
    assert np.isinf(comparison["translation_error_m"]).tolist() == [True, True, False, False]
    assert np.isinf(comparison["rotation_error_deg"]).tolist() == [True, True, False, False]
    assert np.isinf(comparison["distance_m"]).tolist() == [True, True, False, False]
    difference = comparison["translation_difference_m"]
    assert np.isposinf(difference[0])
    assert np.isnan(difference[1])  # both failed


def test_queries_of_one_file_alone_are_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    comparison = compare(tmp_path, plant(OURS, [0, 1, 2]), plant(THEIRS, [3, 2, 1]))
    assert comparison["query"].tolist() == ["seq-01/frame-000001", "seq-01/frame-000002"]
    assert "2 queries in both files" in caplog.text
    assert "1 queries are only in" in caplog.text
    assert "theirs.npz and are left out" in caplog.text


def test_predictions_of_another_scene_are_refused(tmp_path):
    moved = plant(THEIRS)
    moved["targ_t"] = moved["targ_t"] + np.array([0.0, 0.0, 0.02]) * np.arange(4)[:, None]
    message = r"theirs\.npz: the true pose of seq-01/frame-000001 is 0\.02 m and .* \(3 of 4 queri"
    with pytest.raises(InputError, match=message):
        compare(tmp_path, plant(OURS), moved)
    turning = plant(THEIRS) | {"targ_q": turned(np.array([10.0, 80.0, 171.0, 300.0]))}
    with pytest.raises(InputError, match="frame-000002 is 0 m and 1 degrees off"):
        compare(tmp_path, plant(OURS), turning)
    moved["rel_path"] = np.array(["a", "b", "c", "d"])
    moved["targ_t"] = moved["targ_t"] + 1.0
    with pytest.raises(InputError, match=r"none of its 4 queries is among .* \(such as seq-01/fra"):
        compare(tmp_path, plant(OURS), moved)
    assert not (tmp_path / "comparison.csv").exists()


@pytest.mark.parametrize("wrong", ["", "-1"])
def test_comparisons_without_figures_are_refused(tmp_path, wrong):
    compare(tmp_path, plant(OURS), plant(THEIRS))
    comparison = pd.read_csv(tmp_path / "comparison.csv", dtype=str)
    comparison.loc[2, "angle_deg"] = wrong
    comparison.to_csv(tmp_path / "comparison.csv", index=False)
    rows = [("joint", "chess", tmp_path / "comparison.csv")]
    with pytest.raises(InputError, match="errors of row 4"):
        tabulate_predictions(rows, outputs(tmp_path), "7scenes", "joint")


@pytest.fixture
def rows(tmp_path):
    """Return comparisons of two scenes: of four queries, and of the first two."""
    found = []
    for scene, queries in (("chess", [0, 1, 2, 3]), ("fire", [0, 1])):
        (tmp_path / scene).mkdir()
        compare(tmp_path / scene, plant(OURS, queries), plant(THEIRS, queries), scene)
        found.append(("published-joint", scene, tmp_path / scene / "comparison.csv"))
    return found


def test_the_table_has_the_planted_medians_and_shares(rows, tmp_path):
    tabulate_predictions(rows, outputs(tmp_path), "7scenes", "published")
    numbers, markdown, latex = read_outputs(tmp_path)
    numbers = numbers.set_index("scene")
    chess, average = numbers.loc["chess"], numbers.loc["average"]
    assert chess["run"] == "published-joint"
    assert chess["median_translation_m"] == pytest.approx(0.25)
    assert chess["published_median_rotation_deg"] == pytest.approx(2.25)
    assert chess["difference_translation_m"] == pytest.approx(0.25 - 0.4)
    assert chess["median_distance_m"] == pytest.approx(0.2)
    assert chess["median_angle_deg"] == pytest.approx(3.0)
    assert chess["better_translation"] == pytest.approx(0.75)
    assert chess["better_rotation"] == pytest.approx(0.5)
    assert average["queries"] == 6
    assert average["median_translation_m"] == pytest.approx((0.25 + 0.15) / 2)
    assert average["better_translation"] == pytest.approx((0.75 + 0.5) / 2)
    header = ["scene", "queries", "ours", "published", "difference", "between", "better"]
    assert markdown_rows(markdown)[0] == header
    assert row_of(markdown, "chess") == [
        *("4", "0.250 / 3.50", "0.400 / 2.25", "−0.150 / +1.25", "0.200 / 3.00", "75.0 / 50.0")
    ]
    text = " ".join(markdown.split())
    assert "Ours: the authors' joint model, run by this code; first edge" in text
    assert "dropout off at test time" in text
    assert r"\label{tab:7scenes-predictions-published}" in latex
    assert_sound_latex(latex)
