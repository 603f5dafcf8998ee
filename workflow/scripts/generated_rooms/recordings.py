"""Recordings of generated rooms: which frames are taken, where, and with which camera."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np

from relposegnn.runtime import InputError

from .paths import USUAL, camera_path
from .rendering import Camera, render_frame
from .rooms import Room, build_room
from .variety import (
    ARRANGEMENTS,
    CAMERAS,
    OBJECTS,
    PATHS,
    STYLES,
    WORLDS,
    check_kinds,
    drawn_focal_length,
    drawn_habit,
    drawn_world,
    frame_change,
)

PNG_SETTINGS = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True)
class Recording:
    """Which room is recorded, and how much of it.

    Attributes:
        seed: of the room and its camera paths.
        width: of the images, in pixels.
        height: of the images, in pixels.
        train_sequences: camera paths of the database.
        test_sequences: camera paths of the queries.
        frames_per_sequence: along each path.
        test_focal_length: of the queries' camera, in longer sides of the image; None: that of the
            database, which is 7-Scenes' unless cameras are varied.
        varied: kinds of variety, see ``variety.KINDS``.
    """

    seed: int
    width: int
    height: int
    train_sequences: int
    test_sequences: int
    frames_per_sequence: int
    test_focal_length: float | None = None
    varied: Sequence[str] = ()

    @property
    def sequences(self) -> int:
        """The number of sequences of both splits."""
        return self.train_sequences + self.test_sequences

    def check(self, scene: str) -> None:
        """Raise an InputError if there are no frames, sequences or pixels, or unknown kinds."""
        names = ("width", "height", "train_sequences", "test_sequences", "frames_per_sequence")
        counts = {name: getattr(self, name) for name in names}
        if min(counts.values()) < 1:
            raise InputError(f"rendering of {scene}: got {counts}, expected at least 1 each")
        check_kinds(self.varied)


class Shot(NamedTuple):
    """A frame to be taken.

    Attributes:
        arrangement: index of the room's arrangement.
        camera: that takes the frame.
        world_from_cam: (4, 4) pose of the camera in the room's axes.
        sequence: from 1.
        frame: of the sequence, from 0.
    """

    arrangement: int
    camera: Camera
    world_from_cam: np.ndarray
    sequence: int
    frame: int


def build_rooms(recording: Recording) -> list[Room]:
    """Return the room in each of its arrangements."""
    any_style = STYLES in recording.varied
    arrangements = range(ARRANGEMENTS if OBJECTS in recording.varied else 1)
    return [build_room(recording.seed, any_style, arrangement) for arrangement in arrangements]


def plan_sequence(recording: Recording, rooms: Sequence[Room], sequence: int) -> list[Shot]:
    """Return the frames of a sequence; sequences count from 1, the training sequences first.

    Raises:
        InputError: furniture leaves no free path; this depends on the seed.
    """
    arrangement = sequence % len(rooms)
    habit = drawn_habit(recording.seed, sequence) if PATHS in recording.varied else USUAL
    path = camera_path(
        rooms[arrangement], recording.seed, sequence, recording.frames_per_sequence, habit
    )
    camera = _camera(recording, sequence)
    return [Shot(arrangement, camera, pose, sequence, frame) for frame, pose in enumerate(path)]


def take_shot(recording: Recording, rooms: Sequence[Room], shot: Shot) -> dict[str, bytes]:
    """Return the contents of a frame's files, by suffix."""
    colour, depth = render_frame(rooms[shot.arrangement], shot.world_from_cam, shot.camera)
    change = frame_change(recording.varied, recording.seed, shot.sequence, shot.frame)
    world = drawn_world(recording.seed) if WORLDS in recording.varied else np.eye(4)
    pose = io.StringIO()
    np.savetxt(pose, world @ shot.world_from_cam, fmt="%.12e")
    return {
        "color.png": cv2.imencode(".png", change(colour)[..., ::-1], PNG_SETTINGS)[1].tobytes(),
        "depth.png": cv2.imencode(".png", depth, PNG_SETTINGS)[1].tobytes(),
        "pose.txt": pose.getvalue().encode(),
    }


def _camera(recording: Recording, sequence: int) -> Camera:
    """Return the camera of a sequence."""
    camera = Camera.seven_scenes(recording.width, recording.height)
    length = drawn_focal_length(recording.seed) if CAMERAS in recording.varied else None
    if sequence > recording.train_sequences and recording.test_focal_length is not None:
        length = recording.test_focal_length
    if length is None:
        return camera
    return replace(camera, focal=length * max(camera.width, camera.height))
