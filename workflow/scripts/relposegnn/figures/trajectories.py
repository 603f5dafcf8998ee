"""Figure of one scene's estimates: true and estimated camera positions."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..data.frames import Frames
from ..estimates.predictions import (
    NAMES,
    PREFIXES,
    TRUTH,
    copied_image,
    pose_arrays,
    present_estimators,
    read_predictions,
    shown_estimator,
)
from ..poses import matrix_from_quaternion, translation_error
from ..scores.metrics import STATED, TRANSLATION, read_scores, score_estimator
from .maps import Map, look_from_above, surround, tell_unseen
from .style import (
    ERROR_COLOURS,
    INK,
    PALE,
    SOFT,
    add_colour_bar,
    error_colours,
    house_style,
    legend_mark,
    length_text,
    place_axes,
    save_figure,
    write,
)

WIDTH, HEIGHTS = 6.2, np.array([[1.6, 4.8], [0.7, 4.8]])  # of the two views, inches: least, most
LEFT, RIGHT, TOP, GAP, BOTTOM = 0.65, 1.05, 0.68, 0.5, 0.95  # around the views, inches
VIEWS, CIRCLES = 60, 15  # queries whose viewing directions, and whose stated errors, are drawn


class Told(NamedTuple):
    """What is known about N estimates apart from their positions.

    Attributes:
        ahead: unit vectors (2, N, 3), the viewing directions of true and estimated cameras; NaN
            for failed queries.
        stated: (N,) errors in metres meant to hold in 68 % of the cases; NaN if none is stated.
    """

    ahead: np.ndarray
    stated: np.ndarray


def plot_trajectories(
    frames_file: str | Path,
    predictions_file: str | Path,
    scores_file: str | Path,
    figure_file: str | Path,
) -> None:
    """Draw database, ground truth and estimates of one scene, from above and from the side.

    The estimates are those of the ``shown_estimator``; their median error is given beside that of
    the ``copied_image``.

    Args:
        frames_file: HDF5 of the packing step.
        predictions_file: npz of the prediction step.
        scores_file: CSV of the scoring step, for stated errors, if there are any.
        figure_file: PNG or PDF to write.

    Raises:
        InputError: a file cannot be read, or the predictions are incomplete.
    """
    with Frames(frames_file) as frames:
        arrays = read_predictions(predictions_file, owner=frames)
        known = present_estimators(arrays)
        shown, copied = shown_estimator(known), copied_image(known)
        (truth, true_turns), (estimates, turns) = (
            pose_arrays(arrays, each) for each in (TRUTH, PREFIXES[shown])
        )
        scores = read_scores(scores_file, frames.scene).query("estimator == @shown")
        scores = scores.set_index("query")
        stated = scores.reindex(arrays[NAMES], columns=STATED[:1]).to_numpy()
        found = np.isfinite(score_estimator(arrays, shown)[TRANSLATION].to_numpy())
        ahead = [_ahead(each, found) for each in (true_turns, turns)]
        figure = draw_trajectories(
            arrays[NAMES],
            frames.poses("train"),
            truth,
            np.where(found[:, None], estimates, np.nan),
            f"{frames.scene}, {shown}",
            (copied, pose_arrays(arrays, PREFIXES[copied])[0]) if copied else None,
            Told(np.stack(ahead), stated[:, 0]),
        )
    save_figure(figure, figure_file)


def _ahead(quaternion: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the viewing directions (N, 3) of cameras, NaN for those that are not found (N,)."""
    ahead = np.full((len(found), 3), np.nan)
    ahead[found] = matrix_from_quaternion(quaternion[found])[..., 2]
    return ahead


def draw_trajectories(
    queries: np.ndarray,
    database: np.ndarray,
    truth: np.ndarray,
    estimates: np.ndarray,
    title: str,
    copied: tuple[str, np.ndarray] | None = None,
    told: Told | None = None,
) -> Figure:
    """Return the map, and below it the view from the side, of all cameras and nearby estimates.

    Args:
        queries: names (N) such as ``seq-03/frame-000017``; the part before the last slash is the
            sequence, whose ground truth is joined by a line.
        database: poses ``world_from_cam`` (M, 4, 4), metres.
        truth: camera centres (N, 3).
        estimates: camera centres (N, 3); not finite for failed queries.
        title: of the figure.
        copied: name and camera centres (N, 3) of a yardstick, to give its median error too.
        told: to draw some viewing directions and circles of stated errors.
    """
    view = look_from_above(database)
    placed = view.place(estimates)
    cameras = view.place(np.concatenate([database[:, :3, 3], truth]))
    low, high = surround(cameras, placed, *HEIGHTS.T / WIDTH)
    _, above, beside = (high - low) * WIDTH / (high - low)[0]
    errors = translation_error(estimates, truth)
    colours = error_colours(errors)
    with house_style():
        figure = Figure(figsize=(LEFT + WIDTH + RIGHT, TOP + above + GAP + beside + BOTTOM))
        boxes = (LEFT, TOP, WIDTH, above), (LEFT, TOP + above + GAP, WIDTH, beside)
        for box, upwards, whence in zip(boxes, (1, 2), (view.title, "from the side"), strict=True):
            panel = Map(place_axes(figure, box), view, low, high, upwards)
            _label(panel.axes, whence, view.labels[upwards], height=box[3])
            panel.draw_database(database)
            panel.draw_paths(queries, truth, INK)
            _draw_estimates(panel, truth, estimates, colours.to_rgba(errors))
            _draw_told(panel, (truth, estimates), told, colours.to_rgba(errors))
        figure.axes[0].tick_params(labelbottom=False)
        figure.axes[1].set_xlabel(view.labels[0])
        heading = _tell_medians(title, truth, estimates, copied)
        write(figure, (LEFT, 0.28), heading, weight="bold")
        extend = "max" if (errors > colours.norm.vmax).any() else "neither"
        label = {"label": "translation error [m]", "extend": extend}
        add_colour_bar(figure, (LEFT + WIDTH + 0.15, TOP, 0.11, above), colours, **label)
        circles = told is not None and np.isfinite(told.stated).any()
        _add_legend(figure, len(truth), tell_unseen(placed, low, high), bool(circles))
    return figure


