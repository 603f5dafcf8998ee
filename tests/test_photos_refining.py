"""Photos of a rendered room: refined by its database, as a user has them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import DATABASE, FOCAL_LENGTH, QUERIES
from PIL import ExifTags, Image
from test_photos_place import place_in

from relposegnn.data.camera_files import write_camera
from relposegnn.data.frames import Frames
from relposegnn.data.images import open_image
from relposegnn.files.owners import Owner
from relposegnn.matching.most_probable import Guess, Prior
from relposegnn.matching.refinement import FREE
from relposegnn.matching.scenes import poses_of
from relposegnn.photos.cameras import (
    CAMERA,
    CUT_ODDS,
    EXIF_DEVIATION,
    FIXED,
    GUESS_DEVIATION,
    AssumedCameras,
)
from relposegnn.photos.files import exif_focal_length, frame_around
from relposegnn.photos.refining import PhotoRefiner

pytestmark = pytest.mark.slow

MILLIMETRES = ExifTags.Base.FocalLengthIn35mmFilm


@pytest.fixture
def place(rendered_scene, rendered_room, tmp_path):
    """Return a place whose database is that of the rendered room."""
    camera = tmp_path / "camera.json"
    write_camera(camera, FOCAL_LENGTH, "as rendered", Owner("d", "room"))
    images = rendered_room.paths[0].parent
    frames = rendered_scene / "frames.h5"
    return replace(place_in(tmp_path), frames=frames, camera=camera, images=images)


def assumed_cameras(sizes, packed, told, exact, usual=FOCAL_LENGTH) -> AssumedCameras:
    frames = np.array([frame_around(tuple(size), packed) for size in sizes.tolist()])
    return AssumedCameras.of_photos(sizes, frames, told, exact, usual)


def refine(place, rendered_room, paths, focal_length=None):
    """Return what is told of photos that are 3 cm off and refined, a row each.

    ``error`` in metres, its ``deviation``, ``points``, and the camera.
    """
    truth = rendered_room.poses[QUERIES]
    priors = [Prior(pose.copy(), 0.05, 0.02) for pose in truth]
    for prior in priors:
        prior.pose[:3, 3] += 0.03
    offset = truth[:, None, :3, 3] - rendered_room.poses[DATABASE][:, :3, 3]
    ranked = np.argsort(np.linalg.norm(offset, axis=2), axis=1)
    with Frames(place.frames, place.camera) as frames:
        photos = [open_image(path, frames.orientation) for path in paths]
        sizes = np.array([photo.size for photo in photos])
        told = np.array([focal_length or exif_focal_length(photo) for photo in photos])
        cameras = assumed_cameras(sizes, (256, 192), told, focal_length is not None)
        refined = PhotoRefiner(frames, place.images).refine(paths, ranked, priors, cameras, 2)
    poses, points = poses_of(refined)
    deviation = np.array([each.metres for each in refined])
    np.testing.assert_allclose(deviation[points == 0], 3**0.5 * 0.05)
    error = np.linalg.norm(poses[0] - truth[:, :3, 3], axis=1)
    told = {"error": error, "deviation": deviation, "points": points}
    return pd.DataFrame(told | cameras.columns(refined))


def test_photos_of_the_databases_camera_are_refined(place, rendered_room):
    paths = [rendered_room.paths[row] for row in QUERIES]
    found = refine(place, rendered_room, paths)
    placed = found[found["points"] > 0]
    assert len(placed) > 0.8 * len(found)
    assert (placed["deviation"] < 3**0.5 * 0.05).all()
    assert found["error"].median() < 0.01
    assert placed["fx"].median() == pytest.approx(FOCAL_LENGTH * 256, rel=0.01)


LONGER = FOCAL_LENGTH * 256 / 180  # of photos that are cut from images of 256 pixels


def cut_photos(rendered_room, folder: Path, tell: bool) -> list[Path]:
    """Write the middle of the queries, as a camera of a focal length of ``LONGER`` sees them.

    Sideways, with a tag that says so, and maybe one that tells the focal length.
    """
    paths = []
    for row in QUERIES:
        image = Image.open(rendered_room.paths[row])
        middle = image.crop((38, 28, 38 + 180, 28 + 136))
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        if tell:
            longer, diagonal = max(middle.size), np.hypot(*middle.size)
            length = LONGER * longer / diagonal * np.hypot(36, 24)
            exif.get_ifd(ExifTags.IFD.Exif)[MILLIMETRES] = round(length)
        paths.append(folder / f"{row}.png")
        middle.transpose(Image.Transpose.ROTATE_90).save(paths[-1], exif=exif)
    return paths


@pytest.mark.parametrize("by", ["EXIF", "option"])
def test_photos_by_another_camera_are_refined_by_their_focal_length(
    place, rendered_room, tmp_path, by
):
    """EXIF has it in whole millimetres: what is missing is solved for."""
    paths = cut_photos(rendered_room, tmp_path, tell=by == "EXIF")
    found = refine(place, rendered_room, paths, None if by == "EXIF" else LONGER)
    assert (found["points"] > 0).mean() > 0.6
    assert found["error"].median() < 0.01
    assert found["fx"].median() == pytest.approx(LONGER * 180, rel=0.02)


@pytest.mark.parametrize("form", ["middle", "corner", "high"])
def test_photos_that_were_cropped_or_stretched_are_placed_by_matches_alone(
    place, rendered_room, tmp_path, form
):
    """With another focal length, another middle, or another height; nothing tells of it."""
    paths = cut_photos(rendered_room, tmp_path, tell=False)
    for row, path in zip(QUERIES, paths, strict=True):
        with Image.open(rendered_room.paths[row]) as image:
            if form == "corner":
                image.crop((0, 0, 192, 144)).save(path)
            if form == "high":
                image.resize((256, 240)).save(path)
    found = refine(place, rendered_room, paths)
    assert (found["points"] > 0).mean() > 0.8
    assert found["error"].median() < 0.05
    assert (found["error"] < 2 * found["deviation"]).mean() > 0.8
    pixels = FOCAL_LENGTH * 256
    expected = {
        "middle": (pixels, pixels, 90, 68),
        "corner": (pixels, pixels, 128, 96),
        "high": (pixels, 1.25 * pixels, 128, 120),
    }
    np.testing.assert_allclose(found[CAMERA[2:]].median(), expected[form], atol=0.1 * pixels)


def test_a_photo_that_tells_nothing_is_taken_for_a_part_of_what_the_databases_camera_sees():
    """Of 4 x 3: a whole one, upright; 16:9; a square. Of 16 x 9, cut from 4 x 3, the same."""
    sizes = np.array([(480, 640), (640, 360), (360, 360)])
    for packed, parts in (((64, 48), [True, True, True]), ((64, 36), [True, False, True])):
        cameras = assumed_cameras(sizes, packed, np.full(3, np.nan), True, 0.8)
        np.testing.assert_allclose(cameras.focal_lengths, [0.8, 0.8, 0.8 * 4 / 3])
        np.testing.assert_array_equal(cameras.deviations, GUESS_DEVIATION)
        np.testing.assert_array_equal(np.isfinite(cameras.parts).all(axis=1), parts)
    told = assumed_cameras(sizes, (64, 48), np.full(3, 0.7), False)
    np.testing.assert_array_equal(told.focal_lengths, 0.7)
    np.testing.assert_array_equal(told.deviations, EXIF_DEVIATION)


def test_a_photo_of_another_aspect_may_be_any_part_of_what_the_databases_camera_sees():
    """Of 640 x 480: half as high, half as wide, upright; and a whole one."""
    sizes = np.array([(640, 240), (320, 480), (480, 640), (640, 480)])
    packed, regressed = (64, 48), Prior(np.eye(4), 1.0, 1.0)
    cameras = assumed_cameras(sizes, packed, np.full(4, np.nan), False, 0.8)
    high, wide, upright, whole = (cameras.assumed(row, regressed) for row in range(4))
    even = 240 / np.sqrt(12) / (0.8 * 640)  # of a middle anywhere, in focal lengths
    assert high.others == (
        Guess(pytest.approx((GUESS_DEVIATION, FIXED, even, FIXED)), CUT_ODDS),
        FREE._replace(odds=CUT_ODDS),
    )
    # Assumed to be 480 high, held upright: the focal length of a part of 640 x 480 is longer.
    zoom = np.hypot(GUESS_DEVIATION, np.log(640 / 480))
    even = 320 / np.sqrt(12) / (0.8 * 480)
    assert wide.others[0].intrinsics == pytest.approx((zoom, even, FIXED, FIXED))
    frame = 640 * 640 / 480  # as wide, and 640 high
    zoom = np.hypot(GUESS_DEVIATION, np.log(frame / 640))
    even = (frame - 480) / np.sqrt(12) / (0.8 * 640)
    assert upright.others[0].intrinsics == pytest.approx((zoom, even, FIXED, FIXED))
    assert whole.intrinsics == (GUESS_DEVIATION,)
    assert whole.others == (FREE,)
    # EXIF tells how much the whole sensor sees from corner to corner, 800 pixels of 640 x 480.
    told = assumed_cameras(sizes, packed, np.full(4, 0.8), False).assumed(0, regressed)
    zoom = np.hypot(EXIF_DEVIATION, np.log(800 / np.hypot(640, 240)))
    assert told.intrinsics == (EXIF_DEVIATION,)
    assert told.others[0].intrinsics[0] == pytest.approx(zoom)
    exact = assumed_cameras(sizes, packed, np.full(4, 0.8), True)
    assert exact.assumed(0, regressed) is regressed
