"""Everything that is published, served on this machine, from download to table."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from authors_files import checkpoint_weights
from authors_site import AUTHORS_FOLDER, Site, session_site, site_config
from loopback import Cut, Served, serving
from project import Project

from relposegnn.data.frames import Frames
from relposegnn.files.downloads import CHUNK_BYTES
from relposegnn.files.weights import read_checkpoint

pytestmark = pytest.mark.slow

DATASET = "small-7scenes"
TINY = {
    "dataset": DATASET,
    "frames": {"shorter_side": 32},
    "retrieval": {"descriptor": "netvlad", "width": 64, "height": 48, "candidates": 12},
    "graphs": {"neighbours": 3, "stride": 2},
    "model": {
        **{"edges": "pooled", "backbone": "resnet34", "pretrained": True},
        **{"width": 16, "iterations": 1},
    },
    "training": {"epochs": 1, "batch_size": 12},
    "localization": {"refinement": "none"},
}
TARGETS = ("table_joint", "table_published", "table_predictions")
SIDE_BY_SIDE = ("--resources", "gpu=2")  # two jobs at a time, also of those that like a GPU
MODELS = f"/{AUTHORS_FOLDER}/models"
LOGIN_PAGE = b"<!DOCTYPE html><html><title>Please log in</title></html>"


@pytest.fixture(scope="module")
def site(pytestconfig, tmp_path_factory, shared) -> Site:
    return session_site(pytestconfig, tmp_path_factory.getbasetemp(), shared)


@pytest.fixture(scope="module")
def served(site) -> Iterator[Served]:
    with serving(site.folder) as running:
        yield running


@pytest.fixture(scope="module")
def project(site, served, tmp_path_factory) -> Iterator[Project]:
    """Return a project with the tables of our model and of the authors'.

    Tests add datasets of other names, and leave this one as it is.
    """
    settings = site_config(site, served.url)
    settings |= {key: merged(settings.get(key), value) for key, value in TINY.items()}
    made = Project(tmp_path_factory.mktemp("authors"), yaml.safe_dump(settings))
    made.run(*SIDE_BY_SIDE, "--", *TARGETS)
    made.fetched = served.fetched()
    yield made
    shutil.rmtree(made.folder)  # half a gigabyte of weights


def merged(base: dict | None, changes: object) -> object:
    """Return a section of the settings with changes."""
    return {**(base or {}), **changes} if isinstance(changes, dict) else changes


def results(project: Project, dataset: str = DATASET) -> Path:
    return project.folder / "results" / dataset


def medians(project: Project, name: str, dataset: str = DATASET) -> pd.DataFrame:
    """Return a table's median errors by scene."""
    table = pd.read_csv(results(project, dataset) / f"tables/{name}.csv")
    table = table[table["estimator"] == "first edge"].set_index("scene")
    return table[["median_translation_m", "median_rotation_deg"]]


def test_only_what_is_needed_is_downloaded(project, site):
    assert set(project.fetched) == {
        *(f"/7-scenes/{scene}.zip" for scene in site.scenes),
        *(f"{MODELS}/{name}" for name in ("netvlad_vgg16.tar", "relpose_gnn__multi_39.pth.tar")),
        "/torchvision/resnet34-b627a593.pth",
        *(f"/{p.relative_to(site.folder)}" for p in site.folder.glob("*/predictions/*.npz")),
    }
    assert project.planned("--", *TARGETS) == {}


def test_frames_and_descriptors_come_from_the_downloaded_files(project, site):
    for name, scene in site.scenes.items():
        with Frames(results(project) / f"frames/{name}.h5") as frames:
            for split in ("train", "test"):
                assert frames.names(split) == [frame.name for frame in scene.frames[split]]
            assert frames.mean == pytest.approx(scene.statistics["mean"])
            assert frames.variance == pytest.approx(scene.statistics["variance"])
        with h5py.File(results(project) / f"descriptors/{name}.h5") as file:
            descriptors = file["test/descriptor"][:]
        assert descriptors.shape == (4, 64 * 512)
        assert np.linalg.norm(descriptors, axis=1) == pytest.approx(1, abs=1e-5)


def test_our_model_and_the_authors_have_a_table_each(project, site):
    tables = {name: medians(project, name) for name in ("joint", "published")}
    for table in tables.values():
        assert set(table.index) == {*site.scenes, "average"}
        assert np.isfinite(table.to_numpy()).all()
    assert not np.allclose(*(table.to_numpy() for table in tables.values()))


def test_the_authors_network_is_run_with_their_weights(project, site, shared):
    state = read_checkpoint(results(project) / "runs/published-joint/model.pt")["model_state_dict"]
    theirs = checkpoint_weights(shared, site.width)
    assert state.keys() == {key for key in theirs if not key.startswith("gnn2.")}
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in state.items())


def test_the_authors_estimates_stand_in_the_comparison(project, site):
    table = pd.read_csv(results(project) / "tables/predictions_published.csv").set_index("scene")
    ours = medians(project, "published")
    for name, scene in site.scenes.items():
        row = table.loc[name]
        assert row["queries"] == 4
        theirs = row[["published_median_translation_m", "published_median_rotation_deg"]]
        assert theirs.tolist() == pytest.approx(scene.median_errors, rel=1e-4)
        own = row[["median_translation_m", "median_rotation_deg"]]
        assert own.tolist() == pytest.approx(ours.loc[name].tolist(), rel=1e-4)


