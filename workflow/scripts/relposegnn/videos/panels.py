"""The drawn parts of a film's frame: a map from above, and curves of errors.

Each draws its static parts when it is made; ``move_to`` then returns its moving parts.
"""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.ticker import NullLocator, SymmetricalLogLocator

from ..figures.maps import Map, look_from_above, sequences_of, surround
from ..figures.style import INK, SOFT
from .queries import Localized

RETRIEVED = "#44AA99"
COPYING = {"color": SOFT, "linewidth": 1.5, "linestyle": (0, (4, 2))}  # of copying's running median


class FilmMap(Map):
    """The scene from above: database, ground truth, estimates so far, the current cameras."""

    def __init__(self, axes: Axes, data: Localized, shown: np.ndarray, colours: np.ndarray) -> None:
        """Draw the static parts.

        Args:
            axes: to draw on; their proportions are kept.
            data: all N queries.
            shown: rows (n) of the queries that the film shows.
            colours: of the queries' errors (N, 4).
        """
        self.data, self.shown, self.colours = data, shown, colours
        view = look_from_above(data.database)
        centres = np.concatenate([data.database, data.truth])[:, :3, 3]
        box = axes.get_window_extent()
        placed = (view.place(points)[:, :2] for points in (centres, data.estimates[:, :3, 3]))
        super().__init__(axes, view, *surround(*placed, *[box.height / box.width] * 2))
        self.sequences = sequences_of(data.names)
        axes.locator_params(nbins=6)
        self.draw_database(data.database, size=12)
        self.draw_paths(data.names, data.truth[:, :3, 3], SOFT)
        moving = {"animated": True, "zorder": 3}
        (self.path,) = axes.plot([], [], color=INK, linewidth=1.8, **moving)
        rings = {"s": 46, "facecolors": "none", "edgecolors": RETRIEVED, "linewidths": 2}
        self.retrieved = axes.scatter([], [], **rings, **moving)
        self.dots = axes.scatter([], [], s=22, linewidths=0, **moving)
        (self.failed,) = axes.plot([], [], "x", color=INK, markersize=6, **moving)
        (self.error,) = axes.plot([], [], linewidth=2, **moving)
        self.cameras = self.draw_cameras(data.truth[:0], colours[:0], linewidths=2, **moving)

    def move_to(self, position: int) -> list[Artist]:
        """Move to the film's ``position``-th query; return the artists to draw, lowest first."""
        data, i = self.data, self.shown[position]
        past = self.shown[: position + 1]
        found = past[np.isfinite(data.metres[past])]
        failed = past[~np.isfinite(data.metres[past])]
        own = self.sequences == self.sequences[i]
        self.path.set_data(*self.place(data.truth[own, :3, 3]).T)
        self.retrieved.set_offsets(self.place(data.database[data.neighbours[i], :3, 3]))
        self.dots.set_offsets(self.place(data.estimates[found, :3, 3]))
        self.dots.set_facecolors(self.colours[found])
        self.failed.set_data(*self.place(data.truth[failed, :3, 3]).T)
        cameras, colours = [data.truth[i]], [to_rgba(INK)]
        if np.isfinite(data.metres[i]):
            cameras, colours = [*cameras, data.estimates[i]], [*colours, self.colours[i]]
        self.error.set_data(*self.place(np.stack(cameras)[:, :3, 3]).T)
        self.error.set_color(colours[-1])
        self.move_cameras(self.cameras, np.stack(cameras), np.stack(colours))
        return [self.path, self.retrieved, self.dots, self.failed, self.error, self.cameras]


class Curve:
    """The errors of the queries so far, their running median, and that of copying an image.

    The axis covers all of them. It is logarithmic, but linear at its lower end, which is 0.
    """

    def __init__(
        self,
        axes: Axes,
        errors: np.ndarray,
        shown: np.ndarray,
        colours: np.ndarray | None = None,
        copied: np.ndarray | None = None,
    ) -> None:
        """Draw the static parts.

        Args:
            axes: to draw on.
            errors: of all queries (N), infinite for failed ones.
            shown: rows (n) of the queries that the film shows.
            colours: of their dots (N, 4); None: grey.
            copied: errors (N) of copying an image's pose, if known.
        """
        self.axes, self.shown, self.errors = axes, shown, errors[shown]
        self.medians = _running_medians(errors, shown)
        self.copied = np.empty(0) if copied is None else _running_medians(copied, shown)
        self.colours = None if colours is None else colours[shown]
        drawn = np.concatenate([self.errors, self.medians, self.copied])
        self.top = _use_error_axis(axes, drawn[np.isfinite(drawn) & (drawn > 0)])
        axes.set_xlim(0, len(errors) + 1)
        axes.locator_params(axis="x", nbins=4, integer=True)
        moving = {"animated": True, "clip_on": False, "zorder": 3}
        self.dots = axes.scatter([], [], s=12, color=SOFT, linewidths=0, **moving)
        (self.failed,) = axes.plot([], [], "x", color=INK, markersize=6, **moving)
        (self.copying,) = axes.plot([], [], **COPYING, **moving)
        (self.line,) = axes.plot([], [], color=INK, linewidth=2, **moving)

    def move_to(self, position: int) -> list[Artist]:
        """Move to the film's ``position``-th query; return the artists to draw."""
        past = slice(position + 1)
        number, errors = self.shown[past] + 1, self.errors[past]
        found = np.isfinite(errors)
        self.dots.set_offsets(np.stack([number, errors], axis=1)[found])
        if self.colours is not None:
            self.dots.set_facecolors(self.colours[past][found])
        self.failed.set_data(number[~found], np.full((~found).sum(), self.top))
        self.line.set_data(number, self.medians[past])
        copied = self.copied[past]
        self.copying.set_data(number[: len(copied)], copied)
        return [self.dots, self.failed, self.copying, self.line]


def _use_error_axis(axes: Axes, errors: np.ndarray) -> float:
    """Make the vertical axis cover 0 and all of these positive errors (n); return its upper end.

    Its lowest eighth or so is linear, up to a power of ten that few errors are below.
    """
    few, most = np.percentile(errors, [5, 100]) if errors.size else (0.1, 1.0)
    start, top = 10 ** np.floor(np.log10(few)), 1.2 * most
    axes.set_yscale("symlog", linthresh=start, linscale=np.log10(top / start) / 7)
    axes.set_ylim(0, top)
    steps = (1, 2, 5) if top < 10 * start else (1,)
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=start, subs=steps))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    return top


def _running_medians(errors: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return the medians (n) of the errors (N) up to and including each query in ``shown`` (n)."""
    return np.array([np.median(errors[: i + 1]) for i in shown])
