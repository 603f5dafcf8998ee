"""The poses of accepted photos in formats of other programs, see docs/formats.md."""

import math
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from ..exchange.models import write_model
from ..exchange.pose_formats import Pinhole, PoseList, write_ace, write_hloc
from ..frames import Frames
from ..images import open_image
from .files import exif_focal_length
from .localiser import POSE


def accepted_poses(table: pd.DataFrame) -> PoseList:
    """Return the poses that a table of photos, see ``Localiser.localise``, has accepted."""
    accepted = table[table["accepted"]]
    poses = accepted[POSE].to_numpy()
    remark = "Photos that were accepted, estimated by relposegnn."
    return PoseList(list(accepted["image"]), poses[:, :3], poses[:, 3:], remark)


def write_formats(
    table: pd.DataFrame,
    photo_folder: str | Path,
    frames: Frames,
    output_folder: str | Path,
    formats: Collection[str],
    focal_length: float | None = None,
) -> None:
    """Write accepted photos as a COLMAP model ``colmap/``, and as ``hloc.txt`` and ``ace.txt``.

    ACE's confidence is the number of points that a pose was refined by. A camera is that of the
    photo turned as its pose has it.

    Args:
        table: of photos.
        photo_folder: that their names are relative to.
        frames: of the place, its camera known.
        output_folder: to write to.
        formats: those of ``exchange.pose_formats.FORMATS`` that are wanted.
        focal_length: of photos, in longer sides; None: as EXIF says, else as the database's.
    """
    if not formats:
        return
    poses, folder = accepted_poses(table), Path(output_folder)
    usual = float(np.median(frames.focal_lengths("train")))
    cameras = []
    for name in poses.names:
        photo = open_image(Path(photo_folder, name), frames.orientation)
        told = focal_length or exif_focal_length(photo)
        cameras.append(Pinhole.of_image(photo.size, usual if math.isnan(told) else told))
    if "colmap" in formats:
        write_model(folder / "colmap", poses, cameras)
    if "hloc" in formats:
        write_hloc(folder / "hloc.txt", poses)
    if "ace" in formats:
        write_ace(folder / "ace.txt", poses, cameras, table["points"][table["accepted"]])
