"""Photos that come one after another: what is written as they come, and at the end."""

import gc
import resource
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from described_place import CPU, described_place
from PIL import Image

from relposegnn.data.camera_files import write_camera
from relposegnn.exchange.pose_formats import FORMATS
from relposegnn.files.owners import Owner
from relposegnn.photos.command import main as localise
from relposegnn.photos.localiser import Localiser
from relposegnn.photos.localising import localise_photos
from relposegnn.photos.map_files import export_map
from relposegnn.photos.sources import Item
from relposegnn.photos.streaming import localise_stream
from relposegnn.photos.table import COLUMNS, POSE
from relposegnn.photos.unchanged import ChangedError
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow


def test_a_stream_writes_as_it_goes_and_goes_on_after_a_bad_photo(place, folder, tmp_path):
    """The user interrupts: rows that were printed are kept, and the trajectory has their times."""
    with Image.open(folder / "test 1.PNG") as opened:
        picture = opened.convert("RGB")
    (tmp_path / "bad.png").write_bytes(b"none")

    def items():
        yield Item("a", folder / "test 0.PNG", 0.5)
        yield Item("b", tmp_path / "bad.png", 1.0)
        yield Item("c", InputError("gone"), 1.5)
        yield Item("d", picture, 2.25)
        raise KeyboardInterrupt

    with Localiser(place, CPU) as loaded:
        expected = loaded.localise([folder / "test 0.PNG", picture], ["a", "d"]).table
        rows = list(localise_stream(loaded, items(), tmp_path / "out", formats=("hloc", "ace")))
    assert [row["image"] for row in rows] == ["a", "b", "c", "d"]
    table = pd.read_csv(tmp_path / "out/poses.csv")
    assert list(table.columns) == [*COLUMNS, "seconds"] == [*expected.columns, "seconds"]
    assert table["seconds"].tolist() == [0.5, 1.0, 1.5, 2.25]
    assert table["tx"].isna().tolist() == [False, True, True, False]
    assert table["accepted"].tolist() == [True, False, False, True]
    np.testing.assert_allclose(table[POSE].iloc[[0, 3]], expected[POSE], atol=1e-5)
    tum = np.loadtxt(tmp_path / "out/poses.txt")
    np.testing.assert_allclose(tum[:, 0], [0.5, 2.25])
    np.testing.assert_allclose(tum[:, 1:4], table[POSE[:3]].iloc[[0, 3]], atol=1e-6)
    for name in ("hloc", "ace"):
        lines = (tmp_path / f"out/{name}.txt").read_text().splitlines()
        assert [line.split()[0] for line in lines] == ["a", "d"]


def test_a_watched_trajectory_is_in_full_and_in_the_order_of_time(
    place, folder, tmp_path, monkeypatch
):
    """Photos of one date too; at map coordinates, nanometres and microseconds stay."""
    date = 1764487001.1234567
    seconds = {"test 0.PNG": date + 60, "test 1.PNG": date, "test 2.PNG": date, "test 3.PNG": 0.1}
    localise_one, poses = Localiser.localise, []

    def localise_far(*arguments):
        found = localise_one(*arguments)
        found.table["tx"] += 32_600_000 / 3
        poses.append(found.table[POSE].iloc[0].tolist())
        return found

    monkeypatch.setattr(Localiser, "localise", localise_far)
    with Localiser(place, CPU) as loaded:
        items = [Item(name, folder / name, own) for name, own in seconds.items()]
        list(localise_stream(loaded, items, tmp_path))
    table = pd.read_csv(tmp_path / "poses.csv", dtype=str)  # pandas may round numbers
    assert table[POSE].astype(float).to_numpy().tolist() == poses
    assert table["seconds"].astype(float).tolist() == list(seconds.values())
    tum = np.loadtxt(tmp_path / "poses.txt")
    np.testing.assert_array_equal(tum[:, 1], np.array(poses)[[3, 1, 2, 0], 0])
    assert tum[[0, 1, 3], 0].tolist() == [0.1, date, date + 60]
    assert 0 < tum[2, 0] - date < 2e-6
    tools = pytest.importorskip("evo.tools.file_interface")
    valid, details = tools.read_tum_trajectory_file(tmp_path / "poses.txt").check()
    assert valid, details


