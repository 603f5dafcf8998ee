"""Cambridge Landmarks' lists: lenient about blank lines, strict about everything else."""

import logging
from pathlib import Path

import numpy as np
import pytest
from planted_scenes import TEST, TRAIN, planted_poses, write_cambridge

from relposegnn.layouts.reading import read_scene
from relposegnn.runtime import InputError

POSE = "1 2 3 1 0 0 0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a scene of four training and two test images."""
    return write_cambridge(tmp_path / "college")


def replace_line(path: Path, number: int, line: str) -> None:
    """Replace a line, counted from 1."""
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines))


def test_rotations_are_inverted_and_centres_are_not(folder):
    """A quarter turn about z, world to camera: the camera's x axis is the world's y axis."""
    half = np.sqrt(0.5)
    replace_line(folder / "dataset_test.txt", 4, f"{TEST[0]}.png 5 6 7 {half} 0 0 {-half}")
    pose = read_scene(folder).test[0].world_from_cam
    np.testing.assert_allclose(pose[:3, 3], [5, 6, 7])
    np.testing.assert_allclose(pose[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_blank_lines_and_line_ends(folder):
    path = folder / "dataset_train.txt"
    lines = path.read_text().splitlines()
    lines.insert(5, "   ")
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n\r\n", encoding="utf-8", newline="")
    scene = read_scene(folder)
    assert [frame.name for frame in scene.train] == list(TRAIN)
    poses = planted_poses()
    for frame in scene.train:
        np.testing.assert_allclose(frame.world_from_cam, poses[frame.name], atol=1e-9)


def test_image_names_may_hold_blanks(folder):
    (folder / "seq3/frame00001.png").rename(folder / "seq3/frame 1.png")
    replace_line(folder / "dataset_test.txt", 4, f"seq3/frame 1.png {POSE}")
    assert "seq3/frame 1" in [frame.name for frame in read_scene(folder).test]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{TRAIN[1]}.png 1 2 3 1 0 0", "says 'seq1/frame00002.png 1 2 3 1 0 0', expected seq1"),
        (
            f"{TRAIN[1]}.png 1 2 x 1 0 0 0",
            "could not convert .*'x'.*expected the numbers of a pose",
        ),
        (f"{TRAIN[1]}.png 1 2 3 0.5 0 0 0", "quaternion 0.5 0 0 0 has length 0.5, expected 1"),
        (f"seq1/gone.png {POSE}", r"names 'seq1/gone.png', but there is no image .*college/seq1"),
        (f"../college/{TRAIN[1]}.png {POSE}", "expected a path inside"),
        (f"{TRAIN[0]}.png {POSE}", r"is already listed as seq1/frame00001 .*dataset_train\.txt:4"),
    ],
)
def test_bad_lines_are_named(folder, line, message):
    replace_line(folder / "dataset_train.txt", 5, line)
    with pytest.raises(InputError, match=rf"college/dataset_train\.txt:5: .*{message}"):
        read_scene(folder)


def test_image_in_both_lists(folder):
    replace_line(folder / "dataset_test.txt", 5, f"{TRAIN[0]}.png {POSE}")
    message = r"dataset_test\.txt:5: .*already listed .*dataset_train\.txt:4, expected .* one split"
    with pytest.raises(InputError, match=message):
        read_scene(folder)


def test_missing_header_would_lose_images(folder):
    path = folder / "dataset_train.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[3:]))
    message = r"dataset_train\.txt:1: is already a pose .*expected 3 header"
    with pytest.raises(InputError, match=message):
        read_scene(folder)


def test_missing_and_empty_list_of_the_database(folder):
    (folder / "dataset_train.txt").write_text("one\ntwo\nthree\n\n")
    with pytest.raises(InputError, match=r"dataset_train\.txt: lists no image"):
        read_scene(folder)
    (folder / "dataset_train.txt").unlink()
    with pytest.raises(InputError, match=r"_train\.txt: no such file, expected three header lines"):
        read_scene(folder)


@pytest.mark.parametrize("text", [None, "", "one\ntwo\nthree\n\n"])
def test_no_queries(folder, caplog, text):
    (folder / "dataset_test.txt").unlink()
    if text is not None:
        (folder / "dataset_test.txt").write_text(text)
    with caplog.at_level(logging.INFO):
        scene = read_scene(folder)
    assert ([frame.name for frame in scene.train], scene.test) == (list(TRAIN), [])
    assert "college: no image in dataset_test.txt, so this scene has no queries" in caplog.text


def test_binary_list(folder):
    (folder / "dataset_test.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=r"dataset_test\.txt: is not text.*expected UTF-8"):
        read_scene(folder)
