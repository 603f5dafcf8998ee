"""Photos of a rendered room: refined by its database, as a user has them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import DATABASE, FOCAL_LENGTH, QUERIES
from PIL import ExifTags, Image
from test_photos_place import place_in

from relposegnn.camera_files import write_camera
from relposegnn.frames import Frames
from relposegnn.matching.most_probable import Prior
from relposegnn.matching.scenes import poses_of
from relposegnn.owners import Owner
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


def refine(place, rendered_room, paths, focal_length=None):
    """Return errors (N,) in metres of photos that are 3 cm off, refined; deviations; points."""
    truth = rendered_room.poses[QUERIES]
    priors = [Prior(pose.copy(), 0.05, 0.02) for pose in truth]
    for prior in priors:
        prior.pose[:3, 3] += 0.03
    offset = truth[:, None, :3, 3] - rendered_room.poses[DATABASE][:, :3, 3]
    ranked = np.argsort(np.linalg.norm(offset, axis=2), axis=1)
    with Frames(place.frames, place.camera) as frames:
        refiner = PhotoRefiner(frames, place.images)
        refined = refiner.refine(paths, ranked, priors, 2, focal_length)
    poses, points = poses_of(refined)
    told = np.array([each.metres for each in refined])
    np.testing.assert_allclose(told[points == 0], 3**0.5 * 0.05)
    return np.linalg.norm(poses[0] - truth[:, :3, 3], axis=1), told, points


def test_photos_of_the_databases_camera_are_refined(place, rendered_room):
    paths = [rendered_room.paths[row] for row in QUERIES]
    error, told, points = refine(place, rendered_room, paths)
    assert (points > 0).mean() > 0.8
    assert (told[points > 0] < 3**0.5 * 0.05).all()
    assert np.median(error) < 0.01


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
    error, _, points = refine(place, rendered_room, paths, None if by == "EXIF" else LONGER)
    assert (points > 0).mean() > 0.6
    assert np.median(error) < 0.01


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
    error, told, points = refine(place, rendered_room, paths)
    assert (points > 0).mean() > 0.8
    assert np.median(error) < 0.05
    assert (error < 2 * told).mean() > 0.8
