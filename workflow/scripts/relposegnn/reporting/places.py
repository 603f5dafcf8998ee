"""What the report shows of a place: its cameras, errors and images."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..figures.style import length_text
from ..frames import Frames
from ..metrics import read_scores
from ..poses import pose_distances
from ..videos.queries import Localized, read_localized
from .charts import Chart, confidence_chart, error_charts
from .pictures import as_address, thumbnail
from .space import space_chart

BEST, SPREAD = 3, 4  # rows of images: of the best and of the worst queries, of those in between
NEIGHBOURS = 4  # images beside a query
LARGEST_FILM = 6_000_000  # bytes


@dataclass(frozen=True)
class PlaceFiles:
    """The files of a place: frames, the folder of its images, and what a run made of its queries.

    ``film`` is None where none was made. A place without queries needs none of the others.
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
    """An image of a page: the address that holds it, and lines below."""

    address: str
    lines: list[str]


def read_place(files: PlaceFiles) -> dict[str, Any]:
    """Return what the page's template shows of a place.

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
    """Return the address that holds a film; None where there is none, or one too large."""
    if film is None or Path(film).stat().st_size > LARGEST_FILM:
        return None
    return as_address(Path(film).read_bytes(), "video/mp4")


def choose_rows(metres: np.ndarray) -> dict[str, np.ndarray]:
    """Return which of N queries to show, by title: of least and most error, and some in between.

    None of them twice. Those in between are evenly spread in their order.
    """
    order = np.argsort(metres, kind="stable")
    best = order[:BEST]
    worst = order[BEST:][::-1][:BEST]
    rest = np.sort(order[len(best) : len(order) - len(worst)])
    spread = np.linspace(0, len(rest) - 1, min(SPREAD, len(rest))).round().astype(int)
    groups = {"Best queries": best, "Worst queries": worst, "Others, spread evenly": rest[spread]}
    return {title: rows for title, rows in groups.items() if len(rows)}


def _rows_of_images(
    frames: Frames, folder: Path, queries: Localized
) -> list[tuple[str, list[list[Picture]]]]:
    """Return titles, and rows of a query and of its neighbours, their original images."""
    address = cache(thumbnail)

    def row_of(row: int) -> list[Picture]:
        """Return the pictures of a query, by its number, and of its neighbours."""
        near = queries.neighbours[row][:NEIGHBOURS]
        distances = pose_distances(queries.database[near], queries.truth[row])
        error = error_text(queries.metres[row], queries.degrees[row])
        image = folder / frames.sources("test")[queries.query[row]]
        pictures = [Picture(address(image), [queries.names[row], error])]
        for database, metres, degrees in zip(near, *distances, strict=True):
            image = folder / frames.sources("train")[database]
            lines = [frames.names("train")[database], f"{metres:.2f} m, {degrees:.0f}°"]
            pictures.append(Picture(address(image), lines))
        return pictures

    chosen = choose_rows(queries.metres)
    return [(title, [row_of(row) for row in rows]) for title, rows in chosen.items()]


def error_text(metres: float, degrees: float) -> str:
    """Return an error in words."""
    if not np.isfinite(metres):
        return "failed: no pose"
    return f"off by {length_text(metres)}, {degrees:.{2 if degrees < 1 else 1}f}°"
