"""One frame of a film: query, retrieved neighbours, map, errors.

What stands still is drawn once. For each frame it is restored, what moves is drawn upon it, and the
pictures are pasted in, scaled to whole pixels. Places are in pixels from the upper left corner.
"""

from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from ..figures.style import ERROR_COLOURS, INK, PALE, SOFT, colour_limit, house_style
from .panels import RETRIEVED, Curve, Localized, Map

WIDTH, HEIGHT, DPI = 1280, 720, 100
LEFT, RIGHT = 32, WIDTH - 32
QUERY_BOX = (LEFT, 96, 400, 300)  # left, top, width, height
MAP_BOX = (500, 96, 420, 346)
CURVE_BOXES = ((1000, 96, 236, 146), (1000, 296, 236, 146))
HEADINGS = ((LEFT, 84), (MAP_BOX[0], 84), (CURVE_BOXES[0][0], 84), (CURVE_BOXES[1][0], 284))
TABLE_COLUMNS, TABLE_ROWS = (LEFT, 236, QUERY_BOX[0] + QUERY_BOX[2]), (424, 454, 482)
LEGEND_LINE = 488
STRIP_TOP, STRIP_BOX, STRIP_GAP = 550, (160, 120), 16
STRIP_MOST = 11  # neighbours; more would be too narrow for their captions
STYLE = {"font.size": 11, "xtick.labelsize": 10, "ytick.labelsize": 10, "legend.fontsize": 10.5}


def drawn_colours() -> np.ndarray:
    """Return the colours of everything but the pictures, uint8 (n, 3)."""
    names = np.array([to_rgb(name) for name in ("white", INK, SOFT, PALE, RETRIEVED)])
    greys = np.linspace(0, 1, 17)[:, None] * [1, 1, 1]  # the edges of letters and lines
    errors = ERROR_COLOURS(np.linspace(0, 1, 32))[:, :3]
    return np.round(255 * np.concatenate([names, greys, errors])).astype(np.uint8)