def test_a_stream_keeps_little_of_each_pose(place, folder, tmp_path, monkeypatch):
    """A camera goes on for weeks."""
    with Localiser(place, CPU) as loaded:
        once = loaded.localise(folder / "test 0.PNG")
        monkeypatch.setattr(loaded, "localise", lambda *_: once._replace(table=once.table.copy()))
        items = (Item(f"camera-0/frame-{n:06d}", folder / "test 0.PNG", n / 5) for n in range(200))
        rows = localise_stream(loaded, items, tmp_path)
        sizes = []
        tracemalloc.start()
        for number, _ in enumerate(rows):
            if number in (50, 150):
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert (sizes[1] - sizes[0]) / 100 < 4000  # bytes


def test_a_watch_with_a_photo_that_cannot_be_read_ends_with_1(
    place, folder, tmp_path, monkeypatch, capsys
):
    export_map(place, tmp_path / "tiny.map")

    def watched(_):
        yield Item("a", folder / "test 0.PNG", 0.5)
        yield Item("b", InputError("b: gone"), 1.0)
        raise KeyboardInterrupt

    monkeypatch.setattr("relposegnn.photos.sources.watched_photos", watched)
    asked = ["--map", str(tmp_path / "tiny.map"), "--device", "cpu", "--workers", "1"]
    asked += ["--watch", str(folder), "--output", str(tmp_path / "out"), "--format", "ace"]
    assert localise(asked) == 1
    printed = capsys.readouterr()
    assert "1 of 2 photos cannot be read" in printed.err
    assert "ace.txt" in printed.out
    assert (tmp_path / "out/ace.txt").read_text().startswith("a ")


