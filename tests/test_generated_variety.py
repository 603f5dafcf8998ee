"""Kinds of variety of generated rooms: each changes what it should, and nothing else."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from undrawn_rooms import undrawn_room

from generated_rooms import recordings
from generated_rooms.archive import render_archive
from generated_rooms.geometry import distance_to_solids
from generated_rooms.paths import CLEARANCE, camera_path
from generated_rooms.recordings import Recording, build_rooms, plan_sequence
from generated_rooms.rendering import INVALID_DEPTH, Camera, render_frame
from generated_rooms.rooms import Room, build_room
from generated_rooms.variety import (
    ARRANGEMENTS,
    BLURRED,
    FOCAL_LENGTHS,
    KINDS,
    drawn_focal_length,
    drawn_world,
    frame_change,
)
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow

SMALL = Recording(11, 64, 48, train_sequences=2, test_sequences=1, frames_per_sequence=3)
COLOUR, DEPTH, POSE = "color.png", "depth.png", "pose.txt"
Files = dict[str, dict[tuple[int, int], bytes]]  # by suffix, then by sequence and frame


@pytest.fixture(scope="module", autouse=True)
def _rooms_built_once(room: Room) -> Iterator[None]:
    """Let recordings have one room of each kind; ``test_generated_rooms`` builds one twice."""
    build = cache(build_room)
    with pytest.MonkeyPatch.context() as patch:
        usual = (SMALL.seed, False, 0)
        patch.setattr(recordings, "build_room", lambda *of: room if of == usual else build(*of))
        yield


def rendered(folder: Path, *varied: str, workers: int = 1, **changes: object) -> Files:
    """Return the files of an archive that is rendered with kinds of variety."""
    path = folder / f"{'-'.join(varied)}.zip"
    render_archive(path, "study", replace(SMALL, varied=varied, **changes), workers)
    found = {suffix: {} for suffix in (COLOUR, DEPTH, POSE)}
    with zipfile.ZipFile(path) as outer:
        for number in (1, 2, 3):
            nested = io.BytesIO(outer.read(f"study/seq-{number:02}.zip"))
            with zipfile.ZipFile(nested) as inner:
                for frame in range(SMALL.frames_per_sequence):
                    for suffix, files in found.items():
                        name = f"seq-{number:02}/frame-{frame:06}.{suffix}"
                        files[number, frame] = inner.read(name)
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return rendered(tmp_path_factory.mktemp("plain"))


def pose(file: bytes) -> np.ndarray:
    return np.loadtxt(io.BytesIO(file))


def image(file: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)


def test_light_changes_colours_alone_and_most_of_all_between_sequences(
    plain: Files, tmp_path: Path
) -> None:
    lit = rendered(tmp_path, "light")
    assert lit[DEPTH] == plain[DEPTH]
    assert lit[POSE] == plain[POSE]
    gains = {}
    for key, file in lit[COLOUR].items():
        assert file != plain[COLOUR][key]
        gains[key] = image(file).mean() / image(plain[COLOUR][key]).mean()
    spread = [np.ptp([gains[number, frame] for frame in range(3)]) for number in (1, 2, 3)]
    means = [np.mean([gains[number, frame] for frame in range(3)]) for number in (1, 2, 3)]
    assert np.mean(spread) > 0
    assert 0.5 < min(means) < max(means) < 2
    assert len({round(mean, 3) for mean in means}) == 3


def test_exposures_are_those_of_a_sequence_and_noise_that_of_a_frame() -> None:
    grey = np.full((40, 50, 3), 120, np.uint8)
    seen = {
        key: frame_change(("light",), 5, *key)(grey).astype(float)
        for key in ((1, 0), (1, 1), (2, 0))
    }
    again = frame_change(("light",), 5, 1, 1)(grey)
    np.testing.assert_array_equal(again, seen[1, 1])
    tints = {key: each.mean(axis=(0, 1)) / each.mean() for key, each in seen.items()}
    np.testing.assert_allclose(tints[1, 0], tints[1, 1], atol=0.005)
    assert np.abs(tints[1, 0] - tints[2, 0]).max() > 0.005
    assert (frame_change(("light",), 6, 1, 0)(grey) != seen[1, 0]).any()


def test_a_share_of_the_frames_is_blurred_and_no_darker() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    changed = []
    for frame in range(400):
        blurred = frame_change(("blur",), 5, 1, frame)(noise)
        changed.append((blurred != noise).any())
        assert blurred.mean() == pytest.approx(noise.mean(), abs=1)
        if changed[-1]:
            assert blurred.std() < noise.std()
    assert np.mean(changed) == pytest.approx(BLURRED, abs=0.06)


def test_blur_changes_colours_alone(plain: Files, tmp_path: Path) -> None:
    blurred = rendered(tmp_path, "blur")
    assert blurred[DEPTH] == plain[DEPTH]
    assert blurred[POSE] == plain[POSE]
    for key, file in blurred[COLOUR].items():
        expected = frame_change(("blur",), SMALL.seed, *key)(image(plain[COLOUR][key])[..., ::-1])
        np.testing.assert_array_equal(image(file)[..., ::-1], expected)


def test_another_world_is_one_rigid_motion_of_all_poses(plain: Files, tmp_path: Path) -> None:
    moved = rendered(tmp_path, "worlds")
    assert moved[COLOUR] == plain[COLOUR]
    assert moved[DEPTH] == plain[DEPTH]
    world = drawn_world(SMALL.seed)
    np.testing.assert_allclose(world[:3, :3] @ world[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(world[:3, :3]) == pytest.approx(1)
    assert world[3].tolist() == [0, 0, 0, 1]
    assert Rotation.from_matrix(world[:3, :3]).magnitude() > 0.1
    for key, file in moved[POSE].items():
        np.testing.assert_allclose(pose(file), world @ pose(plain[POSE][key]), atol=1e-9)
    assert not np.allclose(world, drawn_world(12))


def test_kinds_do_not_change_each_other(plain: Files, tmp_path: Path) -> None:
    alone, beside = rendered(tmp_path, "light"), rendered(tmp_path, "worlds", "light")
    assert beside[COLOUR] == alone[COLOUR] != plain[COLOUR]
    assert beside[POSE] == rendered(tmp_path, "worlds")[POSE] != plain[POSE]


def test_a_room_has_one_camera_of_its_own(plain: Files, room: Room, tmp_path: Path) -> None:
    found = rendered(tmp_path, "cameras")
    assert found[POSE] == plain[POSE]
    length = drawn_focal_length(SMALL.seed)
    for key in ((1, 1), (3, 2)):  # of the database, of the queries
        expected = render_frame(room, pose(found[POSE][key]), Camera(64, 48, length * 64))[1]
        assert (image(found[DEPTH][key]) == expected).mean() > 0.99
        assert found[DEPTH][key] != plain[DEPTH][key]


def test_a_queries_camera_that_is_asked_for_is_theirs(plain: Files, room: Room) -> None:
    recording = replace(SMALL, varied=("cameras",), test_focal_length=1.3)
    focal = [plan_sequence(recording, [room], number)[0].camera.focal for number in (1, 2, 3)]
    assert focal == [64 * drawn_focal_length(SMALL.seed)] * 2 + [1.3 * 64]


def test_focal_lengths_fill_their_range() -> None:
    lengths = [drawn_focal_length(seed) for seed in range(200)]
    low, high = FOCAL_LENGTHS
    assert low < min(lengths) < 1.05 * low
    assert 0.95 * high < max(lengths) < high


@pytest.fixture(scope="module")
def arrangements() -> list[Room]:
    return build_rooms(replace(SMALL, varied=("objects",)))


def test_what_stands_in_the_middle_is_moved_and_nothing_else(
    room: Room, arrangements: list[Room]
) -> None:
    assert len(arrangements) == ARRANGEMENTS
    first, *others = arrangements
    assert len(build_rooms(SMALL)) == 1
    np.testing.assert_array_equal(first.frames, room.frames)
    camera = Camera.seven_scenes(160, 120)
    for other in others:
        assert other.size == first.size
        np.testing.assert_array_equal(other.region, first.region)
        views = [camera_path(first, 11, 1, 30)[frame] for frame in (0, 10, 20)]
        depths = [
            np.stack([render_frame(each, view, camera)[1] for view in views]).astype(int)
            for each in (first, other)
        ]
        same = depths[0] == depths[1]
        assert 0.01 < (~same).mean() < 0.6
        points = [{solid.centre.round(6).tobytes() for solid in r.solids} for r in (first, other)]
        kept, moved = points[0] & points[1], points[0] - points[1]
        assert len(kept) > 0.3 * len(points[0])
        assert moved
    assert not np.array_equal(others[0].frames, others[1].frames)


def test_walls_look_the_same_behind_what_is_moved(arrangements: list[Room]) -> None:
    """But for shadows."""
    camera = Camera.seven_scenes(160, 120)
    for other in arrangements[1:]:
        pose_ = camera_path(arrangements[0], 11, 2, 30)[15]
        (colour, depth), (others_colour, others_depth) = (
            render_frame(each, pose_, camera) for each in (arrangements[0], other)
        )
        same = (depth == others_depth) & (depth != INVALID_DEPTH)
        difference = np.abs(colour.astype(int) - others_colour).mean(-1)
        assert np.median(difference[same]) < 3
        assert difference[~same].mean() > 2 * difference[same].mean()


def test_sequences_take_turns_with_the_arrangements(arrangements: list[Room]) -> None:
    recording = replace(SMALL, varied=("objects",))
    taken = [plan_sequence(recording, arrangements, number)[0].arrangement for number in (1, 2, 3)]
    assert sorted(taken) == list(range(ARRANGEMENTS))


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_rooms_of_any_style_are_closed_and_can_be_walked(seed: int) -> None:
    room = build_room(seed, any_style=True)
    path = camera_path(room, seed, 1, 30)
    centres = path[:, :3, 3]
    assert distance_to_solids(centres, room.solids).min() > CLEARANCE
    assert (centres > 0).all()
    assert (centres < room.size).all()
    colour, depth = render_frame(room, path[10], Camera.seven_scenes(160, 120))
    assert (depth == INVALID_DEPTH).mean() < 0.1
    assert colour.std() > 10
    usual = undrawn_room(seed)
    assert room.size != usual.size
    assert not np.array_equal(room.region, usual.region)


def test_everything_together_is_the_same_whatever_the_workers(plain: Files, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    one, two = rendered(tmp_path, *KINDS), rendered(tmp_path / "more", *KINDS, workers=2)
    name = f"{'-'.join(KINDS)}.zip"
    assert (tmp_path / name).read_bytes() == (tmp_path / "more" / name).read_bytes()
    assert one == two
    for suffix in (COLOUR, DEPTH, POSE):
        assert not set(one[suffix].values()) & set(plain[suffix].values())


def test_without_kinds_an_archive_is_what_its_room_shows(plain: Files, room: Room) -> None:
    """The usual room and camera, along the usual path, in the room's own axes."""
    expected = camera_path(room, SMALL.seed, 2, 3)
    for frame in range(3):
        found = pose(plain[POSE][2, frame])
        np.testing.assert_allclose(found, expected[frame], atol=1e-11)
        colour = render_frame(room, found, Camera.seven_scenes(64, 48))[0]
        shown = image(plain[COLOUR][2, frame])[..., ::-1].astype(int)
        assert np.abs(shown - colour).mean() < 0.1


def test_unknown_kinds_are_refused(tmp_path: Path) -> None:
    message = r"rendering\.varied: got colours, sounds, expected styles, cameras, .*worlds"
    with pytest.raises(InputError, match=message):
        rendered(tmp_path, "light", "sounds", "colours")
    assert not list(tmp_path.iterdir())
