"""Curves: errors of an experiment, and the course of a training run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from ..metrics import FIRST_EDGE, REFERENCE, ROTATION, TRANSLATION, read_csv, read_scores
from .style import (
    INK,
    SCENE_COLOURS,
    SOFT,
    house_style,
    save_figure,
    scene_colour,
    use_log_ticks,
)

TRAIN_COLOUR, VALIDATION_COLOUR = SCENE_COLOURS[0], SCENE_COLOURS[1]
DASHES = (0, (4, 2))
ERROR_LABELS = {TRANSLATION: "translation error [m]", ROTATION: "rotation error [°]"}
LOSS_TITLES = {
    "translation_loss": "translation loss (mean L1)",
    "rotation_loss": "rotation loss (mean L1)",
    "loss": "weighted sum",
}
HISTORY_COLUMNS = [
    "epoch", "learning_rate", "seconds", "s_t", "s_q",
    *[f"train_{name}" for name in LOSS_TITLES], *[f"validation_{name}" for name in LOSS_TITLES],
]  # fmt: skip


def plot_error_curves(
    rows: Sequence[tuple[str, str | Path]],
    figure_file: str | Path,
    title: str,
    estimator: str = FIRST_EDGE,
) -> None:
    """Draw which share of the queries has at most which error, one line per scene.

    Args:
        rows: (scene, scores file) per scene.
        figure_file: PNG or PDF to write.
        title: of the figure.
        estimator: drawn solid; the reference neighbour is dashed in the same colour.

    Raises:
        InputError: a scores file cannot be read.
    """
    scores = {scene: read_scores(path) for scene, path in rows}
    save_figure(draw_error_curves(scores, title, estimator), figure_file)


def draw_error_curves(scores: dict[str, pd.DataFrame], title: str, estimator: str) -> Figure:
    """Return cumulative curves of translation and rotation side by side, over a log axis."""
    with house_style():
        figure = Figure(figsize=(7.6, 3.9))
        panels = figure.subplots(1, 2, sharey=True)
        for panel, column in zip(panels, (TRANSLATION, ROTATION), strict=True):
            for position, errors in enumerate(scores.values()):
                _draw_scene(panel, errors, column, estimator, scene_colour(position))
            _finish_error_panel(panel, column, scores.values())
        panels[0].set_ylabel("share of queries")
        figure.suptitle(title, x=0.085, y=0.975, ha="left", size=10, weight="bold")
        _add_legends(figure, list(scores), estimator)
    return figure


def _draw_scene(
    panel: Axes, scores: pd.DataFrame, column: str, estimator: str, colour: str
) -> None:
    """Draw one scene's curves; a failed query keeps them below 100 %."""
    for name, style in ((REFERENCE, DASHES), (estimator, "-")):
        errors = np.sort(scores.loc[scores["estimator"] == name, column].to_numpy())
        share = np.arange(1, len(errors) + 1) / len(errors) if len(errors) else errors
        found = np.isfinite(errors)
        width, alpha = (1.6, 1.0) if name == estimator else (1.1, 0.75)
        line = {"color": colour, "linestyle": style, "linewidth": width, "alpha": alpha}
        beyond = errors[found][-1:] * 1e6  # the curve goes on to the right edge
        panel.step(
            np.append(errors[found], beyond),
            np.append(share[found], share[found][-1:]),
            where="post",
            label=name,
            **line,
        )


def _finish_error_panel(panel: Axes, column: str, scores: Sequence[pd.DataFrame]) -> None:
    """Set scales, limits and labels: from the 0.5th to the 99.5th percentile of all errors."""
    errors = np.concatenate([s[column].to_numpy() for s in scores])
    errors = errors[np.isfinite(errors) & (errors > 0)]
    panel.set_xscale("log")
    if errors.size:
        low, high = np.percentile(errors, [0.5, 99.5])
        panel.set_xlim(low / 1.1, high * 1.1)
    use_log_ticks(panel.xaxis)
    panel.axhline(0.5, color=SOFT, linewidth=0.8, linestyle=":", zorder=1)
    panel.set(ylim=(0, 1.015), xlabel=ERROR_LABELS[column])
    panel.yaxis.set_major_formatter(PercentFormatter(1.0))


