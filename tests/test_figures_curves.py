"""Curves show the planted data: errors by scene and estimator, the course of a training."""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from drawn_figures import legend_texts
from matplotlib.colors import to_rgba
from matplotlib.image import imread

from relposegnn.estimates.predictions import (
    AFFINE,
    ALL_EDGES,
    FIRST_EDGE,
    MOST_SIMILAR,
    REFERENCE,
    REFINED,
)
from relposegnn.figures.curves import (
    HISTORY_COLUMNS,
    draw_error_curves,
    draw_training,
    plot_error_curves,
    plot_training,
)
from relposegnn.figures.style import scene_style
from relposegnn.runtime import InputError
from relposegnn.scores.metrics import ROTATION, TRANSLATION

# Error curves


def scores_of(first: list[float], reference: list[float]) -> pd.DataFrame:
    """Return scores; the rotation error in degrees is ten times the translation error in metres."""
    parts = [(FIRST_EDGE, first), (REFERENCE, reference), (ALL_EDGES, reference)]
    frames = [
        pd.DataFrame(
            {
                "query": [f"q{i}" for i in range(len(errors))],
                "estimator": name,
                TRANSLATION: errors,
                ROTATION: np.multiply(errors, 10),
            }
        )
        for name, errors in parts
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def scores() -> dict[str, pd.DataFrame]:
    """Return two scenes; one query of fire failed."""
    return {
        "chess": scores_of([0.4, 0.1, 0.2, 0.3], [0.5, 0.6, 0.7, 0.8]),
        "fire": scores_of([0.2, np.inf, 0.1, 0.8], [0.5, 0.5, 0.5, 0.9]),
    }


def curve(panel, scene: int, estimator: str):
    """Return the line of a scene and estimator."""
    lines = [line for line in panel.lines if line.get_label() == estimator]
    (line,) = [line for line in lines if line.get_color() == scene_style(scene)["color"]]
    return line


def test_curves_are_cumulative_shares(scores):
    figure = draw_error_curves(scores, "7scenes, joint")
    translation, rotation = figure.axes
    x, y = curve(translation, 0, FIRST_EDGE).get_data()
    np.testing.assert_allclose(x[:-1], [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(y, [0.25, 0.5, 0.75, 1.0, 1.0])
    assert x[-1] > translation.get_xlim()[1]
    np.testing.assert_allclose(curve(rotation, 0, REFERENCE).get_xdata()[:-1], [5.0, 6.0, 7.0, 8.0])
    assert translation.get_xscale() == rotation.get_xscale() == "log"


def test_failed_queries_keep_a_curve_below_one(scores):
    panel = draw_error_curves(scores, "7scenes, joint").axes[0]
    for name, share in ((FIRST_EDGE, 0.75), (REFERENCE, 1.0)):
        x, y = curve(panel, 1, name).get_data()
        assert y[x <= panel.get_xlim()[1]].max() == share


def test_reference_neighbour_is_dashed_in_the_colour_of_its_scene(scores):
    figure = draw_error_curves(scores, "7scenes, joint")
    for panel in figure.axes:
        assert [curve(panel, i, REFERENCE).get_linestyle() for i in (0, 1)] == ["--", "--"]
        assert [curve(panel, i, FIRST_EDGE).get_linestyle() for i in (0, 1)] == ["-", "-"]
    assert legend_texts(figure) == ["chess", "fire", FIRST_EDGE, REFERENCE]


def test_where_it_is_known_the_most_similar_image_is_dashed_instead(scores):
    for scene, own in scores.items():
        first = own[own["estimator"] == FIRST_EDGE]
        more = [first.assign(estimator=name) for name in (MOST_SIMILAR, AFFINE)]
        more[0][TRANSLATION] *= 2
        scores[scene] = pd.concat([*more, own], ignore_index=True)
    figure = draw_error_curves(scores, "7scenes, joint")
    assert legend_texts(figure) == ["chess", "fire", FIRST_EDGE, AFFINE, MOST_SIMILAR]
    panel = figure.axes[0]
    copied = curve(panel, 0, MOST_SIMILAR)
    assert copied.get_linestyle() == "--"
    np.testing.assert_allclose(copied.get_xdata()[:-1], [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(curve(panel, 0, AFFINE).get_xdata()[:-1], [0.1, 0.2, 0.3, 0.4])
    assert len(panel.lines) == 2 * 3 + 1  # and the one at the medians


def test_numbers_of_logarithmic_axes_do_not_run_into_each_other(scores):
    for factor in (1, 10, 1e4):  # one decade, two, and more
        spread = scores["chess"].assign(**{TRANSLATION: np.geomspace(0.1, 0.9 * factor, 12)})
        figure = draw_error_curves({"chess": spread}, "7scenes, joint")
        figure.draw_without_rendering()
        axis = figure.axes[0].xaxis
        low, high = axis.get_view_interval()
        labels = [
            label for label in axis.get_ticklabels() if low <= label.get_position()[0] <= high
        ]
        boxes = [label.get_window_extent() for label in labels]
        assert len(boxes) >= 3
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_legends_overlap_neither_each_other_nor_curves(scores):
    names = (MOST_SIMILAR, AFFINE, FIRST_EDGE, REFINED)
    for scene, own in scores.items():
        first = own[own["estimator"] == FIRST_EDGE]
        scores[scene] = pd.concat([first.assign(estimator=name) for name in names])
    figure = draw_error_curves(scores, "7scenes, published leave one out")
    figure.draw_without_rendering()
    assert "7scenes, published leave one out" in {x.get_title().get_text() for x in figure.legends}
    parts = [each.get_window_extent() for each in (*figure.legends, *figure.axes)]
    assert len(legend_texts(figure)) == 6
    assert not any(a.overlaps(b) for a, b in combinations(parts, 2))
    assert max(box.x1 for box in parts) <= figure.bbox.x1


def test_twenty_scenes_are_told_apart_in_panels_and_legend(scores):
    figure = draw_error_curves({f"room_{i}": scores["chess"] for i in range(20)}, "rooms, joint")
    drawn = [line for line in figure.axes[0].lines if line.get_label() == FIRST_EDGE]
    told = figure.legends[0].get_lines()
    looks = [[(line.get_color(), line.get_marker()) for line in lines] for lines in (drawn, told)]
    assert looks[0] == looks[1]
    assert len({*looks[0]}) == 20
    assert {mark for _, mark in looks[0][:9]} == {""}


@pytest.mark.parametrize(("count", "name"), [(7, "apartment_kitchen_2024"), (60, "room")])
def test_the_legend_of_many_scenes_or_of_long_names_is_within_the_figure(scores, count, name):
    names = [f"{name}_{i}" for i in range(count)]
    figure = draw_error_curves(dict.fromkeys(names, scores["chess"]), "rooms, joint")
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert {*names} < {*legend_texts(figure)}
    few = draw_error_curves({"chess": scores["chess"]}, "rooms, joint")
    few.draw_without_rendering()
    heights = [each.axes[0].get_window_extent().height for each in (figure, few)]
    assert heights[0] == pytest.approx(heights[1], rel=0.05)


def test_where_no_error_is_above_zero_the_axis_is_an_ordinary_one(scores):
    for nothing in (0.0, np.inf):
        own = scores["chess"].assign(**{ROTATION: nothing})
        panel = draw_error_curves({"chess": own}, "7scenes, joint").axes[1]
        low, high = panel.get_xlim()
        assert 1e-3 < low < high < 10
        x, y = curve(panel, 0, FIRST_EDGE).get_data()
        assert y[x < low].max(initial=0) == (nothing == 0)


def test_curve_step_writes_a_picture(scores, tmp_path):
    rows = []
    for scene, frame in scores.items():
        frame.assign(dataset="d", scene=scene).to_csv(tmp_path / f"{scene}.csv", index=False)
        rows.append((scene, tmp_path / f"{scene}.csv"))
    plot_error_curves(rows, tmp_path / "curves.png", "7scenes, joint")
    picture = imread(tmp_path / "curves.png")[..., :3]
    for scene in (0, 1):
        expected = to_rgba(scene_style(scene)["color"])[:3]
        assert np.abs(picture - expected).max(axis=2).min() < 0.01


# Training curves


@pytest.fixture
def history() -> pd.DataFrame:
    """Return a history of six epochs with validation."""
    frame = pd.DataFrame({name: np.linspace(1.0, 0.5, 6) for name in HISTORY_COLUMNS})
    return frame.assign(epoch=range(6), s_q=-3.0, validation_loss=np.linspace(2.0, 1.0, 6))


def test_training_panels_draw_their_columns(history):
    figure = draw_training(history, "joint")
    translation, rotation, total, weights, rate = figure.axes
    assert [len(p.lines) for p in figure.axes] == [2, 2, 2, 2, 1]
    np.testing.assert_allclose(total.lines[0].get_ydata(), history["train_loss"])
    np.testing.assert_allclose(total.lines[1].get_ydata(), history["validation_loss"])
    np.testing.assert_allclose(weights.lines[1].get_ydata(), -3.0)
    np.testing.assert_allclose(rate.lines[0].get_ydata(), history["learning_rate"])
    np.testing.assert_allclose(rate.lines[0].get_xdata(), [1, 2, 3, 4, 5, 6])
    assert translation.get_yscale() == rotation.get_yscale() == "log"
    assert total.get_yscale() == "linear"


def test_training_without_validation_draws_no_such_line(history, tmp_path):
    history[[c for c in history if c.startswith("validation")]] = np.nan
    history.to_csv(tmp_path / "training.csv", index=False)
    figure = draw_training(pd.read_csv(tmp_path / "training.csv"), "joint")
    assert [len(p.lines) for p in figure.axes[:3]] == [1, 1, 1]
    plot_training(tmp_path / "training.csv", tmp_path / "training.png", "joint")
    assert imread(tmp_path / "training.png").shape[1] > 1000


def test_history_without_its_columns_is_refused(history, tmp_path):
    history.drop(columns="s_t").to_csv(tmp_path / "training.csv", index=False)
    with pytest.raises(InputError, match=r"training\.csv: holds 6 rows"):
        plot_training(tmp_path / "training.csv", tmp_path / "training.png", "joint")
