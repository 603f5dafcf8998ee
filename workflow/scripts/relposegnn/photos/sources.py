"""Where photos come from one after another: a video, a camera, a folder that is watched.

Each source yields items as they come, and goes on after one that cannot be read: that one has an
error in the place of a photo.
"""

import logging
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ..folders import files_below, refuse_no_folder
from ..images import UPRIGHT, open_image
from ..limits import check_picture, refuse_special_file
from ..runtime import InputError
from .files import SUFFIXES, check_names

logger = logging.getLogger(__name__)

# FFmpeg's reader of each kind of file, by suffix: it looks for no other, and follows no address.
CONTAINERS = {".mp4": "mov", ".mov": "mov", ".m4v": "mov", ".mkv": "matroska"}
CONTAINERS |= {".webm": "matroska", ".avi": "avi"}
# What shows a frame as its display matrix says, by a, b, c, d: what is stored at (x, y) is seen at
# (a x + c y, b x + d y), y down.
TURNS = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
}
MOST_FAILURES = 30  # of a camera, one after another, before it counts as gone
PAUSE = 0.5  # seconds between two looks at a folder
AGAIN = "%s: was written anew, and is not localised again; give new photos names of their own"
PATIENCE = 10.0  # seconds after which a file that stays as it is, and unreadable, is reported


class Item(NamedTuple):
    """Something to localise.

    Attributes:
        name: that the results call it by.
        photo: file or image; InputError where there is none.
        seconds: of a video or since a camera was opened; of a file since 1970, its own date.
    """

    name: str
    photo: Path | Image.Image | InputError
    seconds: float


def is_video(path: Path) -> bool:
    """Return whether a file is a video, by its suffix."""
    return path.suffix.lower() in CONTAINERS and not path.is_dir()


def video_frames(path: str | Path, every: int = 1) -> Iterator[Item]:
    """Yield every n-th frame of a video, upright, by its own clock.

    Raises:
        InputError: it is none, or holds no frame.
    """
    import av  # FFmpeg's libraries: other sources do without

    path, count = Path(path), 0
    if not is_video(path):
        raise InputError(f"{path}: is no video, expected {', '.join(CONTAINERS)}; convert it")
    refuse_special_file(path)
    try:
        how = {"options": {"protocol_whitelist": "file"}, "metadata_errors": "replace"}
        with av.open(str(path), format=CONTAINERS[path.suffix.lower()], **how) as file:
            for count, frame in enumerate(_decoded(path, file), start=1):
                if (count - 1) % every == 0:
                    name = f"{path.name}/frame-{count - 1:06d}"
                    yield Item(name, _as_shown(frame), float(frame.time or 0))
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: cannot be read as a video ({error}), expected MP4, MOV, MKV, WebM or AVI; "
            "copy it again or convert it"
        ) from error
    if not count:
        raise InputError(f"{path}: holds no frame that can be read, expected a video; replace it")


def _as_shown(frame: "av.VideoFrame") -> Image.Image:  # noqa: F821
    """Return a frame turned by right angles, or mirrored, as its file says that it is shown."""
    image, matrix = frame.to_image(), frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    a, b, _, c, d, *_ = (np.frombuffer(bytes(matrix), np.int32) / 2**16).round().tolist()
    turn = TURNS.get((a, b, c, d))
    return image if turn is None else image.transpose(turn)


def _decoded(path: Path, file: "av.container.InputContainer") -> Iterator["av.VideoFrame"]:  # noqa: F821
    """Yield the frames of a video; what is damaged in between is counted in the log."""
    import av

    streams = [stream for stream in file.streams.video if stream.codec_context]
    if not streams:
        raise InputError(
            f"{path}: holds no pictures that can be read, expected a video; replace or convert it"
        )
    check_picture(path, streams[0].width, streams[0].height)
    damaged = read = 0
    for packet in file.demux(streams[0]):
        try:
            for frame in packet.decode():
                check_picture(path, frame.width, frame.height)
                read += 1
                yield frame
        except av.error.InvalidDataError:
            damaged += 1
    if damaged:
        logger.warning("%s: %d damaged parts of the video are left out", path, damaged)
    if read < streams[0].frames:  # 0 where it tells no number
        logger.warning(
            "%s: tells of %d frames and holds %d that can be read, was it copied whole?",
            *(path, streams[0].frames, read),
        )


