"""Film of one scene's localisation: query after query, as the camera recorded them."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..frames import Frames
from ..graphs import read_graphs
from ..metrics import FIRST_EDGE, PREFIXES, read_predictions
from ..poses import (
    pose_from_quaternion,
    quaternion_from_matrix,
    rotation_error_deg,
    translation_error,
)
from ..runtime import InputError
from .files import create_gif, create_mp4
from .frames import HEIGHT, WIDTH, Film, drawn_colours
from .panels import Localized

GIF_RATE = 5.0  # frames per second, at most
PALETTE_FRAMES = 5

logger = logging.getLogger(__name__)


def render_video(
    frames_file: str | Path,
    graphs_file: str | Path,
    predictions_file: str | Path,
    mp4_file: str | Path,
    gif_file: str | Path,
    scene: str,
    run: str,
    queries: int = 200,
    frames_per_second: float = 10,
    gif_width: int = 640,
    estimator: str = FIRST_EDGE,
) -> None:
    """Film the test queries of a scene: image, neighbours, cameras on the map, errors.

    One query a frame, in recorded order. The GIF shows at most 5 of them a second.

    Args:
        frames_file: HDF5 of the packing step.
        graphs_file: HDF5 of the sampling step.
        predictions_file: npz of the prediction step.
        mp4_file: H.264, 1280x720 pixels.
        gif_file: the same, smaller.
        scene: for the title.
        run: for the title.
        queries: show every n-th query of each sequence, n so that about this many are shown.
        frames_per_second: of the MP4.
        gif_width: in pixels.
        estimator: whose estimates, as named in ``metrics.PREFIXES``.

    Raises:
        InputError: the files do not belong together or hold no such estimates, or H.264 cannot be
            written.
    """
    with Frames(frames_file) as frames:
        localized = read_localized(frames, graphs_file, predictions_file, estimator)
        shown = choose_queries(localized.sequences, queries)
        film = Film(
            localized, shown, _picture_reader(frames, localized), scene, f"run {run}, {estimator}"
        )
        _write_film(film, len(shown), mp4_file, gif_file, frames_per_second, gif_width)
    logger.info("%s: %d of %d queries shown", mp4_file, len(shown), len(localized.names))


def choose_queries(sequences: np.ndarray, limit: int) -> np.ndarray:
    """Return which of N queries to show: every n-th of each sequence, its last one included.

    Args:
        sequences: of the queries (N), in recorded order.
        limit: of the number shown; n is the least that respects it. A sequence is never left out,
            however many there are.

    Raises:
        InputError: ``limit`` is below 1.
    """
    if limit < 1:
        raise InputError(f"a film of {limit} queries was asked for, expected at least 1")
    _, names, lengths = np.unique(sequences, return_inverse=True, return_counts=True)
    strides = np.arange(1, lengths.max() + 1)
    counts = np.ceil(lengths / strides[:, None]).sum(axis=1)
    stride = strides[np.argmax(counts <= limit)] if counts.min() <= limit else strides[-1]
    members = [np.flatnonzero(names == name) for name in range(len(lengths))]
    return np.sort(np.concatenate([own[::-stride] for own in members]))


def read_localized(
    frames: Frames, graphs_file: str | Path, predictions_file: str | Path, estimator: str
) -> Localized:
    """Return the test queries of a scene in recorded order with all that is known of them.

    Raises:
        InputError: the files do not belong together or hold no such estimates.
    """
    arrays = read_predictions(predictions_file)
    prefix = PREFIXES[estimator]
    if f"{prefix}_t" not in arrays:
        raise InputError(
            f"{predictions_file}: lacks {prefix}_t and {prefix}_q, the estimates named "
            f"{estimator!r}; expected the arrays that the prediction step writes"
        )
    query, neighbours = _read_test_graphs(frames, graphs_file)
    names = np.array(frames.names("test"))[query]
    rows = _rows_of(names, arrays["rel_path"], predictions_file, graphs_file)
    truth = pose_from_quaternion(arrays["targ_t"], arrays["targ_q"])[rows]
    estimates = _poses_or_nan(arrays[f"{prefix}_t"][rows], arrays[f"{prefix}_q"][rows])
    metres, degrees = _errors(estimates, truth)
    database = frames.poses("train")
    return Localized(
        names.tolist(),
        query,
        neighbours,
        truth,
        estimates,
        *(np.where(np.isfinite(metres), errors, np.inf) for errors in (metres, degrees)),
        database[:, :3, 3],
        *_errors(database[neighbours], truth[:, None]),
    )


def _read_test_graphs(frames: Frames, graphs_file: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return query (G) and neighbours (G, k) in recorded order, checked against the frames."""
    query, neighbours = read_graphs(graphs_file, "test")
    order = np.argsort(query, kind="stable")
    for indices, split in ((query, "test"), (neighbours, "train")):
        count = frames.count(split)
        if indices.size == 0 or indices.min() < 0 or indices.max() >= count:
            raise InputError(
                f"{graphs_file}: its {len(query)} test graphs do not fit {frames.path}, which has "
                f"{count} {split} frames; expected graphs of these frames; sample graphs again"
            )
    return query[order], neighbours[order]


