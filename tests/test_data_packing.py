"""Packing frames: what is held out, statistics, and scenes that are refused."""

import json
import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import ExifTags, Image
from planted_scenes import (
    TEST,
    TRAIN,
    write_cambridge,
    write_noise,
    write_seven_scenes,
    write_tables,
)

from relposegnn.data.frames import Frames
from relposegnn.data.images import read_image
from relposegnn.data.packing import Packing, channel_histogram, channel_statistics, pack_frames
from relposegnn.files import storage
from relposegnn.files.storage import SPLITS, open_hdf5, read_settings
from relposegnn.layouts.scenes import Frame, Scene, hold_out, recorded_order
from relposegnn.photos.files import read_photo
from relposegnn.runtime import InputError

GIVEN = ([0.45, 0.5, 0.55], [0.06, 0.07, 0.08])


def pack(folder: Path, workers: int = 1, **options) -> Path:
    """Pack a scene with a shorter side of 24 pixels; return the frames file."""
    path = folder.parent / f"{folder.name}.h5"
    pack_frames(folder, path, "mine", folder.name, Packing(24, **options), workers)
    return path


def settings_of(path: Path) -> dict:
    """Return the settings recorded in a frames file."""
    with open_hdf5(path, "frames") as file:
        return read_settings(file)


def test_file_layout(tmp_path):
    with h5py.File(pack(write_noise(tmp_path / "attic"))) as file:
        assert file.attrs["kind"] == "frames"
        assert json.loads(file.attrs["settings"])["shorter_side"] == 24
        assert set(file) == {"train", "test"}
        for group in file.values():
            assert group["images"].chunks is None
            assert group["images"].dtype == np.uint8
            assert group["world_from_cam"].dtype == np.float64


@pytest.mark.parametrize(
    ("stretch", "queries"), [(4, [4, 5, 6, 7]), (5, [5, 6, 7, 8, 9]), (3, [3, 4, 5, 9, 10, 11])]
)
def test_whole_stretches_are_held_out_of_all_frames(tmp_path, stretch, queries):
    folder = write_noise(tmp_path / "garage")
    with Frames(pack(folder)) as frames:
        names = sorted(frames.names("train") + frames.names("test"))
        images = {
            name: frames.images(split, [row])
            for split in SPLITS
            for row, name in enumerate(frames.names(split))
        }
    with Frames(pack(folder, held_out=stretch)) as frames:
        expected = [names[i] for i in queries]
        assert frames.names("test") == expected
        assert frames.names("train") == [name for name in names if name not in expected]
        for split in SPLITS:
            for row, name in enumerate(frames.names(split)):
                np.testing.assert_array_equal(frames.images(split, [row]), images[name])
    with pytest.raises(InputError, match="garage: has 12 frames, expected more"):
        pack(folder, held_out=12)


def test_names_are_ordered_as_images_were_taken():
    """Numbers by what they come to, however many figures they have."""
    taken = ["a/2.jpg", "a/010.jpg", "a/10.jpg", "a/11.jpg", "a1/1.jpg", "a2/9.jpg", "a10/08.jpg"]
    assert sorted(reversed(taken), key=recorded_order) == taken
    seconds = [f"rgb/{each}" for each in ("9.9", "100.0", "100.05", "100.1", "100.125", "100.2")]
    assert sorted(reversed(seconds), key=recorded_order) == seconds
    frames = [Frame(f"{number}.png", Path(), np.eye(4)) for number in (10, 9, 2, 1)]
    scene = hold_out(Scene("garage", frames[:2], frames[2:]), 2)
    names = [[frame.name for frame in scene.frames(split)] for split in SPLITS]
    assert names == [["1.png", "2.png"], ["9.png", "10.png"]]


def test_images_are_those_of_their_files_in_any_number_of_blocks(tmp_path, monkeypatch):
    folder = write_noise(tmp_path / "attic")
    with Frames(pack(folder)) as frames:
        whole = frames.images("train", range(9))
    monkeypatch.setattr(storage, "BLOCK_BYTES", 4 * whole[0].nbytes + 1)
    with Frames(pack(folder, workers=3)) as frames:
        np.testing.assert_array_equal(frames.images("train", range(9)), whole)
        first = read_image(folder / frames.source("train", 0), frames.image_shape[::-1])
    np.testing.assert_array_equal(whole[0], first)
    assert len(np.unique(whole, axis=0)) == 9


