"""Fixtures of all tests."""

import fcntl
import gc
import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import prepared_python
import pytest
from frames_file import write_frames_file
from PIL import Image
from project import REPOSITORY, Project
from scipy.spatial.transform import Rotation
from undrawn_rooms import undrawn_room

from generated_rooms.paths import camera_path
from generated_rooms.rendering import Camera, render_frame
from generated_rooms.rooms import Room, build_room
from relposegnn.data.scene_files import SceneFiles
from relposegnn.estimates.predictions import DISTANCES, NEAREST, SIMILARITY
from relposegnn.files.storage import create_hdf5
from relposegnn.matching import key_points
from relposegnn.poses import quaternion_from_matrix


def pytest_configure(config: pytest.Config) -> None:
    """Load the libraries once for all of pytest's workers."""
    if config.getoption("numprocesses", None):
        prepared_python.share()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the slowest files first, so that no worker is left alone with one at the end.

    The slowest run the workflow, most of them in the finished project. The test that waits for a
    cluster comes first of all, so that it waits while another worker makes that project.
    """
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        runs = Counter(item.path for item in items if "finished" in item.fixturenames)
        waits = "test_slurm.py"
        items.sort(key=lambda i: (i.path not in slow, i.path.name != waits, -runs[i.path]))


def pytest_collection_finish() -> None:
    """Collect garbage seldom, and none of what is loaded so far, to save time."""
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(autouse=True)
def _usual_logging_level():
    """Reset the root logger's level to warnings before each test; steps change it."""
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def _one_thread():
    """Reset torch to one thread after each test; steps change it.

    If there are more threads than free cores, they wait for each other in busy loops.
    """
    yield
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference values and real frames beside the checkout; skip without."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "reference").is_dir():
        missing = f"{folder} is missing: reference values and real frames are read there"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return folder


@pytest.fixture(scope="session")
def reference(shared: Path) -> Path:
    """Return the folder of values computed with the published implementation."""
    return shared / "reference"


