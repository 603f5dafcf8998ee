"""A planted place for the service: a photo's colour is where it was taken."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pandas as pd
import uvicorn
from PIL import Image
from test_photos_place import SURE, place_in
from undrawn_rooms import undrawn_room

from generated_rooms.paths import camera_path
from relposegnn.estimates.predictions import ALL_EDGES
from relposegnn.photos.cameras import CAMERA
from relposegnn.photos.files import PhotoError
from relposegnn.photos.table import POSE, Localised
from relposegnn.poses import quaternion_from_matrix
from relposegnn.scores.metrics import STATED
from relposegnn.serving.answers import answer_of, map_of
from relposegnn.serving.application import Bounds, make_application
from relposegnn.serving.connections import Connection

SMALL, LARGE = (0.11, 1.4, 0.24, 3.1), (0.5, 9, 1.1, 20)  # errors, metres and degrees
SPREAD = np.diag([0.04, 0.01, 0.01])  # of camera centres, in a unit of its own


def photo_at(row: int, red: int = 0) -> bytes:
    """Return a photo taken where the database's camera ``row`` is, ``red`` / 100 m to its right."""
    written = BytesIO()
    Image.new("RGB", (8, 6), (red, row, 0)).save(written, "PNG")
    return written.getvalue()


@cache
def planted_walks() -> np.ndarray:
    """Return the poses (60, 4, 4) of two walks in a generated room."""
    room = undrawn_room(5)
    return np.concatenate([camera_path(room, 5, number, 30) for number in (1, 2)])


class PlantedPlace:
    """Answers as a place of 60 cameras along two walks in a generated room.

    Attributes:
        delay: seconds that a photo takes.
        most: photos that were in work at a time.
        seen: photos that were, their colours.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.poses = planted_walks()
        self.place = place_in(Path())
        names = [f"seq-{1 + i // 30:02}/frame-{i % 30:06}" for i in range(60)]
        frames = SimpleNamespace(scene="study", poses=lambda _: self.poses, names=lambda _: names)
        self.scene, self.map = "study", map_of(frames, self.place, {ALL_EDGES: SURE})
        self.delay, self.most, self.seen = delay, 0, []
        self._inside, self._names = 0, names

    def pose_at(self, row: int, red: int = 0) -> np.ndarray:
        """Return the pose (4, 4) of ``photo_at``."""
        shift = np.eye(4)
        shift[0, 3] = red / 100
        return self.poses[row] @ shift

    def check(self) -> None:
        """Find nothing wrong."""

    def localise(self, photo: bytes, focal_length: float | None = None) -> dict:
        """Return the pose that a photo's colour tells, and the focal length that is given."""
        self._inside += 1
        self.most = max(self.most, self._inside)
        try:
            with Image.open(BytesIO(photo)) as image:
                red, row, _ = image.convert("RGB").getpixel((0, 0))
        except OSError as error:
            raise PhotoError("photo: cannot be read as an image, expected PNG or JPEG") from error
        finally:
            time.sleep(self.delay)
            self._inside -= 1
        self.seen.append((red, row))
        wide = 640 * (focal_length or 0.82)
        pose, sure = self.pose_at(row, red), 0.92 if red < 100 else 0.13
        quaternion = quaternion_from_matrix(pose[None, :3, :3])[0]
        table = {
            **dict(zip(POSE, [*pose[:3, 3], *quaternion], strict=True)),
            **dict(zip(STATED, SMALL if sure > 0.5 else LARGE, strict=True)),
            "confidence": sure, "accepted": sure > 0.4, "similarity": 0.83, "points": 57,
            "nearest": self._names[row],
            **dict(zip(CAMERA, (640, 480, wide, wide, 320.0, 240.0), strict=True)),
        }  # fmt: skip
        return answer_of(Localised(pd.DataFrame([table]), SPREAD[None]), self.place)


@contextmanager
def serving(place: PlantedPlace, limit: int = 100_000, queue: int = 8) -> Iterator[str]:
    """Serve a place at a free port of this machine; yield its address."""
    application = make_application(place, Bounds(limit, queue))
    how = {"log_config": None, "lifespan": "off", "ws": "none", "http": Connection}
    config = uvicorn.Config(application, port=0, **how)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def client(address: str, **more: object) -> httpx.Client:
    """Return a client of a service that goes through no proxy."""
    return httpx.Client(base_url=address, trust_env=False, timeout=60, **more)


def send_by_hand(address, body, told=None, more=""):
    """Send a photo, or its first bytes where more are told of; return the open connection."""
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    head = f"POST /localise HTTP/1.1\r\nHost: {host}\r\nContent-Length: {told or len(body)}\r\n"
    connection.sendall(f"{head}{more}\r\n".encode() + body)
    return connection


def held_place():
    """Return a place that tells when it begins a photo, and goes on when it is released."""
    place, began, release = PlantedPlace(), threading.Event(), threading.Event()
    usual = place.localise

    def localise(*photo):
        began.set()
        assert release.wait(60)
        return usual(*photo)

    place.localise = localise
    return place, began, release
