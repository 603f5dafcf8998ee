"""Picture of refined poses: the best, a typical and the worst query, with matches drawn."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from ..frames import Frames
from ..images import open_image
from ..matching.key_points import find_key_points, match_key_points
from ..matching.scenes import KEY_POINTS, MATCHING_ERROR, choose_apart
from ..metrics import NAMES, POINTS, REFINED, pose_arrays, pose_errors, read_predictions
from ..poses import inverse_pose, pose_from_quaternion
from ..retrieval.rankings import read_ranking
from ..runtime import InputError
from .style import SOFT, draw_picture, house_style, place_axes, save_figure, write

WIDTH, CAPTION, GAP, MARGIN, TOP = 5.2, 0.42, 0.1, 0.15, 0.3  # inches; of two pictures together
TOLERANCE = 3.0  # of a match from its epipolar line, in scales of the matching error
AGREEING, OTHER = "#2a7f4f", "#c8553d"  # matches that the refined pose agrees with, and others


class Shown(NamedTuple):
    """A query and the database image that it is drawn beside.

    Attributes:
        caption: what is said of it.
        pictures: of both, (H, W, 3) uint8 each.
        places: (k, 2, 2) of matched key points in both, in longer sides from the middle.
        agreeing: (k,) whether the pose agrees with a match.
    """

    caption: str
    pictures: list[np.ndarray]
    places: np.ndarray
    agreeing: np.ndarray


def plot_matches(
    predictions_file: str | Path,
    frames_file: str | Path,
    scene_folder: str | Path,
    neighbours_file: str | Path,
    camera_file: str | Path,
    figure_file: str | Path,
) -> None:
    """Draw the queries of least, median and greatest error, and their matches.

    Args:
        predictions_file: of ``matching.scenes.refine_predictions``.
        frames_file: of the scene.
        scene_folder: with its images.
        neighbours_file: rankings of the database for each query.
        camera_file: of the scene, see ``camera_files``.
        figure_file: PNG or PDF to write.

    Raises:
        InputError: the files do not belong together.
    """
    arrays = read_predictions(predictions_file, (REFINED,))
    estimates, truths = pose_arrays(arrays, "refined"), pose_arrays(arrays, "targ")
    errors = pose_errors(estimates, truths)
    order = np.argsort(errors[0], kind="stable")
    ranking = read_ranking(neighbours_file, "test").index
    chosen = {"best": order[0], "typical": order[len(order) // 2], "worst": order[-1]}
    with Frames(frames_file, camera_file) as frames:
        rows = {name: row for row, name in enumerate(frames.names("test"))}
        if not all(name in rows for name in arrays.get(NAMES, [None])):
            raise InputError(
                f"{predictions_file}: is not of the test frames of {frames_file}; predict again"
            )
        shown = []
        for kind, index in chosen.items():
            name = str(arrays[NAMES][index])
            query = rows[name]
            database = choose_apart(ranking[query], frames.poses("train")[:, :3, 3])[0]
            paths = [
                Path(scene_folder) / frames.sources(split)[row]
                for split, row in (("test", query), ("train", database))
            ]
            lengths = frames.focal_lengths("test")[query], frames.focal_lengths("train")[database]
            pose = pose_from_quaternion(estimates[0][[index]], estimates[1][[index]])[0]
            other = frames.poses("train")[database]
            points = int(arrays[POINTS][index])
            how = f"refined by {points} points" if points else "not refined"
            caption = (
                f"{kind}: {name}, {100 * errors[0][index]:.1f} cm, {errors[1][index]:.2f}°, {how}\n"
                f"beside {frames.names('train')[database]}"
            )
            shown.append(_show(caption, paths, (pose, other), lengths))
        save_figure(draw_matches(shown, frames.scene), figure_file)


def epipolar_errors(places: np.ndarray, poses: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return how far matches are from their epipolar lines (k,), in the second image.

    Args:
        places: (k, 2, 2) in both images, x/z and y/z of rays.
        poses: (4, 4) of both cameras, ``world_from_cam``.
    """
    second_from_first = inverse_pose(poses[1]) @ poses[0]
    x, y, z = second_from_first[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rays = np.concatenate([places, np.ones((*places.shape[:2], 1))], axis=2)
    lines = rays[:, 0] @ (cross @ second_from_first[:3, :3]).T
    length = np.maximum(np.linalg.norm(lines[:, :2], axis=1), 1e-12)
    return np.abs((lines * rays[:, 1]).sum(axis=1)) / length


def draw_matches(shown: list[Shown], scene: str) -> Figure:
    """Return pairs of pictures, one below another, with matches between them."""
    heights = [_side_by_side(each.pictures)[0].shape for each in shown]
    heights = [WIDTH * height / width for height, width, _ in heights]
    with house_style():
        size = WIDTH + 2 * MARGIN, TOP + sum(heights) + len(shown) * (CAPTION + GAP) + MARGIN
        figure, top = Figure(figsize=size), TOP
        title = f"{scene}: best, typical and worst query (left), and matches"
        write(figure, (MARGIN, 0.25), title, weight="bold", size=10)
        for each, height in zip(shown, heights, strict=True):
            box = MARGIN, top + CAPTION, WIDTH, height
            axes, (picture, offset) = place_axes(figure, box), _side_by_side(each.pictures)
            draw_picture(axes, picture, each.caption, SOFT, 0.7)
            first, second = (_pixels(each.places[:, side], each.pictures[side]) for side in (0, 1))
            second[:, 0] += offset
            ends = np.stack([first, second], axis=1)
            for colour, drawn in ((OTHER, ~each.agreeing), (AGREEING, each.agreeing)):
                lines = LineCollection(ends[drawn], colors=colour, linewidths=0.35, alpha=0.6)
                axes.add_collection(lines, autolim=False)
            top += CAPTION + height + GAP
    return figure


def _show(
    caption: str,
    paths: list[Path],
    poses: tuple[np.ndarray, np.ndarray],
    focal_lengths: tuple[float, float],
) -> Shown:
    """Return a query and a database image with their matches."""
    key_points = [find_key_points(path, KEY_POINTS) for path in paths]
    rows = match_key_points(*key_points)
    places = np.stack(
        [each.places[own] for each, own in zip(key_points, rows, strict=True)], axis=1
    )
    rays = places / np.array(focal_lengths)[:, None]
    agreeing = np.zeros(len(places), dtype=bool)
    if np.isfinite(rays).all() and np.isfinite(poses[0]).all():
        limit = TOLERANCE * MATCHING_ERROR / focal_lengths[1]
        agreeing = epipolar_errors(rays, poses) < limit
    pictures = [np.array(open_image(path).convert("RGB")) for path in paths]
    return Shown(
        f"{caption}, {len(places)} matches, {agreeing.sum()} agree", pictures, places, agreeing
    )


def _side_by_side(pictures: list[np.ndarray]) -> tuple[np.ndarray, int]:
    """Return two pictures as one, the second as high as the first, and where it starts."""
    first, second = pictures
    if second.shape[0] != first.shape[0]:
        width = round(second.shape[1] * first.shape[0] / second.shape[0])
        second = np.array(Image.fromarray(second).resize((width, first.shape[0])))
    return np.concatenate([first, second], axis=1), first.shape[1]


def _pixels(places: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Return places (k, 2), in longer sides from the middle, in pixels of a picture."""
    height, width = picture.shape[:2]
    return places * max(height, width) + (np.array([width, height]) - 1) / 2
