"""How people walk through generated rooms: how fast, where they look, and how far they stray."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from undrawn_rooms import undrawn_room

from generated_rooms.paths import USUAL, Habit, camera_path
from generated_rooms.recordings import Recording, plan_sequence
from generated_rooms.rooms import Room
from generated_rooms.variety import drawn_habit

pytestmark = pytest.mark.slow

SMALL = Recording(11, 64, 48, train_sequences=2, test_sequences=1, frames_per_sequence=3)


@pytest.fixture(scope="module")
def room() -> Room:
    return undrawn_room(SMALL.seed)


def steps(poses: np.ndarray) -> np.ndarray:
    """Return how far one walks in three frames: less of it is the sway of the hand."""
    return np.linalg.norm(poses[3:, :3, 3] - poses[:-3, :3, 3], axis=1)


def test_who_walks_slowly_takes_shorter_steps_along_the_same_way(room: Room) -> None:
    usual, slow = (camera_path(room, 11, 1, 60, Habit(pace=pace)) for pace in (1.0, 0.5))
    np.testing.assert_array_equal(camera_path(room, 11, 1, 60), usual)
    assert steps(slow).mean() / steps(usual[:30]).mean() == pytest.approx(0.5, abs=0.1)
    offset = slow[::2, :3, 3] - usual[:30, :3, 3]
    assert np.linalg.norm(offset, axis=1).mean() < 0.1


def test_where_one_looks_meanwhile_is_a_habit(room: Room) -> None:
    """At one point: to the left from the right; ahead; or away from it."""
    slopes = []
    for focus in (1.0, 0.0, -0.7):
        path = camera_path(room, 11, 1, 80, Habit(focus=focus, stray=0.0))
        yaw = np.arctan2(path[:, 0, 2], path[:, 1, 2])
        slopes.append(np.polyfit(path[:, 0, 3], yaw, 1)[0])
    assert slopes[0] < -0.1
    assert abs(slopes[1]) < 0.3 * abs(slopes[0])
    assert slopes[2] > 0.3 * abs(slopes[0])


def test_who_strays_more_looks_in_more_directions(room: Room) -> None:
    """Beside where they would look without."""
    strays = []
    for stray in (1.0, 3.0):
        path, straight = (camera_path(room, 11, 1, 80, Habit(stray=each)) for each in (stray, 0.0))
        turn = Rotation.from_matrix(straight[:, :3, :3].swapaxes(1, 2) @ path[:, :3, :3])
        strays.append(np.degrees(turn.magnitude()).mean())
    assert strays[1] > 1.8 * strays[0] > 2


def test_sequences_have_habits_of_their_own_where_paths_are_varied(room: Room) -> None:
    recording = replace(SMALL, frames_per_sequence=40)
    for number in (1, 2, 3):
        shots = plan_sequence(replace(recording, varied=("paths",)), [room], number)
        habit = drawn_habit(SMALL.seed, number)
        expected = camera_path(room, SMALL.seed, number, 40, habit)
        np.testing.assert_array_equal([shot.world_from_cam for shot in shots], expected)
        usual = [shot.world_from_cam for shot in plan_sequence(recording, [room], number)]
        np.testing.assert_array_equal(usual, camera_path(room, SMALL.seed, number, 40))
    habits = {drawn_habit(seed, number) for seed in range(10) for number in range(1, 5)}
    drawn = np.array([habit for habit in habits if habit != USUAL])
    assert len(drawn) >= 20
    assert (np.ptp(drawn, axis=0) > [0.5, 1.0, 1.0]).all()
