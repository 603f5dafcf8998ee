"""The catalogue of faults: each is told by its file, what was found and expected, a remedy."""

import json
import shutil
import zipfile
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from catalogue import assert_told, cases
from configurations import validated
from conftest import write_tiny_scene
from PIL import Image
from planted_scenes import WRITERS, write_seven_scenes
from rankings import write_ranking

from relposegnn.data.archives import extract_scene
from relposegnn.data.camera_files import read_camera, write_camera
from relposegnn.data.frames import Frames
from relposegnn.estimates.aggregation import LocalizationSettings
from relposegnn.estimates.predictions import ALL_EDGES
from relposegnn.files.owners import Owner
from relposegnn.files.storage import create_hdf5, open_hdf5, tell_scene
from relposegnn.files.weights import read_checkpoint
from relposegnn.layouts.reading import read_scene
from relposegnn.photos.files import find_photos, read_photo
from relposegnn.photos.place import Place, read_place, write_place
from relposegnn.pipeline.configuration_files import check_file
from relposegnn.retrieval.graphs import read_graphs
from relposegnn.retrieval.neighbour_choice import SamplingSettings
from relposegnn.retrieval.rankings import Ranking, read_ranking
from relposegnn.scores.calibration import Scale, read_calibration, write_calibration

GARAGE = Owner("tiny", "garage")
NETWORK = GARAGE._replace(model="m1")
TABLE = cases()
SCENES = [case for case in TABLE if case.reader in WRITERS]
FILES = [case for case in TABLE if case.reader not in WRITERS]


def told(case) -> str:
    """Return what a case is called in the list of tests."""
    return f"{case.reader}-{case.file}-{case.found}"


def read_configuration(folder: Path) -> None:
    path = folder / "mine.yaml"
    check_file(path)
    validated(yaml.safe_load(path.read_text()))


def read_photos(folder: Path) -> None:
    for name in find_photos(folder / "photos"):
        read_photo(folder / "photos" / name, (64, 48), (32, 24), (32, 24))


def read_garage(folder: Path, name: str) -> None:
    """Read graphs or rankings of the scene garage, held to its frames."""
    read = read_graphs if name == "graphs" else read_ranking
    with Frames(folder / "garage-frames.h5") as frames:
        read(folder / f"garage-{name}.h5", "train", frames)


READERS = {
    "graphs": partial(read_garage, name="graphs"),
    "ranking": partial(read_garage, name="neighbours"),
    "camera": lambda folder: read_camera(folder / "camera.json", GARAGE),
    "calibration": lambda folder: read_calibration(folder / "calibration.json", NETWORK),
    "place": lambda folder: read_place(folder / "place.json"),
    "configuration": read_configuration,
    "archive": lambda folder: extract_scene(folder / "garage.zip", folder / "out", "garage"),
    "photos": read_photos,
    "checkpoint": lambda folder: read_checkpoint(folder / "model.pt"),
    "HDF5": lambda folder: open_hdf5(folder / "graphs.h5", "graphs").close(),
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """Return a folder with a scene of each layout."""
    folder = tmp_path_factory.mktemp("scenes")
    for layout in {case.reader for case in SCENES}:
        WRITERS[layout](folder / layout)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Return a folder with a file for each of the other readers."""
    folder = tmp_path_factory.mktemp("files")
    write_camera(folder / "camera.json", 0.8, "planted", GARAGE)
    scale = Scale([0.1, 0, 0, 0], [2.0, 0, 0, 0], (2, 2), (0.08, 1.5), 200, (3, 90), 1.0)
    write_calibration(folder / "calibration.json", {ALL_EDGES: scale}, NETWORK)
    in_one_line = json.dumps(json.loads((folder / "calibration.json").read_text()))
    (folder / "calibration.json").write_text(in_one_line)
    names = ("model.pt", "frames.h5", "features.h5", "descriptors.h5", "v.npz", "calibration.json")
    sampling = SamplingSettings(4, "strided", stride=2, drop_probability=0.1, seed=3)
    settings = sampling, 31, 0.4, (0.2, 5.0), LocalizationSettings(True, "median")
    write_place(folder / "place.json", Place(*(folder / name for name in names), *settings))
    text = "dataset: mine\ngraphs:\n  stride: 3\n  seed: 1\nscenes: [study]\n"
    (folder / "mine.yaml").write_text(text)
    scene = write_seven_scenes(folder / "garage")
    with zipfile.ZipFile(folder / "garage.zip", "w") as archive:
        for path in sorted(path for path in scene.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(folder))
    (folder / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for name in ("a.png", "b.jpg"):
        Image.fromarray(pixels).save(folder / "photos" / name)
    torch.save({"state_dict": {"weight": torch.ones(3)}}, folder / "model.pt")
    with create_hdf5(folder / "graphs.h5", "graphs", {}) as file:
        file["x"] = [1, 2]
    write_tiny_scene(folder, "garage")
    with (
        Frames(folder / "garage-frames.h5") as frames,
        h5py.File(folder / "garage-graphs.h5", "a") as graphs,
        create_hdf5(folder / "garage-neighbours.h5", "neighbours", {}) as rankings,
    ):
        tell_scene(graphs, frames)
        tell_scene(rankings, frames)
        write_ranking(rankings, "train", Ranking(np.ones((12, 2), int), np.ones((12, 2))))
    return folder


@pytest.mark.parametrize("case", SCENES, ids=told)
def test_scenes(scenes, tmp_path, case):
    folder = shutil.copytree(scenes / case.reader, tmp_path / "garage")
    assert_told(folder, case, lambda: read_scene(folder))


@pytest.mark.parametrize("case", FILES, ids=told)
def test_files(files, tmp_path, case):
    folder = shutil.copytree(files, tmp_path / "files")
    assert_told(folder, case, lambda: READERS[case.reader](folder))


def test_no_case_stands_twice():
    assert len({case[:4] for case in TABLE}) == len(TABLE) > 200
    assert {case.reader for case in FILES} == READERS.keys()
