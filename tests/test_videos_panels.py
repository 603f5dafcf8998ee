"""Curves of a film's errors: each is drawn at its value, on an axis that holds all of them."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from relposegnn.videos.panels import Curve


def curve_of(errors, copied=None) -> Curve:
    """Return the curve of all queries, moved to the last one, on axes that are laid out."""
    figure = Figure()
    curve = Curve(figure.add_subplot(), np.array(errors), np.arange(len(errors)), copied=copied)
    curve.move_to(len(errors) - 1)
    figure.draw_without_rendering()
    return curve


def heights(curve: Curve, values) -> np.ndarray:
    """Return where values are drawn, as shares of the axis."""
    places = curve.axes.transData.transform([(1, value) for value in values])[:, 1]
    box = curve.axes.get_window_extent()
    return (places - box.y0) / box.height


def test_errors_their_median_and_that_of_copying_are_drawn_at_their_values():
    errors = [0.001, 0.0, 0.002, np.inf, 9.0, 0.003]
    curve = curve_of(errors, copied=np.full(6, 0.15))
    np.testing.assert_allclose(curve.dots.get_offsets()[:, 1], [0.001, 0, 0.002, 9, 0.003])
    median = [0.001, 0.0005, 0.001, 0.0015, 0.002, 0.0025]
    np.testing.assert_allclose(curve.line.get_ydata(), median)
    np.testing.assert_allclose(curve.copying.get_ydata(), 0.15)
    drawn = heights(curve, [0, 0.0005, 0.001, 0.0025, 0.15, 9])
    assert drawn[0] == 0
    assert (np.diff(drawn) > 0.03).all()
    assert drawn[-1] < 1
    np.testing.assert_allclose(heights(curve, curve.failed.get_ydata()), 1)


def test_few_small_errors_do_not_press_the_others_together():
    curve = curve_of([1e-9, *np.linspace(0.1, 1, 99)])
    assert np.diff(heights(curve, [0.1, 0.5])) > 0.4


def test_where_there_is_no_median_none_is_drawn():
    curve = curve_of([np.inf, np.inf, 0.2])
    assert not np.isfinite(curve.line.get_ydata()).any()
    np.testing.assert_allclose(curve.dots.get_offsets(), [[3, 0.2]])


@pytest.mark.parametrize("error", [0.0, np.inf])
def test_without_an_error_to_measure_there_is_an_axis(error):
    assert curve_of([error] * 3).axes.get_ylim() == (0, 1.2)


@pytest.mark.parametrize("largest", [0.03, 0.2, 40, 1e5])
def test_numbers_of_the_axis_are_plain_and_do_not_run_into_each_other(largest):
    axis = curve_of(np.geomspace(0.01, largest, 20)).axes.yaxis
    low, high = axis.get_view_interval()
    labels = [each for each in axis.get_ticklabels() if low <= each.get_position()[1] <= high]
    assert len(labels) >= 3
    assert all(float(each.get_text()) == pytest.approx(each.get_position()[1]) for each in labels)
    boxes = [each.get_window_extent() for each in labels]
    assert all(below.y1 < above.y0 for below, above in pairwise(boxes))
