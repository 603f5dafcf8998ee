"""Curves: the errors of an experiment, and the progress of a training run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from ..estimates.predictions import (
    AFFINE,
    FIRST_EDGE,
    MOST_SIMILAR,
    REFERENCE,
    REFINED,
    copied_image,
)
from ..files.csv_files import read_csv
from ..scores.metrics import ROTATION, TRANSLATION, read_scores
from .style import (
    INK,
    SCENE_COLOURS,
    SOFT,
    house_style,
    save_figure,
    scene_style,
    use_log_ticks,
)

COPIED = {"linestyle": (0, (4, 2)), "linewidth": 1.1, "alpha": 0.75}
LINES = {  # later ones are drawn on top
    REFERENCE: COPIED,  # if the most similar image is not known
    MOST_SIMILAR: COPIED,
    AFFINE: {"linestyle": (0, (1, 1)), "linewidth": 1.1, "alpha": 0.9},
    FIRST_EDGE: {"linestyle": "-", "linewidth": 1.6},
    REFINED: {"linestyle": "-", "linewidth": 2.6, "alpha": 0.5},
}
MARKS = {"markevery": 0.1, "markersize": 4}  # markevery: in diagonals of the panel
BEYOND = 1e9  # where curves end and failed queries are: right of everything shown
ERROR_LABELS = {TRANSLATION: "translation error [m]", ROTATION: "rotation error [°]"}
LOSS_TITLES = {
    "translation_loss": "translation loss (mean L1)",
    "rotation_loss": "rotation loss (mean L1)",
    "loss": "weighted sum",
}
# Panels of the figure of a training run: title, then colour and label of each column in it.
TRAINING_PANELS = {
    title: {
        f"train_{name}": (SCENE_COLOURS[0], "training"),
        f"validation_{name}": (SCENE_COLOURS[1], "validation"),
    }
    for name, title in LOSS_TITLES.items()
} | {
    "learned log-variances": {
        "s_t": (SCENE_COLOURS[2], "$s_t$"),
        "s_q": (SCENE_COLOURS[4], "$s_q$"),
    },
    "learning rate": {"learning_rate": (INK, None)},
}
HISTORY_COLUMNS = ["epoch", *(column for panel in TRAINING_PANELS.values() for column in panel)]


def plot_error_curves(
    rows: Sequence[tuple[str, str | Path]],
    figure_file: str | Path,
    title: str,
) -> None:
    """Draw cumulative error curves, the share of queries with at most an error; a colour per scene.

    First-edge estimates are solid, refined ones wide. If known, the most similar image is dashed
    (else the reference neighbour), and the affine combination dotted.

    Args:
        rows: (scene, scores file) per scene.
        figure_file: PNG or PDF to write.
        title: of the figure.

    Raises:
        InputError: a scores file cannot be read.
    """
    scores = {scene: read_scores(path, scene) for scene, path in rows}
    save_figure(draw_error_curves(scores, title), figure_file)


def draw_error_curves(scores: dict[str, pd.DataFrame], title: str) -> Figure:
    """Return cumulative curves of translation and rotation errors side by side, on log axes."""
    known = {name for own in scores.values() for name in own["estimator"]}
    wanted = {copied_image(known), AFFINE, FIRST_EDGE, REFINED} & known
    drawn = [name for name in LINES if name in wanted]
    with house_style():
        figure = Figure(figsize=(7.6, 3.63), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for panel, column in zip(panels, (TRANSLATION, ROTATION), strict=True):
            for position, errors in enumerate(scores.values()):
                _draw_scene(panel, errors, column, scene_style(position), drawn)
            _finish_error_panel(panel, column, scores.values())
        panels[0].set_ylabel("share of queries")
        _add_legends(figure, list(scores), drawn, title)
    return figure


def _draw_scene(
    panel: Axes,
    scores: pd.DataFrame,
    column: str,
    own: dict[str, str],
    estimators: Sequence[str],
) -> None:
    """Draw one scene's curves; with failed queries they stay below 100 %."""
    for name in estimators:
        errors = np.sort(np.minimum(scores.loc[scores["estimator"] == name, column], BEYOND))
        share = np.append(np.arange(1, len(errors) + 1) / max(len(errors), 1), 1.0)
        style = {"where": "post", "label": name, **MARKS, **own, **LINES[name]}
        panel.step(np.append(errors, BEYOND), share, **style)


