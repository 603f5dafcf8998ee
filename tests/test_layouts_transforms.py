"""``transforms.json``: what it tells of cameras and queries, and what is missing in it."""

import json
import math
from pathlib import Path

import pytest
from planted_scenes import TEST, TRAIN, write_transforms

from relposegnn.layouts.reading import read_scene
from relposegnn.runtime import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_transforms(tmp_path / "garage")


def edit(folder: Path, **changes: object) -> dict:
    """Write other values, none where it is None; return the contents."""
    path = folder / "transforms.json"
    contents = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in contents.items() if v is not None}))
    return contents


def lengths(folder: Path) -> list[float]:
    return [frame.focal_length for frame in read_scene(folder).train]


def test_the_angle_across_tells_a_focal_length(folder):
    edit(folder, fl_x=None, fl_y=None, camera_angle_x=math.radians(90))
    assert lengths(folder) == pytest.approx([0.5] * 4)


@pytest.mark.parametrize("told", [{"is_fisheye": True}, {"camera_model": "OPENCV_FISHEYE"}])
def test_a_fisheye_lens_has_no_focal_length(folder, told):
    edit(folder, camera_model=None, is_fisheye=False)
    assert lengths(folder) == pytest.approx([60 / 64] * 4)
    edit(folder, **told)
    assert lengths(folder) == pytest.approx([math.nan] * 4, nan_ok=True)


def test_an_empty_list_of_queries_leaves_them_to_a_file(folder):
    (folder / "test.txt").write_text(f"./{TEST[1]}.png SIMPLE_PINHOLE 64 48 48 32 24\n")
    edit(folder, test_filenames=[])
    (query,) = read_scene(folder).test
    assert (query.name, query.focal_length) == (TEST[1], 0.75)


def test_queries_in_two_places_are_refused(folder):
    (folder / "test.txt").write_text(f"{TEST[0]}.png\n")
    with pytest.raises(InputError, match=r"json: names queries in .*test\.txt.* remove"):
        read_scene(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w": None}, r"frames\[0\]: w is missing, expected .* w and h wherever fl_x is given"),
        ({"frames": None}, r"transforms\.json: frames is missing, expected frames, each with"),
        ({"frames": 5}, r"transforms\.json: cannot be read \(.*int.*, expected frames"),
        ({"fl_x": "wide"}, r"frames\[0\]: cannot be read \(.*'wide'.*, expected frames"),
    ],
)
def test_what_is_missing_is_told(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(InputError, match=message):
        read_scene(folder)


def test_a_frame_without_a_path_is_told_by_its_row(folder):
    frames = edit(folder)["frames"]
    del frames[len(TRAIN)]["file_path"]
    edit(folder, frames=frames)
    with pytest.raises(InputError, match=r"frames\[4\]: file_path is missing"):
        read_scene(folder)


def test_names_without_a_suffix_are_those_of_images(folder):
    """As the first files of this kind have them."""
    frames = edit(folder)["frames"]
    for frame in frames:
        frame["file_path"] = frame["file_path"].removesuffix(".png")
    edit(folder, frames=frames, test_filenames=list(TEST))
    for _ in range(2):
        scene = read_scene(folder)
        assert [frame.name for frame in scene.train] == list(TRAIN)
        assert [frame.image.suffix for frame in scene.test] == [".png", ".png"]
        edit(folder, frames=frames, test_filenames=None)
        (folder / "test.txt").write_text("\n".join(TEST))
