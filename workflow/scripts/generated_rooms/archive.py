"""Generated scenes: rooms rendered into archives in 7-Scenes' own nested layout.

All later steps are thus the same as for real data. The room's seed determines its walls, furniture,
textures and lamps (``rooms``), and its camera paths (``paths``).
"""

import logging
import multiprocessing
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
from tqdm import tqdm

from relposegnn.runtime import InputError, atomic_path

from .recordings import Recording, Shot, build_rooms, plan_sequence, take_shot
from .rooms import Room

ZIP_TIME = (1980, 1, 1, 0, 0, 0)

Renderer = Callable[[Iterable[Shot]], Iterable[dict[str, bytes]]]

logger = logging.getLogger(__name__)


def render_archive(archive: Path, scene: str, recording: Recording, workers: int = 1) -> None:
    """Render a generated room into ``archive``, a zip nested and named like those of 7-Scenes.

    It holds ``{scene}/TrainSplit.txt``, ``{scene}/TestSplit.txt`` and ``{scene}/seq-NN.zip``, the
    training sequences first. Each inner zip holds colour (RGB), depth (millimetres, 65535 =
    invalid) and pose (camera-to-world, metres) of every frame. The same arguments give the same
    bytes, for any number of ``workers`` (processes).

    Raises:
        InputError: there are no frames, sequences, pixels or workers, or furniture leaves no path.
    """
    recording.check(scene)
    if workers < 1:
        raise InputError(f"rendering of {scene}: got {workers} workers, expected at least 1")
    rooms, sequences = build_rooms(recording), range(1, recording.sequences + 1)
    shots = {number: plan_sequence(recording, rooms, number) for number in sequences}
    frames = sum(map(len, shots.values()))
    logger.info("%s: %d surfaces, %d frames", scene, len(rooms[0].frames), frames)
    with (
        atomic_path(archive) as partial_file,
        zipfile.ZipFile(partial_file, "w") as outer,
        _renderer(recording, rooms, workers) as render,
        tqdm(total=frames, desc=f"render {scene}", unit="frame", disable=None) as bar,
    ):
        _add(outer, f"{scene}/TrainSplit.txt", _split(sequences[: recording.train_sequences]))
        _add(outer, f"{scene}/TestSplit.txt", _split(sequences[recording.train_sequences :]))
        for number in sequences:
            _add_sequence(outer, scene, f"seq-{number:02d}", partial(render, shots[number]), bar)


def _split(numbers: Iterable[int]) -> bytes:
    return "".join(f"sequence{number}\n" for number in numbers).encode()


def _add(target: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file with a fixed time, so that archives are reproducible."""
    target.writestr(zipfile.ZipInfo(name, ZIP_TIME), content)


def _add_sequence(
    outer: zipfile.ZipFile,
    scene: str,
    name: str,
    render: Callable[[], Iterable[dict[str, bytes]]],
    bar: tqdm,
) -> None:
    """Write the files of each frame, which ``render`` yields, into a new zip in ``outer``."""
    with tempfile.TemporaryFile() as scratch:
        with zipfile.ZipFile(scratch, "w") as inner:
            for index, files in enumerate(render()):
                for suffix, content in files.items():
                    _add(inner, f"{name}/frame-{index:06d}.{suffix}", content)
                bar.update()
        scratch.seek(0)
        info = zipfile.ZipInfo(f"{scene}/{name}.zip", ZIP_TIME)
        with outer.open(info, "w", force_zip64=True) as target:
            shutil.copyfileobj(scratch, target)


@contextmanager
def _renderer(recording: Recording, rooms: list[Room], workers: int) -> Iterator[Renderer]:
    """Yield a function that renders shots to the files of frames, in order."""
    take = partial(take_shot, recording, rooms)
    if workers == 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield lambda shots: map(take, shots)
        finally:
            cv2.setNumThreads(threads)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (take,)) as pool:
        yield lambda shots: pool.map(_take_in_worker, shots, chunksize=4)


_worker: dict[str, Callable[[Shot], dict[str, bytes]]] = {}  # set once in each worker process


def _start_worker(take: Callable[[Shot], dict[str, bytes]]) -> None:
    cv2.setNumThreads(1)
    _worker.update(take=take)


def _take_in_worker(shot: Shot) -> dict[str, bytes]:
    return _worker["take"](shot)
