"""Picture of localised photos: some of them, beside a map of where they were taken."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.patheffects
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from PIL import Image

from ..figures.style import ERROR_COLOURS, INK, PALE, SOFT, hide_ticks, house_style, save_figure
from ..frames import Frames
from ..images import open_image
from ..poses import matrix_from_quaternion

SHOWN = 12  # photos with a picture
PIXELS = 360  # longer side of a picture
COLOURS = ERROR_COLOURS.reversed()  # dark blue: sure
CELL, CAPTION, GAP = (1.36, 1.02), 0.36, 0.14  # inches; a cell has a picture, its caption is above
MARGIN, TOP, AXIS, LEGEND = 0.18, 0.46, 0.66, 0.98  # inches; the legend is below the map
MAP_WIDTH, MAP_HEIGHT = 6.8, (2.8, 5.0)  # inches; the greatest width, the least and greatest height
LEGEND_WIDTH = 4.6  # inches
OPENING = np.tan(np.radians(28))  # half the angle of a camera's symbol
LIMITS = 0.35  # of the database's extent: estimates further outside are not on the map
HALO = [matplotlib.patheffects.withStroke(linewidth=2, foreground="white")]


def plot_photos(
    table: pd.DataFrame,
    photo_folder: str | Path,
    frames: Frames,
    minimum_confidence: float,
    figure_file: str | Path,
) -> None:
    """Draw localised photos and where they were taken.

    Args:
        table: of ``photos.localise_photos``.
        photo_folder: that the images of the table lie in.
        frames: the scene's database.
        minimum_confidence: of accepted photos, for the title.
        figure_file: PNG or PDF to write.
    """
    shown = choose_shown(table["confidence"].to_numpy())
    pictures = []
    for row in shown:
        picture = open_image(Path(photo_folder) / table["image"][row], upright=True)
        picture.thumbnail((PIXELS, PIXELS), Image.Resampling.LANCZOS)
        pictures.append(np.array(picture))
    title = f"{frames.scene}: {_count(len(table))} localised"
    if minimum_confidence > 0:
        title += f", {table['accepted'].sum()} with confidence of at least {minimum_confidence:g}"
    figure = draw_photos(table, shown, pictures, frames.poses("train"), title, minimum_confidence)
    save_figure(figure, figure_file)


def choose_shown(confidence: np.ndarray, count: int = SHOWN) -> np.ndarray:
    """Return the rows (n) of the photos to show, ascending: all, or evenly spread by confidence."""
    order = np.argsort(confidence, kind="stable")
    spread = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return np.sort(order[spread])


def draw_photos(
    table: pd.DataFrame,
    shown: np.ndarray,
    pictures: Sequence[np.ndarray],
    database: np.ndarray,
    title: str,
    minimum_confidence: float = 0.0,
) -> Figure:
    """Return pictures with names and confidences beside the map.

    Args:
        table: with a row per photo: ``image``, pose, ``confidence`` and ``accepted``.
        shown: (n) rows whose pictures are drawn, numbered from 1 here and on the map.
        pictures: n of them, (H, W, 3) uint8 of any size.
        database: (M, 4, 4) poses, camera-to-world, metres.
        title: of the figure.
        minimum_confidence: of accepted photos, where the colours start.
    """
    plane = np.argsort(-np.ptp(database[:, :3, 3], axis=0), kind="stable")[:2]
    low, high = _limits(table, database, plane)
    colours = ScalarMappable(Normalize(min(minimum_confidence, 0.99), 1, clip=True), COLOURS)
    rgba = colours.to_rgba(table["confidence"].to_numpy())
    rgba[~table["accepted"].to_numpy(dtype=bool)] = to_rgba(PALE)
    with house_style():
        figure, cells, view = _layout(len(pictures), high - low)
        for number, (row, picture) in enumerate(zip(shown, pictures, strict=True), start=1):
            _draw_picture(cells[number - 1], picture, number, table.loc[row], rgba[row])
        view.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        view.set(xlabel=f"{'xyz'[plane[0]]} [m]", ylabel=f"{'xyz'[plane[1]]} [m]")
        _draw_database(view, database, plane, np.max(high - low))
        _draw_cameras(view, table, rgba, shown, plane, np.max(high - low))
        x, y = MARGIN / figure.get_figwidth(), 1 - 0.28 / figure.get_figheight()
        figure.text(x, y, title, weight="bold", size=10.5)
        _add_legend(figure, view, colours, table, _outside(table, plane, low, high))
    return figure


def _limits(
    table: pd.DataFrame, database: np.ndarray, plane: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (2), (2) of the map: the database, and estimates not far from it."""
    centres = database[:, plane, 3]
    low, high = centres.min(axis=0), centres.max(axis=0)
    reach = LIMITS * max((high - low).max(), 0.1)
    estimates = _centres(table)[:, plane]
    near = np.all((estimates >= low - reach) & (estimates <= high + reach), axis=1)
    points = np.concatenate([centres, estimates[near]])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.1 * max((high - low).max(), 0.1)  # a camera's symbol has room in it
    low, high = low - margin, high + margin
    widen = np.maximum((high - low).max() * MAP_HEIGHT[0] / MAP_WIDTH - (high - low), 0) / 2
    return low - widen, high + widen


