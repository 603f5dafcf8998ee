"""A map localises as the results folder does, and damage to it is told."""

import errno
import gc
import json
import shutil
import tempfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import av
import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import DATABASE, QUERIES
from described_place import CPU

from relposegnn.data.camera_files import write_camera
from relposegnn.data.frames import Frames
from relposegnn.files.owners import Owner
from relposegnn.files.storage import create_hdf5
from relposegnn.matching.key_points import find_key_points
from relposegnn.matching.scenes import KEY_POINTS
from relposegnn.matching.stored_key_points import KIND, StoredKeyPoints, write_key_points
from relposegnn.photos.command import main as localise
from relposegnn.photos.export_command import main
from relposegnn.photos.localiser import Localiser
from relposegnn.photos.map_files import checksum, export_map, opened_place
from relposegnn.photos.place import write_place
from relposegnn.photos.table import POSE
from relposegnn.photos.unchanged import ChangedError
from relposegnn.retrieval.exact import Ranker
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow

TEXT = h5py.string_dtype()


def test_a_map_localises_as_the_results_folder_does(place, folder, tmp_path, monkeypatch):
    """Refinement too; the map is made by the command, moved, and has no image."""
    write_camera(tmp_path / "camera.json", 0.8, "planted", Owner("tiny", "tiny"))
    images = place.frames.parent / "scene"
    refined = replace(place, camera=tmp_path / "camera.json", images=images)
    write_place(tmp_path / "results/d/runs/joint/places/tiny.json", refined)
    monkeypatch.chdir(tmp_path)
    assert main(["tiny", "--workers", "1"]) == 0
    moved = Path("tiny.map").rename(tmp_path / "elsewhere")
    photos = sorted(folder.glob("*.PNG"))
    with Localiser(refined, CPU) as loaded:
        expected = loaded.localise(photos)
    with opened_place(moved) as told, Localiser(told, CPU) as loaded:
        found = loaded.localise(photos)
        assert told.sampling == place.sampling
        assert told.within == place.within
    assert found.table.equals(expected.table)
    np.testing.assert_array_equal(found.covariances, expected.covariances)
    with h5py.File(moved) as file:
        assert "images" not in file["frames/train"]
        assert len(file["frames/test/name"]) == 0
    with Frames(moved) as frames:
        assert frames.count("train") == 12


@pytest.fixture(scope="module")
def exported(place, tmp_path_factory):
    """Return the map of the tiny place, as bytes."""
    path = tmp_path_factory.mktemp("map") / "tiny.map"
    export_map(place, path)
    return path.read_bytes()


@pytest.mark.parametrize("change", ["replaced", "written", "removed"])
def test_a_map_that_changes_in_use_is_refused(exported, folder, tmp_path, change):
    """A new one would be mixed with what was read of the old one; a short one ends the process."""
    path, photo = tmp_path / "a.map", min(folder.glob("*.PNG"))
    path.write_bytes(exported)
    with opened_place(path) as told, Localiser(told, CPU) as loaded:
        loaded.localise(photo)
        if change == "replaced":
            shutil.copy(path, tmp_path / "b.map").rename(path)
        elif change == "written":
            path.write_bytes(exported)
        else:
            path.unlink()
        with pytest.raises(ChangedError, match=r"a\.map: was overwritten, .* start again"):
            loaded.localise(photo)


def test_a_map_that_is_replaced_between_opening_and_loading_is_refused(exported, tmp_path):
    path = tmp_path / "a.map"
    path.write_bytes(exported)
    with opened_place(path) as told:
        shutil.copy(path, tmp_path / "b.map").rename(path)
        with pytest.raises(ChangedError, match=r"a\.map: was overwritten, .* start again"):
            Localiser(told, CPU)


