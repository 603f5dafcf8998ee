"""A folder of new photos, localised in a place: a table, a map, and lists for other programs."""

import logging
from pathlib import Path

import pandas as pd
import torch

from ..runtime import InputError, atomic_path
from .files import find_photos
from .localiser import POSE, Localiser
from .picture import plot_photos
from .place import Place
from .pose_formats import write_colmap, write_tum

logger = logging.getLogger(__name__)


def localise_photos(
    place: Place,
    photo_folder: str | Path,
    output_folder: str | Path,
    device: torch.device,
    workers: int = 1,
    focal_length: float | None = None,
) -> pd.DataFrame:
    """Estimate the pose of every photo in a folder, write the results and return their table.

    ``poses.csv`` and the map ``photos.png`` show all photos, see ``Localiser.localise``;
    ``poses.txt`` (TUM) and ``images.txt`` (COLMAP) the accepted ones.

    Args:
        place: that the photos show.
        photo_folder: with JPEG and PNG files, also in sub-folders; or one such file.
        output_folder: to write to, not among the photos.
        device: to compute on.
        workers: threads that read and refine photos.
        focal_length: of photos, in longer sides; None: as EXIF says, else as the database's.

    Raises:
        InputError: a photo cannot be read, there is none, or the files do not belong together.
    """
    names = _requested_photos(photo_folder, output_folder)
    if Path(photo_folder).is_file():
        photo_folder = Path(photo_folder).parent
    paths = [Path(photo_folder, name) for name in names]
    with Localiser(place, device, workers) as localiser:
        table, covariances = localiser.localise(paths, names, focal_length)
        picture, least = Path(output_folder, "photos.png"), place.minimum_confidence
        plot_photos(table, photo_folder, localiser.frames, least, picture, covariances)
    _write(table, Path(output_folder))
    return table


def _requested_photos(photo_folder: str | Path, output_folder: str | Path) -> list[str]:
    """Return the names of the photos, once the request has been checked."""
    photos, output = Path(photo_folder).resolve(), Path(output_folder).resolve()
    if photos.is_dir() and output.is_relative_to(photos):
        raise InputError(
            f"{output_folder}: lies among the photos of {photo_folder}, and its photos.png would "
            "be localised itself the next time; choose another output folder"
        )
    return find_photos(photo_folder)


def _write(table: pd.DataFrame, folder: Path) -> None:
    """Write the table, and lists of the accepted poses."""
    accepted = table[table["accepted"]]
    logger.info("%d of %d photos accepted", len(accepted), len(table))
    poses = accepted[POSE].to_numpy()
    listed = list(accepted["image"]), poses[:, :3], poses[:, 3:]
    write_tum(folder / "poses.txt", *listed)
    write_colmap(folder / "images.txt", *listed)
    with atomic_path(folder / "poses.csv") as partial:
        written = table.assign(accepted=table["accepted"].map({True: "true", False: "false"}))
        written.to_csv(partial, index=False, float_format="%.9g")