def _layout(count: int, extent: np.ndarray) -> tuple[Figure, list[Axes], Axes]:
    """Return a figure with ``count`` cells for pictures on the left and a map on the right."""
    columns = next(columns for columns in (1, 2, 3) if count <= (2, 6, SHOWN)[columns - 1])
    rows = -(-count // columns)
    step = np.array([CELL[0] + GAP, CELL[1] + CAPTION])
    pictures = rows * step[1]
    most = np.clip(pictures - LEGEND, *MAP_HEIGHT)
    scale = min(MAP_WIDTH / extent[0], most / extent[1])
    across, up = np.maximum(extent * scale, [LEGEND_WIDTH, 0])
    left = MARGIN + columns * step[0] - GAP + AXIS
    width, height = left + across + MARGIN, TOP + max(pictures, up + LEGEND) + MARGIN
    figure = Figure(figsize=(width, height))
    cells = []
    for index in range(count):
        row, column = divmod(index, columns)
        x, y = MARGIN + column * step[0], height - TOP - (row + 1) * step[1]
        cells.append(figure.add_axes((x / width, y / height, CELL[0] / width, CELL[1] / height)))
    bottom = height - TOP - up - CAPTION / 2
    box = (left / width, bottom / height, across / width, up / height)
    return figure, cells, figure.add_axes(box)


def _draw_picture(
    axes: Axes, picture: np.ndarray, number: int, photo: pd.Series, colour: np.ndarray
) -> None:
    """Draw one photo, framed in the colour of its confidence."""
    axes.imshow(picture, interpolation="lanczos")
    axes.set_anchor("W")
    hide_ticks(axes)
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2.5)
    axes.set_title(
        f"{number}  {_shorten(photo['image'])}\nconfidence {photo['confidence']:.2f}",
        size=7,
        weight="normal",
        pad=4,
        linespacing=1.15,
        color=INK if photo["accepted"] else SOFT,
    )


def _draw_database(view: Axes, database: np.ndarray, plane: np.ndarray, extent: float) -> None:
    """Draw the database's cameras as dots with a short line along their viewing directions."""
    centres, directions = database[:, plane, 3], database[:, plane, 2]
    ticks = np.stack([centres, centres + 0.02 * extent * directions], axis=1)
    view.add_collection(LineCollection(ticks, colors=PALE, linewidths=0.5), autolim=False)
    view.scatter(*centres.T, s=5, color=PALE, linewidths=0)


