"""Poses found by COLMAP: a rendered room's are where its cameras were, up to a similarity."""

import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import ExifTags, Image
from planted_scenes import TRAIN, colmap_model
from project import REPOSITORY
from scipy.spatial.transform import Rotation

from relposegnn.commands.find_poses import main
from relposegnn.layouts.colmap import read_model
from relposegnn.layouts.reading import read_scene
from relposegnn.reconstruction import mapping
from relposegnn.reconstruction.mapping import Reconstruction, find_poses
from relposegnn.reconstruction.pairs import FOLLOWING, pairs_to_match
from relposegnn.reconstruction.photos import warn_of_lenses
from relposegnn.reconstruction.scale import scale_model
from relposegnn.runtime import InputError

ROWS = range(0, 24, 2)  # of the rendered room: one walk
SEQUENCE = "my walk"


def write_noise(folder: Path, count: int) -> list[Path]:
    """Write images that show nothing; return their paths."""
    folder.mkdir(exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (count, 15, 20, 3), dtype=np.uint8)
    paths = [folder / f"{row:02}.png" for row in range(count)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).resize((160, 120), Image.Resampling.BICUBIC).save(path)
    return paths


@pytest.fixture(scope="module")
def found(rendered_room, tmp_path_factory) -> tuple[Path, Reconstruction]:
    """Return a folder of photos whose poses were found, and what was told of them."""
    folder = tmp_path_factory.mktemp("found") / "garage"
    (folder / "images" / SEQUENCE).mkdir(parents=True)
    for row in ROWS:
        shutil.copy(rendered_room.paths[row], folder / f"images/{SEQUENCE}/{row}.png")
    return folder, find_poses(folder, workers=1)


@pytest.fixture
def place(found, tmp_path) -> Path:
    """Return a copy of the folder, to change."""
    return Path(shutil.copytree(found[0], tmp_path / "garage"))


@pytest.mark.slow
def test_poses_are_where_the_cameras_were(found, rendered_room):
    folder, told = found
    scene = read_scene(folder)
    assert [frame.name for frame in scene.train] == [f"{SEQUENCE}/{row}" for row in ROWS]
    assert told[:3] == (len(ROWS), len(ROWS), 0)
    assert told.focal_length == pytest.approx(0.8, rel=0.05)
    assert scene.train[0].focal_length == pytest.approx(told.focal_length)
    assert told.error < 1
    poses = np.stack([frame.world_from_cam for frame in scene.train])
    truths = rendered_room.poses[list(ROWS)]
    turn = Rotation.from_matrix(truths[:, :3, :3]) * Rotation.from_matrix(poses[:, :3, :3]).inv()
    assert np.degrees((turn * turn.mean().inv()).magnitude()).max() < 2
    centres, true_centres = (
        part[:, :3, 3] - part[:, :3, 3].mean(axis=0) for part in (poses, truths)
    )
    turned = turn.mean().apply(centres)
    scale = (turned * true_centres).sum() / (turned**2).sum()
    apart = np.linalg.norm(scale * turned - true_centres, axis=1)
    assert apart.max() < 0.06 * np.ptp(true_centres, axis=0).max()
    assert {path.name for path in folder.iterdir()} == {"images", "sparse"}


@pytest.mark.slow
def test_two_photos_whose_distance_is_known_tell_the_scale(place, rendered_room):
    (place / "sparse/0/project.ini").write_text("of the user's own")
    first, last = (f"{SEQUENCE}/{row}.png" for row in (ROWS[0], ROWS[-1]))
    truth = rendered_room.poses[[ROWS[0], ROWS[-1]], :3, 3]
    metres = float(np.linalg.norm(truth[0] - truth[1]))
    before = read_scene(place).train
    os.utime(place, (1e9, 1e9))
    factor, apart = scale_model(place, [(first, last, metres)])
    assert apart == pytest.approx([metres])
    assert place.stat().st_mtime > 1e9  # which the workflow looks at
    after = read_scene(place).train
    centres = after[0].world_from_cam[:3, 3], after[-1].world_from_cam[:3, 3]
    assert np.linalg.norm(centres[0] - centres[1]) == pytest.approx(metres)
    np.testing.assert_allclose(
        after[5].world_from_cam[:3, 3], factor * before[5].world_from_cam[:3, 3]
    )
    np.testing.assert_allclose(after[5].world_from_cam[:3, :3], before[5].world_from_cam[:3, :3])
    assert scale_model(place, [(first, last, metres)])[0] == pytest.approx(1)
    middle = f"{SEQUENCE}/{ROWS[5]}.png"
    half = float(np.linalg.norm(centres[0] - after[5].world_from_cam[:3, 3]))
    factor, apart = scale_model(place, [(first, last, 2 * metres), (first, middle, 2.2 * half)])
    assert 2 < factor < 2.2
    assert apart == pytest.approx([factor * metres, factor * half])
    assert (place / "sparse/0/project.ini").read_text() == "of the user's own"


