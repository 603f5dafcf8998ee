"""Every variant of 7-Scenes' layout reads the same, every fault is named."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from relposegnn.layouts.reading import read_scene
from relposegnn.layouts.seven_scenes import read_pose
from relposegnn.runtime import InputError


def planted_pose(sequence: int, frame: int) -> np.ndarray:
    """Return a pose that tells sequence and frame."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0.1 * sequence, 0.2, 0.01 * frame]).as_matrix()
    pose[:3, 3] = [sequence, frame, 0.5]
    return pose


def write_scene(
    folder: Path, sequences: dict[int, int], suffix: str = "png", apart: bool = False
) -> Path:
    """Write a scene with {sequence: frames}; even sequences test, odd ones train."""
    for sequence, count in sequences.items():
        place = folder / f"seq-{sequence:02d}"
        images, poses = (place / "rgb", place / "poses") if apart else (place, place)
        for target in {images, poses}:
            target.mkdir(parents=True, exist_ok=True)
        for frame in range(count):
            Image.new("RGB", (8, 6), (sequence, frame, 0)).save(
                images / f"frame-{frame:06d}.color.{suffix}"
            )
            np.savetxt(poses / f"frame-{frame:06d}.pose.txt", planted_pose(sequence, frame))
    for name, rest in (("TrainSplit.txt", 1), ("TestSplit.txt", 0)):
        numbers = [n for n in sequences if n % 2 == rest]
        (folder / name).write_text("".join(f"sequence{n}\n" for n in numbers))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a scene with two training sequences and one test sequence."""
    return write_scene(tmp_path / "attic", {1: 3, 2: 2, 3: 12})


def assert_is_attic(scene) -> None:
    """Check names, order and poses against what was planted."""
    assert scene.name == "attic"
    assert [frame.name for frame in scene.train] == [
        *(f"seq-01/frame-{k:06d}" for k in range(3)),
        *(f"seq-03/frame-{k:06d}" for k in range(12)),
    ]
    assert [frame.name for frame in scene.test] == [f"seq-02/frame-{k:06d}" for k in range(2)]
    for frame in scene.train + scene.test:
        sequence, number = int(frame.name[4:6]), int(frame.name[-6:])
        np.testing.assert_allclose(frame.world_from_cam, planted_pose(sequence, number), atol=1e-12)
        assert f"frame-{number:06d}" in frame.image.name
        assert frame.image.is_file()


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG"])
@pytest.mark.parametrize("apart", [False, True])
def test_layouts(tmp_path, suffix, apart):
    folder = write_scene(tmp_path / "attic", {1: 3, 2: 2, 3: 12}, suffix, apart)
    scene = read_scene(folder)
    assert_is_attic(scene)
    assert scene.frames("test") is scene.test
    assert scene.frames("train") is scene.train


@pytest.mark.parametrize(
    "text",
    [
        "sequence3\nsequence1\n",
        "sequence01\r\nsequence03\r\n",
        "  sequence1  \n\n\tsequence3\n\n",
        "seq-01\nSeq-03",
        "\ufeffsequence 1\nsequence 3",
    ],
)
def test_split_lines(folder, text):
    (folder / "TrainSplit.txt").write_text(text, encoding="utf-8", newline="")
    assert_is_attic(read_scene(folder))


def test_other_files_are_ignored(folder):
    for name in ("Thumbs.db", "frame-000000.depth.png", "frame-000099.depth.png", "notes.txt"):
        (folder / "seq-01" / name).write_bytes(b"x")
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "seq-09").mkdir()
    assert_is_attic(read_scene(folder))


def test_frames_are_ordered_by_number(folder):
    """Numbers, not text: 7-Scenes pads to six digits, other recordings may run out of them."""
    for kind in ("color.png", "pose.txt"):
        (folder / f"seq-02/frame-000000.{kind}").rename(folder / f"seq-02/frame-1000000.{kind}")
    assert [f.name for f in read_scene(folder).test] == [
        "seq-02/frame-000001",
        "seq-02/frame-1000000",
    ]


def test_real_scene(shared):
    scene = read_scene(shared / "data/7scenes/redkitchen")
    assert (scene.name, len(scene.train), len(scene.test)) == ("redkitchen", 300, 300)
    assert scene.train[0].name == "seq-01/frame-000000"
    assert scene.test[-1].name == "seq-30/frame-000019"
    centres = np.array([f.world_from_cam[:3, 3] for f in scene.train])
    steps = np.linalg.norm(np.diff(centres.reshape(15, 20, 3), axis=1), axis=-1)
    assert steps.max() < 0.1  # consecutive frames of a hand-held camera


@pytest.mark.parametrize("separator", [",", "\t", ", ", "   "])
def test_pose_separators(tmp_path, separator):
    path = tmp_path / "pose.txt"
    rows = [separator.join(map(repr, row)) for row in planted_pose(2, 5).tolist()]
    path.write_text("\r\n".join(rows) + "\r\n\r\n")
    np.testing.assert_array_equal(read_pose(path), planted_pose(2, 5))


def bad_pose(row: int, column: int, value: float) -> str:
    """Return the text of a pose with one entry changed."""
    pose = planted_pose(1, 1)
    pose[row, column] = value
    return "\n".join(" ".join(map(str, line)) for line in pose)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a 4x4 camera-to-world pose"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0", "holds 3x4 numbers, expected a 4x4"),
        ("1 0 0 0\n0 1 0\n0 0 1 0\n0 0 0 1", "rows of 3 and 4 numbers, expected a 4x4"),
        ("1 0 0 0\n0 one 0 0\n0 0 1 0\n0 0 0 1", "could not convert .*'one'"),
        (bad_pose(1, 3, 2e8), r"position is 2e\+08 m along an axis, expected at most"),
        (bad_pose(0, 0, 3.0), "determinant"),
        (bad_pose(3, 0, 0.5), "last row"),
        ("1 0.1 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1", "not orthonormal"),
    ],
)
def test_bad_pose(folder, text, message):
    path = folder / "seq-03/frame-000004.pose.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"seq-03/frame-000004\.pose\.txt: .*{message}"):
        read_scene(folder)


def test_binary_pose(folder):
    (folder / "seq-03/frame-000004.pose.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=r"frame-000004\.pose\.txt: is not text"):
        read_scene(folder)


def test_missing_pose_file(tmp_path):
    with pytest.raises(InputError, match=r"pose\.txt: cannot be read .*No such file"):
        read_pose(tmp_path / "pose.txt")


def test_unknown_scene_lists_the_known(folder):
    write_scene(folder.parent / "cellar", {1: 1, 2: 1})
    with pytest.raises(InputError, match=r"garage: no such scene; .* has attic, cellar$"):
        read_scene(folder.parent / "garage")
    with pytest.raises(InputError, match="does not exist either"):
        read_scene(folder.parent / "nowhere/garage")


def test_missing_list_of_the_database(folder):
    (folder / "TrainSplit.txt").unlink()
    with pytest.raises(InputError, match=r"TrainSplit\.txt: no such file, expected the sequences"):
        read_scene(folder)


@pytest.mark.parametrize("text", ["", "\n  \r\n"])
def test_empty_list_of_the_database(folder, text):
    (folder / "TrainSplit.txt").write_text(text)
    with pytest.raises(InputError, match=r"TrainSplit\.txt: names no sequence, expected at least"):
        read_scene(folder)


@pytest.mark.parametrize("text", [None, "", "\n  \r\n"])
def test_no_queries(folder, caplog, text):
    (folder / "TestSplit.txt").unlink()
    if text is not None:
        (folder / "TestSplit.txt").write_text(text)
    with caplog.at_level(logging.INFO):
        scene = read_scene(folder)
    assert (len(scene.train), scene.test) == (15, [])
    assert "attic: no sequence in TestSplit.txt, so this scene has no queries" in caplog.text


@pytest.mark.parametrize("name", ["TrainSplit.txt", "TestSplit.txt"])
class TestSplitFile:
    """Faults of either split file."""

    @pytest.mark.parametrize("line", ["chess", "sequence", "sequence1 sequence3", "sequence-one"])
    def test_odd_line(self, folder, name, line):
        (folder / name).write_text(f"sequence7\n{line}\n")
        with pytest.raises(InputError, match=rf"{name}:2: says '{line}', expected sequence1"):
            read_scene(folder)

    def test_absent_sequence(self, folder, name):
        with (folder / name).open("a") as file:
            file.write("sequence8\n")
        with pytest.raises(InputError, match=rf"{name}: names sequence 8, expected a .*seq-08"):
            read_scene(folder)

    def test_repeated_sequence(self, folder, name):
        text = (folder / name).read_text()
        (folder / name).write_text(text + text)
        with pytest.raises(InputError, match=rf"{name}:\d: names sequence \d a second time"):
            read_scene(folder)


def test_sequence_in_both_splits(folder):
    (folder / "TestSplit.txt").write_text("sequence2\nsequence03\n")
    with pytest.raises(InputError, match=r"sequence 3 is named in both TrainSplit\.txt and"):
        read_scene(folder)


def test_sequence_folder_twice(folder):
    (folder / "seq-1").mkdir()
    with pytest.raises(
        InputError, match=r"seq-1: has the same number as .*seq-01, expected each once; remove one"
    ):
        read_scene(folder)


def test_sequence_without_frames(folder):
    for path in (folder / "seq-02").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="seq-02: holds no frames, expected frame-000000"):
        read_scene(folder)


def test_frame_without_pose(folder):
    (folder / "seq-03/frame-000005.pose.txt").unlink()
    with pytest.raises(InputError, match=r"frame-000005\.color\.png: has no pose, expected"):
        read_scene(folder)


def test_pose_without_frame(folder):
    (folder / "seq-03/frame-000005.color.png").unlink()
    with pytest.raises(InputError, match=r"frame-000005\.pose\.txt: has no image, expected"):
        read_scene(folder)


def test_frame_in_two_formats(folder):
    path = folder / "seq-03/frame-000005.color.jpg"
    Image.new("RGB", (8, 6)).save(path)
    with pytest.raises(
        InputError, match=r"color\.png: has the same number as .*-000005\.color\.jpg"
    ):
        read_scene(folder)
