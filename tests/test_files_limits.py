"""What is too large, or says that it is, is told before memory, disk or time is spent on it."""

import io
import math
import os
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from misbehaving_server import fetch, left_beside
from misbehaving_server import server as server
from misbehaving_server import target as target
from project import REPOSITORY

from relposegnn.authors.graph_archives import read_archive
from relposegnn.data import archives
from relposegnn.data.archives import extract_scene
from relposegnn.data.images import image_size, open_image
from relposegnn.estimates.predictions import read_predictions
from relposegnn.files.downloads import download
from relposegnn.files.limits import check_limit, check_space
from relposegnn.files.storage import create_hdf5, open_hdf5
from relposegnn.files.weights import read_checkpoint
from relposegnn.layouts.seven_scenes import read_pose
from relposegnn.network.checkpoints import load_model, save_model
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.photos.command import main
from relposegnn.retrieval.vocabulary import load_vocabulary
from relposegnn.runtime import InputError

HUGE = 10**12
MANY_ZEROS = bytes(17 << 20)


def write_npz(path: Path, *, shape: tuple[int, ...] = (HUGE, 3)) -> None:
    """Write an array's head without its numbers."""
    head = io.BytesIO()
    declared = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, declared)
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("targ_t.npy", head.getvalue())


def write_compressed_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, targ_t=np.frombuffer(MANY_ZEROS, np.float64))


def write_hdf5(path: Path) -> None:
    with create_hdf5(path, "frames", {}) as file:
        file.create_dataset("train/images", (10**6, 1000, 1000, 3), np.uint8, chunks=True)


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("TrainSplit.txt", "sequence1\n")
        zipped.writestr("seq-01/frame-000000.color.png", MANY_ZEROS)


def write_inner_zip(path: Path) -> None:
    inner = path.with_suffix(".inner")
    write_zip(inner)
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("TrainSplit.txt", "sequence1\n")
        zipped.write(inner, "seq-01.zip")
    inner.unlink()


