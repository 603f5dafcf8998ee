"""Archives of the authors' graphs: read one by one, and refused where incomplete."""

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from graph_archives import OlderGraph, member_name, saved, saved_graph, standardised, write_tar

import relposegnn
from relposegnn.authors.graph_archives import ArchivedGraph, read_archive
from relposegnn.runtime import InputError

SHAPE = (12, 16)  # height, width
MEAN, VARIANCE = [0.5, 0.4, 0.45], [0.05, 0.06, 0.07]


def planted_graph(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (8, 3, H, W) and poses (8, 6) of a graph."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (8, *SHAPE, 3), dtype=np.uint8)
    return standardised(pixels, MEAN, VARIANCE), rng.standard_normal((8, 6), dtype=np.float32)


def planted_members(count: int = 5) -> dict[str, bytes]:
    graphs = {number: planted_graph(number) for number in range(count)}
    return {member_name(n): saved_graph(*graph, older=n == 2) for n, graph in graphs.items()}


def read_all(path: Path, frame_shape: tuple[int, int] = SHAPE) -> list[ArchivedGraph]:
    return list(read_archive(path, frame_shape))


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 0, 4, 1, 2]])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_graphs_come_back_in_the_order_of_the_archive(order, mode, tmp_path):
    members = planted_members()
    content = {member_name(n): members[member_name(n)] for n in order}
    content["tiny_fc8_sp5_test/processed/pre_transform.pt"] = b"ignored"
    path = write_tar(tmp_path / "graphs.tar", content, mode)
    for number, graph in zip(order, read_all(path), strict=True):
        images, poses = planted_graph(number)
        assert (graph.label, graph.number) == (f"{path}: {member_name(number)}", number)
        np.testing.assert_array_equal(graph.images, images)
        np.testing.assert_array_equal(graph.poses, poses)


def test_the_size_of_images_follows_from_their_aspect(tmp_path):
    tar = write_tar(tmp_path / "graphs.tar", planted_members(1))
    for like, found in ((SHAPE, SHAPE), ((256, 341), SHAPE), ((48, 64), SHAPE), ((16, 12),) * 2):
        (graph,) = read_all(tar, like)
        assert graph.images.shape == (8, 3, *found)
    with pytest.raises(InputError, match=r"data_000000.pt: x has shape \(8, 576\), .*as in 16x16"):
        read_all(tar, (16, 16))


@pytest.mark.parametrize(
    "x, message",
    [
        (torch.tensor(1.0), r"x has shape \(\), expected 8 rows"),
        (torch.zeros(8, 0), r"x has shape \(8, 0\), expected 8 rows"),
        (torch.zeros(7, 768), r"x has shape \(7, 768\), expected 8 rows"),
        (torch.zeros(8, 3, 256), r"x has shape \(8, 3, 256\), expected 8 rows"),
        (torch.zeros(8, 3 * 191), r"x has shape \(8, 573\), expected .*as in 16x16"),
        (torch.zeros(8, 577), r"x has shape \(8, 577\), expected .*as in 16x16"),
        (torch.zeros(1, 1).expand(8, 10**11), r"x has shape \(8, 100000000000\) but repeats fewer"),
    ],
)
def test_images_of_no_size_are_refused(x, message, tmp_path):
    content = saved(OlderGraph(x=x, y=torch.zeros(8, 6)))
    tar = write_tar(tmp_path / "graphs.tar", {member_name(0): content})
    with pytest.raises(InputError, match=message):
        read_all(tar, (16, 16))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_no_graph_is_kept_while_the_next_one_is_read(tmp_path):
    rng = np.random.default_rng(0)
    shape = (8, 3, 256, 341)
    files = [
        saved_graph(rng.standard_normal(shape, dtype=np.float32), rng.standard_normal((8, 6)))
        for _ in range(2)
    ]
    write_tar(tmp_path / "one.tar", {member_name(0): files[0]})
    write_tar(tmp_path / "many.tar", {member_name(n): files[n % 2] for n in range(16)})
    program = """
from pathlib import Path
from relposegnn.authors.graph_archives import read_archive
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])
def load(name):
    for graph in read_archive(name, (256, 341)):
        del graph
load("one.tar")
before = peak()
load("many.tar")
print(before, peak())
"""
    before, after = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(Path(relposegnn.__path__[0]).parent),
            "OMP_NUM_THREADS": "1",
            "MALLOC_MMAP_THRESHOLD_": "100000",  # bytes: what is freed is given back at once
        },
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    graph_kib = len(files[0]) / 1024
    assert int(after) - int(before) < graph_kib / 2


