"""Maps: the view of a scene from above that all its figures and films share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgba, to_rgba_array
from matplotlib.patches import Ellipse

from .style import PALE

LEAST_MEAN = 0.3  # length of the mean upward direction; random directions have a shorter mean
ALIGNED = np.cos(np.radians(15))  # an upward direction this near to a world axis is taken as it
REACH = 0.35  # of the cameras' extent: estimates further outside are not on the map
MARGIN = 0.12  # of the extent, around what is shown: room for a symbol
SYMBOL = 0.075  # of the map's longer side: the length of a camera's symbol
# A path is interrupted at steps that are this many times as long as this quantile of its steps.
USUAL_STEPS, LONGEST_STEP = 0.9, 5.0
WEDGE = np.array([[0, 0, 0], [-0.5, 0, 1], [0.5, 0, 1]])  # the symbol, camera axes


@dataclass(frozen=True)
class View:
    """The direction from which a scene is seen.

    ``map_from_world`` (3, 3) turns the world's axes into the map's: to the right, towards the top
    of the page, and towards the viewer. It is a rotation, so a map is never mirrored. ``labels``
    name the three axes; ``title`` describes the view.
    """

    map_from_world: np.ndarray
    labels: list[str]
    title: str

    def place(self, points: np.ndarray) -> np.ndarray:
        """Return the map's coordinates (..., 3) of points (..., 3) in the world, metres."""
        return points @ self.map_from_world.T


def look_from_above(world_from_cam: np.ndarray) -> View:
    """Return the view of a scene from above, given the poses (M, 4, 4) of its database.

    Up is the mean of the cameras' upward directions (-y of each camera), or the world axis within
    15 degrees of it. If these directions cancel out, up is unknown: the scene is then seen along
    the world axis along which the cameras extend least.

    The map is turned so that the cameras extend least towards its top, and most across. If up is a
    world axis, the map's axes are the two others or their opposites; else it is turned by whole
    degrees.
    """
    centres = world_from_cam[:, :3, 3]
    up = -world_from_cam[:, :3, 1].mean(axis=0)
    known = np.linalg.norm(up) > LEAST_MEAN
    if not known:
        up = np.eye(3)[np.argmin(np.ptp(centres, axis=0))]
    up = up / np.linalg.norm(up)
    aligned = np.abs(up).max() > ALIGNED
    if aligned:
        up = np.round(up)
    first = np.eye(3)[np.argmin(np.abs(up))]
    first = first - (first @ up) * up
    first = first / np.linalg.norm(first)
    across = np.stack([first, np.cross(up, first)])  # horizontal axes before the map is turned
    if not aligned:
        turns = np.radians(np.arange(180))
        across = np.stack([np.cos(turns), np.sin(turns)], axis=1) @ across
    right = across[np.argmin(np.ptp(centres @ np.cross(up, across).T, axis=0))]
    right = right * np.sign(right[np.argmax(np.abs(right))])
    rows = np.stack([right, np.cross(up, right), up])
    nearest = [("−" if row.min() < -0.5 else "") + "xyz"[np.argmax(np.abs(row))] for row in rows]
    names = nearest if aligned else ["across", "ahead", "height"]
    title = "seen from above, as a floor plan" if known else f"seen along {nearest[2]}"
    return View(rows, [f"{name} [m]" for name in names], title)


