"""Cameras and rotations of COLMAP models, as they are written in text."""

import numpy as np
import pytest
from planted_scenes import planted_poses, write_colmap

from relposegnn.layouts.reading import read_scene


@pytest.mark.parametrize(
    ("camera", "focal_length"),
    [
        ("SIMPLE_PINHOLE 64 48 60 32 24", 60 / 64),
        ("SIMPLE_RADIAL 48 64 60 24 32 0.1", 60 / 64),
        ("OPENCV 640 480 510 514 320 240 0 0 0 0", 512 / 640),
        ("OPENCV_FISHEYE 640 480 512 512 320 240 0 0 0 0", np.nan),
        ("EQUIRECTANGULAR 64 32 64 32", np.nan),
    ],
)
def test_focal_lengths_of_pinholes_in_longer_sides(tmp_path, camera, focal_length):
    """The images' own size does not matter: they may have been resized since."""
    folder = write_colmap(tmp_path / "garage", binary=False)
    (folder / "sparse/0/cameras.txt").write_text(f"1 {camera}\n")
    scene = read_scene(folder)
    np.testing.assert_allclose([f.focal_length for f in scene.train + scene.test], focal_length)


def test_quaternions_of_few_decimals_are_those_of_the_nearest_rotation(tmp_path):
    """pycolmap takes them as they are: a scaled rotation, and a camera that is elsewhere."""
    folder = write_colmap(tmp_path / "garage", binary=False)
    for file, first in (("images", 1), ("frames", 2)):
        path = folder / f"sparse/0/{file}.txt"
        lines = [line.split(" ") for line in path.read_text().split("\n")]
        for fields in lines:
            if len(fields) > 9 and fields[0] != "#":
                longer = [repr(1.0008 * float(each)) for each in fields[first : first + 4]]
                fields[first : first + 4] = longer
        path.write_text("\n".join(map(" ".join, lines)))
    poses, scene = planted_poses(), read_scene(folder)
    for frame in scene.train + scene.test:
        np.testing.assert_allclose(frame.world_from_cam, poses[frame.name], atol=1e-9)
