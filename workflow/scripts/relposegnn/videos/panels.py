"""The parts of a film's frame that are drawn: a map from above, and curves of errors.

Each draws what stands still when it is made; ``move_to`` then returns what moves.
"""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Polygon

from ..figures.style import ERROR_COLOURS, INK, PALE, SOFT, colour_limit

RETRIEVED = "#44AA99"


@dataclass(frozen=True)
class Localized:
    """N test queries in recorded order, and what is known of them.

    ``query`` (N) and ``neighbours`` (N, k) index the frames of the test and training split;
    ``truth`` and ``estimates`` are ``world_from_cam`` (N, 4, 4), NaN where a query failed;
    ``metres`` and ``degrees`` (N) their errors, infinite there; ``database`` (M, 3) are camera
    centres; ``neighbour_metres`` and ``neighbour_degrees`` (N, k) lie between query and neighbour.
    """

    names: list[str]
    query: np.ndarray
    neighbours: np.ndarray
    truth: np.ndarray
    estimates: np.ndarray
    metres: np.ndarray
    degrees: np.ndarray
    database: np.ndarray
    neighbour_metres: np.ndarray
    neighbour_degrees: np.ndarray

    @property
    def sequences(self) -> np.ndarray:
        """Return the sequences (N): the names up to the last slash."""
        return np.array([name.rpartition("/")[0] for name in self.names])