def _label(axes: Axes, title: str, upwards: str, height: float) -> None:
    """Label a view with its title and its upward axis; its height is in inches."""
    axes.set_title(title, weight="normal", color=SOFT, size=8.5)
    axes.set_ylabel(upwards)
    axes.locator_params(axis="y", nbins=max(2, round(height / 0.5)))


def _tell_medians(
    title: str, truth: np.ndarray, estimates: np.ndarray, copied: tuple[str, np.ndarray] | None
) -> str:
    """Return a title with the median error of estimates (N, 3), and that of a yardstick."""
    known = f" ({copied[0]}: {_median_error(copied[1], truth)})" if copied else ""
    return f"{title}: median error {_median_error(estimates, truth)}{known}"


def _median_error(estimates: np.ndarray, truth: np.ndarray) -> str:
    """Return the median error of camera centres (N, 3) as text; failed ones count as infinite."""
    metres = np.median(np.nan_to_num(translation_error(estimates, truth), nan=np.inf))
    return length_text(metres)


def _draw_estimates(
    panel: Map, truth: np.ndarray, estimates: np.ndarray, colours: np.ndarray
) -> None:
    """Join truth and estimates (N, 3) by lines in colours (N, 4), the largest errors on top."""
    errors = translation_error(estimates, truth)
    found = np.argsort(errors, kind="stable")[: np.isfinite(errors).sum()]
    lightness = np.clip(1000 / max(len(truth), 1), 0.35, 1)  # keeps thousands legible
    ends = panel.place(np.stack([truth, estimates], axis=1)[found])
    style = {"linewidths": 0.5, "alpha": 0.6 * lightness, "zorder": 2.1}
    panel.axes.add_collection(LineCollection(ends, colors=colours[found], **style), autolim=False)
    dots = {"s": 5 * lightness, "linewidths": 0, "zorder": 2.2, "label": "estimate"}
    panel.axes.scatter(*ends[:, 1].T, c=colours[found], **dots)
    failed = panel.place(truth[~np.isfinite(errors)])
    cross = {"s": 14, "marker": "x", "linewidths": 0.8, "zorder": 2.3, "label": "failed"}
    panel.axes.scatter(*failed.T, color=INK, **cross)


def _draw_told(
    panel: Map, centres: tuple[np.ndarray, np.ndarray], told: Told | None, colours: np.ndarray
) -> None:
    """Draw directions and stated errors of some cameras at true and estimated centres (N, 3)."""
    if told is None:
        return
    found = np.flatnonzero(np.isfinite(centres[1]).all(axis=1))
    rows = found[:: max(1, len(found) // VIEWS)]
    inks = np.tile(to_rgba(SOFT), (len(colours), 1)), colours
    for places, ahead, own in zip(centres, told.ahead, inks, strict=True):
        ends = panel.place(np.stack([places, places + 0.4 * panel.symbol * ahead], axis=1)[rows])
        lines = LineCollection(ends, colors=own[rows], linewidths=0.8, zorder=2.3)
        panel.axes.add_collection(lines, autolim=False)
    known = found[np.isfinite(told.stated[found])]
    for row in known[:: max(1, len(known) // CIRCLES)]:
        panel.draw_ellipse(centres[1][row], told.stated[row] ** 2 * np.eye(3), colours[row])


def _add_legend(figure: Figure, count: int, unseen: str, circles: bool) -> None:
    """Add the legend at the bottom; it also says what the views do not show."""
    estimate = f"estimate ({unseen})" if unseen else "estimate"
    handles = [
        legend_mark("database", PALE, markersize=4),
        Line2D([], [], color=INK, linewidth=1, label=f"ground truth ({count} queries)"),
        legend_mark(estimate, ERROR_COLOURS(0.5), markersize=4),
    ]
    if "failed" in unseen:
        handles.append(legend_mark("failed", INK, "x", markersize=4))
    if circles:
        style = {"markersize": 9, "markerfacecolor": to_rgba(SOFT, 0.15)}
        handles.append(legend_mark("stated error (68 %), of some", SOFT, **style))
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=((LEFT - 0.1) / figure.get_figwidth(), 0.0),
        ncols=2 if len(handles) > 3 else 3,
        columnspacing=1.4,
        handletextpad=0.5,
        borderaxespad=0.2,
    )