@pytest.mark.slow
def test_what_was_done_before_a_kill_is_not_done_again(place, caplog, monkeypatch):
    shutil.rmtree(place / "sparse")
    for row in ROWS[4:]:
        (place / f"images/{SEQUENCE}/{row}.png").unlink()
    database, caught = place / ".find-poses/database.db", []

    def interrupted(*_, **__):
        with pycolmap.Database.open(database) as opened:
            caught.append((opened.num_keypoints(), opened.num_verified_image_pairs()))
        raise KeyboardInterrupt

    monkeypatch.setattr(pycolmap, "incremental_mapping", interrupted)
    with caplog.at_level(logging.INFO), pytest.raises(KeyboardInterrupt):
        find_poses(place)
    assert "resuming" not in caplog.text
    with caplog.at_level(logging.INFO), pytest.raises(KeyboardInterrupt):
        find_poses(place)
    assert f"{place}: resuming unfinished work" in caplog.text
    assert min(caught[0]) > 0
    assert len(set(caught)) == 1
    moved = place.rename(place.with_name("moved"))
    (moved / f"images/{SEQUENCE}/{ROWS[3]}.png").unlink()
    with caplog.at_level(logging.INFO), pytest.raises(KeyboardInterrupt):
        database = moved / ".find-poses/database.db"
        find_poses(moved)
    assert f"{moved}: the photos have changed since the last run; starting again" in caplog.text
    assert 0 < caught[2][0] < caught[0][0]
    assert not (moved / "sparse").exists()


def test_sigterm_ends_a_program_in_its_own_way_once_colmap_is_loaded(tmp_path):
    """Its log has a way of its own, in which nothing is cleaned up."""
    program = (
        "import os, signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "from relposegnn.colmap_library import load_pycolmap; load_pycolmap()\n"
        "os.kill(os.getpid(), signal.SIGTERM); signal.pause()"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow/scripts")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (7, b"")


@pytest.mark.parametrize(("millimetres", "told"), [(26, False), (27, False), (13, True)])
def test_photos_of_several_lenses_are_told(tmp_path, caplog, millimetres, told):
    photos = write_noise(tmp_path, 4)
    for photo, length in zip(photos[1:], (26, 26, millimetres), strict=True):
        tags = Image.Exif()
        tags[ExifTags.Base.Orientation] = 1
        tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = length
        Image.open(photo).save(photo, exif=tags)
    warn_of_lenses(photos, 1)
    assert ("from 0.38 (" in caplog.text) == told
    assert f"{photos[3]}) to 0.75 ({photos[2]}) longer sides" in caplog.text or not told


def test_photos_of_nothing_in_common_have_no_poses(tmp_path):
    write_noise(tmp_path / "images", 4)
    with pytest.raises(InputError, match="COLMAP finds no poses, expected photos of one place"):
        find_poses(tmp_path)
    assert not (tmp_path / "sparse").exists()


def test_of_several_models_the_largest_is_written(tmp_path, monkeypatch):
    write_noise(tmp_path / "images", 4)

    def planted(database: Path, *_, **__) -> dict[int, pycolmap.Reconstruction]:
        with pycolmap.Database.open(database) as opened:
            links = sorted(image.name for image in opened.read_all_images())
        none, small, large = (colmap_model(TRAIN[:count]) for count in (4, 1, 2))
        for model, names in ((none, links), (small, links[2:]), (large, links[:2])):
            for image, name in zip(model.images.values(), names, strict=False):
                image.name = name
        for model in (small, large):
            model.add_point3D(np.ones(3), pycolmap.Track())
        return {0: none, 1: small, 2: large}

    monkeypatch.setattr(pycolmap, "incremental_mapping", planted)
    assert find_poses(tmp_path)[:3] == (4, 2, 1)
    assert len(pycolmap.Reconstruction(tmp_path / "sparse/0").images) == 2
    with pytest.raises(InputError, match="sparse/0: has poses already; --force finds them again"):
        find_poses(tmp_path)
    assert find_poses(tmp_path, force=True).others == 1


def test_photos_are_matched_with_the_next_ones_and_with_those_that_look_alike(tmp_path):
    photos = write_noise(tmp_path, 60)
    for row in range(5):  # the walk comes by again
        shutil.copy(photos[row], photos[50 + row])
    pairs = pairs_to_match(photos, (160, 120), workers=2)
    assert pairs == sorted(set(pairs))
    assert all(first < second for first, second in pairs)
    assert {(row, row + 1) for row in range(59)} < set(pairs)
    assert {(row, row + FOLLOWING) for row in range(60 - FOLLOWING)} < set(pairs)
    assert {(row, row + 50) for row in range(5)} < set(pairs)
    assert len(pairs) < 60 * 59 / 2


@pytest.mark.parametrize(
    ("photos", "message"),
    [
        (None, "images: no such folder, expected the folder of the photos"),
        ({"a.png": (64, 48), "b.gif": (64, 48)}, "holds 1 PNG or JPEG files .*1 x .gif"),
        (dict.fromkeys(("a.png", "b.png", "c\nd.png"), (64, 48)), "'c.*nd.png' has a control"),
        (
            dict.fromkeys(("a.png", "b.png", "\udcff.png"), (64, 48)),
            "names of 1 photos are not text",
        ),
        ({"a.png": (64, 48), "b.png": (64, 48), "c.jpg": (48, 64)}, r"c\.jpg: is 48x64 pixels"),
    ],
)
def test_photos_that_cannot_do_are_refused(tmp_path, photos, message):
    if photos is not None:
        (tmp_path / "images").mkdir()
        for name, size in photos.items():
            Image.new("RGB", size).save(tmp_path / "images" / name)
    with pytest.raises(InputError, match=message):
        find_poses(tmp_path)
    assert not (tmp_path / "sparse").exists()


def test_a_place_that_is_none_is_refused_at_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda pause: pytest.fail("waits for a lock"))
    (tmp_path / "file").touch()
    for name in ("nosuch", "file"):
        assert main([str(tmp_path / name)]) == 1
        told = f"{name}/images: no such folder, expected the folder of the photos"
        assert told in capsys.readouterr().err


