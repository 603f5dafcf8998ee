"""Charts of the report, as plain lists and dictionaries for plotly.js."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..estimates.predictions import AFFINE, ALL_EDGES, FIRST_EDGE, MOST_SIMILAR, REFERENCE, REFINED
from ..figures.curves import ERROR_LABELS
from ..figures.style import ERROR_COLOURS, INK, MANY_DECADES, SCENE_COLOURS, spread_rows
from ..scores.metrics import ROTATION, STATED, TRANSLATION, coverage

LINES = {  # of error curves; estimates without a network are dashed or dotted
    MOST_SIMILAR: {"color": SCENE_COLOURS[7], "dash": "dash"},
    REFERENCE: {"color": "#999999", "dash": "dash", "width": 1.2},
    AFFINE: {"color": SCENE_COLOURS[1], "dash": "dot"},
    FIRST_EDGE: {"color": SCENE_COLOURS[3]},
    ALL_EDGES: {"color": SCENE_COLOURS[2]},
    REFINED: {"color": SCENE_COLOURS[0], "width": 3},
}
MARKS = ["circle", "square", "diamond", "triangle-up", "cross", "x"]  # each for nine runs
POINTS = 200  # of a curve, at most
STATED_M = STATED[0]
COLOUR_SCALE = [
    [share, "#{:02x}{:02x}{:02x}".format(*ERROR_COLOURS(share, bytes=True)[:3])]
    for share in np.linspace(0, 1, 9).tolist()
]


class Chart(NamedTuple):
    """A chart with its title and text.

    Attributes:
        title: a few words.
        text: what the chart shows.
        content: ``data`` and ``layout`` for plotly.js.
        kind: ``flat`` or ``space``.
    """

    title: str
    text: str
    content: dict[str, Any]
    kind: str = "flat"


def numbers(values: Sequence[float] | np.ndarray, digits: int = 5) -> list[float | None]:
    """Return rounded numbers; those that are not finite become None, which plotly.js skips."""
    array = np.asarray(values, dtype=np.float64).ravel().tolist()
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in array]


def log_axis(values: np.ndarray) -> dict[str, Any]:
    """Return a logarithmic axis that covers positive values, with plain numbers as ticks."""
    low, high = np.log10([values.min(), values.max()])
    low, high = float(low) - 0.08, float(high) + 0.08
    steps = (1, 2, 5) if high - low < MANY_DECADES else (1,)
    decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    texts = [f"{tick:g}" for tick in ticks]
    return {"type": "log", "range": [low, high], "tickvals": ticks, "ticktext": texts}


def error_charts(scores: pd.DataFrame) -> list[Chart]:
    """Return charts of cumulative errors, translation and rotation, a curve per estimator."""
    return [
        Chart(
            f"{column.split('_')[0].capitalize()} errors",
            "Share of the queries with at most this error; a curve farther left is better. It "
            "crosses 50 % at the median, and ends below 100 % if queries failed.",
            _error_chart(scores, column),
        )
        for column in (TRANSLATION, ROTATION)
    ]


def _error_chart(scores: pd.DataFrame, column: str) -> dict[str, Any]:
    finite = scores[column].to_numpy()
    finite = finite[np.isfinite(finite) & (finite > 0)]
    ends = np.percentile(finite, [0.5, 99.5]) if finite.size else np.array([0.01, 1.0])
    curves = []
    for name in [name for name in LINES if (scores["estimator"] == name).any()]:
        errors = np.sort(scores.loc[scores["estimator"] == name, column])
        shares = np.arange(1, len(errors) + 1) / len(errors)
        rows = spread_rows(len(errors), POINTS)
        rows = rows[np.isfinite(errors[rows])]
        curves.append(
            {
                "name": name,
                "mode": "lines",
                "x": numbers(np.maximum(errors[rows], 1e-6)),
                "y": numbers(100 * shares[rows]),
                "line": {"shape": "hv", **LINES[name]},
                "hovertemplate": f"%{{y:.0f}} % within %{{x:.3g}}<extra>{name}</extra>",
            }
        )
    layout = {
        "xaxis": {**log_axis(ends), "title": {"text": ERROR_LABELS[column]}},
        "yaxis": {"title": {"text": "queries [%]"}, "range": [0, 101]},
    }
    return {"data": curves, "layout": layout}


def confidence_chart(scores: pd.DataFrame, estimator: str) -> Chart | None:
    """Return a chart of true against stated errors of an estimator; None if none are stated."""
    own = scores[scores["estimator"] == estimator]
    if STATED_M not in own or not own[STATED_M].notna().any():
        return None
    within = coverage(own[TRANSLATION].to_numpy(), own[STATED_M])
    own = own[np.isfinite(own[TRANSLATION]) & (own[STATED_M] > 0)]
    if own.empty:
        return None
    stated, errors = own[STATED_M].to_numpy(), np.maximum(own[TRANSLATION].to_numpy(), 1e-6)
    ends = [stated.min(), stated.max()]
    data = [
        {
            "name": "query",
            "mode": "markers",
            "x": numbers(stated),
            "y": numbers(errors),
            "text": own["query"].tolist(),
            "marker": {"color": SCENE_COLOURS[0], "size": 6, "opacity": 0.6},
            "hovertemplate": "%{text}: %{y:.3g} m, stated %{x:.3g} m<extra></extra>",
        },
        {
            "name": "as large as stated",
            "mode": "lines",
            "x": numbers(ends),
            "y": numbers(ends),
            "line": {"color": INK, "width": 1, "dash": "dash"},
            "hoverinfo": "skip",
        },
    ]
    layout = {
        "xaxis": {**log_axis(stated), "title": {"text": "stated error [m]"}},
        "yaxis": {**log_axis(errors), "title": {"text": "true error [m]"}},
    }
    text = (
        "True error of each query against its stated error. Errors are stated so that 68 % of "
        f"the queries lie below the line; here {100 * within:.0f} % do. Failed queries have no "
        "dot, and count as above the line."
    )
    return Chart("Stated and true error", text, {"data": data, "layout": layout})


def training_charts(histories: Mapping[str, pd.DataFrame]) -> list[Chart]:
    """Return charts of both losses over epochs (counted from 1, as in logs), a curve per run."""
    charts = []
    for part in ("translation", "rotation"):
        data, shown = [], []
        for position, (run, history) in enumerate(histories.items()):
            turn, colour = divmod(position, len(SCENE_COLOURS))
            for split, dash in (("train", "solid"), ("validation", "dot")):
                course = history[f"{split}_{part}_loss"]
                if course.notna().any():
                    shown.append(course.dropna().to_numpy())
                    data.append(
                        {
                            "name": f"{run}, {'training' if split == 'train' else split}",
                            "mode": "lines+markers",
                            "x": (history["epoch"] + 1).tolist(),
                            "y": numbers(course),
                            "line": {"color": SCENE_COLOURS[colour], "dash": dash},
                            "marker": {"symbol": MARKS[turn % len(MARKS)]},
                        }
                    )
        layout = {
            "xaxis": {"title": {"text": "epoch"}, "tickformat": "d", "nticks": 8},
            "yaxis": {**log_axis(np.concatenate(shown)), "title": {"text": "mean L1 loss"}},
        }
        content = {"data": data, "layout": layout}
        text = "On the training queries, and on the held-out validation queries, if there are any."
        charts.append(Chart(f"{part.capitalize()} loss", text, content))
    return charts


def job_charts(jobs: pd.DataFrame) -> list[Chart]:
    """Return bar charts of the time and the memory that each step took.

    Args:
        jobs: of ``jobs.read_jobs``.
    """
    told = {
        "seconds": ("Time", "Of all jobs of a step, in seconds.", "seconds", SCENE_COLOURS[5]),
        "memory_mb": (
            "Memory",
            "Of the job of a step that took most, in megabytes.",
            "MB",
            SCENE_COLOURS[6],
        ),
    }
    charts = []
    for column, (title, text, unit, colour) in told.items():
        values = jobs[column]
        bars = {
            "type": "bar",
            "orientation": "h",
            "x": numbers(values, 3),
            "y": jobs["step"].tolist(),
            "text": [f"{value:,.0f}" if np.isfinite(value) else "not measured" for value in values],
            "textposition": "outside",
            "cliponaxis": False,
            "marker": {"color": colour},
            "hovertemplate": f"%{{y}}: %{{x:,}} {unit}<extra></extra>",
        }
        layout = {
            "height": 70 + 22 * len(jobs),
            "showlegend": False,
            "margin": {"r": 60},
            "xaxis": {"title": {"text": unit}, "nticks": 5},
            "yaxis": {"automargin": True, "autorange": "reversed", "tickfont": {"size": 11}},
        }
        charts.append(Chart(title, text, {"data": [bars], "layout": layout}))
    return charts
