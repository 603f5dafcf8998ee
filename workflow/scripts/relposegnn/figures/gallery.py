"""Picture of retrieval: some queries of a scene beside the neighbours of their graphs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..frames import Frames
from ..graphs import read_graphs
from ..poses import quaternion_from_matrix, rotation_error_deg, translation_error
from ..retrieval.rankings import read_ranking
from ..runtime import InputError
from .style import (
    ERROR_COLOURS,
    SOFT,
    colour_limit,
    hide_ticks,
    house_style,
    save_figure,
)

PICTURE_WIDTH = 1.15  # inches
CAPTION_HEIGHT = 0.36  # above a picture
MARGIN, TOP, BOTTOM = 0.1, 0.62, 0.62


@dataclass(frozen=True)
class Retrieved:
    """Queries and what was retrieved for them.

    ``queries`` (n) and ``neighbours`` (n, k) index the frames of the test and training split;
    ``similarity``, ``distance_m`` and ``angle_deg`` are (n, k), between query and neighbour.
    """

    queries: np.ndarray
    neighbours: np.ndarray
    similarity: np.ndarray
    distance_m: np.ndarray
    angle_deg: np.ndarray


def plot_gallery(
    frames_file: str | Path,
    neighbours_file: str | Path,
    graphs_file: str | Path,
    figure_file: str | Path,
    queries: int = 6,
) -> None:
    """Draw some test queries, spread evenly, beside the neighbours in their graphs.

    Args:
        frames_file: HDF5 of the packing step.
        neighbours_file: HDF5 of the ranking step, for the similarities.
        graphs_file: HDF5 of the sampling step.
        figure_file: PNG or PDF to write.
        queries: how many; all of them when there are fewer.

    Raises:
        InputError: the files do not belong together.
    """
    with Frames(frames_file) as frames:
        found = choose_queries(frames, neighbours_file, graphs_file, queries)
        pictures = np.stack(
            [
                np.concatenate([frames.images("test", [query]), frames.images("train", row)])
                for query, row in zip(found.queries, found.neighbours, strict=True)
            ]
        )
        names = [frames.names("test")[i] for i in found.queries]
        save_figure(draw_gallery(found, pictures, names, frames.scene), figure_file)


def choose_queries(
    frames: Frames, neighbours_file: str | Path, graphs_file: str | Path, count: int
) -> Retrieved:
    """Return ``count`` evenly spread test graphs with similarities and distances.

    Raises:
        InputError: a neighbour of a graph is not among the ranked, or beyond the frames.
    """
    graphs = read_graphs(graphs_file, "test")
    total = len(graphs[0])
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    queries, neighbours = graphs[0][chosen], graphs[1][chosen]
    if not total or queries.max() >= frames.count("test"):
        raise InputError(
            f"{graphs_file}: holds {total} test graphs, {frames.path} {frames.count('test')} test "
            "frames; expected at least one graph, and graphs of these frames; sample graphs again"
        )
    ranked, similarity = (column[queries] for column in read_ranking(neighbours_file, "test"))
    matches = ranked[:, None, :] == neighbours[:, :, None]
    if not matches.any(axis=2).all():
        raise InputError(
            f"{graphs_file}: has neighbours that {neighbours_file} does not rank; expected graphs "
            "sampled from this ranking; sample graphs again"
        )
    own = frames.poses("test")[queries][:, None]
    other = frames.poses("train")[neighbours]
    return Retrieved(
        queries,
        neighbours,
        np.take_along_axis(similarity, matches.argmax(axis=2), axis=1),
        translation_error(own[..., :3, 3], other[..., :3, 3]),
        rotation_error_deg(
            quaternion_from_matrix(own[..., :3, :3]), quaternion_from_matrix(other[..., :3, :3])
        ),
    )


def draw_gallery(found: Retrieved, pictures: np.ndarray, names: list[str], scene: str) -> Figure:
    """Return rows of pictures (n, 1 + k, H, W, 3) uint8, the query first; borders tell distance."""
    norm = Normalize(0, colour_limit(found.distance_m, 100))
    rows, columns = pictures.shape[:2]
    with house_style():
        figure, grid = _grid(rows, columns, pictures.shape[2] / pictures.shape[3])
        for row in range(rows):
            for column in range(columns):
                _draw_picture(grid[row, column], pictures[row, column])
            sequence, _, frame = names[row].rpartition("/")
            _caption(grid[row, 0], f"{sequence}\n{frame}")
            for k in range(columns - 1):
                _draw_neighbour(grid[row, k + 1], found, (row, k), norm)
        figure.text(
            MARGIN / figure.get_figwidth(),
            1 - 0.25 / figure.get_figheight(),
            f"{scene}: queries (left) and the neighbours in their graphs, by rank",
            weight="bold",
            size=10,
        )
        _add_colour_bar(figure, norm)
    return figure


def _grid(rows: int, columns: int, aspect: float) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes (rows, columns), the first column a little apart."""
    apart, picture_height = 0.12, PICTURE_WIDTH * aspect
    step = np.array([PICTURE_WIDTH + 0.08, picture_height + CAPTION_HEIGHT])
    width = 2 * MARGIN + columns * step[0] - 0.08 + apart
    height = TOP - CAPTION_HEIGHT + rows * step[1] + BOTTOM
    figure = Figure(figsize=(width, height))
    grid = np.empty((rows, columns), dtype=object)
    for row, column in np.ndindex(rows, columns):
        left = MARGIN + column * step[0] + (apart if column else 0)
        bottom = BOTTOM + (rows - 1 - row) * step[1]
        box = (left / width, bottom / height, PICTURE_WIDTH / width, picture_height / height)
        grid[row, column] = figure.add_axes(box)
    return figure, grid


def _draw_picture(axes: Axes, picture: np.ndarray) -> None:
    """Draw one picture in a thin grey frame."""
    axes.imshow(picture, interpolation="bicubic", aspect="auto")
    hide_ticks(axes)


def _caption(axes: Axes, text: str) -> None:
    """Write two lines above a picture."""
    axes.set_title(text, size=7, weight="normal", pad=4, linespacing=1.15)


def _draw_neighbour(
    axes: Axes, found: Retrieved, position: tuple[int, int], norm: Normalize
) -> None:
    """Add a neighbour's border and caption."""
    for spine in axes.spines.values():
        spine.set(color=ERROR_COLOURS(norm(found.distance_m[position])), linewidth=2.5)
    _caption(
        axes,
        f"similarity {found.similarity[position]:.2f}\n"
        f"{found.distance_m[position]:.2f} m, {found.angle_deg[position]:.0f}°",
    )


def _add_colour_bar(figure: Figure, norm: Normalize) -> None:
    """Add the meaning of the borders at the foot."""
    height = figure.get_figheight()
    axes = figure.add_axes((0.35, 0.42 / height, 0.3, 0.09 / height))
    bar = figure.colorbar(ScalarMappable(norm, ERROR_COLOURS), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7)
    figure.text(0.34, 0.43 / height, "distance from the query [m]", ha="right", size=8, color=SOFT)
