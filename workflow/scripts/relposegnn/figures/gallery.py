"""Figure of retrieval: some queries of a scene beside the neighbours in their graphs."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..data.frames import Frames
from ..data.images import small_image
from ..poses import pose_distances
from ..retrieval.graphs import read_graphs
from ..retrieval.rankings import read_ranking
from ..runtime import InputError
from .style import (
    SOFT,
    add_colour_bar,
    draw_picture,
    error_colours,
    house_style,
    place_axes,
    save_figure,
    spread_rows,
    write,
)

WIDTH, CAPTION, GAP, APART = 1.15, 0.36, 0.08, 0.04  # inches; a picture's caption is above it
MARGIN, TOP, BOTTOM = 0.1, 0.26, 0.62
PIXELS = 320, 320  # of a picture, at most


def plot_gallery(
    frames_file: str | Path,
    neighbours_file: str | Path,
    graphs_file: str | Path,
    scene_folder: str | Path,
    figure_file: str | Path,
    queries: int = 6,
) -> None:
    """Draw some test queries, spread evenly, beside the neighbours in their graphs.

    The original images are drawn: those in the frames file may have few pixels.

    Args:
        frames_file: HDF5 of the packing step.
        neighbours_file: HDF5 of the ranking step, for the similarities.
        graphs_file: HDF5 of the sampling step.
        scene_folder: with its images.
        figure_file: PNG or PDF to write.
        queries: how many, at most.

    Raises:
        InputError: the files do not belong together, or an image cannot be read.
    """
    with Frames(frames_file) as frames:
        found = choose_queries(frames, neighbours_file, graphs_file, queries)
        save_figure(draw_gallery(frames, Path(scene_folder), *found), figure_file)


def choose_queries(
    frames: Frames, neighbours_file: str | Path, graphs_file: str | Path, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ``count`` evenly spread test graphs, or all if there are fewer.

    Returns:
        queries (n) and neighbours (n, k), indices of test and training frames; similarities (n, k),
        NaN for neighbours that are not in the ranking.

    Raises:
        InputError: there is no graph, or a file is of other frames.
    """
    graphs = read_graphs(graphs_file, "test", frames)
    chosen = spread_rows(len(graphs[0]), count)
    queries, neighbours = graphs[0][chosen], graphs[1][chosen]
    if not len(chosen):
        raise InputError(
            f"{graphs_file}: holds no test graphs, expected at least one, but this scene has no "
            "queries with a pose; name some, or make the target models, which needs none"
        )
    ranking = read_ranking(neighbours_file, "test", frames)
    ranked, similarity = (column[queries] for column in ranking)
    matches = ranked[:, None, :] == neighbours[:, :, None]
    told = np.take_along_axis(similarity, matches.argmax(axis=2), axis=1)
    return queries, neighbours, np.where(matches.any(axis=2), told, np.nan)


def draw_gallery(
    frames: Frames,
    folder: Path,
    queries: np.ndarray,
    neighbours: np.ndarray,
    similarity: np.ndarray,
) -> Figure:
    """Return rows of pictures, a query, then its neighbours, their borders coloured by distance.

    The arguments are the folder of the images and the results of ``choose_queries``.
    """
    rows, count = neighbours.shape
    own = frames.poses("test")[queries][:, None]
    metres, degrees = pose_distances(frames.poses("train")[neighbours], own)
    sideways = frames.orientation > 4  # EXIF tag; pictures are drawn upright
    height, width = frames.image_shape[:: -1 if sideways else 1]
    step = np.array([WIDTH + GAP, WIDTH * height / width + CAPTION])
    size = [MARGIN + (1 + count) * step[0] + MARGIN, TOP + rows * step[1] + BOTTOM]
    colours = error_colours(metres, percentile=100)
    with house_style():
        figure = Figure(figsize=size)
        for row, query in enumerate(queries):
            shown = [("test", query), *(("train", each) for each in neighbours[row])]
            paths = [folder / frames.source(*each) for each in shown]
            pictures = [np.array(small_image(path, PIXELS)) for path in paths]
            captions = ["\n".join(frames.name("test", query).rsplit("/", 1))]
            captions += [
                f"{'not ranked' if np.isnan(s) else f'similarity {s:.2f}'}\n{m:.2f} m, {d:.0f}°"
                for s, m, d in zip(similarity[row], metres[row], degrees[row], strict=True)
            ]
            borders = [SOFT, *colours.to_rgba(metres[row])]
            for column, picture in enumerate(pictures):
                left = MARGIN + column * step[0] + (APART if column else 0)
                box = (left, TOP + row * step[1] + CAPTION, WIDTH, step[1] - CAPTION)
                axes, thickness = place_axes(figure, box), 2.5 if column else 0.7
                draw_picture(axes, picture, captions[column], borders[column], thickness)
        title = f"{frames.scene}: queries (left) and the neighbours in their graphs, by rank"
        write(figure, (MARGIN, 0.25), title, weight="bold", size=10)
        left, line = 0.35 * size[0], size[1] - 0.42
        bar = left, line - 0.09, 0.3 * size[0], 0.09
        add_colour_bar(figure, bar, colours, orientation="horizontal")
        label = {"ha": "right", "size": 8, "color": SOFT}
        write(figure, (left - 0.1, line), "distance from the query [m]", **label)
    return figure
