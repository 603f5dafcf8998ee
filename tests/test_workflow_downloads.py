"""Downloads by the workflow: what they depend on, how they are named, how they fail."""

import hashlib
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import h5py
import pytest
from planted_scenes import write_noise
from project import EMPTY_ZIP, TINY, Project

pytestmark = pytest.mark.slow

ARCHIVE = "resources/synthetic/archives/study.zip"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """Return a project with a downloaded archive, whose source is gone. Tests only plan with it."""
    folder = tmp_path_factory.mktemp("downloaded")
    source = folder / "source"
    source.mkdir()
    settings = f"{TINY}source: download\narchive_url: file://{source}/{{scene}}.zip\n"
    (source / "study.zip").write_bytes(EMPTY_ZIP)
    (folder / "project").mkdir()
    project = Project(folder / "project", settings)
    project.run("--", ARCHIVE)
    (source / "study.zip").unlink()
    return project


def test_no_edit_of_code_downloads_anew(project):
    """Not even one of what downloads run: what is there came from this address."""
    project.edit("workflow/scripts/download_file.py", "Path(target).name", "str(Path(target).name)")
    project.edit("workflow/scripts/relposegnn/files/downloads.py", "expected", "wanted")
    project.edit("workflow/scripts/relposegnn/runtime.py", "expected", "wanted")
    assert project.planned("--", ARCHIVE) == {}


def test_another_address_downloads_anew(project):
    address = ["--config", "archive_url=https://example.org/{scene}.zip"]
    assert project.planned(*address, "--", ARCHIVE) == {"download_archive": 1}


def test_a_checksum_downloads_nothing_anew(project):
    checksum = hashlib.sha256(b"another file").hexdigest()
    assert project.planned("--config", f"checksums={{study.zip: {checksum}}}", "--", ARCHIVE) == {}


def test_a_downloaded_scene_without_its_queries_is_refused_and_a_folder_is_not(tmp_path):
    """In the layout of a published data set, which has queries; a place of one's own need not."""
    scene = write_noise(tmp_path / "source/study")
    (scene / "TestSplit.txt").unlink()
    shutil.make_archive(str(scene), "zip", scene.parent, "study")
    (tmp_path / "project").mkdir()
    settings = f"{TINY}source: download\narchive_url: file://{scene.parent}/{{scene}}.zip\n"
    project, frames = Project(tmp_path / "project", settings), "results/synthetic/frames/study.h5"
    assert "study/TestSplit.txt: no such file" in project.run("--", frames, expect=1)
    own = f"scenes_dir={scene.parent}", "scenes=[study]"
    project.run("--config", *own, "--", frames)
    assert (project.folder / frames).exists()


def test_addresses_with_one_last_part_have_files_of_their_own(tmp_path):
    """By scene, split and kind, all of them called "file" where they come from."""
    sources = [
        "scenes/study", "scenes/workshop", "only/study", "only/workshop", "all",
        "graphs/study/train", "graphs/study/test", "graphs/workshop/test",
        "predictions/study", "predictions/workshop", "weights/vgg16", "weights/resnet18",
    ]  # fmt: skip
    for name in sources:
        (tmp_path / "source" / name).mkdir(parents=True)
        (tmp_path / "source" / name / "file").write_bytes(name.encode())
    url = f"file://{tmp_path}/source"
    (tmp_path / "project").mkdir()
    project = Project(
        tmp_path / "project",
        f"""
weights: {{vgg16: "{url}/weights/vgg16/file", resnet18: "{url}/weights/resnet18/file"}}
authors:
  models: {{joint: "{url}/all/file", single_scene: "{url}/only/{{scene}}/file"}}
  graphs: {{url: "{url}/graphs/{{scene}}/{{split}}/file"}}
  predictions:
    study: "{url}/predictions/study/file"
    workshop: "{url}/predictions/workshop/file"
""",
    )
    authors = "resources/authors/synthetic"
    expected = {
        "resources/weights/vgg16.pth": "weights/vgg16",
        "resources/weights/resnet18.pth": "weights/resnet18",
        f"{authors}/models/published-joint.pth": "all",
        f"{authors}/models/published-only-study.pth": "only/study",
        f"{authors}/models/published-only-workshop.pth": "only/workshop",
        f"{authors}/graphs/study-train.tar": "graphs/study/train",
        f"{authors}/graphs/study-test.tar": "graphs/study/test",
        f"{authors}/graphs/workshop-test.tar": "graphs/workshop/test",
        f"{authors}/predictions/study.npz": "predictions/study",
        f"{authors}/predictions/workshop.npz": "predictions/workshop",
    }
    project.run("--", *expected)
    assert {name: (project.folder / name).read_text() for name in expected} == expected


def test_an_address_that_is_not_given_is_asked_for(project):
    run = "results/synthetic/runs/published-joint/model.pt"
    settings = "authors={models: {joint: null}}"
    text = project.run("--dry-run", "--config", settings, "--", run, expect=1)
    assert "authors.models.joint: is not given, expected the address" in text
    table = "results/synthetic/runs/joint/comparison/study.csv"
    assert "authors.predictions.study: is not given" in project.run("-n", "--", table, expect=1)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(finished):
    """Return the address of a server of the finished project's archives."""
    archives = finished.folder / "resources" / "synthetic" / "archives"
    handler = partial(QuietHandler, directory=str(archives))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_downloaded_scenes_are_described_by_netvlad(finished, server, tmp_path):
    settings = TINY.replace(
        "clusters: 4", "clusters: 4, descriptor: netvlad, netvlad_weights: none"
    )
    sha256 = hashlib.sha256(
        (finished.folder / "resources/synthetic/archives/study.zip").read_bytes()
    ).hexdigest()
    settings += f"dataset: mirrored\nsource: download\narchive_url: {server}/{{scene}}.zip\n"
    settings += f"checksums: {{study.zip: {sha256}}}\n"
    project = Project(tmp_path, settings)
    project.run("graphs")
    with (
        h5py.File(finished.folder / "results/synthetic/frames/study.h5") as rendered,
        h5py.File(tmp_path / "results/mirrored/frames/study.h5") as downloaded,
        h5py.File(tmp_path / "results/mirrored/descriptors/study.h5") as descriptors,
    ):
        assert (rendered["train/images"][:] == downloaded["train/images"][:]).all()
        assert descriptors["test/descriptor"].shape == (12, 4 * 512)
    assert (tmp_path / "results/mirrored/graphs/workshop.h5").exists()


def test_a_failed_download_names_its_address_and_leaves_nothing(server, tmp_path):
    settings = TINY + f"dataset: gone\nsource: download\narchive_url: {server}/no/{{scene}}.zip\n"
    project = Project(tmp_path, settings)
    assert f"{server}/no/study.zip" in project.run("scenes", expect=1)
    assert not list((tmp_path / "resources").rglob("*.zip"))
