"""Figure of refined poses: the best, the median and the worst query, with their matches."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ..data.frames import Frames
from ..data.images import read_image
from ..estimates.predictions import (
    NAMES,
    POINTS,
    PREFIXES,
    REFINED,
    TRUTH,
    pose_arrays,
    read_predictions,
)
from ..matching.key_points import MATCHING_ERROR, find_key_points, match_key_points
from ..matching.scenes import KEY_POINTS, choose_apart
from ..poses import inverse_pose, pose_from_quaternion
from ..retrieval.rankings import read_ranking
from ..scores.metrics import pose_errors
from .style import (
    SOFT,
    draw_picture,
    house_style,
    length_text,
    place_axes,
    save_figure,
    write,
)

WIDTH, CAPTION, GAP, MARGIN, TOP = 5.2, 0.42, 0.1, 0.15, 0.3  # inches; WIDTH: of two pictures
TOLERANCE = 3.0  # distance of a match from its epipolar line, in units of MATCHING_ERROR
AGREEING, OTHER = "#2a7f4f", "#c8553d"  # colours of matches that agree with the pose, and others
UNTESTED = SOFT  # colour of matches without a pose or a focal length


class Shown(NamedTuple):
    """A query and the database image that it is drawn beside.

    Attributes:
        caption: two lines above the pictures.
        pictures: of both, (H, W, 3) uint8 each.
        places: (k, 2, 2) of matched key points in both, in longer sides from the middle.
        agreeing: (k,) whether a match agrees with the pose; None if that cannot be tested.
    """

    caption: str
    pictures: list[np.ndarray]
    places: np.ndarray
    agreeing: np.ndarray | None


def plot_matches(
    predictions_file: str | Path,
    frames_file: str | Path,
    scene_folder: str | Path,
    neighbours_file: str | Path,
    camera_file: str | Path,
    figure_file: str | Path,
) -> None:
    """Draw the queries of least, median and largest error, and their matches.

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
    with Frames(frames_file, camera_file) as frames:
        arrays = read_predictions(predictions_file, (REFINED,), frames)
        estimates, truths = pose_arrays(arrays, PREFIXES[REFINED]), pose_arrays(arrays, TRUTH)
        errors = pose_errors(estimates, truths)
        order = np.argsort(errors[0], kind="stable")
        chosen = {"best": order[0], "typical": order[len(order) // 2], "worst": order[-1]}
        ranking = read_ranking(neighbours_file, "test", frames).index
        rows = frames.find_all("test", arrays.get(NAMES, ()), predictions_file)
        shown = []
        for kind, index in chosen.items():
            query = rows[index]
            database = choose_apart(ranking[query], frames.poses("train")[:, :3, 3])[0]
            places = ("test", query), ("train", database)
            paths = [Path(scene_folder) / frames.source(*place) for place in places]
            lengths = frames.focal_lengths("test")[query], frames.focal_lengths("train")[database]
            pose = None  # for a failed query
            if np.isfinite(errors[0][index]):
                pose = pose_from_quaternion(*(part[index] for part in estimates))
            poses = pose, frames.poses("train")[database]
            names = [frames.name(*place) for place in places]
            caption = _caption(kind, names, [part[index] for part in errors], arrays[POINTS][index])
            shown.append(_show(caption, paths, poses, lengths))
        save_figure(draw_matches(shown, frames.scene), figure_file)


def _caption(kind: str, names: Sequence[str], error: Sequence[float], points: int) -> str:
    """Return the caption of a query and the database image beside it."""
    how = f"refined by {points:.0f} points" if points else "not refined"
    told = f"{length_text(error[0])}, {error[1]:.2f}°, {how}"
    return f"{kind}: {names[0]}, {told}\nbeside {names[1]}"


def epipolar_errors(places: np.ndarray, poses: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the distances (k,) of matches from their epipolar lines in the second image.

    Args:
        places: (k, 2, 2) in both images, normalised (x/z and y/z of rays).
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
    """Return pairs of pictures, one below another, with lines between matches."""
    height, width = shown[0].pictures[0].shape[:2]  # all images of a scene have one size
    down = CAPTION + WIDTH * height / (2 * width) + GAP
    with house_style():
        figure = Figure(figsize=(WIDTH + 2 * MARGIN, TOP + len(shown) * down + MARGIN))
        title = f"{scene}: best, typical and worst query (left), and matches"
        write(figure, (MARGIN, 0.25), title, weight="bold", size=10)
        for row, each in enumerate(shown):
            box = MARGIN, TOP + row * down + CAPTION, WIDTH, down - CAPTION - GAP
            axes = place_axes(figure, box)
            draw_picture(axes, np.concatenate(each.pictures, axis=1), each.caption, SOFT, 0.7)
            # From longer sides from the middle to pixels; the second picture is on the right.
            ends = each.places * max(height, width) + (np.array([width, height]) - 1) / 2
            ends[:, 1, 0] += width
            kinds = [(UNTESTED, slice(None))]
            if each.agreeing is not None:
                kinds = [(OTHER, ~each.agreeing), (AGREEING, each.agreeing)]
            for colour, drawn in kinds:
                lines = LineCollection(ends[drawn], colors=colour, linewidths=0.35, alpha=0.6)
                axes.add_collection(lines, autolim=False)
    return figure


def _show(
    caption: str,
    paths: list[Path],
    poses: tuple[np.ndarray | None, np.ndarray],
    focal_lengths: tuple[float, float],
) -> Shown:
    """Return a query and a database image with their matches, and which agree with the pose."""
    key_points = [find_key_points(path, KEY_POINTS) for path in paths]
    rows = match_key_points(*key_points)
    places = np.stack(
        [each.places[own] for each, own in zip(key_points, rows, strict=True)], axis=1
    )
    agreeing, caption = None, f"{caption}, {len(places)} matches"
    if np.isfinite(focal_lengths).all() and poses[0] is not None:
        limit = TOLERANCE * MATCHING_ERROR / focal_lengths[1]
        agreeing = epipolar_errors(places / np.array(focal_lengths)[:, None], poses) < limit
        caption = f"{caption}, {agreeing.sum()} agree"
    return Shown(caption, [read_image(path) for path in paths], places, agreeing)
