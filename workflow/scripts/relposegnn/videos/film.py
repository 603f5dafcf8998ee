"""Film of one scene's localisation: query after query, in recorded order.

A frame shows a query, its neighbours, a map and the errors. The static parts are drawn once. For
each frame they are restored, the moving parts are drawn on top, and the pictures are pasted in,
scaled to whole pixels. Positions are in pixels from the upper left corner.
"""

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image, ImageOps
from tqdm import tqdm

from ..data.frames import Frames
from ..data.images import small_image
from ..figures.style import (
    ERROR_COLOURS,
    INK,
    PALE,
    SOFT,
    error_colours,
    house_style,
    legend_mark,
    length_text,
    place_axes,
    write,
)
from ..poses import pose_distances
from .files import create_mp4, shrink, write_gif
from .panels import COPYING, RETRIEVED, Curve, FilmMap
from .queries import Localized, choose_queries, read_localized

GIF_WIDTH, GIF_RATE = 640, 5.0  # pixels; frames a second, at most
WIDTH, HEIGHT, DPI = 1280, 720, 100
LEFT, RIGHT = 32, WIDTH - 32
QUERY_BOX = (LEFT, 96, 400, 300)  # left, top, width, height
MAP_BOX = (500, 96, 420, 346)
CURVE_BOXES = ((1000, 96, 236, 146), (1000, 296, 236, 146))
LEGEND_LINE = 488
STRIP_TOP, STRIP_BOX, STRIP_GAP = 550, (160, 120), 16
# In memory at most, 0.4 MB each: consecutive queries share neighbours.
KEPT_PICTURES = 128
STRIP_MOST = 11  # neighbours; with more, pictures would be too narrow for their captions
STYLE = {"font.size": 11, "xtick.labelsize": 10, "ytick.labelsize": 10, "legend.fontsize": 10.5}
HEADING, NOTE = {"weight": "bold"}, {"color": SOFT}
NUMBER = {"ha": "right", "size": 15, "weight": "bold"}
STANDING = [  # static texts: where the baseline starts, text, style
    ((LEFT, 84), "query", HEADING),
    ((1000, 84), "translation error [m]", HEADING),
    ((1000, 284), "rotation error [°]", HEADING),
    ((236, 424), "this query", {**NOTE, "ha": "right"}),
    ((432, 424), "median so far", {**NOTE, "ha": "right"}),
    ((LEFT, 454), "translation", NOTE),
    ((LEFT, 482), "rotation", NOTE),
]
MOVING = {  # texts that change from query to query
    "name": ((432, 84), {"ha": "right"}),
    "count": ((RIGHT, 42), {"ha": "right", "size": 12, **NOTE}),
    "error metres": ((236, 454), NUMBER),
    "error degrees": ((236, 482), NUMBER),
    "median metres": ((432, 454), NUMBER),
    "median degrees": ((432, 482), NUMBER),
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilmSettings:
    """How a scene is filmed.

    Attributes:
        queries: about how many are shown; every n-th of each sequence.
        frames_per_second: of the MP4.
    """

    queries: int
    frames_per_second: float


def render_video(
    frames_file: str | Path,
    graphs_file: str | Path,
    predictions_file: str | Path,
    scene_folder: str | Path,
    film_files: tuple[str | Path, str | Path],
    run: str,
    settings: FilmSettings,
) -> None:
    """Film the test queries of a scene: image, neighbours, cameras on the map, errors.

    There is one query per frame, in recorded order; estimates are those of the ``shown_estimator``.
    The original images are shown, upright: those in the frames file may have few pixels.

    Args:
        frames_file: HDF5 of the packing step.
        graphs_file: HDF5 of the sampling step.
        predictions_file: npz of the prediction step.
        scene_folder: with its images.
        film_files: MP4 (H.264, 1280x720 pixels) and GIF (smaller, at most 5 frames a second).
        run: for the title.
        settings: how many queries are shown, and how fast.

    Raises:
        InputError: the files do not belong together, an image cannot be read, or H.264 cannot be
            written.
    """
    rate = settings.frames_per_second
    step = int(np.ceil(rate / GIF_RATE))
    small = []
    with Frames(frames_file) as frames:
        localized = read_localized(frames, graphs_file, predictions_file)
        shown = choose_queries(localized.names, settings.queries)
        title = f"run {run}, {localized.estimator}"
        film = Film(frames, Path(scene_folder), localized, shown, title)
        with create_mp4(film_files[0], WIDTH, HEIGHT, rate) as add:
            for position in tqdm(range(len(shown)), "frames", unit="frame", disable=None):
                picture = film.draw(position)
                add(picture)
                if (len(shown) - 1 - position) % step == 0:  # includes the last one
                    small.append(shrink(picture, GIF_WIDTH))
    write_gif(film_files[1], small, rate / step)
    logger.info("%s: %d of %d queries shown", film_files[0], len(shown), len(localized.names))


class Film:
    """Draws the frames of a film, in any order."""

    def __init__(
        self, frames: Frames, folder: Path, data: Localized, shown: np.ndarray, title: str
    ) -> None:
        """Draw the static parts.

        Args:
            frames: of the scene.
            folder: with its images, which are read when they are drawn.
            data: all queries of the scene.
            shown: rows (n) of the queries that have a frame in the film.
            title: names the run and the estimator.
        """
        self.frames, self.folder, self.data, self.shown = frames, folder, data, shown
        self._picture = lru_cache(KEPT_PICTURES)(small_image)
        self.strip = _strip(data.neighbours.shape[1])
        colours = error_colours(data.metres)
        self.colours = colours.to_rgba(data.metres)
        self.figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
        self.canvas = FigureCanvasAgg(self.figure)
        with house_style(), matplotlib.rc_context(STYLE):
            boxes = [np.divide(box, DPI) for box in (MAP_BOX, *CURVE_BOXES)]
            above, metres, degrees = (place_axes(self.figure, box) for box in boxes)
            copied = data.copied[1] if data.copied else (None, None)
            self.panels = [
                FilmMap(above, data, shown, self.colours),
                Curve(metres, data.metres, shown, self.colours, copied[0]),
                Curve(degrees, data.degrees, shown, None, copied[1]),
            ]
            _add_colour_scale(metres, colours)
            self._write_standing(title)
            moving = dict(MOVING)
            for k, (left, top, width, height) in enumerate(self.strip):
                moving[f"neighbour {k}"] = (left + width / 2, top + height + 21), {"ha": "center"}
            self.texts = {
                name: self._put(place, "", animated=True, **style)
                for name, (place, style) in moving.items()
            }
            self._add_legends()
            self.canvas.draw()
        self.still = self.canvas.copy_from_bbox(self.figure.bbox)

    def draw(self, position: int) -> np.ndarray:
        """Return the film's ``position``-th frame, uint8 (HEIGHT, WIDTH, 3)."""
        self.canvas.restore_region(self.still)
        for panel in self.panels:
            for artist in panel.move_to(position):
                panel.axes.draw_artist(artist)
        self._tell(position)
        for text in self.texts.values():
            self.figure.draw_artist(text)
        frame = np.asarray(self.canvas.buffer_rgba())[..., :3].copy()
        i = self.shown[position]
        neighbours = self.data.neighbours[i, : len(self.strip)]
        places = [("test", self.data.query[i]), *(("train", each) for each in neighbours)]
        for place, box in zip(places, [QUERY_BOX, *self.strip], strict=True):
            picture = self._picture(self.folder / self.frames.source(*place), box[2:])
            _paste(frame, picture, box, INK if box is QUERY_BOX else RETRIEVED)
        return frame

    def _put(self, place: tuple[float, float], text: str, **style: object) -> Text:
        """Write text whose baseline starts at a place, in pixels."""
        return write(self.figure, np.divide(place, DPI), text, **style)

    def _write_standing(self, title: str) -> None:
        """Write the texts that every frame has."""
        total, line = self.data.neighbours.shape[1], STRIP_TOP - 12
        first = f"the first {STRIP_MOST} of {total}; " if total > STRIP_MOST else ""
        note = f"{first}distance and angle from the query's true pose"
        scene = self._put((LEFT, 42), self.frames.scene, size=17, **HEADING)
        self._put((_behind(scene), 42), title, size=12, **NOTE)
        retrieved = self._put((LEFT, line), "retrieved neighbours", **HEADING)
        self._put((_behind(retrieved), line), note, **NOTE)
        self._put((MAP_BOX[0], 84), f"{self.panels[0].view.title} [m]", **HEADING)
        for place, text, style in STANDING:
            self._put(place, text, **style)

    def _tell(self, position: int) -> None:
        """Set the texts and numbers of the film's ``position``-th query."""
        data, i = self.data, self.shown[position]
        metres, degrees = pose_distances(data.database[data.neighbours[i]], data.truth[i])
        found = np.isfinite(data.metres[i])
        told = {
            "name": data.names[i],
            "count": f"query {i + 1} of {len(data.names)}",
            "error metres": length_text(data.metres[i]) if found else "failed",
            "error degrees": f"{data.degrees[i]:.3f}°" if found else "failed",
            "median metres": length_text(self.panels[1].medians[position]).replace("inf", "∞"),
            "median degrees": f"{self.panels[2].medians[position]:.3f}°".replace("inf", "∞"),
        }
        for k in range(len(self.strip)):
            told[f"neighbour {k}"] = f"{metres[k]:.2f} m, {degrees[k]:.0f}°"
        for name, text in told.items():
            self.texts[name].set_text(text)
        self.texts["error metres"].set_color(self.colours[i] if found else INK)

    def _add_legends(self) -> None:
        """Add legends below the map and the curves."""
        ring = {"markerfacecolor": "none", "markeredgewidth": 2, "markersize": 6.5}
        on_map = [
            legend_mark("database", PALE, markersize=4),
            legend_mark("retrieved", RETRIEVED, **ring),
            Line2D([], [], color=INK, linewidth=2, label="true"),
            legend_mark("estimated", ERROR_COLOURS(0.4), markersize=5),
        ]
        on_curves = [
            legend_mark("query", SOFT, markersize=4),
            Line2D([], [], color=INK, linewidth=2, label="median"),
        ]
        if self.data.copied:
            on_curves.append(Line2D([], [], **COPYING, label=self.data.copied[0]))
        if not np.isfinite(self.data.metres).all():
            on_curves.append(legend_mark("failed", INK, "x", markersize=6))
        columns = 2 if self.data.copied else 3  # the name of the copied image is long
        for box, handles, ncols in ((MAP_BOX, on_map, 4), (CURVE_BOXES[0], on_curves, columns)):
            self.figure.legend(
                handles=handles,
                loc="center",
                bbox_to_anchor=((box[0] + box[2] / 2) / WIDTH, 1 - LEGEND_LINE / HEIGHT),
                ncols=ncols,
                columnspacing=1.3,
                handletextpad=0.5,
                handlelength=1.2,
                borderpad=0,
                borderaxespad=0,
            )


def _behind(text: Text) -> float:
    """Return the horizontal position of a note after a text."""
    return text.get_window_extent().x1 + 12


def _strip(neighbours: int) -> list[tuple[int, int, int, int]]:
    """Return the boxes of the neighbours shown: left, top, width, height."""
    count = min(neighbours, STRIP_MOST)
    width = min(STRIP_BOX[0], (RIGHT - LEFT - (count - 1) * STRIP_GAP) // count)
    return [(LEFT + k * (width + STRIP_GAP), STRIP_TOP, width, STRIP_BOX[1]) for k in range(count)]


def _add_colour_scale(axes: Axes, colours: ScalarMappable) -> None:
    """Add a colour scale to the right of an axis of errors."""
    scale = axes.inset_axes((1.03, 0, 0.03, 1))
    scale.set_axis_off()
    heights = axes.yaxis.get_transform()
    values = heights.inverted().transform(np.linspace(*heights.transform(axes.get_ylim()), 256))
    scale.imshow(colours.to_rgba(values[:, None]), aspect="auto", origin="lower")


def _paste(
    frame: np.ndarray, picture: Image.Image, box: tuple[int, int, int, int], colour: str
) -> None:
    """Paste a picture into the middle of a box of the frame, scaled to fit, with a border."""
    left, top, width, height = box
    scaled = ImageOps.contain(picture, (width, height), Image.Resampling.BICUBIC)
    framed = np.asarray(ImageOps.expand(scaled, border=2, fill=colour))
    left, top = left + (width - framed.shape[1]) // 2, top + (height - framed.shape[0]) // 2
    frame[top : top + framed.shape[0], left : left + framed.shape[1]] = framed
