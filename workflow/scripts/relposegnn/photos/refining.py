"""Refine the poses of new photos by matches with the database; their cameras may be unknown."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..data.frames import Frames
from ..matching.key_points import KeyPoints, find_key_points
from ..matching.most_probable import Prior
from ..matching.refinement import Refined
from ..matching.scenes import KEY_POINTS, MatchedDatabase
from ..matching.stored_key_points import StoredKeyPoints
from ..threads import map_in_threads
from .cameras import AssumedCameras
from .files import reading_photo


class PhotoRefiner:
    """The images of a database and their key points, by which photos are refined."""

    def __init__(self, frames: Frames, images: Path) -> None:
        """Take the scene's frames, whose cameras are known, and its images.

        ``images`` is a folder of images, or a map, which holds their key points.
        """
        self._frames, self._images, lengths = frames, images, frames.focal_lengths("train")
        find = StoredKeyPoints(images).of if images.is_file() else self._find
        self._database = MatchedDatabase(find, frames.poses("train"), lengths)
        self._orientation = frames.orientation

    def refine(
        self,
        paths: Sequence[Path],
        ranked: np.ndarray,
        priors: Sequence[Prior],
        cameras: AssumedCameras,
        workers: int,
    ) -> list[Refined]:
        """Return the refined poses of N photos.

        Args:
            paths: of the photos.
            ranked: (N, K) database images, most similar first.
            priors: the photos' regressed poses.
            cameras: of the photos.
            workers: threads.

        Raises:
            InputError: an image of the database cannot be read; ``PhotoError``: a photo cannot.
        """

        def refine(row: int) -> Refined:
            """Return the refined pose of a photo, by its number."""
            with reading_photo():
                own = find_key_points(paths[row], KEY_POINTS, self._orientation)
            prior = cameras.assumed(row, priors[row])
            return self._database.refine(own, cameras.focal_lengths[row], ranked[row], prior)

        quiet = len(paths) == 1 or None  # None: shown only in a terminal
        refined = map_in_threads(refine, range(len(paths)), workers)
        return list(tqdm(refined, "refining", len(paths), unit="img", disable=quiet))

    def _find(self, image: int) -> KeyPoints:
        return find_key_points(self._images / self._frames.source("train", image), KEY_POINTS)
