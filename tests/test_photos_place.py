"""Places: their file, and how the workflow describes one."""

import json
import shutil

import pytest
from project import TINY, Project

from relposegnn.estimates.aggregation import LocalizationSettings
from relposegnn.estimates.predictions import ALL_EDGES
from relposegnn.files.owners import Owner
from relposegnn.files.weights import fingerprint
from relposegnn.network.checkpoints import load_model
from relposegnn.photos.place import Place, read_place, write_place
from relposegnn.retrieval.neighbour_choice import SamplingSettings
from relposegnn.runtime import InputError
from relposegnn.scores import calibration
from relposegnn.scores.calibration import Scale

SAMPLING = SamplingSettings(
    neighbours=4, selection="strided", stride=2, drop_probability=0.1, seed=3
)


def place_in(project, features=True):
    """Return a place of a project's folders; nothing of it exists."""
    results = project / "results/made"
    return Place(
        model=results / "runs/joint/model.pt",
        frames=results / "frames/study.h5",
        features=features and results / "features/sift/study.h5",
        descriptors=results / "descriptors/study.h5",
        describer=project / "resources/weights/netvlad.tar",
        calibration=results / "runs/joint/calibration/study.json",
        sampling=SAMPLING,
        candidates=31,
        minimum_confidence=0.4,
        within=(0.2, 5.0),
        localization=LocalizationSettings(True, "median"),
    )


SURE = Scale([0.1, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], (2, 2), (0.08, 1.5), 200, (99, 180), 1e6)


def write_calibration(path, model=None, held_out=(), **scales):
    """Write that errors are 0.1 m and 2 degrees, of all edges; more by other estimators.

    With a model's file it is of the tiny scene, and of this model.
    """
    owner = Owner("tiny", "tiny", model=fingerprint(load_model(model)) if model else "m")
    path.parent.mkdir(parents=True, exist_ok=True)
    calibration.write_calibration(path, {ALL_EDGES: SURE} | scales, owner, held_out)
    return path


@pytest.mark.parametrize("features", [True, None])
def test_a_place_is_read_as_it_was_written_also_where_its_folders_move(tmp_path, features):
    file = tmp_path / "here/results/made/runs/joint/places/study.json"
    write_place(file, place_in(tmp_path / "here", features))
    assert read_place(file) == place_in(tmp_path / "here", features)
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = tmp_path / "there" / file.relative_to(tmp_path / "here")
    assert read_place(moved) == place_in(tmp_path / "there", features)


def test_relative_and_absolute_names_are_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_place(tmp_path / "a.json", place_in(tmp_path))
    write_place("b.json", place_in(tmp_path.relative_to(tmp_path)))
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()


@pytest.mark.parametrize(
    "change",
    [
        lambda contents: contents.pop("frames"),
        lambda contents: contents.update(vocabulary="v.npz"),
        lambda contents: contents["sampling"].pop("stride"),
        lambda contents: contents.pop("calibration"),
        lambda contents: contents.update(within=None),
    ],
)
def test_another_file_is_refused(tmp_path, change):
    file = tmp_path / "study.json"
    write_place(file, place_in(tmp_path))
    contents = json.loads(file.read_text())
    change(contents)
    file.write_text(json.dumps(contents))
    with pytest.raises(InputError, match=r"study\.json: cannot be read as a place .*make it again"):
        read_place(file)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(InputError, match=r"study\.json: cannot be read as a place"):
        read_place(tmp_path / "study.json")


@pytest.mark.slow
def test_photos_get_graphs_as_test_queries_do(tmp_path):
    """A run's own way, which may be the one that it was trained in."""
    project = Project(tmp_path, TINY + "variants: {as-trained: {graphs: {test: null}}}\n")
    results, found = tmp_path / "results/synthetic", {}
    inputs = (
        *("frames/study.h5", "descriptors/study.h5", "vocabularies/study.npz"),
        "cameras/study.json",
    )
    own = ("model.pt", "calibration/study.json")
    (tmp_path / "resources/synthetic/scenes/study").mkdir(parents=True)
    for run in ("joint", "as-trained"):
        for path in (*inputs, *(f"runs/{run}/{name}" for name in own)):
            (results / path).parent.mkdir(parents=True, exist_ok=True)
            (results / path).touch()
        place = results / f"runs/{run}/places/study.json"
        # Alone: the inputs are there, and are not read.
        project.run("--allowed-rules", "describe_place", "--", str(place.relative_to(tmp_path)))
        described = read_place(place)
        found[run] = described.sampling
        assert described.camera == results / "cameras/study.json"
        assert described.calibration == results / f"runs/{run}/calibration/study.json"
        assert described.within == (0.25, 10.0)
        assert described.images == tmp_path / "resources/synthetic/scenes/study"
    assert found == {
        "joint": SamplingSettings(3, "strided", stride=1, drop_probability=0.0, seed=0),
        "as-trained": SamplingSettings(3, "strided", stride=2, drop_probability=0.5, seed=0),
    }
