"""Picture of one scene's estimates: where the cameras were, and where they were put."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..metrics import FIRST_EDGE, PREFIXES, read_predictions
from ..poses import translation_error
from ..runtime import InputError
from .style import (
    ERROR_COLOURS,
    INK,
    PALE,
    SOFT,
    colour_limit,
    house_style,
    save_figure,
)

MARGIN = 0.04  # of the larger extent, around what is shown
WIDTH, HEIGHT = (3.8, 6.2), (1.6, 4.8)  # least and largest size of the bird's-eye view, inches
SIDE_HEIGHT = 0.7  # least height of the side view, inches
LEFT, RIGHT, TOP, GAP, BOTTOM = 0.65, 1.05, 0.68, 0.5, 0.95  # around the views, inches


def plot_trajectories(
    predictions_file: str | Path,
    figure_file: str | Path,
    scene: str,
    estimator: str = FIRST_EDGE,
) -> None:
    """Draw database, ground truth and estimates of one scene from two sides.

    Args:
        predictions_file: npz of the prediction step, with ``train_t`` (M, 3), the camera centres
            of the database.
        figure_file: PNG or PDF to write.
        scene: for the title.
        estimator: whose estimates, as named in ``metrics.PREFIXES``.

    Raises:
        InputError: the predictions are incomplete.
    """
    arrays = read_predictions(predictions_file)
    estimates = f"{PREFIXES[estimator]}_t"
    missing = [name for name in (estimates, "train_t") if name not in arrays]
    if missing:
        raise InputError(
            f"{predictions_file}: lacks {', '.join(missing)}, which the picture of trajectories "
            "needs; expected the arrays that the prediction step writes"
        )
    figure = draw_trajectories(
        arrays["rel_path"],
        arrays["train_t"],
        arrays["targ_t"],
        arrays[estimates],
        f"{scene}, {estimator}",
    )
    save_figure(figure, figure_file)


def draw_trajectories(
    queries: np.ndarray,
    database: np.ndarray,
    truth: np.ndarray,
    estimates: np.ndarray,
    title: str,
) -> Figure:
    """Return the bird's-eye view above and the side view below, in one scale.

    The world's axes are kept, so that positions can be read off: the axis along which the cameras
    extend most lies horizontally, the second vertically, the third in the side view. The views
    hold all cameras, and the estimates with errors up to where the colours end.

    Args:
        queries: names (N) such as ``seq-03/frame-000017``; the part before the last slash is the
            sequence, within which ground truth is joined to a line.
        database: camera centres (M, 3) in metres, world frame.
        truth: camera centres (N, 3).
        estimates: camera centres (N, 3); not finite where a query failed.
        title: of the figure.
    """
    cameras = np.concatenate([database, truth])
    order = np.argsort(-np.ptp(cameras, axis=0), kind="stable")
    errors = translation_error(estimates, truth)
    norm = Normalize(0, colour_limit(errors))
    shown = np.concatenate([cameras, estimates[errors <= norm.vmax]])
    low, high = _limits(shown[:, order])
    with house_style():
        figure, views = _views(low, high)
        for view, axes in zip(views, ([0, 1], [0, 2]), strict=True):
            pick = order[axes]
            sides = database[:, pick], truth[:, pick], estimates[:, pick]
            _draw_view(view, queries, *sides, errors, norm)
            view.set_ylabel(f"{'xyz'[pick[1]]} [m]")
            hidden = 3 - sum(pick)
            view.set_title(f"seen along {'xyz'[hidden]}", weight="normal", color=SOFT, size=8.5)
        views[1].set_xlabel(f"{'xyz'[order[0]]} [m]")
        figure.text(
            LEFT / figure.get_figwidth(),
            1 - 0.28 / figure.get_figheight(),
            f"{title}: median error {np.median(np.nan_to_num(errors, nan=np.inf)):.2f} m",
            weight="bold",
        )
        _add_colour_bar(figure, views[0], norm, errors)
        inside = np.all((estimates[:, order] >= low) & (estimates[:, order] <= high), axis=1)
        _add_legend(figure, len(truth), np.isfinite(errors), inside)
    return figure


def _limits(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (3), (3) of a box around points, widened to legible proportions."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = max(MARGIN * (high - low).max(), 0.05)
    low, high = low - margin, high + margin
    size = high - low
    scale = min(WIDTH[1] / size[0], HEIGHT[1] / size[1])  # inches per metre
    least = np.array([WIDTH[0], HEIGHT[0], SIDE_HEIGHT]) / scale
    widen = np.maximum(least - size, 0) / 2
    return low - widen, high + widen


def _views(low: np.ndarray, high: np.ndarray) -> tuple[Figure, list[Axes]]:
    """Return a figure with two views of one scale, sized to the box."""
    size = high - low
    scale = min(WIDTH[1] / size[0], HEIGHT[1] / size[1])
    across, up, side = size * scale
    width, height = LEFT + across + RIGHT, BOTTOM + side + GAP + up + TOP
    figure = Figure(figsize=(width, height))
    main = figure.add_axes(
        (LEFT / width, (BOTTOM + side + GAP) / height, across / width, up / height),
    )
    below = figure.add_axes(
        (LEFT / width, BOTTOM / height, across / width, side / height),
    )
    for view, axis in ((main, 1), (below, 2)):
        view.set(xlim=(low[0], high[0]), ylim=(low[axis], high[axis]), aspect="equal")
        view.locator_params(axis="y", nbins=max(2, round(size[axis] * scale / 0.5)))
    main.tick_params(labelbottom=False)
    return figure, [main, below]


def _draw_view(
    view: Axes,
    queries: np.ndarray,
    database: np.ndarray,
    truth: np.ndarray,
    estimates: np.ndarray,
    errors: np.ndarray,
    norm: Normalize,
) -> None:
    """Draw one view: points (N, 2), the largest errors on top."""
    view.scatter(*database.T, s=4, color=PALE, linewidths=0, label="database")
    sequences = np.array([name.rpartition("/")[0] for name in queries])
    for sequence in np.unique(sequences):
        view.plot(*truth[sequences == sequence].T, color=INK, linewidth=0.8, label=sequence)
    found = np.flatnonzero(np.isfinite(errors))
    found = found[np.argsort(errors[found], kind="stable")]
    colours = ERROR_COLOURS(norm(errors[found]))
    lightness = np.clip(1000 / max(len(queries), 1), 0.35, 1)  # so that thousands stay legible
    segments = np.stack([truth[found], estimates[found]], axis=1)
    view.add_collection(
        LineCollection(segments, colors=colours, linewidths=0.5, alpha=0.6 * lightness, zorder=2.1),
        autolim=False,
    )
    view.scatter(
        *estimates[found].T, s=5 * lightness, c=colours, linewidths=0, zorder=2.2, label="estimate"
    )
    failed = truth[~np.isfinite(errors)]
    view.scatter(*failed.T, s=14, marker="x", color=INK, linewidths=0.8, zorder=2.3, label="failed")


def _add_colour_bar(figure: Figure, view: Axes, norm: Normalize, errors: np.ndarray) -> None:
    """Add the colours' meaning right of the bird's-eye view."""
    box = view.get_position()
    axes = figure.add_axes(
        (box.x1 + 0.15 / figure.get_figwidth(), box.y0, 0.11 / figure.get_figwidth(), box.height)
    )
    beyond = np.nanmax(errors, initial=0.0, where=np.isfinite(errors)) > norm.vmax
    figure.colorbar(
        ScalarMappable(norm, ERROR_COLOURS),
        cax=axes,
        label="translation error [m]",
        extend="max" if beyond else "neither",
    ).outline.set_visible(False)


def _add_legend(figure: Figure, count: int, found: np.ndarray, inside: np.ndarray) -> None:
    """Add the legend at the foot; it owns up to what the views do not show."""
    dot = {"linestyle": "", "marker": "o"}
    handles = [
        Line2D([], [], **dot, color=PALE, markersize=4, label="database"),
        Line2D([], [], color=INK, linewidth=1, label=f"ground truth ({count} queries)"),
        Line2D([], [], **dot, color=ERROR_COLOURS(0.5), markersize=4, label="estimate"),
    ]
    outside = int((found & ~inside).sum())
    if outside:
        handles[2].set_label(f"estimate ({outside} outside the view)")
    if not found.all():
        mark = {"linestyle": "", "marker": "x", "color": INK, "markersize": 4}
        handles.append(Line2D([], [], **mark, label=f"failed ({int((~found).sum())})"))
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=((LEFT - 0.1) / figure.get_figwidth(), 0.0),
        ncols=2 if len(handles) > 3 else 3,
        columnspacing=1.4,
        handletextpad=0.5,
        borderaxespad=0.2,
    )