def bird_view(world_from_cam: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the world's axes (2) for right and up on a map seen from above, and a mirror's need.

    The axis nearest to the cameras' mean upward direction is left out; of the others, that along
    which the cameras (N, 4, 4) extend more lies horizontally. Where the second value is True the
    horizontal axis has to run leftwards, or left turns would look like right ones.
    """
    upward = -world_from_cam[:, :3, 1].mean(axis=0)
    hidden = int(np.argmax(np.abs(upward)))
    rest = np.delete(np.arange(3), hidden)
    extent = np.ptp(world_from_cam[:, :3, 3], axis=0)
    across, up = rest[np.argsort(-extent[rest], kind="stable")]
    towards_viewer = np.cross(np.eye(3)[across], np.eye(3)[up])[hidden]
    return np.array([across, up]), bool(towards_viewer * upward[hidden] < 0)


def map_limits(points: np.ndarray, aspect: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (2), (2) of a box of this width / height around points (N, 2)."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = max(0.09 * (high - low).max(), 0.05)  # room for the camera symbols
    low, high = low - margin, high + margin
    size = high - low
    widen = np.maximum([aspect * size[1] - size[0], size[0] / aspect - size[1]], 0) / 2
    return low - widen, high + widen


def _aspect(axes: Axes) -> float:
    """Return width / height of axes."""
    box = axes.get_window_extent()
    return box.width / box.height


class Map:
    """The scene from above: database, ground truth, estimates so far, the present cameras."""

    def __init__(self, axes: Axes, data: Localized, shown: np.ndarray, norm: Normalize) -> None:
        """Draw what stands still on ``axes``, whose proportions are kept."""
        self.axes, self.data, self.shown = axes, data, shown
        self.pick, mirrored = bird_view(data.truth)
        self.sequences = data.sequences
        self.colours = ERROR_COLOURS(norm(np.minimum(data.metres, norm.vmax)))
        centres = data.truth[:, :3, 3][:, self.pick]
        inside = data.estimates[data.metres <= norm.vmax][:, self.pick, 3]
        points = np.concatenate([data.database[:, self.pick], centres, inside])
        low, high = map_limits(points, _aspect(axes))
        self.symbol = 0.075 * (high - low).max()
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        axes.locator_params(nbins=6)
        if mirrored:
            axes.invert_xaxis()
        axes.scatter(*data.database[:, self.pick].T, s=12, color=PALE, linewidths=0)
        for sequence in dict.fromkeys(self.sequences.tolist()):
            axes.plot(*centres[self.sequences == sequence].T, color=SOFT, linewidth=0.8)
        moving = {"animated": True, "zorder": 3}
        (self.path,) = axes.plot([], [], color=INK, linewidth=1.8, **moving)
        rings = {"s": 46, "facecolors": "none", "edgecolors": RETRIEVED, "linewidths": 2}
        self.retrieved = axes.scatter([], [], **rings, **moving)
        self.dots = axes.scatter([], [], s=22, linewidths=0, **moving)
        (self.failed,) = axes.plot([], [], "x", color=INK, markersize=6, **moving)
        (self.error,) = axes.plot([], [], linewidth=2, **moving)
        self.cameras = [
            axes.add_patch(Polygon(np.zeros((3, 2)), closed=True, linewidth=2, **moving))
            for _ in range(2)
        ]

    def move_to(self, position: int) -> list[Artist]:
        """Show the film's ``position``-th query; return what to draw, lowest first."""
        data, i = self.data, self.shown[position]
        past = self.shown[: position + 1]
        found = np.isfinite(data.metres)
        self.path.set_data(*self._centres(data.truth[self.sequences == self.sequences[i]]).T)
        self.retrieved.set_offsets(data.database[data.neighbours[i]][:, self.pick])
        self.dots.set_offsets(self._centres(data.estimates[past[found[past]]]))
        self.dots.set_facecolors(self.colours[past[found[past]]])
        self.failed.set_data(*self._centres(data.truth[past[~found[past]]]).T)
        standing = [self.path, self.retrieved, self.dots, self.failed]
        self._place(self.cameras[0], data.truth[i], INK)
        if not found[i]:
            return [*standing, self.cameras[0]]
        self._place(self.cameras[1], data.estimates[i], self.colours[i])
        self.error.set_data(*self._centres(np.stack([data.truth[i], data.estimates[i]])).T)
        self.error.set_color(self.colours[i])
        return [*standing, self.cameras[0], self.error, self.cameras[1]]

    def _centres(self, poses: np.ndarray) -> np.ndarray:
        """Return the camera centres (N, 2) on the map."""
        return poses[:, self.pick, 3]

    def _place(self, camera: Polygon, world_from_cam: np.ndarray, colour: np.ndarray | str) -> None:
        """Make a camera's symbol: a wedge from the centre along the field of view."""
        corners = self.symbol * np.array([[0, 0, 0], [-0.5, 0, 1], [0.5, 0, 1]])
        camera.set_xy((corners @ world_from_cam[:3, :3].T + world_from_cam[:3, 3])[:, self.pick])
        camera.set_edgecolor(colour)
        camera.set_facecolor(matplotlib.colors.to_rgba(colour, 0.25))


class Curve:
    """An error of the queries so far, and the running median."""

    def __init__(
        self,
        axes: Axes,
        errors: np.ndarray,
        shown: np.ndarray,
        colours: np.ndarray | None,
    ) -> None:
        """Draw what stands still.

        Args:
            axes: to draw on.
            errors: of all queries (N), infinite where they failed.
            shown: those of them (n) that the film shows.
            colours: of their dots (N, 4); grey without.
        """
        self.axes, self.shown, self.errors = axes, shown, errors[shown]
        self.medians = np.array([np.median(errors[: i + 1]) for i in shown])
        self.colours = None if colours is None else colours[shown]
        self.limit = 1.3 * colour_limit(errors)
        axes.set(xlim=(0, len(errors) + 1), ylim=(0, self.limit))
        axes.locator_params(axis="y", nbins=4)
        axes.locator_params(axis="x", nbins=4, integer=True)
        moving = {"animated": True, "clip_on": False, "zorder": 3}
        self.dots = axes.scatter([], [], s=12, color=SOFT, linewidths=0, **moving)
        (self.failed,) = axes.plot([], [], "x", color=INK, markersize=6, **moving)
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
        return [self.dots, self.failed, self.line]