def camera_frames(
    number: int, every: int = 1, open_camera: Callable[[int], cv2.VideoCapture] = cv2.VideoCapture
) -> Iterator[Item]:
    """Yield every n-th frame of a camera until it gives no more, or the user interrupts.

    Args:
        number: of the camera, as OpenCV counts them from 0.
        every: n.
        open_camera: by its number.

    Raises:
        InputError: there is no such camera.
    """
    camera, started, count = open_camera(number), time.monotonic(), 0
    missed = unread = 0  # pictures one after another: none came; it cannot be read
    try:
        if not camera.isOpened():
            raise InputError(
                f"--camera {number}: cannot be opened, expected the number of a camera that is "
                "plugged in and that no other program uses; try 0 or 1"
            )
        while max(missed, unread) < MOST_FAILURES:
            if not camera.grab():
                missed += 1
                continue
            count, missed = count + 1, 0
            if (count - 1) % every:
                continue
            taken, (read, pixels) = time.monotonic() - started, camera.retrieve()
            unread = 0 if read else unread + 1
            if read:
                image = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
                yield Item(f"camera-{number}/frame-{count - 1:06d}", image, taken)
        logger.warning("--camera %d: gives no more pictures; it was unplugged, or ended", number)
    finally:
        camera.release()


def watched_photos(
    folder: str | Path, sleep: Callable[[float], None] = time.sleep, pause: float = PAUSE
) -> Iterator[Item]:
    """Yield the photos of a folder and those that come, each once it is whole, for ever.

    A file whose size or date still changes is waited for, and so is one that cannot be read yet;
    one that stays as it is for ``PATIENCE`` seconds is yielded with what is wrong. One that is
    written anew later is another photo: its results would have the same name, and so the log tells
    of it, once.

    Args:
        folder: with sub-folders.
        sleep: waits so many seconds; the user ends it there.
        pause: between two looks.

    Raises:
        InputError: there is no such folder, or no longer.
    """
    folder, tell = Path(folder), cache(logger.log)  # each line once
    done: dict[str, tuple[int, int]] = {}  # states
    known: dict[str, tuple[tuple[int, int], float]] = {}  # state, and for how long it has been so
    while True:
        refuse_no_folder(folder, "a folder that photos come into")
        for path in sorted(files_below(folder, tell)):
            name = path.relative_to(folder)
            if name.as_posix() in done:
                if _state_of(path) != done[name.as_posix()]:
                    tell(logging.WARNING, AGAIN, path)
                continue
            if path.suffix.lower() not in SUFFIXES:
                continue
            if any(part.startswith(".") for part in name.parts):
                continue
            item, known[name.as_posix()] = _arrived(path, name.as_posix(), known, pause)
            if item is not None:
                done[name.as_posix()], _ = known.pop(name.as_posix())
                yield item
        sleep(pause)


def _arrived(
    path: Path, name: str, known: dict[str, tuple[tuple[int, int], float]], pause: float
) -> tuple[Item | None, tuple[tuple[int, int], float]]:
    """Return the item of a file that is whole, or None; and its state, with its age."""
    state = _state_of(path)
    before, age = known.get(name, (None, 0.0))
    if state != before:
        return None, (state, 0.0)
    try:
        check_names(path.parent, [name])
        open_image(path, UPRIGHT)
    except InputError as error:
        found = Item(name, error, state[1] / 1e9) if age >= PATIENCE else None
        return found, (state, age + pause)
    return Item(name, path, state[1] / 1e9), (state, age)


def _state_of(path: Path) -> tuple[int, int]:
    """Return a file's size and its date, nanoseconds since 1970; zeros where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