def _finish_error_panel(panel: Axes, column: str, scores: Sequence[pd.DataFrame]) -> None:
    """Set scale and labels, and limits from the 0.5th to the 99.5th percentile of all errors."""
    errors = np.concatenate([s[column].to_numpy() for s in scores])
    errors = errors[np.isfinite(errors) & (errors > 0)]
    low, high = np.percentile(errors, [0.5, 99.5]) if errors.size else (0.01, 1.0)
    panel.set_xscale("log")
    panel.set_xlim(low / 1.1, high * 1.1)
    use_log_ticks(panel.xaxis)
    panel.axhline(0.5, color=SOFT, linewidth=0.8, linestyle=":", zorder=1)
    panel.set(ylim=(0, 1.015), xlabel=ERROR_LABELS[column])
    panel.yaxis.set_major_formatter(PercentFormatter(1.0))


def _add_legends(figure: Figure, scenes: list[str], estimators: Sequence[str], title: str) -> None:
    """Add a legend of scenes (colours) at the bottom, and a title and one of lines at the top.

    The scenes have as many columns as fit; the figure grows by the height of their legend.
    """
    colours = [
        Line2D([], [], linewidth=3, label=scene, **scene_style(i)) for i, scene in enumerate(scenes)
    ]
    style = {"columnspacing": 1.4, "handlelength": 1.2, "loc": "outside lower center"}
    for columns in range(min(len(scenes), 7), 0, -1):
        legend = figure.legend(handles=colours, ncols=columns, **style)
        size = legend.get_window_extent()
        if size.width <= figure.bbox.width or columns == 1:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + size.height / figure.dpi)
    lines = [Line2D([], [], color=INK, label=name, **LINES[name]) for name in estimators[::-1]]
    style = {"columnspacing": 1.4, "handlelength": 2.6, "ncols": len(lines), "alignment": "left"}
    heading = {"title": title, "title_fontproperties": {"weight": "bold", "size": 10}}
    figure.legend(handles=lines, loc="outside upper left", **style, **heading)


def plot_training(history_file: str | Path, figure_file: str | Path, run: str) -> None:
    """Draw the training curves of one run.

    Args:
        history_file: CSV of the training step, a row per epoch.
        figure_file: PNG or PDF to write.
        run: for the title.

    Raises:
        InputError: the history cannot be read or lacks columns.
    """
    save_figure(draw_training(read_csv(history_file, HISTORY_COLUMNS), run), figure_file)


def draw_training(history: pd.DataFrame, run: str) -> Figure:
    """Return five panels: three losses, the learned log-variances, the learning rate.

    Epochs are counted from 1, as in the training log.
    """
    marker = "o" if len(history) <= 25 else ""  # more would run into each other
    with house_style():
        figure = Figure(figsize=(8.2, 4.6), layout="constrained")
        *panels, sixth = figure.subplots(2, 3, sharex=True).ravel()
        sixth.remove()
        for panel, (title, lines) in zip(panels, TRAINING_PANELS.items(), strict=True):
            for column, (colour, label) in lines.items():
                course = history.set_index(history["epoch"] + 1)[column].astype(float).dropna()
                if len(course):
                    panel.plot(course, color=colour, marker=marker, ms=2.8, label=label)
            panel.set_title(title, weight="normal", size=9)
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        for panel in panels[:2]:  # the weighted sum may be negative
            panel.set_yscale("log")
            use_log_ticks(panel.yaxis)
        panels[4].set_ylim(0, 1.08 * panels[4].dataLim.y1)
        for panel in panels[2:]:  # those with no panel below
            panel.set_xlabel("epoch")
            panel.tick_params(labelbottom=True)
        panels[0].legend()
        panels[3].legend()
        panels[4].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        figure.suptitle(f"training of {run}", x=0.04, ha="left", size=10, weight="bold")
    return figure