def _draw_cameras(
    view: Axes,
    table: pd.DataFrame,
    rgba: np.ndarray,
    shown: np.ndarray,
    plane: np.ndarray,
    extent: float,
) -> None:
    """Draw the photos' cameras as coloured triangles, the surest on top; number the shown ones."""
    found = table[np.isfinite(table["tx"])].sort_values("confidence")
    colours, centres = rgba[found.index], _centres(found)[:, plane]
    rotations = matrix_from_quaternion(found[["qw", "qx", "qy", "qz"]].to_numpy())
    cones = _cones(centres, rotations[:, plane, 2], 0.075 * extent)
    view.add_collection(
        PolyCollection(cones, facecolors=colours, alpha=0.3, linewidths=0, zorder=2.2),
        autolim=False,
    )
    view.add_collection(
        PolyCollection(cones, facecolors="none", edgecolors=colours, linewidths=1, zorder=2.3),
        autolim=False,
    )
    view.scatter(*centres.T, s=16, c=colours, edgecolors="white", linewidths=0.5, zorder=2.4)
    numbers = {row: number for number, row in enumerate(shown, start=1)}
    for row, centre, direction in zip(found.index, centres, rotations[:, plane, 2], strict=True):
        if row in numbers:
            _label(view, numbers[row], centre, direction)


def _cones(centres: np.ndarray, directions: np.ndarray, length: float) -> np.ndarray:
    """Return triangles (N, 3, 2) that open from centres (N, 2) along directions (N, 2).

    A direction is shorter the more its camera looks along the line of sight; so is its triangle.
    """
    ahead = length * directions
    aside = OPENING * ahead[:, ::-1] * [-1, 1]
    return np.stack([centres, centres + ahead + aside, centres + ahead - aside], axis=1)


def _label(view: Axes, number: int, centre: np.ndarray, direction: np.ndarray) -> None:
    """Write a photo's number behind its camera."""
    behind = -8 * direction / max(np.linalg.norm(direction), 1e-9)
    view.annotate(
        str(number), centre, behind, textcoords="offset points", size=7.5, weight="bold",
        ha="center", va="center", zorder=3, path_effects=HALO, annotation_clip=True,
    )  # fmt: skip


def _add_legend(
    figure: Figure, view: Axes, colours: ScalarMappable, table: pd.DataFrame, outside: int
) -> None:
    """Add the colours' meaning below the map, and what the map does not show."""
    box, width, height = view.get_position(), figure.get_figwidth(), figure.get_figheight()
    left, bottom = box.x0, box.y0 - 0.74 / height
    axes = figure.add_axes((left, bottom, 1.5 / width, 0.09 / height))
    bar = figure.colorbar(colours, cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7)
    figure.text(left + 1.62 / width, bottom, "confidence", size=8)
    remark = "grey: database"
    if not table["accepted"].all():
        remark += ", photos not accepted"
    if outside:
        remark += f"; {outside} outside the map"
    failed = int((~np.isfinite(_centres(table)).all(axis=1)).sum())
    if failed:
        remark += f"; {failed} without a pose"
    figure.text(left + 2.4 / width, bottom, remark, size=8, color=SOFT)


def _outside(table: pd.DataFrame, plane: np.ndarray, low: np.ndarray, high: np.ndarray) -> int:
    centres = _centres(table)[:, plane]
    centres = centres[np.isfinite(centres).all(axis=1)]
    return int((~np.all((centres >= low) & (centres <= high), axis=1)).sum())


def _centres(table: pd.DataFrame) -> np.ndarray:
    return table[["tx", "ty", "tz"]].to_numpy(dtype=np.float64)


def _count(photos: int) -> str:
    return f"{photos} photo" + ("s" if photos != 1 else "")


def _shorten(name: str, length: int = 24) -> str:
    """Return a name that fits above a picture, its start and its end."""
    return name if len(name) <= length else f"{name[: length // 2 - 1]}…{name[-length // 2 :]}"
