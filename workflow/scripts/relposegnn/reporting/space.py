"""The three-dimensional view of a place: its cameras, true and estimated."""

from dataclasses import replace
from typing import Any

import numpy as np

from ..figures.maps import SYMBOL, look_from_above, sequences_of, surround, tell_unseen
from ..figures.style import INK, spread_rows
from ..videos.queries import Localized
from .charts import COLOUR_SCALE, Chart, numbers

DRAWN = {"database": 120, "queries": 40}  # cameras, at most; all others are dots
# At most: dots of the database, and of the queries; points on the path of a sequence.
DOTS, WAY_POINTS = 1500, 300
# A camera's centre and the corners of its image, camera axes; and a path along all its edges.
CORNERS = np.array([[0, 0, 0], [-4, -3, 5], [4, -3, 5], [4, 3, 5], [-4, 3, 5]]) / 5
WAY = [0, 1, 2, 0, 3, 4, 0, 2, 3, 0, 1, 4]
FAR = 5.0  # extents of a place from the world's origin, beyond which axes start at the place
DATABASE, ESTIMATE = "#a9b4bd", "#cc4c3b"


def space_chart(database: np.ndarray, queries: Localized | None) -> Chart:
    """Return a chart of the database's cameras (M, 4, 4), and true and estimated queries.

    The axes are those of ``figures.maps``; the third points upwards. Far from the world's origin,
    they start at the place: few digits are written, and browsers draw in float32.
    """
    view = look_from_above(database)
    start = _start(view.place(database[:, :3, 3]))
    database, queries = _moved(database, queries, start @ view.map_from_world)
    cameras, placed = view.place(database[:, :3, 3]), np.empty((0, 3))
    if queries is not None:
        cameras = np.concatenate([cameras, view.place(queries.truth[:, :3, 3])])
        placed = view.place(queries.estimates[:, :3, 3])
    low, high = surround(cameras, placed, 0.0, np.inf)
    size = SYMBOL / 2 * (high - low).max()

    def cameras_of(poses: np.ndarray, count: int, name: str, colour: str) -> dict[str, Any]:
        """Return the outlines of some of the cameras (N, 4, 4) as one line of the chart."""
        chosen = poses[spread_rows(len(poses), count)]
        corners = size * CORNERS @ chosen[:, :3, :3].swapaxes(1, 2) + chosen[:, None, :3, 3]
        return _line(_parted(view.place(corners[:, WAY])), name, colour, 1.5)

    dots = view.place(database[spread_rows(len(database), DOTS), :3, 3])
    style = {"color": DATABASE, "size": 1.5}
    data = [
        cameras_of(database, DRAWN["database"], "database", DATABASE),
        _points(dots, "database", {"marker": style, "showlegend": False, "hoverinfo": "skip"}),
    ]
    unseen = ""
    if queries is not None:
        unseen = tell_unseen(placed, low, high)
        found = np.isfinite(placed).all(axis=1)
        data += _query_traces(queries, view.place(queries.truth[:, :3, 3]), placed)
        estimates = queries.estimates[found]
        data.append(cameras_of(estimates, DRAWN["queries"], "estimated cameras", ESTIMATE))
    starts = zip(view.labels, start, strict=True)
    titles = [f"{label} from {at:.0f}" if at else label for label, at in starts]
    axes = {
        f"{axis}axis": {"title": {"text": titles[i]}, "range": numbers([low[i], high[i]])}
        for i, axis in enumerate("xyz")
    }
    text = "Drag to rotate. Grey pyramids: some of the database cameras. "
    if queries is not None:
        text += (
            "Black: true path of the queries. Dots: their estimates, coloured by error"
            f"{f' ({unseen})' if unseen else ''}. Red pyramids: some of the estimated cameras."
        )
    content = {"data": data, "layout": {"scene": {**axes, "aspectmode": "data"}}}
    return Chart("Cameras, true and estimated", text, content, "space")


def _start(cameras: np.ndarray) -> np.ndarray:
    """Return where the axes (3) of cameras (M, 3) start: at 0, or in whole metres at the place."""
    low, high = cameras.min(axis=0), cameras.max(axis=0)
    middle = (low + high) / 2
    return np.where(np.abs(middle) > FAR * max((high - low).max(), 1.0), np.round(middle), 0.0)


def _moved(
    database: np.ndarray, queries: Localized | None, origin: np.ndarray
) -> tuple[np.ndarray, Localized | None]:
    """Return the database (M, 4, 4) and queries in a world that starts at ``origin`` (3)."""
    step = np.zeros((4, 4))
    step[:3, 3] = origin
    if queries is not None:
        queries = replace(queries, truth=queries.truth - step, estimates=queries.estimates - step)
    return database - step, queries


def _query_traces(
    queries: Localized, truth: np.ndarray, placed: np.ndarray
) -> list[dict[str, Any]]:
    """Return traces: the true path (N, 3), the estimates (N, 3), and lines that join them."""
    sequences = sequences_of(queries.names)
    ways = [truth[sequences == own] for own in dict.fromkeys(sequences.tolist())]
    ways = [_parted(way[None, spread_rows(len(way), WAY_POINTS)]) for way in ways]
    rows = spread_rows(len(placed), DOTS)
    rows = rows[np.isfinite(placed[rows]).all(axis=1)]
    limit = np.percentile(queries.metres[rows], 95) if len(rows) else 1.0
    bar = {"title": {"text": "error [m]", "side": "top"}, "orientation": "h", "nticks": 5}
    bar |= {"x": 0.5, "y": 0.01, "yanchor": "bottom", "len": 0.7, "thickness": 9}
    marker = {
        "size": 3,
        "color": numbers(queries.metres[rows]),
        "colorscale": COLOUR_SCALE,
        "cmin": 0,
        "cmax": float(limit),
        "colorbar": bar,
    }
    told = [
        f"{queries.names[row]}: {queries.metres[row]:.3g} m, {queries.degrees[row]:.3g}°"
        for row in rows
    ]
    more = {"marker": marker, "text": told, "hovertemplate": "%{text}<extra></extra>"}
    joined = _parted(np.stack([truth, placed], axis=1)[rows])
    return [
        _line(np.concatenate(ways), "ground truth", INK, 3),
        _line(joined, "from truth to estimate", "#d98a7e", 1.5) | {"showlegend": False},
        _points(placed[rows], "estimates", more),
    ]


def _parted(lines: np.ndarray) -> np.ndarray:
    """Return n lines (n, k, 3) as one array of points, with a gap (NaN) after each."""
    gaps = np.full((len(lines), 1, 3), np.nan)
    return np.concatenate([lines, gaps], axis=1).reshape(-1, 3)


def _line(points: np.ndarray, name: str, colour: str, width: float) -> dict[str, Any]:
    line = {"color": colour, "width": width}
    return _points(points, name, {"mode": "lines", "line": line, "hoverinfo": "skip"})


def _points(points: np.ndarray, name: str, more: dict[str, Any]) -> dict[str, Any]:
    x, y, z = (numbers(column, 4) for column in points.T)
    return {"type": "scatter3d", "mode": "markers", "name": name, "x": x, "y": y, "z": z, **more}
