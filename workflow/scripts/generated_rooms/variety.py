"""Optional variety of generated rooms, for networks that are trained on many places.

Each kind is requested by name, so that its benefit can be measured. All variety is drawn from the
room's seed; a kind that is not requested draws nothing, so it does not change the other kinds.
"""

from collections.abc import Callable, Collection
from functools import partial

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from relposegnn.runtime import InputError, numpy_generator

from .paths import USUAL, Habit

STYLES = "styles"  # sizes, materials, colours and furniture of all kinds, mixed
CAMERAS = "cameras"  # a focal length for each room
PATHS = "paths"  # how each sequence is walked: slowly or briskly, and where the camera looks
OBJECTS = "objects"  # furniture in the middle is moved between sequences
LIGHT = "light"  # exposure, gamma and white balance of each sequence, noise
BLUR = "blur"  # motion blur
WORLDS = "worlds"  # axes and origin of each room's world
KINDS = (STYLES, CAMERAS, PATHS, OBJECTS, LIGHT, BLUR, WORLDS)

FOCAL_LENGTHS = (0.7, 1.15)  # in longer sides of the image: from a phone to beyond 7-Scenes
PACE, FOCUS, STRAY = (0.2, 1.2), (-0.7, 1.0), (1.0, 3.0)  # of habits: least, most
ARRANGEMENTS = 3  # of the furniture in the middle
BLURRED = 0.15  # share of frames that are blurred
LONGEST_BLUR = 0.012  # in longer sides of the image
FARTHEST = 20.0  # metres of a room from its world's origin along each axis, at most

Change = Callable[[np.ndarray], np.ndarray]


def check_kinds(kinds: Collection[str]) -> None:
    """Raise an InputError unless all kinds are known."""
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise InputError(f"rendering.varied: got {', '.join(unknown)}, expected {', '.join(KINDS)}")


def drawn_focal_length(seed: int) -> float:
    """Return the focal length of a room's camera, in longer sides of the image."""
    return float(_log_uniform(numpy_generator(seed, "synthetic", CAMERAS), *FOCAL_LENGTHS))


def drawn_habit(seed: int, sequence: int) -> Habit:
    """Return how a sequence is walked: every other sequence as usual, so that this occurs too.

    If all sequences had the same habit, rotations would follow from translations; a network trained
    on them would confuse the two in places where they do not.
    """
    rng = numpy_generator(seed, "synthetic", PATHS, str(sequence))
    drawn = Habit(_log_uniform(rng, *PACE), rng.uniform(*FOCUS), rng.uniform(*STRAY))
    return drawn if sequence % 2 else USUAL


def drawn_world(seed: int) -> np.ndarray:
    """Return the pose (4, 4) of the room's usual axes in its world."""
    rng = numpy_generator(seed, "synthetic", WORLDS)
    world = np.eye(4)
    world[:3, :3] = Rotation.random(random_state=rng).as_matrix()
    world[:3, 3] = rng.uniform(-FARTHEST, FARTHEST, 3)
    return world


def frame_change(kinds: Collection[str], seed: int, sequence: int, frame: int) -> Change:
    """Return the function that applies a camera's effects to an image uint8 (H, W, 3)."""
    changes = []
    place = str(sequence), str(frame)
    if BLUR in kinds:
        changes.append(partial(_blur, numpy_generator(seed, "synthetic", BLUR, *place)))
    if LIGHT in kinds:
        exposure = _exposure(numpy_generator(seed, "synthetic", LIGHT, str(sequence)))
        noise = numpy_generator(seed, "synthetic", LIGHT, *place)
        changes.append(partial(_expose, exposure, noise))
    return partial(_apply, changes)


def _apply(changes: list[Change], image: np.ndarray) -> np.ndarray:
    for change in changes:
        image = change(image)
    return image


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return np.exp(rng.uniform(np.log(low), np.log(high)))


def _exposure(rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Return a sequence's gains of the channels (3,), gamma, and standard deviation of noise."""
    gains = np.exp(rng.normal(0, 0.1) + rng.normal(0, 0.04, 3))
    return gains, float(np.exp(rng.normal(0, 0.08))), float(rng.uniform(0, 0.012))


def _expose(
    exposure: tuple[np.ndarray, float, float], rng: np.random.Generator, image: np.ndarray
) -> np.ndarray:
    gains, gamma, deviation = exposure
    drift = np.exp(rng.normal(0, 0.05))
    bright = (np.float32(drift) * gains.astype(np.float32) * (image / np.float32(255))) ** gamma
    noisy = bright + deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.round(np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def _blur(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Return the image with motion blur, or unchanged."""
    angle = rng.uniform(0, np.pi)
    length = rng.uniform(0, LONGEST_BLUR) * max(image.shape[:2])
    if rng.random() > BLURRED:
        return image
    side = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((side, side), np.uint8)  # OpenCV antialiases lines only in uint8 images
    half = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    middle = (side - 1) / 2
    ends = [tuple(np.round(16 * (middle + sign * half)).astype(int).tolist()) for sign in (-1, 1)]
    cv2.line(kernel, *ends, 255, 1, cv2.LINE_AA, 4)
    return cv2.filter2D(image, -1, kernel / np.float32(kernel.sum()))
