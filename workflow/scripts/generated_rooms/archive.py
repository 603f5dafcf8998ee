"""Generated scenes: rooms rendered into archives in 7-Scenes' own nested layout.

So that everything after this step is the path of real data. The room's seed decides on its walls,
furniture, textures, lamps (``rooms``) and camera paths (``paths``).
"""

import io
import logging
import multiprocessing
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from relposegnn.runtime import InputError, atomic_path

from .paths import camera_path
from .rendering import Camera, render_frame
from .rooms import Room, build_room

PNG_SETTINGS = [cv2.IMWRITE_PNG_COMPRESSION, 1]
ZIP_TIME = (1980, 1, 1, 0, 0, 0)

Renderer = Callable[[Camera, np.ndarray], Iterable[dict[str, bytes]]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recording:
    """Which room is recorded, and how much of it.

    Attributes:
        seed: of the room and its camera paths.
        width: of the images, in pixels.
        height: of the images, in pixels.
        train_sequences: camera paths of the database.
        test_sequences: camera paths of the queries.
        frames_per_sequence: along each path.
        test_focal_length: of the camera of the queries, in longer sides of the image; None: that of
            the database, which is 7-Scenes'.
    """

    seed: int
    width: int
    height: int
    train_sequences: int
    test_sequences: int
    frames_per_sequence: int
    test_focal_length: float | None = None


def render_archive(archive: Path, scene: str, recording: Recording, workers: int = 1) -> None:
    """Render a generated room into ``archive``, a zip nested and named as 7-Scenes' own.

    It holds ``{scene}/TrainSplit.txt``, ``{scene}/TestSplit.txt`` and ``{scene}/seq-NN.zip``, the
    training sequences first; each of those holds colour (RGB), depth (millimetres, 65535 =
    invalid) and pose (camera-to-world, metres) per frame. The same arguments give the same bytes,
    whatever the number of ``workers`` (processes).

    Raises:
        InputError: no frames, sequences or pixels are asked for.
    """
    counts = {**asdict(recording), "workers": workers}
    seed, test_focal_length = counts.pop("seed"), counts.pop("test_focal_length")
    if min(counts.values()) < 1:
        raise InputError(f"rendering of {scene}: got {counts}, expected at least 1 each")
    room, camera = build_room(seed), Camera.seven_scenes(recording.width, recording.height)
    test_camera = camera
    if test_focal_length is not None:
        pixels = test_focal_length * max(camera.width, camera.height)
        test_camera = replace(camera, focal=pixels)
    sequences = range(1, recording.train_sequences + recording.test_sequences + 1)
    paths = [camera_path(room, seed, number, recording.frames_per_sequence) for number in sequences]
    logger.info("%s: %d surfaces, %d frames", scene, len(room.frames), sum(map(len, paths)))
    with (
        atomic_path(archive) as partial_file,
        zipfile.ZipFile(partial_file, "w") as outer,
        _renderer(room, workers) as render,
        tqdm(total=sum(map(len, paths)), desc=f"render {scene}", unit="frame", disable=None) as bar,
    ):
        _add(outer, f"{scene}/TrainSplit.txt", _split(sequences[: recording.train_sequences]))
        _add(outer, f"{scene}/TestSplit.txt", _split(sequences[recording.train_sequences :]))
        for number, poses in zip(sequences, paths, strict=True):
            used = camera if number <= recording.train_sequences else test_camera
            _add_sequence(outer, scene, f"seq-{number:02d}", partial(render, used, poses), bar)


def _split(numbers: Iterable[int]) -> bytes:
    return "".join(f"sequence{number}\n" for number in numbers).encode()


def _add(target: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file without the time of day, so that archives are reproducible."""
    target.writestr(zipfile.ZipInfo(name, ZIP_TIME), content)


def _add_sequence(
    outer: zipfile.ZipFile,
    scene: str,
    name: str,
    render: Callable[[], Iterable[dict[str, bytes]]],
    bar: tqdm,
) -> None:
    """Write what ``render`` gives, the files of each frame, into a zip of its own in ``outer``."""
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
def _renderer(room: Room, workers: int) -> Iterator[Renderer]:
    """Yield a function that renders poses (N, 4, 4) of a camera into frames' files, in order."""
    if workers == 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield lambda camera, poses: map(partial(_encode_frame, room, camera), poses)
        finally:
            cv2.setNumThreads(threads)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (room,)) as pool:
        yield lambda camera, poses: pool.map(partial(_encode_in_worker, camera), poses, chunksize=4)


_worker: dict[str, Room] = {}  # a worker process's own room


def _start_worker(room: Room) -> None:
    cv2.setNumThreads(1)
    _worker.update(room=room)


def _encode_in_worker(camera: Camera, world_from_cam: np.ndarray) -> dict[str, bytes]:
    return _encode_frame(_worker["room"], camera, world_from_cam)


def _encode_frame(room: Room, camera: Camera, world_from_cam: np.ndarray) -> dict[str, bytes]:
    """Return a frame's files, as bytes by suffix."""
    colour, depth = render_frame(room, world_from_cam, camera)
    pose = io.StringIO()
    np.savetxt(pose, world_from_cam, fmt="%.12e")
    return {
        "color.png": cv2.imencode(".png", colour[..., ::-1], PNG_SETTINGS)[1].tobytes(),
        "depth.png": cv2.imencode(".png", depth, PNG_SETTINGS)[1].tobytes(),
        "pose.txt": pose.getvalue().encode(),
    }