def write_tiny_scene(folder: Path, name: str, height: int = 32, seed: int = 0) -> SceneFiles:
    """Write 12 database frames and 5 queries with random images, poses and graphs of 3 nodes."""
    rng, splits = np.random.default_rng(seed), {}
    for split, count in (("train", 12), ("test", 5)):
        world_from_cam = np.tile(np.eye(4), (count, 1, 1))
        world_from_cam[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
        world_from_cam[:, :3, 3] = rng.standard_normal((count, 3))
        names = [f"seq-{split}/frame-{i:06}" for i in range(count)]
        images = rng.integers(0, 256, (count, height, 40, 3), dtype=np.uint8)
        splits[split] = {"images": images, "world_from_cam": world_from_cam, "name": names}
    frames = write_frames_file(folder / f"{name}-frames.h5", **splits, dataset="tiny", scene=name)
    graphs = folder / f"{name}-graphs.h5"
    with create_hdf5(graphs, "graphs", {}) as file:
        for split, count in (("train", 12), ("test", 5)):
            neighbours = [
                rng.choice([j for j in range(12) if split == "test" or j != i], 3, replace=False)
                for i in range(count)
            ]
            file[f"{split}/query"] = np.arange(count, dtype=np.int32)
            file[f"{split}/neighbours"] = np.array(neighbours, dtype=np.int32)
    return SceneFiles(frames, graphs)


def with_validation(scene: SceneFiles, folder: Path) -> SceneFiles:
    """Return a tiny scene with 9 training graphs, and the last 3 of 12 as validation graphs."""
    graphs = folder / "validated-graphs.h5"
    with h5py.File(scene.graphs) as file, create_hdf5(graphs, "graphs", {}) as out:
        for part, rows in (("train", slice(9)), ("validation", slice(9, None))):
            for name in ("query", "neighbours"):
                out[f"{part}/{name}"] = file[f"train/{name}"][rows]
        file.copy("test", out)
    return SceneFiles(scene.frames, graphs)


TURN = Rotation.from_rotvec(np.radians(120) * np.array([1, 1, 1]) / 3**0.5)


def turn_world(scene: SceneFiles, folder: Path, origin=(0, 0, 0)) -> Path:
    """Return the frames of a tiny scene in a world that is rotated by ``TURN`` and shifted."""
    frames = folder / "turned-frames.h5"
    shutil.copy(scene.frames, frames)
    turn = np.eye(4)
    turn[:3, :3] = TURN.as_matrix()
    turn[:3, 3] = origin
    with h5py.File(frames, "r+") as file:
        for split in ("train", "test"):
            file[f"{split}/world_from_cam"][...] = turn @ file[f"{split}/world_from_cam"][:]
    return frames


@pytest.fixture(scope="session")
def tiny_scene(tmp_path_factory) -> SceneFiles:
    """Return a tiny scene."""
    return write_tiny_scene(tmp_path_factory.mktemp("tiny"), "tiny")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, worker_id) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that returns the folder of a name, filled by a given function.

    All workers share the folder: the first one fills it, while the others wait.
    """
    base = tmp_path_factory.getbasetemp()

    def folder_of(name: str, make: Callable[[Path], object]) -> Path:
        folder = (base if worker_id == "master" else base.parent) / name
        with folder.with_suffix(".lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            if not lock.read():
                folder.mkdir(exist_ok=True)
                make(folder)
                lock.write("made")
        return folder

    return folder_of


@pytest.fixture(scope="session")
def finished(made_once) -> Project:
    """Return a project in which all targets are made. Tests must not change it."""
    return Project.made(made_once("finished", lambda folder: Project(folder).run()))


@pytest.fixture
def edited(finished, tmp_path) -> Project:
    """Return a copy of the finished project that the test may edit."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder, copy_function=shutil.copy2)
    return Project.made(folder)


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Return a tiny place to localise photos in. Tests must not change it."""
    from described_place import described_place

    return described_place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def folder(place, tmp_path) -> Path:
    """Return a folder with photos of the tiny place."""
    from described_place import write_photos

    return write_photos(place, tmp_path / "photos")


FOCAL_LENGTH = 0.8
OWNED = {"dataset": "d", "scene": "room", "model": "m"}  # the owner that predictions record
QUERIES = np.arange(4, 90, 7)
DATABASE = np.setdiff1d(np.arange(90), QUERIES)


class RenderedRoom(NamedTuple):
    """Images of a generated room by a camera of 0.8 longer sides: paths, and poses (N, 4, 4)."""

    paths: list[Path]
    poses: np.ndarray


def found_once(paths: list[Path]) -> Callable:
    """Return a ``find_sift`` that caches the results of these images, which must not change."""
    find, known, among = key_points.find_sift, {}, set(paths)

    def find_sift(path, *asked):
        if not isinstance(path, Path) or path not in among:
            return find(path, *asked)
        if (path, *asked) not in known:
            known[path, *asked] = find(path, *asked)
        return known[path, *asked]

    return find_sift


@pytest.fixture(scope="session")
def room() -> Room:
    """Return a generated room. Tests must not change it."""
    return build_room(11)


@pytest.fixture(scope="session")
def rendered_room(made_once, request) -> Iterator[RenderedRoom]:
    """Return 90 images along three paths. Their key points are found once for all tests."""
    walked = undrawn_room(11)
    poses = np.concatenate([camera_path(walked, 11, number, 30) for number in (1, 2, 3)])

    def render(folder: Path) -> None:
        room, camera = request.getfixturevalue("room"), Camera(256, 192, 0.8 * 256)
        for index, pose in enumerate(poses):
            image = Image.fromarray(render_frame(room, pose, camera)[0])
            image.save(folder / f"{index:03}.png", compress_level=1)

    folder = made_once("room", render)
    paths = [folder / f"{index:03}.png" for index in range(len(poses))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_points, "find_sift", found_once(paths))
        yield RenderedRoom(paths, poses)


@pytest.fixture(scope="session")
def rendered_scene(rendered_room, tmp_path_factory) -> Path:
    """Return a folder with frames, neighbours and predictions of the rendered room as a scene.

    The predictions of its ``QUERIES`` are 3 cm off along each axis, and in reverse order.
    """
    folder, poses = tmp_path_factory.mktemp("scene"), rendered_room.poses
    splits = [
        {
            "world_from_cam": poses[rows],
            "name": list(map(str, rows)),
            "source": [f"{r:03}.png" for r in rows],
        }
        for rows in (DATABASE, QUERIES)
    ]
    write_frames_file(folder / "frames.h5", *splits)
    with create_hdf5(folder / "neighbours.h5", "neighbours", {}) as file:
        for split, rows in (("train", DATABASE), ("test", QUERIES)):
            offset = poses[rows][:, None, :3, 3] - poses[DATABASE][:, :3, 3]
            distance = np.linalg.norm(offset, axis=2)
            own = int(split == "train")  # an image's nearest is itself
            order = np.argsort(distance, axis=1, kind="stable")[:, own:70]
            file[f"{split}/index"] = order.astype(np.int32)
            file[f"{split}/similarity"] = 1 - np.take_along_axis(distance, order, axis=1) / 100
    truth = poses[QUERIES]
    centres, quaternions = truth[:, :3, 3], quaternion_from_matrix(truth[:, :3, :3])
    arrays = {"rel_path": [f"{r}" for r in QUERIES][::-1]}
    for prefix in ("targ", "abs", "robust", "reference"):
        off = 0 if prefix == "targ" else 0.03
        arrays |= {f"{prefix}_t": centres[::-1] + off, f"{prefix}_q": quaternions[::-1]}
    arrays |= {"spread_m": np.full(len(QUERIES), 0.03), "spread_deg": np.full(len(QUERIES), 0.5)}
    names = SIMILARITY, *DISTANCES.values(), *NEAREST.values()
    arrays |= dict.fromkeys(names, np.ones(len(QUERIES)))
    np.savez(folder / "predictions.npz", **arrays | OWNED)
    return folder
