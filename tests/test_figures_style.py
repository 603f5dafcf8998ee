"""Colours of figures: outliers share the last, all can be read on white and without hue."""

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from relposegnn.figures.style import ERROR_COLOURS, INK, error_colours, write


def test_colours_of_errors_end_where_few_outliers_share_the_last():
    errors = np.append(np.full(99, 2.0), [500.0, np.inf])
    colours = error_colours(errors)
    assert colours.norm.vmax == 2.0
    assert colours.to_rgba(errors)[[0, 99, 100]].tolist() == [list(ERROR_COLOURS(1.0))] * 3
    assert error_colours(np.array([np.inf])).norm.vmax == 1.0


def contrast(colour) -> float:
    """Return the contrast of a colour with white, as WCAG 2 defines it."""
    channels = np.array(to_rgba(colour)[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)


def test_colours_can_be_read_on_white_and_without_hue():
    assert contrast(INK) > 12
    assert min(contrast(ERROR_COLOURS(x)) for x in np.linspace(0, 1, 20)) > 1.7
    brightness = [1 / contrast(ERROR_COLOURS(x)) for x in np.linspace(0, 1, 20)]
    assert (np.diff(brightness) > 0).all()  # larger errors are lighter, in any kind of sight


def test_long_text_is_made_smaller_until_it_ends_in_the_figure():
    figure = Figure(figsize=(5, 1))
    short, long = (write(figure, (0.5, 0.5), n * "room ", size=10) for n in (3, 40))
    assert short.get_size() == 10
    assert 0.9 * figure.bbox.x1 < long.get_window_extent().x1 <= figure.bbox.x1