def write_compressed_checkpoint(path: Path) -> None:
    torch.save({"weights": torch.zeros(len(MANY_ZEROS) // 4)}, path.with_suffix(".whole"))
    with (
        zipfile.ZipFile(path.with_suffix(".whole")) as whole,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped,
    ):
        for name in whole.namelist():
            zipped.writestr(name, whole.read(name))


def write_tar(path: Path) -> None:
    """Write an archive with a graph of 1 TB that is all hole."""
    member = tarfile.TarInfo("scene/processed/data_000000.pt")
    member.pax_headers = {"GNU.sparse.size": str(HUGE), "GNU.sparse.map": f"{HUGE},0"}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member)


@contextmanager
def allocating_at_most(count: int) -> Iterator[None]:
    """Check that no more than ``count`` bytes are in use at a time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < count
    finally:
        tracemalloc.stop()


def read_graphs(path: Path) -> None:
    list(read_archive(path, (48, 64)))


def extract(path: Path) -> None:
    extract_scene(path, path.with_name("scene"), "scene")


EXPANDS = r"has \d+ declared bytes .* expected at most 100; .* RELPOSEGNN_MAX_EXPANSION"
DECLARING = {
    "npz": (write_npz, read_predictions, rf": targ_t.npy of shape \({HUGE}, 3\): {EXPANDS}"),
    "compressed npz": (write_compressed_npz, read_predictions, f": {EXPANDS}"),
    "vocabulary": (write_npz, lambda path: load_vocabulary(path, "vlad"), EXPANDS),
    "HDF5": (write_hdf5, lambda path: open_hdf5(path, "frames"), f"train/images of .*{EXPANDS}"),
    "zip": (write_zip, extract, f": {EXPANDS}"),
    "zip in a zip": (write_inner_zip, extract, f": entry seq-01.zip: {EXPANDS}"),
    "checkpoint": (write_compressed_checkpoint, read_checkpoint, f": {EXPANDS}"),
    "sparse tar": (
        write_tar,
        read_graphs,
        "pt is a sparse file, expected .* do not use this archive",
    ),
}


@pytest.mark.parametrize("name", DECLARING)
def test_a_file_that_declares_more_than_it_holds_is_refused(tmp_path, name):
    write, read, message = DECLARING[name]
    path = tmp_path / f"a.{name.split()[-1]}"
    write(path)
    with (
        allocating_at_most(len(MANY_ZEROS) // 2),
        pytest.raises(InputError, match=rf"{path}.*{message}"),
    ):
        read(path)
    assert not (tmp_path / "scene").exists()


def test_a_graph_may_not_be_larger_than_any(tmp_path, monkeypatch):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("scene/processed/data_000000.pt")
        member.size = 2000
        tar.addfile(member, io.BytesIO(bytes(2000)))
    monkeypatch.setenv("RELPOSEGNN_MAX_GRAPH_BYTES", "1999")
    told = "data_000000.pt: has 2000 bytes, expected at most 1999; .* RELPOSEGNN_MAX_GRAPH_BYTES"
    with pytest.raises(InputError, match=f"{path}: scene/processed/{told}"):
        read_graphs(path)


def test_what_is_large_and_whole_is_read(tmp_path):
    """Compressed text, arrays of zeros: far from what a file can declare."""
    path = tmp_path / "a.npz"
    arrays = np.random.default_rng(0).integers(0, 16, 1 << 21).astype(np.float64)  # 16 MB
    np.savez_compressed(path, targ_t=arrays.reshape(-1, 2))
    with pytest.raises(InputError, match=r"a\.npz: lacks targ_q"):
        read_predictions(path)


def test_the_limit_of_expansion_is_a_setting(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_compressed_npz(path)
    monkeypatch.setenv("RELPOSEGNN_MAX_EXPANSION", "2000")
    with pytest.raises(InputError, match=r"a\.npz: lacks targ_q"):
        read_predictions(path)
    monkeypatch.setenv("RELPOSEGNN_MAX_EXPANSION", "much")
    with pytest.raises(InputError, match="MAX_EXPANSION=much: expected a whole number"):
        read_predictions(path)


def test_files_in_an_archive_are_counted(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for number in range(5):
            zipped.writestr(f"{number}.txt", "")
    monkeypatch.setenv("RELPOSEGNN_MAX_ARCHIVE_FILES", "4")
    with pytest.raises(InputError, match=r"a\.zip: has 5 entries, expected at most 4; .*_FILES to"):
        extract(path)


def test_an_archive_needs_room_for_all_it_holds(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=f"a: needs {10**30} more bytes, but the disk has"):
        check_space("a", 10**30, tmp_path)
    asked = []
    monkeypatch.setattr(archives, "check_space", lambda *asking: asked.append(asking[:2]))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("TrainSplit.txt", "sequence1\n")
        zipped.writestr("seq-01/frame-000000.pose.txt", bytes(1000))
    extract(path)
    assert asked == [(path, 1010)]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.pt"
    settings = ModelSettings.published(backbone="resnet10", width=16, iterations=1)
    save_model(path, RelPoseGNN(settings), 0, ["study"])
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 10**5}, r"gnn1\S+ is \(16, \d+\), expected \(100000, "),
        ({"width": 10**9}, "holds settings that no network can have"),
        ({"width": "wide"}, "holds settings that no network can have"),
        ({"iterations": 10**9}, "has model.iterations 1000000000, expected 0 to 100; use a model"),
    ],
)
def test_settings_in_a_model_cost_nothing_before_they_are_believed(
    model, tmp_path, changes, message
):
    """A width of 10**5 would take 100 GB and more."""
    contents = torch.load(model, weights_only=True)
    contents["settings"] |= changes
    torch.save(contents, tmp_path / "a.pt")
    with pytest.raises(InputError, match=rf"(?s)a\.pt: .*{message}"):
        load_model(tmp_path / "a.pt")
    assert load_model(model).settings.width == 16


def test_a_download_of_no_announced_length_ends_somewhere(server, target, monkeypatch):
    server.content_length = False
    monkeypatch.setenv("RELPOSEGNN_MAX_DOWNLOAD_BYTES", "1000")
    with pytest.raises(InputError, match=f"{target}: has .* bytes so far, expected at most 1000; "):
        fetch(server, target)
    assert left_beside(target) == []


@pytest.mark.parametrize(
    "read",
    [
        open_image, image_size, read_pose, read_predictions, read_checkpoint, read_graphs,
        lambda path: load_vocabulary(path, "vlad"), lambda path: open_hdf5(path, "frames"),
        lambda path: download(f"file://{path}", path.with_name("b")),
    ],
)  # fmt: skip
def test_nobody_waits_for_a_pipe(tmp_path, read):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: is a pipe, .* expected a file; leave it out"):
        read(tmp_path / "a.png")


def test_a_pipe_among_photos_is_none(tmp_path, capsys):
    os.mkfifo(tmp_path / "a.png")
    assert main([str(tmp_path), "--map", str(tmp_path)]) == 1
    assert "holds no photos" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "100000", "many"])
def test_threads_are_counted(count, capsys):
    with pytest.raises(SystemExit):
        main(["photos", "--scene", "study", "--workers", count])
    assert f"got {count}, expected 1 to 1024 threads" in capsys.readouterr().err


def test_a_small_process_refuses_a_huge_array(tmp_path):
    """No allocation is tried: 2 GB of addresses would not do for 24 TB, nor for half a graph."""
    write_npz(tmp_path / "a.npz", shape=(math.isqrt(HUGE), math.isqrt(HUGE)))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31));"
        f"sys.path.insert(0, {str(REPOSITORY / 'workflow/scripts')!r});"
        "from relposegnn.estimates.predictions import read_predictions;"
        "read_predictions(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.npz")]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "a.npz: targ_t.npy of shape (1000000, 1000000): has" in done.stderr


def test_a_limit_names_file_found_expected_and_remedy():
    check_limit("a.png", "PIXELS", 200_000_000, "pixels")
    with pytest.raises(InputError) as caught:
        check_limit("a.png", "PIXELS", 200_000_001, "pixels")
    assert str(caught.value) == (
        "a.png: has 200000001 pixels, expected at most 200000000; leave it out or make it smaller, "
        "or, if it is intended, set the environment variable RELPOSEGNN_MAX_PIXELS to more"
    )