class Film:
    """Draws the frames of a film, in any order."""

    def __init__(
        self,
        data: Localized,
        shown: np.ndarray,
        pictures: Callable[[int], np.ndarray],
        scene: str,
        model: str,
    ) -> None:
        """Draw what stands still.

        Args:
            data: all queries of the scene.
            shown: those of them (n) that have a frame in the film.
            pictures: returns the images (1 + k, H, W, 3) uint8 of a query and its neighbours.
            scene: for the title.
            model: what made the estimates, for the title.
        """
        self.data, self.shown, self.pictures = data, shown, pictures
        norm = Normalize(0, colour_limit(data.metres))
        self.colours = ERROR_COLOURS(norm(np.minimum(data.metres, norm.vmax)))
        self.figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
        self.canvas = FigureCanvasAgg(self.figure)
        with house_style(), matplotlib.rc_context(STYLE):
            curves = [_add_axes(self.figure, box) for box in CURVE_BOXES]
            self.panels = [
                Map(_add_axes(self.figure, MAP_BOX), data, shown, norm),
                Curve(curves[0], data.metres, shown, self.colours),
                Curve(curves[1], data.degrees, shown, None),
            ]
            _add_colour_scale(curves[0], norm)
            self._write_labels(scene, model)
            self._add_moving_texts()
            self._add_legends()
            self.canvas.draw()
        self.still = self.canvas.copy_from_bbox(self.figure.bbox)

    def draw(self, position: int) -> np.ndarray:
        """Return the film's ``position``-th frame, uint8 (HEIGHT, WIDTH, 3)."""
        self.canvas.restore_region(self.still)
        for panel in self.panels:
            for artist in panel.move_to(position):
                panel.axes.draw_artist(artist)
        i = self.shown[position]
        self._tell(i)
        for text in self.texts.values():
            self.figure.draw_artist(text)
        frame = np.asarray(self.canvas.buffer_rgba())[..., :3].copy()
        self._paste_pictures(frame, i)
        return frame

    def _write(self, place: tuple[float, float], text: str, **style: object) -> Text:
        """Write a line whose baseline starts at ``place``."""
        x, y = place
        return self.figure.text(x / WIDTH, 1 - y / HEIGHT, text, **style)

    def _write_labels(self, scene: str, model: str) -> None:
        """Write what every frame says."""
        name = self._write((LEFT, 42), scene, size=17, weight="bold")
        end = name.get_window_extent().x1
        self._write((end + 14, 42), model, size=12, color=SOFT)
        labels = ("query", "seen from above [m]", "translation error [m]", "rotation error [°]")
        for place, label in zip(HEADINGS, labels, strict=True):
            self._write(place, label, weight="bold")
        for column, label in zip(TABLE_COLUMNS[1:], ("this query", "median so far"), strict=True):
            self._write((column, TABLE_ROWS[0]), label, color=SOFT, ha="right")
        for row, label in zip(TABLE_ROWS[1:], ("translation", "rotation"), strict=True):
            self._write((LEFT, row), label, color=SOFT)
        heading = self._write((LEFT, STRIP_TOP - 12), "retrieved neighbours", weight="bold")
        total = self.data.neighbours.shape[1]
        first = f"the first {STRIP_MOST} of {total}; " if total > STRIP_MOST else ""
        self._write(
            (heading.get_window_extent().x1 + 10, STRIP_TOP - 12),
            f"{first}distance and angle from the query's true pose",
            color=SOFT,
        )

    def _add_moving_texts(self) -> None:
        """Make room for what changes from query to query."""
        moving = {"animated": True}
        query_end = QUERY_BOX[0] + QUERY_BOX[2]
        self.texts = {
            "name": self._write((query_end, HEADINGS[0][1]), "", ha="right", **moving),
            "count": self._write((RIGHT, 42), "", ha="right", size=12, color=SOFT, **moving),
        }
        for column, which in zip(TABLE_COLUMNS[1:], ("error", "median"), strict=True):
            for row, unit in zip(TABLE_ROWS[1:], ("metres", "degrees"), strict=True):
                style = {"ha": "right", "size": 15, "weight": "bold", **moving}
                self.texts[f"{which} {unit}"] = self._write((column, row), "", **style)
        for k, (left, top, width, height) in enumerate(self._strip()):
            place = left + width / 2, top + height + 21
            self.texts[f"neighbour {k}"] = self._write(place, "", ha="center", **moving)

    def _tell(self, i: int) -> None:
        """Put the i-th query's words and numbers."""
        data = self.data
        found = np.isfinite(data.metres[i])
        told = {
            "name": data.names[i],
            "count": f"query {i + 1} of {len(data.names)}",
            "error metres": _metres(data.metres[i]) if found else "failed",
            "error degrees": _degrees(data.degrees[i]) if found else "failed",
            "median metres": _metres(np.median(data.metres[: i + 1])),
            "median degrees": _degrees(np.median(data.degrees[: i + 1])),
        }
        for k in range(len(self._strip())):
            distance, angle = data.neighbour_metres[i, k], data.neighbour_degrees[i, k]
            told[f"neighbour {k}"] = f"{distance:.2f} m, {angle:.0f}°"
        for name, text in told.items():
            self.texts[name].set_text(text)
        self.texts["error metres"].set_color(self.colours[i] if found else INK)

    def _add_legends(self) -> None:
        """Explain the marks of the map and of the curves, under them."""
        dot = {"linestyle": "", "marker": "o"}
        ring = {"markerfacecolor": "none", "markeredgewidth": 2, "markersize": 6.5}
        on_map = [
            Line2D([], [], **dot, color=PALE, markersize=4, label="database"),
            Line2D([], [], **dot, **ring, color=RETRIEVED, label="retrieved"),
            Line2D([], [], color=INK, linewidth=2, label="true"),
            Line2D([], [], **dot, color=ERROR_COLOURS(0.4), markersize=5, label="estimated"),
        ]
        on_curves = [
            Line2D([], [], **dot, color=SOFT, markersize=4, label="query"),
            Line2D([], [], color=INK, linewidth=2, label="median so far"),
        ]
        if not np.isfinite(self.data.metres).all():
            on_curves[1].set_label("median")  # makes room
            cross = {"linestyle": "", "marker": "x", "color": INK, "markersize": 6}
            on_curves.append(Line2D([], [], **cross, label="failed"))
        for box, handles in ((MAP_BOX, on_map), (CURVE_BOXES[0], on_curves)):
            self.figure.legend(
                handles=handles,
                loc="center",
                bbox_to_anchor=((box[0] + box[2] / 2) / WIDTH, 1 - LEGEND_LINE / HEIGHT),
                ncols=len(handles),
                columnspacing=1.3,
                handletextpad=0.5,
                handlelength=1.2,
                borderpad=0,
                borderaxespad=0,
            )

    def _strip(self) -> list[tuple[int, int, int, int]]:
        """Return the boxes of the neighbours shown: left, top, width, height."""
        count = min(self.data.neighbours.shape[1], STRIP_MOST)
        width = min(STRIP_BOX[0], (RIGHT - LEFT - (count - 1) * STRIP_GAP) // count)
        return [
            (LEFT + k * (width + STRIP_GAP), STRIP_TOP, width, STRIP_BOX[1]) for k in range(count)
        ]

    def _paste_pictures(self, frame: np.ndarray, i: int) -> None:
        """Put the query and its neighbours into a frame, in borders of their colours."""
        pictures = self.pictures(i)
        _paste(frame, pictures[0], QUERY_BOX, INK)
        for picture, box in zip(pictures[1:], self._strip(), strict=False):
            _paste(frame, picture, box, RETRIEVED)


def _add_axes(figure: Figure, box: tuple[int, int, int, int]) -> Axes:
    """Return axes in a box: left, top, width, height."""
    left, top, width, height = box
    bottom = HEIGHT - top - height
    return figure.add_axes((left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT))


def _add_colour_scale(axes: Axes, norm: Normalize) -> None:
    """Show beside an axis of errors, on its right, which colours they have."""
    scale = axes.inset_axes((1.03, 0, 0.03, 1))
    scale.set_axis_off()
    values = np.linspace(*axes.get_ylim(), 256)
    colours = ERROR_COLOURS(norm(np.minimum(values, norm.vmax)))[:, None]
    scale.imshow(colours, aspect="auto", origin="lower")


def _paste(
    frame: np.ndarray, picture: np.ndarray, box: tuple[int, int, int, int], colour: str
) -> None:
    """Scale a picture (H, W, 3) into a box of the frame, in its middle, with a border around."""
    left, top, width, height = box
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    left, top = left + (width - size[0]) // 2, top + (height - size[1]) // 2
    scaled = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
    frame[top - 2 : top + size[1] + 2, left - 2 : left + size[0] + 2] = np.multiply(
        to_rgb(colour), 255
    )
    frame[top : top + size[1], left : left + size[0]] = scaled


def _metres(value: float) -> str:
    """Return an error for reading."""
    return f"{value:.3f} m" if np.isfinite(value) else "∞ m"


def _degrees(value: float) -> str:
    """Return an error for reading."""
    return f"{value:.2f}°" if np.isfinite(value) else "∞°"