def test_a_stream_that_is_interrupted_while_its_place_loads_names_no_files(
    place, tmp_path, monkeypatch, capsys
):
    export_map(place, tmp_path / "tiny.map")

    def load(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Localiser, "__init__", load)
    asked = ["--map", str(tmp_path / "tiny.map"), "--device", "cpu", "--workers", "1"]
    assert localise([*asked, "--watch", str(tmp_path), "--output", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert printed.err.endswith("localise: interrupted\n")
    assert "poses.csv" not in printed.out
    assert not (tmp_path / "out").exists()


def test_a_place_that_changes_ends_a_stream(folder, tmp_path):
    """No further photo is taken, and none is said to be wrong."""
    place = described_place(tmp_path)

    def items():
        yield Item("a", folder / "test 0.PNG", 0.5)
        place.descriptors.touch()
        yield Item("b", folder / "test 1.PNG", 1.0)
        pytest.fail("a photo was taken after the place had changed")

    with Localiser(place, CPU) as loaded, pytest.raises(ChangedError, match=r"rs\.h5: was over"):
        list(localise_stream(loaded, items(), tmp_path / "out"))
    assert pd.read_csv(tmp_path / "out/poses.csv")["image"].tolist() == ["a"]
    assert len((tmp_path / "out/poses.txt").read_text().splitlines()) > 0


def test_what_every_photo_would_meet_ends_a_stream(folder, tmp_path):
    """An image of the place that is gone, or a focal length in pixels, is no photo's fault."""
    place = described_place(tmp_path)
    images = place.frames.parent / "scene"
    write_camera(tmp_path / "camera.json", 0.8, "planted", Owner("tiny", "tiny"))
    place = replace(place, images=images, camera=tmp_path / "camera.json")

    def items():
        yield Item("a", folder / "test 0.PNG", 0.5)
        for image in images.rglob("*.png"):
            image.unlink()
        yield Item("b", folder / "test 1.PNG", 1.0)
        pytest.fail("a photo was taken after the place's images had gone")

    with Localiser(place, CPU) as loaded:
        with pytest.raises(InputError, match=r"scene/.*\.png: no such file, .* put it back"):
            list(localise_stream(loaded, items(), tmp_path / "out"))
        with pytest.raises(InputError, match=r"focal length is 585\.0, expected 0\.1 to 10"):
            list(localise_stream(loaded, items(), tmp_path / "pixels", focal_length=585.0))
    assert pd.read_csv(tmp_path / "out/poses.csv")["image"].tolist() == ["a"]
    assert not (tmp_path / "pixels/poses.csv").exists()


def test_what_cannot_be_read_since_the_place_has_changed_is_told_of_the_place(
    folder, tmp_path, monkeypatch
):
    place = described_place(tmp_path)
    with Localiser(place, CPU) as loaded:

        def read_changed(*_):
            place.frames.touch()
            raise InputError("frames.h5: is damaged")

        monkeypatch.setattr(loaded, "_recognise", read_changed)
        with pytest.raises(ChangedError, match=r"tiny-frames\.h5: was overwritten"):
            loaded.localise(folder / "test 0.PNG")


def test_a_run_leaves_nothing_of_the_one_before_it(place, folder, tmp_path):
    """Photos after a stream in one folder, and the other way round."""
    lists, photo = {"poses.csv", "poses.txt", "images.txt"}, folder / "test 0.PNG"
    with Localiser(place, CPU) as loaded:
        list(localise_stream(loaded, [Item("a", photo, 0.5)], tmp_path / "out", None, FORMATS))
        assert {path.name for path in (tmp_path / "out").iterdir()} > {"colmap", "ace.txt"}
        localise_photos(place, photo, tmp_path / "out", CPU)
        assert {path.name for path in (tmp_path / "out").iterdir()} == lists | {"photos.png"}
        list(localise_stream(loaded, [Item("b", photo, 0.5)], tmp_path / "out"))
        assert {path.name for path in (tmp_path / "out").iterdir()} == lists


def broken(error):
    """Return a stream that ends before its first photo, by raising an error."""
    yield from ()
    raise error


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, InputError("x.mp4: no video")])
def test_a_stream_without_a_photo_keeps_what_an_earlier_run_left(
    place, folder, tmp_path, caplog, error
):
    with Localiser(place, CPU) as loaded:
        earlier = [Item("a", folder / "test 0.PNG", 0.5)]
        list(localise_stream(loaded, earlier, tmp_path, formats=FORMATS))
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        stream = localise_stream(loaded, broken(error) if error else [], tmp_path)
        if isinstance(error, InputError):
            with pytest.raises(InputError, match="no video"):
                list(stream)
        else:
            assert list(stream) == []
            assert "nothing was localised, and what an earlier run left" in caplog.text
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_stream_that_is_interrupted_before_its_first_photo_leaves_a_table_of_none(
    place, tmp_path
):
    with Localiser(place, CPU) as loaded:
        assert list(localise_stream(loaded, broken(KeyboardInterrupt), tmp_path)) == []
    assert len(pd.read_csv(tmp_path / "poses.csv")) == 0
    assert (tmp_path / "poses.txt").exists()


def test_a_stream_of_no_photos_leaves_a_table_of_none(place, tmp_path):
    with Localiser(place, CPU) as loaded:
        assert list(localise_stream(loaded, [], tmp_path, formats=("ace",))) == []
    table = pd.read_csv(tmp_path / "poses.csv")
    assert (list(table.columns), len(table)) == ([*COLUMNS, "seconds"], 0)


def test_a_disk_that_fills_during_a_stream_is_told_and_keeps_whole_rows(place, folder, tmp_path):
    items = (Item(f"{row}" * 100, folder / "test 0.PNG", row) for row in range(9))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Localiser(place, CPU) as loaded:
        rows = localise_stream(loaded, items, tmp_path)
        kept = [next(rows)]
        size = (tmp_path / "poses.csv").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 500, before[1]))
        try:
            with pytest.raises(InputError, match=r"csv: cannot be written \(File too large"):
                kept += rows
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    text = (tmp_path / "poses.csv").read_text()
    assert text.endswith("\n")
    assert pd.read_csv(tmp_path / "poses.csv")["seconds"].tolist() == list(range(len(kept)))


def test_a_table_that_cannot_be_written_is_told_before_anything_is_localised(
    place, folder, tmp_path
):
    (tmp_path / "poses.csv").mkdir()
    with Localiser(place, CPU) as loaded, pytest.raises(InputError, match=r"csv: is a folder"):
        list(localise_stream(loaded, [Item("a", folder / "test 0.PNG", 0.5)], tmp_path))
