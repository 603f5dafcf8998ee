"""What the report shows of a place: its cameras, errors and images."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..data.frames import Frames
from ..figures.style import length_text, spread_rows
from ..poses import pose_distances
from ..scores.metrics import read_scores
from ..videos.queries import Localized, read_localized
from .charts import Chart, confidence_chart, error_charts
from .pictures import as_address, thumbnail
from .space import space_chart

BEST, SPREAD = 3, 4  # rows of images: for the best and for the worst queries, for those between
NEIGHBOURS = 4  # images beside a query
LARGEST_FILM = 6_000_000  # bytes; a larger one is not embedded


@dataclass(frozen=True)
class PlaceFiles:
    """The files of a place: frames, the folder of its images, and a run's results for its queries.

    ``film`` is None if none was made. For a place without queries, only ``frames`` is read.
    """

    scene: str
    run: str
    frames: str | Path
    images: str | Path
    graphs: str | Path
    predictions: str | Path
    scores: str | Path
    film: str | Path | None = None


class Picture(NamedTuple):
    """An image of a page: its data address, and the lines of text below it."""

    address: str
    lines: list[str]


def read_place(files: PlaceFiles) -> dict[str, Any]:
    """Return what the page's template needs to show a place.

    Raises:
        InputError: the files do not belong together, or an image cannot be read.
    """
    with Frames(files.frames) as frames:
        place = {"scene": files.scene, "run": files.run, "database": frames.count("train")}
        if not frames.count("test"):
            charts, groups = [space_chart(frames.poses("train"), None)], []
            return {**place, "queries": 0, "charts": charts, "groups": groups}
        queries = read_localized(frames, files.graphs, files.predictions)
        groups = _rows_of_images(frames, Path(files.images), queries)
    return {
        **place,
        "queries": len(queries.names),
        "estimator": queries.estimator,
        "charts": _charts(queries, read_scores(files.scores, files.scene)),
        "groups": groups,
        "film": _film(files.film),
        "film_file": f"videos/{files.run}/{files.scene}.mp4",
    }


def _charts(queries: Localized, scores: pd.DataFrame) -> list[Chart]:
    charts = [space_chart(queries.database, queries), *error_charts(scores)]
    confidence = confidence_chart(scores, queries.estimator)
    return [*charts, confidence] if confidence else charts


def _film(film: str | Path | None) -> str | None:
    """Return the data address of a film; None if there is none, or it is too large."""
    if film is None or Path(film).stat().st_size > LARGEST_FILM:
        return None
    return as_address(Path(film).read_bytes(), "video/mp4")


def choose_rows(metres: np.ndarray) -> dict[str, np.ndarray]:
    """Return which of N queries to show, by title: least and largest errors, and some in between.

    No query is shown twice. Those in between are evenly spread in the order of the queries.
    """
    order = np.argsort(metres, kind="stable")
    best = order[:BEST]
    worst = order[BEST:][::-1][:BEST]
    rest = np.sort(order[len(best) : len(order) - len(worst)])
    others = rest[spread_rows(len(rest), SPREAD)]
    groups = {"Best queries": best, "Worst queries": worst, "Others, spread evenly": others}
    return {title: rows for title, rows in groups.items() if len(rows)}


def _rows_of_images(
    frames: Frames, folder: Path, queries: Localized
) -> list[tuple[str, list[list[Picture]]]]:
    """Return titles, each with rows of original images: a query, then its neighbours."""
    address = cache(thumbnail)

    def row_of(row: int) -> list[Picture]:
        """Return the pictures of a query, given its row, and of its neighbours."""
        near = queries.neighbours[row][:NEIGHBOURS]
        distances = pose_distances(queries.database[near], queries.truth[row])
        error = error_text(queries.metres[row], queries.degrees[row])
        image = folder / frames.source("test", queries.query[row])
        pictures = [Picture(address(image), [queries.names[row], error])]
        for database, metres, degrees in zip(near, *distances, strict=True):
            image = folder / frames.source("train", database)
            lines = [frames.name("train", database), f"{metres:.2f} m, {degrees:.0f}°"]
            pictures.append(Picture(address(image), lines))
        return pictures

    chosen = choose_rows(queries.metres)
    return [(title, [row_of(row) for row in rows]) for title, rows in chosen.items()]


def error_text(metres: float, degrees: float) -> str:
    """Return an error as text."""
    if not np.isfinite(metres):
        return "failed: no pose"
    return f"off by {length_text(metres)}, {degrees:.{2 if degrees < 1 else 1}f}°"
