"""The answers of the service, as values for JSON: where a photo was taken; the map of a place."""

import math
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pandas as pd

from ..data.frames import Frames
from ..estimates.predictions import ALL_EDGES, SOLVED
from ..figures.maps import look_from_above
from ..photos.cameras import CAMERA
from ..photos.localiser import Localiser
from ..photos.place import Place
from ..photos.table import POSE, Localised
from ..poses import pose_from_quaternion
from ..runtime import InputError
from ..scores.calibration import Calibration, StatedErrors, probability_within, read_calibration
from ..scores.metrics import STATED

FRAME = "camera to world, metres; camera axes: x right, y down, z ahead (OpenCV)"
NAME = "photo"  # of every photo, so that the same photo always gets the same answer
DECIMALS = 4  # of metres in the map


class LoadedPlace:
    """A loaded place that localises photos, one at a time."""

    def __init__(
        self, localiser: Localiser, focal_length: float | None = None, folder: str | None = None
    ) -> None:
        """Take a loaded place.

        Args:
            localiser: of the place.
            focal_length: of the photos, in longer sides; None: from EXIF, else the database's.
            folder: for a temporary file with the photo; None: the system's temporary folder.
        """
        self._localiser, self._focal_length, self._folder = localiser, focal_length, folder
        frames, place = localiser.frames, localiser.place
        self.scene = frames.scene
        self.map = map_of(frames, place, read_calibration(place.calibration))
        self.check = localiser.check

    def localise(self, photo: bytes, focal_length: float | None = None) -> dict:
        """Return where a photo was taken, see ``answer_of``; ``focal_length`` is of this photo.

        Decoders read files, so the photo is written to a temporary one, whose name is ours.

        Raises:
            PhotoError: the photo cannot be read.
            InputError: the place can no longer be read; ``ChangedError``: its files have changed.
            OSError: the photo cannot be written to the disk.
        """
        # A system that removes old temporary files may have removed the folder of an idle service.
        folder = self._folder if self._folder and Path(self._folder).is_dir() else None
        with NamedTemporaryFile(prefix="relposegnn-", dir=folder) as file:
            file.write(photo)
            file.flush()
            try:
                length = focal_length or self._focal_length
                found = self._localiser.localise([file.name], [NAME], length)
            except InputError as error:
                raise type(error)(str(error).replace(file.name, NAME)) from error
        return answer_of(found, self._localiser.place)


def answer_of(found: Localised, place: Place) -> dict:
    """Return the answer to a single photo; values that are unknown or not finite are None."""
    row = found.table.iloc[0]
    told = {name: _number(row[name]) for name in [*STATED, "confidence", "similarity"]}
    return {
        "accepted": bool(row["accepted"]),
        "reason": explain(row, place),
        "pose": _pose(row),
        **told,
        "minimum_confidence": place.minimum_confidence,
        "covariance95_m2": _covariance(found.covariances[0], row["sigma95_m"]),
        "nearest": str(row["nearest"]),
        "neighbours": place.sampling.neighbours,
        "points": int(row["points"]),
        "camera": {name: _number(row[name]) for name in CAMERA}
        | {side: int(row[side]) for side in ("width", "height")},
    }


def explain(row: pd.Series, place: Place) -> str:
    """Return in words why a pose is accepted or not."""
    least = place.minimum_confidence
    told = f"confidence {row['confidence']:.3g}"
    if not np.isfinite(row[POSE].to_numpy(dtype=np.float64)).all():
        return "no pose could be estimated from this photo; take another one"
    if row["accepted"]:
        return f"{told} is at least {least:.3g}"
    if np.isnan(row["sigma_m"]):
        return "no error can be stated here: this place has too few images"
    stated = StatedErrors(*row[STATED].to_numpy(dtype=np.float64).reshape(2, 2, 1).swapaxes(0, 1))
    likely = probability_within(stated, place.within)[0]
    why = "the photo resembles no image of this place enough"
    if likely < least:
        metres, degrees = place.within
        why = (
            f"the stated error of {row['sigma_m']:.3g} m and {row['sigma_deg']:.3g} degrees is too "
            f"large for the pose to be within {metres:g} m and {degrees:g} degrees"
        )
    return f"{told} is below {least:.3g}: {why}"


def map_of(frames: Frames, place: Place, calibration: Calibration) -> dict:
    """Return a place's map: its cameras, the view of the page, and how accurate poses are."""
    poses = frames.poses("train")
    view = look_from_above(poses)
    quality = {
        name: {"median_m": metres, "median_deg": degrees, "images": scale.frames}
        for name in (SOLVED, ALL_EDGES)
        if (scale := calibration.get(name)) and scale.median
        for metres, degrees in [scale.median]
    }
    return {
        "scene": frames.scene,
        "frame": FRAME,
        "quality": quality,
        "within": dict(zip(("metres", "degrees"), place.within, strict=True)),
        "minimum_confidence": place.minimum_confidence,
        "view": {
            "map_from_world": view.map_from_world.tolist(),
            "labels": view.labels,
            "title": view.title,
        },
        "cameras": {
            "names": frames.names("train"),
            "centres_m": poses[:, :3, 3].round(DECIMALS).tolist(),
            "ahead": poses[:, :3, 2].round(DECIMALS).tolist(),
        },
    }


def _pose(row: pd.Series) -> dict | None:
    numbers = row[POSE].to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        return None
    world_from_cam = pose_from_quaternion(numbers[None, :3], numbers[None, 3:])[0]
    return {
        "frame": FRAME,
        "centre_m": numbers[:3].tolist(),
        "quaternion_wxyz": numbers[3:].tolist(),
        "rotation": world_from_cam[:3, :3].tolist(),
    }


def _covariance(covariance: np.ndarray, sigma95: float) -> list[list[float]] | None:
    """Return a covariance (3, 3) in m², scaled so that the root of its trace is ``sigma95``."""
    size = np.trace(covariance)
    if not (size > 0 and math.isfinite(size) and math.isfinite(sigma95)):
        return None
    return (covariance * (sigma95**2 / size)).tolist()


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
