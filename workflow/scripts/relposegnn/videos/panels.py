"""The parts of a film's frame that are drawn: a map from above, and curves of errors.

Each draws what stands still when it is made; ``move_to`` then returns what moves.
"""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from ..figures.maps import Map, look_from_above, sequences_of, surround
from ..figures.style import INK, SOFT, error_colours
from .queries import Localized

RETRIEVED = "#44AA99"
COPYING = {"color": SOFT, "linewidth": 1.5, "linestyle": (0, (4, 2))}  # its running median


class FilmMap(Map):
    """The scene from above: database, ground truth, estimates so far, the present cameras."""

    def __init__(self, axes: Axes, data: Localized, shown: np.ndarray, colours: np.ndarray) -> None:
        """Draw what stands still.

        Args:
            axes: to draw on; their proportions are kept.
            data: all N queries.
            shown: those of them (n) that the film shows.
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
        """Show the film's ``position``-th query; return what to draw, lowest first."""
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
    """An error of the queries so far, and the running median, beside that of copying an image."""

    def __init__(
        self,
        axes: Axes,
        errors: np.ndarray,
        shown: np.ndarray,
        colours: np.ndarray | None = None,
        copied: np.ndarray | None = None,
    ) -> None:
        """Draw what stands still.

        Args:
            axes: to draw on.
            errors: of all queries (N), infinite where they failed.
            shown: those of them (n) that the film shows.
            colours: of their dots (N, 4); grey without.
            copied: errors (N) of copying an image's pose, where known.
        """
        self.axes, self.shown, self.errors = axes, shown, errors[shown]
        self.medians = _running_medians(errors, shown)
        self.copied = np.empty(0) if copied is None else _running_medians(copied, shown)
        self.colours = None if colours is None else colours[shown]
        self.limit = 1.3 * error_colours(errors).norm.vmax
        axes.set(xlim=(0, len(errors) + 1), ylim=(0, self.limit))
        axes.locator_params(axis="y", nbins=4)
        axes.locator_params(axis="x", nbins=4, integer=True)
        moving = {"animated": True, "clip_on": False, "zorder": 3}
        self.dots = axes.scatter([], [], s=12, color=SOFT, linewidths=0, **moving)
        (self.failed,) = axes.plot([], [], "x", color=INK, markersize=6, **moving)
        (self.copying,) = axes.plot([], [], **COPYING, **moving)
        (self.line,) = axes.plot([], [], color=INK, linewidth=2, **moving)

    def move_to(self, position: int) -> list[Artist]:
        """Show the errors up to the film's ``position``-th query; return what to draw."""
        past = slice(position + 1)
        number, errors = self.shown[past] + 1, self.errors[past]
        found = np.isfinite(errors)
        self.dots.set_offsets(np.stack([number, np.minimum(errors, self.limit)], axis=1)[found])
        if self.colours is not None:
            self.dots.set_facecolors(self.colours[past][found])
        self.failed.set_data(number[~found], np.full((~found).sum(), self.limit))
        self.line.set_data(number, np.minimum(self.medians[past], self.limit))
        copied = self.copied[past]
        self.copying.set_data(number[: len(copied)], np.minimum(copied, self.limit))
        return [self.dots, self.failed, self.copying, self.line]


def _running_medians(errors: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return the medians (n) of all errors (N) up to each of the queries shown (n)."""
    return np.array([np.median(errors[: i + 1]) for i in shown])
