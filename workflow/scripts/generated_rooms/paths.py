"""Camera paths through generated rooms: a person who walks to and fro and looks around.

All sequences of a room share where the person stands and looks, and each varies it in its own way.
Training and test sequences thus see the same things from nearby, but never along the same path.
"""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from relposegnn.runtime import InputError, numpy_generator

from .geometry import distance_to_solids
from .rooms import Room

STEP = 0.10  # metres per frame
TURN = np.radians(4.0)  # radians per frame
CLEARANCE = 0.15  # metres to furniture
LOOK_AHEAD = 1.2  # metres from the region's middle to the point that the person looks at
WANDER = np.radians((6, 4))  # yaw and pitch by which the view strays from that point, at most
SWAY = (0.008, np.radians(1.0))  # standard deviation of hand-held sway (metres), roll (radians)


class Habit(NamedTuple):
    """How a sequence is walked, as factors relative to the usual way.

    Attributes:
        pace: of steps and turns from frame to frame.
        focus: how much the view stays on the same point while walking: 0 is looking straight ahead
            everywhere, below 0 is looking away from that point.
        stray: of angles by which the view strays from that point.
    """

    pace: float = 1.0
    focus: float = 1.0
    stray: float = 1.0


USUAL = Habit()


def camera_path(
    room: Room, seed: int, sequence: int, frames: int, habit: Habit = USUAL
) -> np.ndarray:
    """Return the poses world_from_cam (frames, 4, 4) of one sequence.

    ``sequence`` counts from 1 over training and test sequences together.

    Raises:
        InputError: furniture leaves no free path; this depends on the seed.
    """
    rng = numpy_generator(seed, "synthetic", "path", str(sequence))
    for _ in range(100):
        centres, angles = _walk(rng, room, frames, habit)
        if distance_to_solids(centres, room.solids).min() > CLEARANCE:
            return look(centres, *angles.T)
    raise InputError(
        f"room of seed {seed}: its furniture leaves no free path for a camera in 100 attempts, "
        f"expected {CLEARANCE} m on all sides; choose another seed"
    )


def look(centres: np.ndarray, yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Return poses (N, 4, 4) from centres (N, 3) and angles (N) in radians.

    With all angles zero, the camera looks along y with z up. Positive yaw turns it to the right,
    positive pitch up, positive roll clockwise.
    """
    zero = np.zeros_like(yaw)
    forward = np.stack(
        [np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)], -1
    )
    level = np.stack([np.cos(yaw), -np.sin(yaw), zero], -1)
    below = np.cross(forward, level)
    cos, sin = np.cos(roll)[:, None], np.sin(roll)[:, None]
    poses = np.tile(np.eye(4), (len(yaw), 1, 1))
    poses[:, :3, 0] = cos * level + sin * below
    poses[:, :3, 1] = cos * below - sin * level
    poses[:, :3, 2] = forward
    poses[:, :3, 3] = centres
    return poses


def _walk(
    rng: np.random.Generator, room: Room, frames: int, habit: Habit
) -> tuple[np.ndarray, np.ndarray]:
    """Return camera centres (frames, 3) and yaw, pitch, roll (frames, 3)."""
    stops = _stops(rng, room, 4 + frames // 6, habit)
    dense = PchipInterpolator(np.arange(len(stops)), stops)(np.linspace(0, len(stops) - 1, 6000))
    change = np.diff(dense, axis=0)
    effort = np.hypot(
        np.linalg.norm(change[:, :3], axis=1) / STEP, np.linalg.norm(change[:, 3:], axis=1) / TURN
    ) / np.sqrt(2)
    progress = np.concatenate([[0], np.cumsum(effort)])
    wanted = np.arange(frames) * min(habit.pace, progress[-1] / frames)
    walked = np.stack([np.interp(wanted, progress, values) for values in dense.T], -1)
    walked = gaussian_filter1d(walked, 1.5, axis=0, mode="nearest")
    centres = walked[:, :3] + _sway(rng, frames, SWAY[0])
    angles = np.hstack([walked[:, 3:], np.zeros((frames, 1))])
    return centres, angles + _sway(rng, frames, SWAY[1]) * (0.25, 0.25, 1.0)


def _stops(rng: np.random.Generator, room: Room, count: int, habit: Habit) -> np.ndarray:
    """Return stops (count, 5): x, y, z, yaw, pitch; alternately on the left and on the right."""
    low, high = room.region
    share = rng.uniform(0, 1, (count, 3))
    side = (np.arange(count) + rng.integers(2)) % 2
    share[:, 0] = np.where(side, 1 - 0.45 * share[:, 0], 0.45 * share[:, 0])
    centres = low + share * (high - low)
    middle = (low + high) / 2
    point = middle + np.array([0, LOOK_AHEAD, -0.08])
    ahead = point - centres + (habit.focus - 1) * (middle - centres)
    stray = rng.uniform(-1, 1, (count, 2)) * habit.stray * WANDER
    yaw = np.arctan2(ahead[:, 0], ahead[:, 1]) + stray[:, 0]
    pitch = np.arctan2(ahead[:, 2], np.hypot(ahead[:, 0], ahead[:, 1])) + stray[:, 1]
    return np.column_stack([centres, yaw, pitch])


def _sway(rng: np.random.Generator, frames: int, deviation: float) -> np.ndarray:
    """Return slow random motion (frames, 3) about zero."""
    raw = gaussian_filter1d(rng.standard_normal((frames + 40, 3)), 5.0, axis=0)[20 : 20 + frames]
    return deviation * raw / 0.238  # the deviation of unit noise after this Gaussian filter
