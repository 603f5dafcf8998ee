"""Lists of queries as hloc has them: names, each maybe with a camera, which counts as told."""

import math

import pytest
from planted_scenes import SIZE, TEST, TRAIN, WRITERS

from relposegnn.exchange.pose_formats import Pinhole, write_query_list
from relposegnn.layouts.reading import read_scene
from relposegnn.runtime import InputError

CAMERAS = {  # by a line's end: the focal length that it tells, in longer sides
    "SIMPLE_PINHOLE 64 48 48 32 24": 0.75,
    "PINHOLE 64 48 60 68 32 24": 1.0,
    "SIMPLE_RADIAL 1024 768 868.99 512 384 0.01": 868.99 / 1024,
    "OPENCV 48 64 70 72 24 32 0.1 0.2 0 0": 71 / 64,
    "FULL_OPENCV 64 48 60 68 32 24 0 0 0 0 0 0 0 0": 1.0,
    "OPENCV_FISHEYE 64 48 60 60 32 24 0 0 0 0": math.nan,
}
# The focal lengths of the models that the list stands beside.
BESIDE = {"COLMAP": 60 / 64, "NeRF's transforms": 60 / 64, "TUM RGB-D": math.nan}


def scene_with(tmp_path, layout, lines):
    folder = WRITERS[layout](tmp_path / "garage")
    if layout == "NeRF's transforms":
        text = (folder / "transforms.json").read_text()
        (folder / "transforms.json").write_text(text.replace("test_filenames", "unused"))
    (folder / "test.txt").write_text("# queries\n\n" + "".join(f"{line}\n" for line in lines))
    return read_scene(folder)


@pytest.mark.parametrize("layout", BESIDE)
def test_queries_have_their_own_camera(tmp_path, layout):
    own = BESIDE[layout]
    for number, (camera, told) in enumerate(CAMERAS.items()):
        lines = [f"{TEST[0]}.png {camera}", f"{TEST[1]}.png"]
        scene = scene_with(tmp_path / str(number), layout, lines)
        assert [frame.name for frame in scene.test] == list(TEST)
        expected = [own if math.isnan(told) else told, own]
        found = [frame.focal_length for frame in scene.test]
        assert found == pytest.approx(expected, nan_ok=True)
        assert [f.focal_length for f in scene.train] == pytest.approx([own] * 4, nan_ok=True)


@pytest.mark.parametrize("layout", BESIDE)
def test_a_table_of_queries_beside_another_layout_is_refused(tmp_path, layout):
    folder = WRITERS[layout](tmp_path / "garage")
    (folder / "test.csv").write_text("image,tx,ty,tz,qw,qx,qy,qz\n")
    with pytest.raises(InputError, match=r"test\.csv: is a table of queries .* in test\.txt"):
        read_scene(folder)


def test_our_own_list_is_read_back(tmp_path):
    folder = WRITERS["COLMAP"](tmp_path / "garage")
    cameras = [Pinhole.of_image(SIZE, 0.7), Pinhole.of_image(SIZE, 0.8)]
    write_query_list(folder / "test.txt", [f"{name}.png" for name in TEST], cameras)
    scene = read_scene(folder)
    assert [frame.focal_length for frame in scene.test] == pytest.approx([0.7, 0.8])
    assert [frame.name for frame in scene.train] == list(TRAIN)


def test_the_camera_of_twelve_scenes(tmp_path):
    folder = WRITERS["12-Scenes"](tmp_path / "garage")
    (folder / "info.txt").write_text(
        "m_sensorName = StructureSensor\nm_colorWidth = 1296\nm_colorHeight = 968\n"
        "m_calibrationColorIntrinsic = 1158 0 649 0 0 1154 483.5 0 0 0 1 0 0 0 0 1\n"
    )
    scene = read_scene(folder)
    lengths = [frame.focal_length for frame in scene.train + scene.test]
    assert lengths == pytest.approx([1156 / 1296] * 6)