def surround(
    cameras: np.ndarray,
    estimates: np.ndarray,
    least: float | Sequence[float],
    most: float | Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """Return two corners (d) of a box around cameras (M, d) and estimates (N, d) near them.

    ``least`` and ``most`` bound all sides but the first, as fractions of the first; the box is
    enlarged to respect them.
    """
    low, high = cameras.min(axis=0), cameras.max(axis=0)
    reach = REACH * max((high - low).max(), 0.1)
    near = (estimates >= low - reach) & (estimates <= high + reach)
    points = np.concatenate([cameras, estimates[near.all(axis=1)]])
    low, high = points.min(axis=0), points.max(axis=0)
    size = high - low + 2 * max(MARGIN * (high - low).max(), 0.05)
    size[0] = max(size[0], (size[1:] / most).max())
    size[1:] = np.maximum(size[1:], size[0] * np.asarray(least))
    middle = (low + high) / 2
    return middle - size / 2, middle + size / 2


def tell_unseen(estimates: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Return a text with how many estimates (N, d) are outside a map's box or failed, or ''."""
    found = np.isfinite(estimates).all(axis=1)
    outside = found & ~((estimates >= low) & (estimates <= high)).all(axis=1)
    counts = {"outside the map": outside.sum(), "failed": (~found).sum()}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def sequences_of(names: Sequence[str]) -> np.ndarray:
    """Return the sequence (N) of each frame: its name up to the last slash."""
    return np.array([name.rpartition("/")[0] for name in names])


class Map:
    """Axes that show a scene from one side: its database, and what is drawn on top."""

    def __init__(
        self, axes: Axes, view: View, low: np.ndarray, high: np.ndarray, upwards: int = 1
    ) -> None:
        """Set the limits.

        Args:
            axes: to draw on.
            view: of the scene.
            low: corner (2 or 3) of what is shown, in the map's coordinates.
            high: the opposite corner.
            upwards: the coordinate that grows towards the top of the page: 1, or 2 for a view from
                the side.
        """
        self.axes, self.view, self.sides = axes, view, [0, upwards]
        (left, bottom), (right, top) = low[self.sides], high[self.sides]
        axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        self.symbol = SYMBOL * max(right - left, top - bottom)

    def place(self, points: np.ndarray) -> np.ndarray:
        """Return where points (..., 3) of the world lie on the axes, (..., 2)."""
        return self.view.place(points)[..., self.sides]

    def draw_database(self, world_from_cam: np.ndarray, size: float = 5.0) -> None:
        """Draw cameras (M, 4, 4) as dots with a short line along their viewing directions."""
        ahead = world_from_cam[:, :3, 3] + 0.25 * self.symbol * world_from_cam[:, :3, 2]
        lines = self.place(np.stack([world_from_cam[:, :3, 3], ahead], axis=1))
        collection = LineCollection(lines, colors=PALE, linewidths=0.1 * size, zorder=1)
        self.axes.add_collection(collection, autolim=False)
        self.axes.scatter(*lines[:, 0].T, s=size, color=PALE, linewidths=0)

    def draw_paths(self, names: Sequence[str], centres: np.ndarray, colour: str) -> None:
        """Join the camera centres (N, 3) of each sequence of frames by a line.

        The line is interrupted at an unusually long step, for example where a stretch of the
        sequence is held out.
        """
        sequences = sequences_of(names)
        for sequence in dict.fromkeys(sequences.tolist()):
            path = centres[sequences == sequence]
            steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
            usual = np.quantile(steps, USUAL_STEPS) if len(steps) else 0.0
            ends = np.flatnonzero((usual > 0) & (steps > LONGEST_STEP * usual)) + 1
            path = np.insert(self.place(path), ends, np.nan, axis=0)
            self.axes.plot(*path.T, color=colour, linewidth=0.8)

    def draw_ellipse(self, centre: np.ndarray, covariance: np.ndarray, colour: np.ndarray) -> None:
        """Draw the ellipse of one standard deviation around a point (3) with covariance (3, 3)."""
        axes = self.view.map_from_world[self.sides]
        squares, turns = np.linalg.eigh(axes @ covariance @ axes.T)
        width, height = 2 * np.sqrt(np.maximum(squares, 0))
        angle = np.degrees(np.arctan2(*turns[::-1, 0]))
        ellipse = Ellipse(self.place(centre), width, height, angle=angle)
        ellipse.set(facecolor=to_rgba(colour, 0.12), edgecolor=to_rgba(colour, 0.6), zorder=2)
        ellipse.set_linewidth(0.6)
        self.axes.add_patch(ellipse)

    def draw_cameras(
        self, world_from_cam: np.ndarray, colours: np.ndarray, **style: object
    ) -> PolyCollection:
        """Draw cameras (N, 4, 4) as wedges that open in their viewing directions; return these."""
        wedges = PolyCollection([], **style)
        self.axes.add_collection(wedges, autolim=False)
        self.move_cameras(wedges, world_from_cam, colours)
        return wedges

    def move_cameras(
        self, wedges: PolyCollection, world_from_cam: np.ndarray, colours: np.ndarray
    ) -> None:
        """Move wedges to other cameras (N, 4, 4), with colours (N, 4)."""
        corners = self.symbol * WEDGE @ world_from_cam[:, :3, :3].swapaxes(1, 2)
        wedges.set_verts(self.place(corners + world_from_cam[:, None, :3, 3]))
        wedges.set_edgecolor(colours)
        wedges.set_facecolor(to_rgba_array(colours, 0.3))