def _add_legends(figure: Figure, scenes: list[str], estimator: str) -> None:
    """Say at the foot which colours are which scenes, at the top which lines are what."""
    colours = [
        Line2D([], [], color=scene_colour(i), linewidth=3, label=scene)
        for i, scene in enumerate(scenes)
    ]
    columns = min(len(scenes), 7)
    lines = -(-len(scenes) // columns)
    figure.subplots_adjust(
        left=0.085, right=0.985, top=0.885, bottom=0.165 + 0.055 * lines, wspace=0.08
    )
    figure.legend(
        handles=colours, loc="lower center", ncols=columns, columnspacing=1.4, handlelength=1.2
    )
    styles = [
        Line2D([], [], color=INK, linewidth=1.6, label=estimator),
        Line2D([], [], color=INK, linewidth=1.1, linestyle=DASHES, label=REFERENCE),
    ]
    figure.legend(
        handles=styles, loc="upper right", ncols=2, handlelength=2.6, bbox_to_anchor=(0.995, 1.0)
    )


def plot_training(history_file: str | Path, figure_file: str | Path, run: str) -> None:
    """Draw the course of one training run.

    Args:
        history_file: CSV of the training step, a row per epoch.
        figure_file: PNG or PDF to write.
        run: for the title.

    Raises:
        InputError: the history cannot be read or lacks columns.
    """
    save_figure(draw_training(read_csv(history_file, HISTORY_COLUMNS), run), figure_file)


def draw_training(history: pd.DataFrame, run: str) -> Figure:
    """Return six panels: three losses, the learned weights, the learning rate, the time."""
    with house_style():
        figure = Figure(figsize=(8.2, 4.6))
        panels = figure.subplots(2, 3, sharex=True).ravel()
        for panel, name in zip(panels[:3], LOSS_TITLES, strict=True):
            _draw_loss(panel, history, name)
        epochs = history["epoch"]
        for name, colour in (("s_t", SCENE_COLOURS[2]), ("s_q", SCENE_COLOURS[4])):
            _draw_course(panels[3], epochs, history[name], colour, f"${name}$")
        _draw_course(panels[4], epochs, history["learning_rate"], INK, "learning rate")
        _draw_course(panels[5], epochs, history["seconds"], INK, "seconds")
        titles = [*LOSS_TITLES.values(), "learned log-variances", "learning rate"]
        for panel, title in zip(panels, [*titles, "seconds per epoch"], strict=True):
            panel.set_title(title, weight="normal", size=9)
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        panels[4].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        for panel in panels[4:]:
            panel.set_ylim(0, 1.08 * panel.dataLim.y1)
        panels[0].legend()
        panels[3].legend()
        for panel in panels[3:]:
            panel.set_xlabel("epoch")
        figure.suptitle(f"training of {run}", x=0.065, y=0.98, ha="left", size=10, weight="bold")
        figure.subplots_adjust(
            left=0.065, right=0.985, top=0.87, bottom=0.1, hspace=0.32, wspace=0.28
        )
    return figure


def _draw_loss(panel: Axes, history: pd.DataFrame, name: str) -> None:
    """Draw one loss of training and, where there is any, of validation."""
    lines = (("train", TRAIN_COLOUR, "training"), ("validation", VALIDATION_COLOUR, "validation"))
    for part, colour, label in lines:
        losses = history[f"{part}_{name}"].astype(float)
        if losses.notna().any():
            _draw_course(panel, history["epoch"], losses, colour, label)
    if name != "loss":  # the weighted sum may be negative
        panel.set_yscale("log")
        use_log_ticks(panel.yaxis)


def _draw_course(
    panel: Axes, epochs: pd.Series, values: pd.Series, colour: str, label: str
) -> None:
    """Draw one value per epoch, with markers as long as they can be told apart."""
    marker = "o" if len(epochs) <= 25 else ""
    known = values.notna().to_numpy()
    panel.plot(epochs[known], values[known], color=colour, marker=marker, ms=2.8, label=label)