def test_colours_are_jittered_once_for_each_image_and_its_name(tmp_path):
    folder = write_noise(tmp_path / "garage")
    strengths = (0.5, 0.5, 0.5, 0.2)
    with Frames(pack(folder)) as plain:
        original = plain.images("train", range(9)).astype(int)
    with Frames(pack(folder, colour_jitter=strengths)) as frames:
        jittered = frames.images("train", range(9)).astype(int)
    with Frames(pack(folder, colour_jitter=strengths)) as frames:
        np.testing.assert_array_equal(frames.images("train", range(9)), jittered)
    change = np.abs(jittered - original).mean(axis=(1, 2, 3))
    assert (change > 1).all()
    assert len(set(change.round(6))) == 9


def test_statistics_are_those_of_the_training_images(tmp_path):
    path = pack(write_tables(tmp_path / "garage", "csv"))
    with Frames(path) as frames:
        values = frames.images("train", range(4)).reshape(-1, 3) / 255
        np.testing.assert_allclose(frames.mean, values.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(frames.variance, values.var(axis=0), rtol=1e-12)
    assert settings_of(path)["statistics"] == "measured"


def test_statistics_of_planted_values():
    """A channel that is half 0 and half 255 has mean 1/2 and variance 1/4; a flat one none."""
    image = np.zeros((2, 4, 3), dtype=np.uint8)
    image[0, :, 0] = 255
    image[..., 2] = 51
    counts = channel_histogram(Image.fromarray(image))
    mean, variance = channel_statistics(counts * 10**14)  # no overflow, no drift
    np.testing.assert_allclose(mean, [0.5, 0.0, 0.2], atol=1e-15)
    np.testing.assert_allclose(variance, [0.25, 0.0, 0.0], atol=1e-15)


def test_given_statistics_are_recorded(tmp_path, caplog):
    path = pack(write_tables(tmp_path / "garage", "csv"), statistics=GIVEN)
    with Frames(path) as frames:
        np.testing.assert_array_equal(frames.mean, GIVEN[0])
        np.testing.assert_array_equal(frames.variance, GIVEN[1])
    assert settings_of(path)["statistics"] == "given"
    assert "the given mean" not in caplog.text


def test_given_mean_of_another_scene_is_suspicious(tmp_path, caplog):
    """Noise has mean 0.5."""
    with caplog.at_level(logging.WARNING):
        pack(write_tables(tmp_path / "garage", "csv"), statistics=([0.5, 0.5, 0.38], GIVEN[1]))
    assert "the given mean [0.5, 0.5, 0.38] is more than 0.1 from" in caplog.text


@pytest.mark.parametrize(
    "statistics",
    [
        ([0.5, 0.5], [0.1, 0.1]),
        ([0.5, 0.5, 1.5], [0.1, 0.1, 0.1]),
        ([0.5, 0.5, 0.5], [0.1, 0.1, 0.0]),
        ([0.5, 0.5, 0.5], [0.1, 0.1, 0.3]),
        ([0.5, 0.5, 0.5], [0.1, 0.1, float("nan")]),
    ],
)
def test_impossible_statistics(tmp_path, statistics):
    with pytest.raises(InputError, match=r"statistics of garage: got mean .*expected three"):
        pack(tmp_path / "garage", statistics=statistics)


def test_scene_without_queries(tmp_path):
    folder = write_tables(tmp_path / "garage", "csv")
    (folder / "test.csv").unlink()
    path = tmp_path / "garage.h5"
    pack_frames(folder, path, "mine", "garage", Packing(24), extracted=True)
    with Frames(path) as frames:
        assert (frames.count("train"), frames.count("test")) == (len(TRAIN), 0)
        assert frames.names("test") == frames.sources("test") == []
        assert frames.poses("test").shape == (0, 4, 4)
        assert frames.images("test", []).shape == (0, 24, 32, 3)
        assert frames.images("train", [0]).std() > 0
    with h5py.File(path) as file:
        assert file["test/images"].dtype == np.uint8
        assert file["test/world_from_cam"].dtype == np.float64


@pytest.mark.parametrize(
    ("write", "name", "header"),
    [
        (write_noise, "TestSplit.txt", ""),
        (write_cambridge, "dataset_test.txt", "one\ntwo\n\n"),
    ],
)
def test_an_extracted_scene_of_a_published_layout_needs_queries(tmp_path, write, name, header):
    """Without them it is incomplete; a folder of one's own may have none."""
    folder = write(tmp_path / "garage")
    to = tmp_path / "garage.h5", "mine", "garage", Packing(24)
    pack_frames(folder, *to, extracted=True)
    (folder / name).write_text(header)
    with pytest.raises(InputError, match=rf"{name}: names no queries, expected .*scenes_dir"):
        pack_frames(folder, *to, extracted=True)
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: no such file, expected .*extract it again"):
        pack_frames(folder, *to, extracted=True)
    pack_frames(folder, *to)
    with Frames(tmp_path / "garage.h5") as frames:
        assert frames.count("train") > 0
        assert frames.count("test") == 0


@pytest.mark.slow
def test_real_scene(shared, tmp_path):
    """Statistics of a stretch of RedKitchen lie near those of the whole scene."""
    file = tmp_path / "redkitchen.h5"
    pack_frames(
        shared / "data/7scenes/redkitchen", file, "7scenes", "redkitchen", Packing(64), workers=2
    )
    reference = json.loads((shared / "reference/normalisation.json").read_text())["redkitchen"]
    with Frames(file) as frames:
        assert frames.image_shape == (64, 85)
        np.testing.assert_allclose(frames.mean, reference["mean"], atol=0.03)
        np.testing.assert_allclose(frames.variance, reference["variance"], rtol=0.15)


def test_sizes_differ(tmp_path):
    folder = write_seven_scenes(tmp_path / "attic")
    Image.new("RGB", (48, 64)).save(folder / "seq-03/frame-000002.color.png")
    message = r"frame-000002\.color\.png: is 48x64 .*expected 64x48 .*leave out .*resize"
    with pytest.raises(InputError, match=message):
        pack(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["attic"]


def test_all_damaged_images_are_told_at_once(tmp_path, monkeypatch):
    folder = write_tables(tmp_path / "garage", "csv")
    damaged = [folder / f"{name}.png" for name in (*TRAIN[1:3], TEST[0])]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError) as caught:
        pack(folder)
    first, *told = str(caught.value).splitlines()
    assert first == "3 images cannot be read:"
    for line, path in zip(told, damaged, strict=True):
        assert line.startswith(f"{path}: cannot be read as an image")
    monkeypatch.setattr("relposegnn.data.packing.SHOWN_TROUBLES", 2)
    with pytest.raises(InputError, match=r"^3 images cannot be read:\n.*\n.*\n\.\.\.$"):
        pack(folder)


def test_damaged_image_leaves_no_file(tmp_path):
    folder = write_tables(tmp_path / "garage", "txt")
    broken = folder / f"{TEST[1]}.png"
    broken.write_bytes(broken.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"seq3/frame00002\.png: cannot be read"):
        pack(folder, workers=2)
    assert [path.name for path in tmp_path.iterdir()] == ["garage"]


def with_tags(folder: Path, tags: dict[str, int]) -> Path:
    """Give images orientation tags, by the start of their names; the pixels stay."""
    for path in folder.rglob("*.png"):
        for start, tag in tags.items():
            if path.relative_to(folder).as_posix().startswith(start):
                exif = Image.Exif()
                exif[ExifTags.Base.Orientation] = tag
                with Image.open(path) as image:
                    image.load()
                image.save(path, exif=exif)
    return folder


@pytest.mark.parametrize("tag", [1, 6])
def test_the_databases_orientation_is_recorded(tmp_path, caplog, tag):
    """Photos that a phone stored in the same way are then seen as its database images are."""
    folder = with_tags(write_noise(tmp_path / "attic"), {"seq": tag})
    pack_frames(folder, tmp_path / "attic.h5", "synthetic", "attic", Packing(12))
    with Frames(tmp_path / "attic.h5") as frames:
        assert frames.orientation == tag
        photo = read_photo(
            folder / frames.sources("train")[2], (40, 30), (16, 12), (16, 12), orientation=tag
        )
        np.testing.assert_array_equal(photo.seen, frames.images("train", [2])[0])
    assert "orientation tags" not in caplog.text


def test_orientations_that_differ_are_told_by_name(tmp_path, caplog):
    folder = with_tags(write_noise(tmp_path / "attic"), {"seq-03": 6, "seq-02": 8})
    pack_frames(folder, tmp_path / "attic.h5", "synthetic", "attic", Packing(12))
    with Frames(tmp_path / "attic.h5") as frames:
        assert frames.orientation == 1  # of 5 images, against 4
    assert "orientation tags (EXIF) differ, 5 x 1, 4 x 6, 3 x 8 (" in caplog.text
    for tag, sequence, count in ((6, 3, 4), (8, 2, 3)):
        for row in range(count):
            path = f"{folder}/seq-{sequence:02}/frame-{row:06}.color.png"
            assert f"{tag}: {path}" in caplog.text
    assert f"1: {folder}" not in caplog.text


def test_images_of_one_colour_are_no_database(tmp_path):
    folder = write_seven_scenes(tmp_path / "attic")
    with pytest.raises(InputError, match=r"attic: a channel has the same value .* expected photos"):
        pack_frames(folder, tmp_path / "attic.h5", "mine", "attic", Packing(24))
    assert not (tmp_path / "attic.h5").exists()