def _rows_of(
    names: np.ndarray, predicted: np.ndarray, predictions_file: str | Path, graphs_file: str | Path
) -> np.ndarray:
    """Return the rows (N) of the predictions that belong to the graphs' queries (N)."""
    different = np.setxor1d(names, predicted)
    if different.size:
        raise InputError(
            f"{predictions_file}: names {len(predicted)} queries, {graphs_file} {len(names)}, and "
            f"{len(different)} are in one of them alone, {different[0]} first; expected the same "
            "queries in both; predict again with these graphs"
        )
    order = np.argsort(predicted)
    return order[np.searchsorted(predicted, names, sorter=order)]


def _poses_or_nan(translation: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Return poses (N, 4, 4) from centres (N, 3) and quaternions (N, 4); NaN where there is none.

    A quaternion of zeros is none.
    """
    found = np.isfinite(translation).all(axis=1) & np.isfinite(quaternion).all(axis=1)
    found &= np.abs(quaternion).max(axis=1) > 0
    poses = np.full((len(found), 4, 4), np.nan)
    poses[found] = pose_from_quaternion(translation[found], quaternion[found])
    return poses


def _errors(poses: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return metres and degrees (...) between poses (..., 4, 4); NaN where one is NaN."""
    metres = translation_error(poses[..., :3, 3], truth[..., :3, 3])
    found = np.isfinite(metres)
    degrees = np.full(metres.shape, np.nan)
    both = (np.broadcast_to(pose, (*metres.shape, 4, 4))[found] for pose in (poses, truth))
    degrees[found] = rotation_error_deg(
        *(quaternion_from_matrix(pose[..., :3, :3]) for pose in both)
    )
    return metres, degrees


def _picture_reader(frames: Frames, localized: Localized) -> Callable[[int], np.ndarray]:
    """Return what reads the images (1 + k, H, W, 3) of the i-th query and its neighbours."""

    def read(i: int) -> np.ndarray:
        own = frames.images("test", [localized.query[i]])
        return np.concatenate([own, frames.images("train", localized.neighbours[i])])

    return read


def _write_film(
    film: Film,
    count: int,
    mp4_file: str | Path,
    gif_file: str | Path,
    frames_per_second: float,
    gif_width: int,
) -> None:
    """Write the frames as they are drawn; every few of them go into the GIF as well."""
    with create_mp4(mp4_file, WIDTH, HEIGHT, frames_per_second) as add_to_mp4:
        step = int(np.ceil(frames_per_second / GIF_RATE))
        samples = np.unique(np.linspace(0, count - 1, PALETTE_FRAMES).round().astype(int))
        sampled = [film.draw(position) for position in samples]
        gif = create_gif(gif_file, sampled, drawn_colours(), gif_width, frames_per_second / step)
        with gif as add_to_gif:
            for position in tqdm(range(count), "frames", unit="frame", disable=None):
                picture = film.draw(position)
                add_to_mp4(picture)
                if (count - 1 - position) % step == 0:  # the last one is shown
                    add_to_gif(picture)