def damaged_members() -> dict[str, tuple[dict[str, bytes], str]]:
    """Return the members of damaged archives and what is said of them."""
    members, name = planted_members(), member_name(1)
    images, poses = planted_graph(1)
    not_finite = poses.copy()
    not_finite[4, 2] = np.nan
    return {
        "gap": ({n: c for n, c in members.items() if n != member_name(3)}, "data_000003.pt"),
        "none": ({"readme.txt": b"hello"}, r"0 graphs without data_000000\.pt"),
        "twice": ({**members, "other/data_1.pt": members[name]}, "holds graph 1 twice"),
        "truncated": ({**members, name: members[name][:-500]}, f"{name} cannot be read"),
        "empty": ({**members, name: b""}, f"{name} cannot be read"),
        "nodes": ({**members, name: saved_graph(images[:7], poses[:7])}, rf"{name}: x has shape"),
        "pose": ({**members, name: saved_graph(images, poses[:, :5])}, rf"{name}: y has shape"),
        "size": ({**members, name: saved_graph(images[..., 1:], poses)}, "as in 16x12"),
        "nan": ({**members, name: saved_graph(images, not_finite)}, f"{name}: y has values"),
        "infinite": (
            {**members, name: saved_graph(np.full_like(images, np.inf), poses)},
            f"{name}: x has values",
        ),
    }


@pytest.mark.parametrize("damage", damaged_members())
def test_damaged_graphs_are_refused(damage, tmp_path):
    members, message = damaged_members()[damage]
    tar = write_tar(tmp_path / "graphs.tar", members)
    with pytest.raises(InputError, match=rf"graphs\.tar: .*{message}"):
        read_all(tar)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_truncated_archives_are_refused(mode, tmp_path):
    members = planted_members(3)
    whole = write_tar(tmp_path / "whole.tar", members, mode).read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as tar:
        third = tar.getmembers()[2]
    if mode == "w":  # within data, within a header, between two members
        lengths = [third.offset_data + 700, third.offset + 100, third.offset]
    else:
        lengths = [len(whole) // 2, len(whole) * 9 // 10]
    for length in lengths:
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.tar: is a truncated or damaged tar archive"):
            read_all(tmp_path / "cut.tar")


def test_a_damaged_header_does_not_end_the_archive(tmp_path):
    content = bytearray(write_tar(tmp_path / "graphs.tar", planted_members(3)).read_bytes())
    with tarfile.open(tmp_path / "graphs.tar") as tar:
        content[tar.getmembers()[2].offset + 150] ^= 1
    (tmp_path / "graphs.tar").write_bytes(content)
    with pytest.raises(InputError, match="truncated or damaged"):
        read_all(tmp_path / "graphs.tar")


@pytest.mark.parametrize("content", [b"<html>Not Found</html>", b"", b"PK\x03\x04" + bytes(600)])
def test_what_is_no_tar_archive_is_refused(content, tmp_path):
    (tmp_path / "graphs.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"(?s)graphs\.tar: is not a tar archive .*expected"):
        read_all(tmp_path / "graphs.tar")


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(
        InputError,
        match=r"graphs\.tar: cannot be read \(No such file or dir",
    ):
        read_all(tmp_path / "graphs.tar")


def test_a_folder_is_no_archive(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\), expected a tar"):
        read_all(tmp_path)


def test_nothing_is_written_whatever_the_members_are_called(tmp_path):
    images, poses = planted_graph(0)
    outside = tmp_path / "outside"
    names = [f"{outside}/data_000000.pt", "../../data_000001.pt", "..\\data_000002.pt"]
    content = {name: saved_graph(images, poses) for name in names[:2]}
    (tmp_path / "inside").mkdir()
    tar = write_tar(tmp_path / "inside" / "graphs.tar", {**content, names[2]: b""})
    first, second = read_all(tar)
    np.testing.assert_array_equal(first.poses, second.poses)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["graphs.tar", "inside"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_are_refused(kind, tmp_path):
    with tarfile.open(tmp_path / "graphs.tar", "w") as tar:
        link = tarfile.TarInfo(member_name(0))
        link.type, link.linkname = kind, "/etc/passwd"
        tar.addfile(link, io.BytesIO())
    with pytest.raises(InputError, match=rf"{re.escape(member_name(0))} is a link"):
        read_all(tmp_path / "graphs.tar")