def test_the_command_keeps_what_was_found_unless_it_is_forced(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "with a blank" / "place"
    (folder / "sparse/0").mkdir(parents=True)
    colmap_model(TRAIN).write_binary(folder / "sparse/0")
    assert main([str(folder)]) == 1
    assert "has poses already; --force finds them again" in capsys.readouterr().err
    pair = [f"{name}.png" for name in TRAIN[:2]]
    assert main([str(folder), "--distance", *pair, "far"]) == 1
    assert "--distance: got far, expected a number above 0 of metres" in capsys.readouterr().err
    assert main([str(folder), "--distance", *pair, "2.5"]) == 0
    assert "The poses are in metres now: one unit before was" in (
        printed := capsys.readouterr().out
    )
    assert f"./relposegnn new-place '{folder}'" in printed
    told = Reconstruction(20, 15, 3, 0.8, 0.5, None)
    monkeypatch.setattr(mapping, "find_poses", lambda *_: told)
    assert main([str(folder), "--force"]) == 0
    printed = capsys.readouterr().out
    assert "15 of 20 photos have poses; the mean reprojection error is 0.50 pixels" in printed
    assert "5 photos are left out. 3 of them are connected to each other, but not" in printed
    assert "--distance PHOTO PHOTO METRES" in printed
    assert "Do not trust" not in printed
    for bad in (told._replace(registered=9), told._replace(focal_length=3.1)):
        monkeypatch.setattr(mapping, "find_poses", lambda *_, bad=bad: bad)
        assert main([str(folder), "--force"]) == 0
        assert "Do not trust these poses: most photos" in capsys.readouterr().out
    assert main([str(folder), "--force", "--distance", pair[0], "images/none.png", "1"]) == 1
    assert "images/seq" in capsys.readouterr().err
    assert main([str(tmp_path / "a place")]) == 1
    assert "a place: its name becomes the scene's name, expected up to" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["sparse", "."])
def test_a_model_of_the_users_own_is_no_reason_to_find_poses_anew(tmp_path, capsys, where):
    """In all places where a model is read."""
    place, pair = tmp_path / "place", [f"{name}.png" for name in TRAIN[:2]]
    (place / where).mkdir(parents=True)
    colmap_model(TRAIN).write_binary(place / where)
    assert main([str(place)]) == 1
    assert f"{place / where}: has poses already; --force" in capsys.readouterr().err
    scaled = main([str(place), "--distance", *pair, "2.5"]) == 0
    assert scaled == (where == "sparse")
    centres = [read_model(place / where)[0][name][:3, 3] for name in pair]
    assert scaled == (np.linalg.norm(centres[0] - centres[1]) == pytest.approx(2.5))
    asked = f"move them to {place}/sparse/0"
    assert scaled or asked in capsys.readouterr().err
