"""Picture of localised photos: a selection of them beside a map of where they were taken."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.patheffects
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure

from ..data.frames import Frames
from ..data.images import small_image
from ..figures.maps import Map, look_from_above, surround, tell_unseen
from ..figures.style import (
    ERROR_COLOURS,
    INK,
    PALE,
    SOFT,
    add_colour_bar,
    draw_picture,
    house_style,
    place_axes,
    save_figure,
    spread_rows,
    write,
)
from ..poses import pose_from_quaternion
from ..runtime import InputError

SHOWN = 12  # photos with a picture
PIXELS = 360, 360  # of a picture, at most
COLOURS = ERROR_COLOURS.reversed()  # dark blue: confident
CELL, CAPTION, GAP = (1.36, 1.02), 0.36, 0.14  # inches; a cell is a picture, below its caption
MARGIN, TOP, AXIS, LEGEND = 0.18, 0.46, 0.66, 0.98  # inches; the legend is below the map
WIDTH, HEIGHT = 6.8, (2.8, 5.0)  # of the map, inches; least and greatest height
HALO = [matplotlib.patheffects.withStroke(linewidth=2, foreground="white")]


def plot_photos(
    table: pd.DataFrame,
    photo_folder: str | Path,
    frames: Frames,
    minimum_confidence: float,
    figure_file: str | Path,
    covariances: np.ndarray,
) -> None:
    """Draw localised photos and where they were taken.

    Args:
        table: of ``localising.localise_photos``, with the photos that were localised.
        photo_folder: that holds the images of the table.
        frames: the scene's database.
        minimum_confidence: of accepted photos, for the title.
        figure_file: PNG or PDF to write.
        covariances: (N, 3, 3) of the photos' camera centres, up to a factor, for ellipses.
    """
    shown = choose_shown(table["confidence"].to_numpy())
    paths = [Path(photo_folder) / table["image"][row] for row in shown]
    pictures = [_picture_of(path) for path in paths]
    title = f"{frames.scene}: {len(table)} photo{'s' * (len(table) != 1)} localised"
    if minimum_confidence > 0:
        title += f", {table['accepted'].sum()} with confidence of at least {minimum_confidence:g}"
    known = frames.poses("train"), title, minimum_confidence, covariances
    figure = draw_photos(table, shown, pictures, *known)
    save_figure(figure, figure_file)


def _picture_of(photo: Path) -> np.ndarray:
    """Return a thumbnail; a white one if the photo disappeared after it was localised."""
    try:
        return np.array(small_image(photo, PIXELS))
    except InputError:
        return np.full((*PIXELS[::-1], 3), 255, np.uint8)


def choose_shown(confidence: np.ndarray) -> np.ndarray:
    """Return the rows (n) of photos to show, ascending: all, or evenly spread by confidence."""
    order = np.argsort(confidence, kind="stable")
    return np.sort(order[spread_rows(len(order), SHOWN)])


def draw_photos(
    table: pd.DataFrame,
    shown: np.ndarray,
    pictures: Sequence[np.ndarray],
    database: np.ndarray,
    title: str,
    minimum_confidence: float,
    covariances: np.ndarray,
) -> Figure:
    """Return a figure of pictures, with names and confidences, beside the map.

    Args:
        table: with a row per photo: ``image``, pose, ``confidence`` and ``accepted``.
        shown: (n) rows whose pictures are drawn, numbered from 1 on the pictures and the map.
        pictures: of these n rows, (H, W, 3) uint8 of any size.
        database: (M, 4, 4) poses, camera-to-world, metres.
        title: of the figure.
        minimum_confidence: of accepted photos; the colour scale starts there.
        covariances: (N, 3, 3) of camera centres, up to a factor, for ellipses.
    """
    columns = next(columns for columns in (1, 2, 3) if len(pictures) <= (2, 6, SHOWN)[columns - 1])
    step = np.array([CELL[0] + GAP, CELL[1] + CAPTION])
    left, top = MARGIN + columns * step[0] - GAP + AXIS, TOP + CAPTION / 2  # of the map
    down = -(-len(pictures) // columns) * step[1]
    view = look_from_above(database)
    estimates = view.place(table[["tx", "ty", "tz"]].to_numpy(dtype=np.float64))[:, :2]
    least, most = HEIGHT[0] / WIDTH, np.clip(down - LEGEND, *HEIGHT) / WIDTH
    low, high = surround(view.place(database[:, :3, 3])[:, :2], estimates, least, most)
    up = WIDTH * (high - low)[1] / (high - low)[0]
    colours = ScalarMappable(Normalize(min(minimum_confidence, 0.99), 1, clip=True), COLOURS)
    rgba = colours.to_rgba(table["confidence"].to_numpy())
    rgba[~table["accepted"].to_numpy(dtype=bool)] = to_rgba(PALE)
    with house_style():
        height = max(TOP + down, top + up + LEGEND) + MARGIN
        figure = Figure(figsize=(left + WIDTH + MARGIN, height))
        for index, (row, picture) in enumerate(zip(shown, pictures, strict=True)):
            corner = [MARGIN, TOP + CAPTION] + step * divmod(index, columns)[::-1]
            axes = place_axes(figure, (*corner, *CELL))
            _draw_photo(axes, picture, index + 1, table.loc[row], rgba[row])
        panel = Map(place_axes(figure, (left, top, WIDTH, up)), view, low, high)
        panel.axes.set(xlabel=view.labels[0], ylabel=view.labels[1])
        panel.draw_database(database)
        _draw_ellipses(panel, table, rgba, covariances)
        _draw_cameras(panel, table, rgba, shown)
        write(figure, (MARGIN, 0.28), title, weight="bold", size=10.5)
        notes = _notes(view.title, table, tell_unseen(estimates, low, high))
        _add_legend(figure, (left, top + up + 0.74), colours, notes)
    return figure


def _draw_photo(
    axes: Axes, picture: np.ndarray, number: int, photo: pd.Series, colour: np.ndarray
) -> None:
    """Draw one photo with a frame in the colour of its confidence."""
    caption = f"{number}  {_shorten(photo['image'])}\nconfidence {photo['confidence']:.2f}"
    draw_picture(axes, picture, caption, colour).set_color(INK if photo["accepted"] else SOFT)
    axes.set_anchor("W")


def _draw_cameras(panel: Map, table: pd.DataFrame, rgba: np.ndarray, shown: np.ndarray) -> None:
    """Draw the cameras as coloured wedges, the most confident on top; number the shown photos."""
    found = table[np.isfinite(table["tx"])].sort_values("confidence")
    colours, centres = rgba[found.index], found[["tx", "ty", "tz"]].to_numpy()
    poses = pose_from_quaternion(centres, found[["qw", "qx", "qy", "qz"]].to_numpy())
    panel.draw_cameras(poses, colours, linewidths=1, zorder=2.2)
    placed = panel.place(centres)
    panel.axes.scatter(*placed.T, s=16, c=colours, edgecolors="white", linewidths=0.5, zorder=2.4)
    ahead = panel.place(poses[:, :3, 2])
    behind = -8 * ahead / np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    numbers = {row: number for number, row in enumerate(shown, start=1)}
    for row, centre, offset in zip(found.index, placed, behind, strict=True):
        if row in numbers:
            panel.axes.annotate(
                str(numbers[row]), centre, offset, textcoords="offset points", size=7.5,
                weight="bold", ha="center", va="center", zorder=3, path_effects=HALO,
                annotation_clip=True,
            )  # fmt: skip


def _draw_ellipses(
    panel: Map, table: pd.DataFrame, rgba: np.ndarray, covariances: np.ndarray
) -> None:
    """Draw the 95 % error of each position as an ellipse with the shape of its covariance."""
    sizes = np.sqrt(np.trace(covariances, axis1=1, axis2=2))
    for row in np.flatnonzero(np.isfinite(table["tx"]) & np.isfinite(table["sigma95_m"])):
        scale = table["sigma95_m"][row] / sizes[row]
        centre = table.loc[[row], ["tx", "ty", "tz"]].to_numpy(dtype=np.float64)
        panel.draw_ellipse(centre[0], scale**2 * covariances[row], rgba[row])


def _notes(title: str, table: pd.DataFrame, unseen: str) -> list[str]:
    """Return two lines on what the map shows, and on photos that it does not show."""
    refused = "" if table["accepted"].all() else ", photos not accepted"
    errors = "ellipses: errors (95 %)"
    return [f"{title}; grey: database{refused}", f"{errors}; {unseen}" if unseen else errors]


def _add_legend(
    figure: Figure, place: tuple[float, float], colours: ScalarMappable, notes: list[str]
) -> None:
    """Add the colour scale and lines of text below the map."""
    left, line = place
    add_colour_bar(figure, (left, line - 0.09, 1.5, 0.09), colours, orientation="horizontal")
    write(figure, (left + 1.62, line), "confidence", size=8)
    for row, note in enumerate(notes):
        write(figure, (left + 2.4, line + 0.16 * row), note, size=8, color=SOFT)


def _shorten(name: str) -> str:
    """Return a name that fits above a picture; of a long one, the start and the end."""
    return name if len(name) <= 24 else f"{name[:11]}…{name[-12:]}"
