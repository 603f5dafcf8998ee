"""Sampling of a scene's retrieval graphs: one for each frame of both splits.

Each split has its own sampling, and a share of the strided training graphs takes the nearest
neighbours instead.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..data.frames import Frames
from ..files.storage import SPLITS, create_hdf5, tell_scene
from ..runtime import numpy_generator
from .graphs import VALIDATION, split_of, write_split
from .neighbour_choice import SamplingSettings, check_choice, choose_neighbours, mix_nearest
from .rankings import read_ranking, tells_cosines
from .validation import ValidationSettings, held_out_frames, rank_among

logger = logging.getLogger(__name__)


def sample_graphs(
    neighbours_file: str | Path,
    frames_file: str | Path,
    graphs_file: str | Path,
    sampling: Mapping[str, SamplingSettings],
    train_mix: float,
    validation: ValidationSettings | None,
) -> None:
    """Sample one graph per frame of both splits and write the graphs file.

    Held-out training frames are the queries of the validation graphs, which are sampled like those
    of test queries. They are neighbours in the graphs of test queries alone.

    Args:
        neighbours_file: rankings of the database images for each frame.
        frames_file: of the scene, whose name enters the seeds.
        graphs_file: output.
        sampling: how neighbours are chosen, by split.
        train_mix: share, 0 to 1, of the strided training graphs that take the best-ranked
            neighbours instead. They have a generator of their own: other graphs do not change.
        validation: what is held out; None: nothing.

    Raises:
        InputError: there are too few database images for a graph, the two files do not belong
            together, or the selection is unknown.
    """
    recorded = {split: asdict(sampling[split]) for split in SPLITS} | {"train_mix": train_mix}
    recorded["validation"] = validation and validation._asdict()
    with Frames(frames_file) as frames, create_hdf5(graphs_file, "graphs", recorded) as out:
        tell_scene(out, frames)
        draw = numpy_generator(sampling["train"].seed, VALIDATION, frames.scene)
        held_out = held_out_frames(frames.count("train"), validation, draw)
        kept, database = np.flatnonzero(~held_out), np.asarray(frames.names("train"))
        parts = {
            "train": (kept, sampling["train"]),
            VALIDATION: (np.flatnonzero(held_out), sampling["test"]),
            "test": (np.arange(frames.count("test")), sampling["test"]),
        }
        for part, (queries, settings) in parts.items():
            ranking = read_ranking(neighbours_file, split_of(part), frames)
            ranked, names, among = ranking.index[queries], database, None
            if part != "test" and held_out.any():
                ranked, names, among = rank_among(ranked, kept), database[kept], kept
            place = part, frames.scene, f"{neighbours_file} ({frames.scene}, {part})"
            chosen, filled = _sample_part(ranked, names.tolist(), settings, place, train_mix)
            neighbours = chosen if among is None else among[chosen]
            told = part == "test" and tells_cosines(neighbours_file)
            similarity = ranking.similarity[:, 0] if told else None
            write_split(out, part, queries, neighbours, filled.sum(), similarity)


def _sample_part(
    ranked: np.ndarray,
    database: list[str],
    settings: SamplingSettings,
    place: tuple[str, str, str],
    train_mix: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return neighbours (N, k) of one part of a scene, and whose rankings were too short (N,).

    ``place`` is the part, the scene and the start of messages.
    """
    part, scene, source = place
    within = part == "train"
    check_choice(settings, ranked.shape[1], len(database) - within, source)
    draw = numpy_generator(settings.seed, "graphs", scene, part)
    neighbours, filled = choose_neighbours(ranked, database, settings, draw, within)
    if within and settings.selection == "strided":
        draw = numpy_generator(settings.seed, "train_mix", scene)
        filled &= ~mix_nearest(neighbours, ranked, train_mix, draw)
    if filled.any():
        more = ranked.shape[1] < len(database) - within
        remedies = [
            *["a larger retrieval.candidates"][:more],
            *["a smaller graphs.stride"][: settings.stride > 1],
            *["a smaller graphs.drop_probability"][: settings.drop_probability > 0],
            "more database images",
        ]
        logger.warning(
            "%s, %s: %d of %d rankings (length %d) end before stride %d yields %d neighbours; "
            "their best unused entries fill these graphs. To avoid this: %s",
            *(scene, part, filled.sum(), len(ranked), ranked.shape[1]),
            *(settings.stride, settings.neighbours, ", ".join(remedies)),
        )
    return neighbours, filled