def test_a_temporary_folder_that_is_full_is_not_the_maps_fault(exported, tmp_path, monkeypatch):
    (tmp_path / "a.map").write_bytes(exported)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for failing in (Path.write_bytes, tempfile.mkdtemp):
        owner = Path if failing is Path.write_bytes else tempfile
        with monkeypatch.context() as full, pytest.raises(InputError) as caught:
            full.setattr(owner, failing.__name__, full_disk)
            with opened_place(tmp_path / "a.map"):
                pass
        assert "relposegnn-map" in str(caught.value)
        assert "cannot be written (No space left on device" in str(caught.value)


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_damage_is_told(exported, tmp_path):
    path = tmp_path / "a.map"
    path.write_bytes(exported)
    with h5py.File(path) as file:
        places = [
            file[name].id.get_offset() + 5
            for name in ("files/model", "frames/train/world_from_cam", "encoded/train")
        ]
    for place_of_damage in places:
        damaged = bytearray(exported)
        damaged[place_of_damage] ^= 1
        path.write_bytes(damaged)
        with (
            pytest.raises(InputError, match=r"a\.map: is damaged: .* checksum .*export this map"),
            opened_place(path),
        ):
            pass
    for content, message in (
        (exported[: len(exported) // 2], r"a\.map: cannot be read as HDF5"),
        (b"", r"a\.map: cannot be read as HDF5"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message), opened_place(path):
            pass


def test_a_file_of_another_kind_or_version_is_refused(place, exported, tmp_path):
    with (
        pytest.raises(InputError, match=r"holds 'frames' in schema .*, expected 'map'"),
        opened_place(place.frames),
    ):
        pass
    path = tmp_path / "a.map"
    path.write_bytes(exported)
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = "9.0"
    with pytest.raises(InputError, match=r"in schema 9\.0, expected 'map'"), opened_place(path):
        pass


def test_the_command_replaces_nothing_but_maps(place, tmp_path, monkeypatch, capsys):
    results = tmp_path / "results/tiny"
    kept = shutil.copy(place.frames, tmp_path / "frames.h5")
    write_place(results / "runs/joint/places/tiny.json", replace(place, frames=Path(kept)))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poses.csv").write_text("of the user")
    for name in ("results/../frames.h5", "poses.csv"):
        before = Path(name).read_bytes()
        assert main(["tiny", "--output", name, "--workers", "1"]) == 1
        told = f"{Path(name)}: is not a map, and would be replaced by one"
        assert told in capsys.readouterr().err
        assert Path(name).read_bytes() == before
    (tmp_path / "maps").mkdir()
    for _ in ("new", "replaced"):
        assert main(["tiny", "--output", "maps", "--workers", "1"]) == 0
    with opened_place(tmp_path / "maps/tiny.map") as found:
        assert found.candidates == place.candidates


@pytest.mark.parametrize(
    ("group", "told", "found"),
    [
        ("descriptors", {"width": 10**6, "height": 10**6}, "1000000000000 pixels"),
        ("descriptors", {"width": 0}, "width is 0"),
        ("descriptors", {"width": "80"}, "width is '80'"),
        ("descriptors", {"crop": 0}, "crop is 0"),
    ],
)
def test_sizes_that_no_photo_can_be_brought_to_are_refused(exported, tmp_path, group, told, found):
    path = tmp_path / "a.map"
    path.write_bytes(exported)
    with h5py.File(path, "a") as file:
        settings = json.loads(file[group].attrs["settings"])
        file[group].attrs["settings"] = json.dumps({**settings, **told})
        file.attrs["checksum"] = checksum(file)
    with (
        opened_place(path) as opened,
        pytest.raises(InputError, match=rf"a\.map.*{found}.*expected"),
    ):
        Localiser(opened, CPU)


def test_stored_key_points_are_those_of_the_images(rendered_room, tmp_path):
    paths = [rendered_room.paths[row] for row in (*DATABASE[:2], QUERIES[0])]
    with create_hdf5(tmp_path / "k.h5", KIND, {}) as file:
        write_key_points(file, paths, 1)
    with StoredKeyPoints(tmp_path / "k.h5") as stored:
        for row, path in enumerate(paths):
            expected = find_key_points(path, KEY_POINTS)
            assert len(expected.places) > 50
            for found, wanted in zip(stored.of(row), expected, strict=True):
                np.testing.assert_array_equal(found, wanted)


def test_a_large_database_costs_no_object_an_image(place, tmp_path):
    """20,000 images: labels take their own bytes, and descriptors stay in the file."""
    count, width = 20_000, 64
    with create_hdf5(tmp_path / "large.h5", "frames", {}) as file:
        file.attrs.update(dataset="d", scene="s", mean=[0.5] * 3, variance=[0.1] * 3)
        for split, number in (("train", count), ("test", 0)):
            names = np.array([f"seq-01/frame-{row:06d}" for row in range(number)], dtype="S")
            for label in ("name", "source"):
                file.create_dataset(f"{split}/{label}", data=names.astype(object), dtype=TEXT)
            file[f"{split}/world_from_cam"] = np.tile(np.eye(4), (number, 1, 1))
            file.create_dataset(f"{split}/images", (number, 4, 4, 3), "u1")
    rows = np.random.default_rng(0).standard_normal((count, width)).astype(np.float32)
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["rows"] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    gc.collect()
    before = len(gc.get_objects())
    tracemalloc.start()
    with Frames(tmp_path / "large.h5") as frames, h5py.File(tmp_path / "d.h5") as file:
        ranker = Ranker(file["rows"])
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert frames.name("train", count - 1) == "seq-01/frame-019999"
        best = ranker.rank(file["rows"][7:8], 3).index[0, 0]
        assert best == 7
    assert len(gc.get_objects()) - before < count / 100
    assert held < count * (4 * 4 * 8 + 2 * 24 + 8) + 2_000_000  # poses, labels, focal lengths


def test_the_command_takes_a_map_with_photos_or_a_video(place, exported, folder, tmp_path, capsys):
    (tmp_path / "tiny.map").write_bytes(exported)
    with av.open(str(tmp_path / "walk.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=2)
        stream.width, stream.height = 80, 64
        for level in (10, 90, 170):
            pixels = np.full((64, 80, 3), level, dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    asked = ["--map", str(tmp_path / "tiny.map"), "--device", "cpu", "--workers", "1"]
    with Localiser(place, CPU) as loaded:
        expected = loaded.localise(sorted(folder.glob("*.PNG"))).table
    pattern = str(folder / "*.PNG")
    assert localise([pattern, *asked, "--output", str(tmp_path / "photos-out")]) == 0
    found = pd.read_csv(tmp_path / "photos-out/poses.csv")
    assert found["image"].tolist() == expected["image"].tolist()
    np.testing.assert_allclose(found[POSE], expected[POSE], atol=1e-5)
    video = [str(tmp_path / "walk.mp4"), "--every", "2", "--output", str(tmp_path / "out")]
    assert localise([*video, *asked]) == 0
    table = pd.read_csv(tmp_path / "out/poses.csv")
    assert table["image"].tolist() == ["walk.mp4/frame-000000", "walk.mp4/frame-000002"]
    assert table["seconds"].tolist() == [0.0, 1.0]
    assert "walk.mp4/frame-000002  1.00 s" in capsys.readouterr().out
    assert localise([pattern, "--every", "2", *asked]) == 1
    assert "--every 2: got photos, expected a video or a camera" in capsys.readouterr().err
    for wrong in ([], ["--camera", "0", pattern], [pattern, "--model", "m.pt"]):
        with pytest.raises(SystemExit):
            localise([*wrong, *asked])