def read_graphs(project: Project, dataset: str, scene: str) -> list[list[str]]:
    """Return the names of the frames of each test graph."""
    with (
        Frames(results(project, dataset) / f"frames/{scene}.h5") as frames,
        h5py.File(results(project, dataset) / f"graphs/authors/{scene}.h5") as file,
    ):
        queries, database = frames.names("test"), frames.names("train")
        return [
            [queries[query], *(database[i] for i in neighbours)]
            for query, neighbours in zip(
                file["test/query"][:], file["test/neighbours"][:], strict=True
            )
        ]


def with_their_graphs(dataset: str) -> list[str]:
    """Return settings for the scenes that are extracted already, with the authors' graphs."""
    scenes = f"scenes_dir=resources/{DATASET}/scenes"
    return ["--config", f"dataset={dataset}", scenes, "graphs={source: authors}"]


def graphs_archive(scene: str) -> str:
    """Return the path of a request for the authors' graphs."""
    return f"/{AUTHORS_FOLDER}/data/{scene}_fc8_sp5_test.tar"


def test_their_graphs_are_matched_to_the_frames(project, site, served):
    served.requests.clear()
    target = "results/matched/graphs/authors/redkitchen.h5"
    project.run(*with_their_graphs("matched"), "--", target)
    graphs = site.scenes["redkitchen"].graphs["test"]
    expected = [[frame.name for frame in graph] for graph in graphs]
    assert read_graphs(project, "matched", "redkitchen") == expected
    assert served.fetched() == [graphs_archive("redkitchen")]


def test_own_networks_are_tested_on_their_graphs_without_training_anew(project):
    settings = ["--config", "graphs={source: authors}"]
    planned = project.planned(*settings, "--", "table_joint")
    assert "train_model" not in planned
    assert planned["import_graphs"] == planned["predict_poses"] == 2


def test_a_missing_archive_stops_its_scene_alone(project, served):
    """The other scene's connection breaks meanwhile, and goes on where it broke."""
    served.requests.clear()
    served.broken = {"/7-scenes/chess.zip": 404, "/7-scenes/redkitchen.zip": Cut(700_000)}
    arguments = ["--keep-going", "--config", "dataset=gone", "--", "scenes"]
    text = project.run(*arguments, expect=1)
    assert f"{served.url}/7-scenes/chess.zip: the server answered 404" in text
    starts = [request.range for request in served.requests if "redkitchen" in request.path]
    assert starts == [None, f"bytes={700_000 // CHUNK_BYTES * CHUNK_BYTES}-"]
    resources = project.folder / "resources" / "gone"
    assert {path.name for path in resources.glob("*/*")} == {
        *("redkitchen.zip", "redkitchen.zip.sha256", "redkitchen")
    }
    served.broken.clear()
    served.requests.clear()
    project.run(*arguments)
    assert served.fetched() == ["/7-scenes/chess.zip"]
    assert (resources / "scenes/chess/TrainSplit.txt").exists()


def test_broken_checkpoints_are_told_apart_and_replaced(project, site, served):
    """One is truncated, one a web page, one of another network."""
    complete = site.path(f"{MODELS}/1Scenes_chess_epoch_039.pth.tar").read_bytes()
    served.broken = {
        f"{MODELS}/1Scenes_chess_epoch_039.pth.tar": complete[: len(complete) // 2],
        f"{MODELS}/6Scenes_chess_epoch_039.pth.tar": LOGIN_PAGE,
        f"{MODELS}/1Scenes_redkitchen_epoch_039.pth.tar": netvlad_bytes(site),
    }
    runs = [f"published-{run}" for run in ("only-chess", "without-chess", "only-redkitchen")]
    targets = [f"results/{DATASET}/runs/{run}/model.pt" for run in runs]
    text = project.run("--keep-going", "--", *targets, expect=1)
    assert "1Scenes_chess_epoch_039.pth.tar: is an archive without an end" in text
    assert "6Scenes_chess_epoch_039.pth.tar: is a web page ('<!DOCTYPE html>" in text
    assert re.search(r"only-redkitchen\.pth: holds .*expected model_state_dict among them", text)
    assert not any((project.folder / target).exists() for target in targets)
    models = project.folder / "resources/authors" / DATASET / "models"
    wrong = models / "published-only-redkitchen.pth"
    assert {path for path in models.glob("*.pth") if path.stem in runs} == {wrong}
    served.broken.clear()
    wrong.unlink()
    text = project.run("--keep-going", "--", *targets, expect=1)
    assert f"delete {wrong.relative_to(project.folder)}.sha256 and run again" in text
    wrong.with_name(f"{wrong.name}.sha256").unlink()
    project.run("--", *targets)
    states = [read_checkpoint(project.folder / t)["model_state_dict"] for t in targets]
    assert len({state["fc_xyz_R.weight"].sum().item() for state in states}) == 3


def netvlad_bytes(site: Site) -> bytes:
    return site.path(f"{MODELS}/netvlad_vgg16.tar").read_bytes()


def test_graphs_of_another_scene_are_refused(project, site, served):
    other = site.path(graphs_archive("redkitchen")).read_bytes()
    served.broken = {graphs_archive("chess"): other}
    arguments = [*with_their_graphs("mixed"), "--", "results/mixed/graphs/authors/chess.h5"]
    text = " ".join(project.run(*arguments, expect=1).split())
    assert re.search(
        r"data_000000\.pt, node 0: has the pose of no test frame .*another scene", text
    )
    assert not list((results(project, "mixed") / "graphs/authors").glob("*"))
    served.broken.clear()
    for name in ("chess-test.tar", "chess-test.tar.sha256"):
        (project.folder / "resources/authors/mixed/graphs" / name).unlink()
    project.run(*arguments)
    assert len(read_graphs(project, "mixed", "chess")) == 4
