"""The served site holds what it says, in the layouts of what it stands for."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests
import torch
from authors_files import draw_weights, graph_attributes, write_checkpoint
from authors_site import (
    FRAMES,
    SEQUENCES,
    Frame,
    Site,
    checkpoint_names,
    read_frame,
    session_site,
    site_config,
)
from loopback import Cut, Request, serving

from relposegnn.data.archives import extract_scene
from relposegnn.estimates.predictions import FIRST_EDGE, read_predictions
from relposegnn.files.weights import read_checkpoint
from relposegnn.layouts.reading import read_scene
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.poses import vector_from_pose
from relposegnn.retrieval.netvlad import load_netvlad
from relposegnn.scores.metrics import score_estimator

pytestmark = pytest.mark.slow

MODELS = "relpose-gnn/models"


@pytest.fixture(scope="module")
def site(pytestconfig, tmp_path_factory, shared) -> Site:
    return session_site(pytestconfig, tmp_path_factory.getbasetemp(), shared)


@pytest.mark.parametrize("scene", SEQUENCES)
def test_archives_hold_the_frames_in_a_zip_of_zips(site, tmp_path, scene):
    archive = site.folder / "7-scenes" / f"{scene}.zip"
    with zipfile.ZipFile(archive) as file:
        names = set(file.namelist())
        assert {f"{scene}/TrainSplit.txt", f"{scene}/TestSplit.txt", f"{scene}/Thumbs.db"} <= names
        assert sum(name.endswith(".zip") for name in names) == 4
    extract_scene(archive, tmp_path / scene, scene)
    found = read_scene(tmp_path / scene)
    for split, count in FRAMES.items():
        expected = site.scenes[scene].frames[split]
        assert len(expected) == count * len(SEQUENCES[scene][split])
        for frame, original in zip(found.frames(split), expected, strict=True):
            assert frame.name == original.name
            assert frame.image.read_bytes() == original.image.read_bytes()
            assert (frame.world_from_cam == original.world_from_cam).all()


def test_the_joint_checkpoint_has_the_weights_of_the_reference_values(site, shared):
    contents = read_checkpoint(site.folder / MODELS / "relpose_gnn__multi_39.pth.tar")
    shapes = json.loads((shared / "reference" / "shapes-full-3-2.json").read_text())
    expected = draw_weights(shared, shapes)
    state = contents["model_state_dict"]
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    assert any(key.startswith("gnn2.") for key in state)
    assert (contents["epoch"], float(contents["loss"])) == (39, -3.25)


def test_checkpoints_differ_and_name_numpy_as_it_was_then(site):
    heads = {}
    for name in checkpoint_names():
        path = site.folder / MODELS / name
        heads[name] = read_checkpoint(path)["model_state_dict"]["fc_xyz_R.weight"]
        with zipfile.ZipFile(path) as file:
            (pickled,) = (file.read(n) for n in file.namelist() if n.endswith("data.pkl"))
        assert b"numpy.core.multiarray\nscalar\n" in pickled
    assert len({tuple(head.flatten().tolist()) for head in heads.values()}) == 5


def test_weights_fill_the_networks(site):
    model = RelPoseGNN(ModelSettings.published(width=16))
    imagenet = site.folder / "torchvision" / "resnet34-b627a593.pth"
    model.load_backbone(imagenet)
    assert torch.equal(model.feature_extractor.conv1.weight, torch.load(imagenet)["conv1.weight"])
    load_netvlad(site.folder / MODELS / "netvlad_vgg16.tar")


@pytest.mark.parametrize("sample", ["data_000000.pt", "data_000001.pt", "data_000002.pt"])
def test_graphs_are_as_in_the_authors_samples(shared, sample):
    folder = shared / "reference" / "prebuilt_graphs"
    statistics = json.loads((shared / "reference" / "normalisation.json").read_text())
    recording = shared / "data" / "7scenes" / "redkitchen"
    frames = [
        read_frame(recording, f"seq-{number // 20 + 1:02}/frame-{number % 20:06}")
        for number in json.loads((folder / "frames.json").read_text())[sample]
    ]
    made = graph_attributes(frames, statistics["redkitchen"])
    theirs = torch.load(folder / sample, weights_only=False).__dict__
    theirs = theirs.get("_store", theirs)
    for key, value in made.items():
        assert value.dtype == theirs[key].dtype
        assert torch.allclose(value, theirs[key], atol=1e-6)


@pytest.mark.parametrize("scene", SEQUENCES)
def test_graphs_have_distinct_neighbours_from_the_database(site, scene):
    expected = site.scenes[scene]
    database = {frame.name for frame in expected.frames["train"]}
    assert [graph[0].name for graph in expected.graphs["test"]] == names(expected.frames["test"])
    for graph in expected.graphs["train"] + expected.graphs["test"]:
        query, *neighbours = names(graph)
        assert len(set(neighbours)) == 7
        assert set(neighbours) <= database - {query}


def names(frames: list[Frame]) -> list[str]:
    return [frame.name for frame in frames]


@pytest.mark.parametrize("split", ["train", "test"])
def test_graph_archives_alternate_between_both_layouts(site, tmp_path, split):
    stem = f"chess_fc8_sp5_{split}"
    shutil.unpack_archive(site.folder / "relpose-gnn" / "data" / f"{stem}.tar", tmp_path)
    processed = tmp_path / stem / "processed"
    graphs = site.scenes["chess"].graphs[split]
    files = sorted(processed.glob("data_*.pt"))
    assert [file.name for file in files] == [f"data_{i:06}.pt" for i in range(len(graphs))]
    assert (processed / "pre_transform.pt").exists()
    for number, (file, frames) in enumerate(zip(files, graphs, strict=True)):
        contents = torch.load(file, weights_only=False).__dict__
        assert ("_store" in contents) == (number % 2 == 0)
        poses = contents.get("_store", contents)["y"].numpy()
        truth = vector_from_pose(np.stack([frame.world_from_cam for frame in frames]))
        assert np.allclose(poses, truth, atol=1e-6)


@pytest.mark.parametrize("scene", SEQUENCES)
def test_estimates_have_the_median_errors_of_their_name(site, scene):
    (file,) = (site.folder / "relpose-gnn" / "predictions").glob(f"*_{scene}_*.npz")
    scores = score_estimator(read_predictions(file), FIRST_EDGE)
    median = scores[["translation_error_m", "rotation_error_deg"]].median()
    assert median.tolist() == pytest.approx(site.scenes[scene].median_errors, rel=1e-6)
    assert file.stem.endswith("_{:.2f}_{:.1f}".format(*median))


def addresses(settings: object) -> list[str]:
    """Return all addresses in nested settings."""
    if isinstance(settings, dict):
        return [url for value in settings.values() for url in addresses(value)]
    return [settings] if isinstance(settings, str) and settings.startswith("http") else []


def test_every_configured_address_is_served(site):
    with serving(site.folder) as served:
        templates = addresses(site_config(site, served.url))
        urls = {
            template.format(scene=scene, split=split)
            for template in templates
            for scene in SEQUENCES
            for split in FRAMES
        }
        for url in urls:
            assert requests.get(url, stream=True, timeout=5).status_code == 200
        files = {f"/{p.relative_to(site.folder).as_posix()}" for p in files_below(site.folder)}
        assert set(served.fetched()) == files


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_server_sends_ranges_of_the_same_version_only(tmp_path):
    (tmp_path / "file").write_bytes(bytes(range(100)))
    with serving(tmp_path) as served:
        url = f"{served.url}/file"
        version = requests.get(url, timeout=5).headers["ETag"]
        part = requests.get(url, headers={"Range": "bytes=90-", "If-Range": version}, timeout=5)
        assert (part.status_code, part.content) == (206, bytes(range(90, 100)))
        assert part.headers["Content-Range"] == "bytes 90-99/100"
        whole = requests.get(url, headers={"Range": "bytes=90-", "If-Range": '"old"'}, timeout=5)
        assert (whole.status_code, len(whole.content)) == (200, 100)
        beyond = requests.get(url, headers={"Range": "bytes=100-"}, timeout=5)
        assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */100")
        assert requests.get(f"{served.url}/none", timeout=5).status_code == 404
        asked = [("/file", None), ("/file", "bytes=90-"), ("/file", "bytes=90-")]
        assert served.requests[:3] == [Request(*request) for request in asked]


def test_the_server_breaks_what_it_is_told_to(tmp_path):
    (tmp_path / "file").write_bytes(bytes(100))
    with serving(tmp_path) as served:
        url = f"{served.url}/file"
        served.broken["/file"] = 503
        assert requests.get(url, timeout=5).status_code == 503
        served.broken["/file"] = b"<html>"
        page = requests.get(url, timeout=5)
        assert (page.content, page.headers["Content-Type"]) == (b"<html>", "text/html")
        served.broken["/file"] = Cut(after=40)
        with pytest.raises(requests.exceptions.RequestException):
            requests.get(url, timeout=5)
        assert len(requests.get(url, timeout=5).content) == 100


def test_a_checkpoint_of_full_size_has_the_authors_number_of_weights(shared, tmp_path):
    path = tmp_path / "full.pth.tar"
    write_checkpoint(path, shared, width=2048)
    state = read_checkpoint(path)["model_state_dict"]
    learned = {key: value.numel() for key, value in state.items() if value.is_floating_point()}
    learned = {key: count for key, count in learned.items() if "running_" not in key}
    assert sum(learned.values()) == pytest.approx(118.9e6, abs=0.05e6)
    used = sum(count for key, count in learned.items() if not key.startswith("gnn2."))
    assert used == pytest.approx(74.8e6, abs=0.05e6)
    path.unlink()
