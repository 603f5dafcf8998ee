"""The common style of all figures: restrained, readable, safe for colour-blind readers.

Figures are made without pyplot, so they need no global state and no display.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..runtime import atomic_path

DPI = 200
PNG_LEVEL = 4  # of compression: half the time of the usual 6, and a few per cent larger
MANY_DECADES = 2.2  # an axis that spans more has ticks at 1, not at 1, 2, 5
INK, SOFT, PALE = "#222222", "#777777", "#c8c8c8"
# Paul Tol's "muted" scheme (https://personal.sron.nl/~pault), its palest colours last.
SCENE_COLOURS = [
    "#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#44AA99", "#AA4499", "#999933",
    "#DDCC77",
]  # fmt: skip
SCENE_MARKS = ["", "o", "^", "s", "D", "v"]  # for each further round of the colours
# From dark blue (small errors) to orange: matplotlib's plasma without the yellow lost on white.
ERROR_COLOURS = ListedColormap(
    matplotlib.colormaps["plasma"](np.linspace(0.0, 0.82, 256)), name="errors"
)
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "text.color": INK,
}


def house_style() -> AbstractContextManager:
    """Apply the style to everything drawn and saved in the block."""
    return matplotlib.rc_context(STYLE)


def save_figure(figure: Figure, figure_file: str | Path) -> None:
    """Write a figure in the format of the suffix of ``figure_file``."""
    with atomic_path(figure_file) as partial, house_style():
        packed = {"compress_level": PNG_LEVEL} if partial.suffix == ".png" else None
        figure.savefig(partial, dpi=DPI, pil_kwargs=packed)


def use_log_ticks(axis: matplotlib.axis.Axis) -> None:
    """Label a logarithmic axis, whose limits are set, with plain numbers that do not overlap.

    At 1, 2, 5 of every decade; with many decades, only at 1.
    """
    low, high = np.log10(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < MANY_DECADES else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def scene_style(position: int) -> dict[str, str]:
    """Return the colour and the marker of the scene at this position of a list."""
    turn, colour = divmod(position, len(SCENE_COLOURS))
    return {"color": SCENE_COLOURS[colour], "marker": SCENE_MARKS[turn % len(SCENE_MARKS)]}


def error_colours(errors: np.ndarray, percentile: float = 95.0) -> ScalarMappable:
    """Return a colour scale of non-negative errors from 0 to a percentile; larger ones saturate."""
    finite = errors[np.isfinite(errors)]
    limit = float(np.percentile(finite, percentile)) if finite.size else 0.0
    return ScalarMappable(Normalize(0, limit if limit > 0 else 1.0, clip=True), ERROR_COLOURS)


def spread_rows(total: int, count: int) -> np.ndarray:
    """Return ``count`` evenly spread rows out of ``total``, ascending; all if there are fewer."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int)


def length_text(metres: float) -> str:
    """Return a length as text in a suitable unit: mm, cm or m."""
    if metres < 0.01:
        return f"{1000 * metres:.1f} mm"
    return f"{100 * metres:.1f} cm" if metres < 0.1 else f"{metres:.2f} m"


def place_axes(figure: Figure, box: Sequence[float]) -> Axes:
    """Return new axes in a box (left, top, width, height), inches from the upper left corner."""
    left, top, width, height = box
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / up, width / across, height / up))


def write(figure: Figure, place: Sequence[float], text: str, **style: object) -> Text:
    """Write text whose baseline starts at a place, inches from the upper left corner.

    Text that would not end in the figure, for example because of a long name, is smaller.
    """
    across, up = figure.get_size_inches()
    told = figure.text(place[0] / across, 1 - place[1] / up, text, parse_math=False, **style)
    box, end = told.get_window_extent(), figure.bbox.x1
    if box.x1 > end:
        told.set_size(0.99 * told.get_size() * (end - box.x0) / box.width)
    return told


def add_colour_bar(
    figure: Figure, box: Sequence[float], colours: ScalarMappable, **options: object
) -> None:
    """Add a colour bar in a box, see ``place_axes``."""
    bar = figure.colorbar(colours, cax=place_axes(figure, box), **options)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7)


def draw_picture(
    axes: Axes, picture: np.ndarray, caption: str, colour: object, linewidth: float = 2.5
) -> Text:
    """Draw a picture (H, W, 3) with a border of this colour; return its caption of two lines."""
    axes.imshow(picture, interpolation="lanczos")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=linewidth)
    style = {"size": 7, "weight": "normal", "linespacing": 1.15, "parse_math": False}
    return axes.set_title(caption, pad=4, **style)  # a photo's name may hold $


def legend_mark(label: str, colour: object, marker: str = "o", **style: object) -> Line2D:
    """Return a marker for a legend."""
    return Line2D([], [], linestyle="", marker=marker, color=colour, label=label, **style)
