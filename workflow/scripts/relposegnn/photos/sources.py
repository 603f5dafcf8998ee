"""Sources of a stream of photos: a video, a camera, a watched folder.

Each source yields items as they come. An item that cannot be read has an error in the place of its
photo, and the source goes on.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ..data.images import UPRIGHT, open_image
from ..files.folders import files_below, refuse_no_folder
from ..files.limits import check_picture, refuse_special_file
from ..runtime import InputError
from .files import SUFFIXES, check_names, is_hidden, reading_photo

logger = logging.getLogger(__name__)

# FFmpeg's demuxer for each suffix: no other is tried, and no address in a file is followed.
CONTAINERS = {".mp4": "mov", ".mov": "mov", ".m4v": "mov", ".mkv": "matroska"}
CONTAINERS |= {".webm": "matroska", ".avi": "avi"}
# How to turn a frame with the entries a, b, c, d in its display matrix: the pixel stored at (x, y)
# is shown at (a x + c y, b x + d y), y down.
TURNS = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
}
MOST_FAILURES = 30  # of a camera in a row, after which it counts as gone
LATE = 1.0  # seconds at the end of a video that may have sound alone
PAUSE = 0.5  # seconds between two scans of a folder
AGAIN = "%s: was overwritten, and is not localised again; give each new photo a new name"
GONE = 0, 0  # state of a file that was removed
PATIENCE = 10.0  # seconds without change after which an unreadable file is reported


class Item(NamedTuple):
    """Something to localise.

    Attributes:
        name: in the results.
        photo: file or image; an InputError if there is none.
        seconds: time in the video; time since the camera was opened; of a file, its date of
            modification, since 1970.
    """

    name: str
    photo: Path | Image.Image | InputError
    seconds: float


def is_video(path: Path) -> bool:
    """Return whether a file is a video, by its suffix."""
    return path.suffix.lower() in CONTAINERS and not path.is_dir()


def video_frames(path: str | Path, every: int = 1) -> Iterator[Item]:
    """Yield every n-th frame of a video, upright, with its time in the video.

    Raises:
        InputError: the file is not a video, or holds no frame.
    """
    import av  # FFmpeg's libraries, which other sources do not need

    path, count = Path(path), 0
    if not is_video(path):
        raise InputError(f"{path}: is not a video, expected {', '.join(CONTAINERS)}; convert it")
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
    """Return a frame turned by right angles or mirrored, as the file's display matrix says."""
    image, matrix = frame.to_image(), frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    a, b, _, c, d, *_ = (np.frombuffer(bytes(matrix), np.int32) / 2**16).round().tolist()
    turn = TURNS.get((a, b, c, d))
    return image if turn is None else image.transpose(turn)


def _decoded(path: Path, file: "av.container.InputContainer") -> Iterator["av.VideoFrame"]:  # noqa: F821
    """Yield the frames of a video; the number of damaged parts is logged."""
    import av

    streams = [stream for stream in file.streams.video if stream.codec_context]
    if not streams:
        raise InputError(
            f"{path}: holds no pictures that can be read, expected a video; replace or convert it"
        )
    check_picture(path, streams[0].width, streams[0].height)
    # AVI has no times for frames that are stored in another order than they are shown in; FFmpeg
    # guesses them, wrongly for H.264. As many frames are shown as stored, at the same intervals.
    unknown = file.format.name == "avi" and streams[0].codec_context.has_b_frames
    damaged, read, last, times = 0, 0, None, deque()
    for packet in file.demux(streams[0]):
        if unknown and packet.dts is not None:
            times.append(packet.dts)
        try:
            for frame in packet.decode():
                check_picture(path, frame.width, frame.height)
                read, last = read + 1, frame.time
                frame.pts = times.popleft() if times else frame.pts
                yield frame
        except av.error.InvalidDataError:
            damaged += 1
            if times:  # of the packet
                times.pop()
    if damaged:
        logger.warning("%s: %d damaged parts of the video are left out", path, damaged)
    if read < streams[0].frames:  # 0 if the file does not say
        logger.warning(
            "%s: should have %d frames, but only %d can be read; was it copied completely?",
            *(path, streams[0].frames, read),
        )
    elif not streams[0].frames and file.duration and last is not None:
        end = ((file.start_time or 0) + file.duration) / av.time_base
        if last < end - LATE:
            logger.warning(
                "%s: should end after %.1f s, but the last frame that can be read is of %.1f s; "
                "was it copied completely?",
                *(path, end, last),
            )


def camera_frames(
    number: int, every: int = 1, open_camera: Callable[[int], cv2.VideoCapture] = cv2.VideoCapture
) -> Iterator[Item]:
    """Yield every n-th frame of a camera until it ends or the user interrupts.

    Args:
        number: of the camera, as OpenCV counts them, from 0.
        every: n.
        open_camera: opens a camera by its number.

    Raises:
        InputError: there is no such camera.
    """
    camera, started, count = open_camera(number), time.monotonic(), 0
    missed = unread = 0  # failures in a row: no picture came; a picture could not be read
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
        logger.warning("--camera %d: gives no more pictures; was it unplugged?", number)
    finally:
        camera.release()


def watched_photos(
    folder: str | Path, sleep: Callable[[float], None] = time.sleep, pause: float = PAUSE
) -> Iterator[Item]:
    """Yield the photos in a folder and those that arrive later, each once it is complete, for ever.

    A file whose size or date still changes is waited for, and so is a file that cannot be read yet.
    If an unreadable file does not change for ``PATIENCE`` seconds, it is yielded with its error. A
    file that is overwritten after it was localised is another photo, whose results would have the
    same name: it is reported in the log, once, and not localised.

    Args:
        folder: searched with its sub-folders.
        sleep: waits for a number of seconds; the user interrupts it.
        pause: seconds between two scans of the folder.

    Raises:
        InputError: there is no such folder, or no longer.
    """
    folder, tell = Path(folder), cache(logger.log)  # logs each line once
    done: dict[str, tuple[int, int]] = {}  # states
    known: dict[str, tuple[tuple[int, int], float]] = {}  # state, and seconds since it changed
    while True:
        refuse_no_folder(folder, "a folder that photos come into")
        for path in sorted(files_below(folder, tell)):
            name = path.relative_to(folder)
            if name.as_posix() in done:
                if _state_of(path) not in (done[name.as_posix()], GONE):
                    tell(logging.WARNING, AGAIN, path)
                continue
            if path.suffix.lower() not in SUFFIXES or is_hidden(name):
                continue
            item, known[name.as_posix()] = _arrived(path, name.as_posix(), known, pause)
            if item is not None:
                done[name.as_posix()], _ = known.pop(name.as_posix())
                yield item
        sleep(pause)


def _arrived(
    path: Path, name: str, known: dict[str, tuple[tuple[int, int], float]], pause: float
) -> tuple[Item | None, tuple[tuple[int, int], float]]:
    """Return the item of a file, None if it is not complete yet; and its state with its age."""
    state = _state_of(path)
    before, age = known.get(name, (None, 0.0))
    if state != before:
        return None, (state, 0.0)
    try:
        with reading_photo():
            check_names(path.parent, [name])
            open_image(path, UPRIGHT)
    except InputError as error:
        found = Item(name, error, state[1] / 1e9) if age >= PATIENCE else None
        return found, (state, age + pause)
    return Item(name, path, state[1] / 1e9), (state, age)


def _state_of(path: Path) -> tuple[int, int]:
    """Return a file's size and its date, nanoseconds since 1970, or ``GONE``."""
    try:
        status = path.stat()
    except OSError:
        return GONE
    return status.st_size, status.st_mtime_ns
