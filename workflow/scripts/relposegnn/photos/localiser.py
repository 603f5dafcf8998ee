"""A place that stays loaded and localises photos, in any number of calls."""

import itertools
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.spatial import KDTree
from tqdm import tqdm

from ..data.frames import Frames
from ..estimates.candidate_poses import estimate_candidates
from ..estimates.localization import arrays_of_edges
from ..estimates.predictions import (
    ALL_EDGES,
    EDGE_SPREADS,
    PREFIXES,
    REFERENCE,
    REFINED,
    SIMILARITY,
    SOLVED,
    arrays_of_poses,
)
from ..files.owners import Owner
from ..files.weights import fingerprint
from ..matching.refinement import Refined, unrefined
from ..matching.scenes import poses_of, refined_arrays, regressed_prior, tell_refined
from ..network.checkpoints import load_model
from ..network.scene_images import CellsByRow, SceneImages
from ..poses import quaternion_from_matrix
from ..runtime import InputError
from ..scores.calibration import StatedErrors, read_calibration_file, stated_errors
from ..scores.metrics import STATED, stated_columns
from ..threads import map_in_threads, one_core_left
from .cameras import AssumedCameras, check_focal_length
from .confidence import confidence
from .files import Photo, read_photo
from .given import Picture, listed_photos
from .place import Place
from .refining import PhotoRefiner
from .retrieval import PhotoRetrieval, neighbours_of_photos
from .table import NO_PHOTOS, POSE, Localised
from .unchanged import Unchanged

logger = logging.getLogger(__name__)

PHOTOS_AT_ONCE = 64  # in memory
KEPT_IMAGES = 256  # of the database, as the network sees them; up to 0.5 MB each


class _Recognised(NamedTuple):
    """N photos after retrieval and encoding.

    Attributes:
        seen: what the network sees of them.
        ranked: (N, K) database images, most similar first.
        similarity: (N,) to the most similar database image.
        cameras: what is assumed of their cameras.
    """

    seen: torch.Tensor | CellsByRow
    ranked: np.ndarray
    similarity: np.ndarray
    cameras: AssumedCameras


class Localiser:
    """Localises photos in a place; ``with``, or ``close``, closes its files.

    Everything of the database is read once: the descriptors if they are small enough, key points
    when they are first needed. Threads may share a ``Localiser``, and take turns. A forked process
    has to make its own.
    """

    # Shared by all instances: the number of threads that libraries use is set per process.
    _turn = threading.RLock()

    def __init__(self, place: Place, device: torch.device, workers: int = 1) -> None:
        """Load a place.

        Args:
            place: that the photos show.
            device: to compute on.
            workers: threads that read and refine photos.

        Raises:
            InputError: a file of the place cannot be read, or its files do not belong together.
        """
        if not 0 <= place.minimum_confidence <= 1:
            raise InputError(f"minimum confidence is {place.minimum_confidence}, expected 0 to 1")
        used = {place.frames, place.features, place.descriptors, place.images} - {None}
        self._files = place.opened or Unchanged(path for path in used if path.is_file())
        self.place, self.frames = place, Frames(place.frames, place.camera)
        self._usual_length = np.median(self.frames.focal_lengths("train"))
        self._workers, model = workers, load_model(place.model)
        owner = self.frames.dataset, self.frames.scene, f"{place.frames} and {place.model}"
        owner = Owner(*owner, model=fingerprint(model))
        self._calibration, held_out = read_calibration_file(place.calibration, owner)
        rows = np.setdiff1d(np.arange(self.frames.count("train")), held_out)
        self._known_cameras = KDTree(self.frames.poses("train")[rows, :3, 3])
        if REFINED in self._calibration and SOLVED not in self._calibration:
            logger.warning(
                "%s: has no error scale for photos whose focal length is solved for. Without "
                "--focal-length, the larger errors of regressed poses are stated; calibrate again, "
                "or make the place or its map again",
                place.calibration,
            )
        model = model.to(device, memory_format=torch.channels_last)
        self._images = SceneImages(model, self.frames, place.features, KEPT_IMAGES)
        self._retrieval = PhotoRetrieval(place, self.frames, device, workers)
        self._beside = ThreadPoolExecutor(1)  # describes photos while they are encoded
        self._told_aspects: set[float] = set()  # width / height of photos, already logged
        self._refiner = PhotoRefiner(self.frames, place.images) if place.images else None
        self._process: int | None = os.getpid()  # None: closed
        self.check()

    def __enter__(self) -> Self:
        """Return this object."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files of the place."""
        self.close()

    def close(self) -> None:
        """Close the files of the place, after the calls of other threads have returned."""
        if self._process != os.getpid():
            return
        with self._turn:
            self._process = None
            self._beside.shutdown()
            self.frames.close()
            self._retrieval.close()

    def check(self) -> None:
        """Check that photos can still be localised.

        Raises:
            InputError: this object was closed, or belongs to another process; ``ChangedError``: a
                file of the place has changed since it was loaded.
        """
        if self._process != os.getpid():
            found = "was closed" if self._process is None else "was loaded by another process"
            raise InputError(
                f"the place {self.frames.scene!r} {found}, expected one that this process has "
                "open; make another Localiser here"
            )
        self._files.check()

    def localise(
        self,
        photos: Sequence[Picture] | Picture,
        names: Sequence[str] | str | None = None,
        focal_length: float | None = None,
    ) -> Localised:
        """Return the poses of N photos, in their order, independent of each other but for rounding.

        The table has a row per photo: ``image``; the camera-to-world pose, ``tx ty tz`` in metres
        and ``qw qx qy qz``, which is the aggregate of all edges into the photo, refined if the
        place is prepared for that, and not finite if it failed; ``confidence``; ``accepted``;
        errors that hold in 68 % of the cases, ``sigma_m``, ``sigma_deg``, and in 95 %,
        ``sigma95_m``, ``sigma95_deg``; ``similarity`` to the ``nearest`` database image;
        ``spread_m``, ``spread_deg``, median differences between two edges' estimates; ``points`` by
        which the pose was refined, 0 if it was not; and the camera, ``width height fx fy cx cy`` in
        pixels of the photo turned as its pose has it: as found by matches if the pose was refined,
        else as assumed.

        Args:
            photos: JPEG, PNG and HEIC files, or upright images in memory: Pillow images, or arrays
                (H, W, 3) uint8 RGB or (H, W) uint8 grey; or a single one of these.
            names: for the table; None: those of the files, and numbers from 0 for other photos. A
                name and the seed of the place's sampling determine the photo's neighbours.
            focal_length: of the photos, in longer sides; None: from EXIF, else the database's.

        Raises:
            InputError: a photo is not of these types, the number of names differs, the focal length
                is impossible, an image of the place cannot be read, or see ``check``;
                ``PhotoError``: a photo cannot be read.
        """
        self.check()
        check_focal_length(focal_length)
        paths, names = listed_photos(photos, names)
        if not paths:
            return Localised(NO_PHOTOS.copy(), np.empty((0, 3, 3)))
        with self._turn:
            self.check()  # again: it may have been closed while this call waited
            try:
                known = self._recognise(paths, focal_length)
                refined, told, stated = self._estimate(paths, names, known)
            finally:  # a file that has changed may be the cause of an error
                self.check()
        table = self._tabulate(names, known, refined, told, stated)
        return Localised(table, np.stack([each.centre for each in refined]))

    def _tabulate(
        self,
        names: list[str],
        known: _Recognised,
        refined: list[Refined],
        told: Mapping[str, np.ndarray],
        stated: StatedErrors,
    ) -> pd.DataFrame:
        """Return the table of ``localise``."""
        poses, points = poses_of(refined)
        poses = np.concatenate(poses, axis=1)
        scale, within = self._retrieval.scale, self.place.within
        sure = confidence(known.similarity, scale, points, stated, within)
        sure[np.isnan(poses[:, 0])] = 0
        nearest = [self.frames.name("train", row) for row in known.ranked[:, 0]]
        return pd.DataFrame(  # made at once: adding one column costs as much as making all
            {"image": names}
            | dict(zip(POSE, poses.T, strict=True))
            | {"confidence": sure}
            | {"accepted": np.isfinite(poses[:, 0]) & (sure >= self.place.minimum_confidence)}
            | dict(zip(STATED, stated_columns(stated).T, strict=True))
            | {"similarity": known.similarity}
            | {name: told[name] for name in EDGE_SPREADS}
            | {"points": points, "nearest": nearest}
            | known.cameras.columns(refined)
        )

    def _recognise(
        self, paths: list[Path | Image.Image], focal_length: float | None
    ) -> _Recognised:
        """Read photos, describe them, rank the database for them and encode them."""
        packed = self.frames.image_shape[::-1]
        sizes = self._retrieval.size, self._images.size, packed, self._retrieval.crop
        read = partial(read_photo, focal_length=focal_length, orientation=self.frames.orientation)
        reading = map_in_threads(lambda path: read(path, *sizes), paths, self._workers)
        quiet = len(paths) == 1 or None  # None: shown only in a terminal
        progress = iter(tqdm(reading, "reading photos", len(paths), unit="img", disable=quiet))
        blocks, framed = [], []
        while photos := list(itertools.islice(progress, min(PHOTOS_AT_ONCE, self._images.at_once))):
            cameras = self._cameras(photos, focal_length is not None)
            widening = [max(photo.frame) / max(photo.size) for photo in photos]
            lengths = cameras.focal_lengths / widening  # in longer sides of what the network sees
            with one_core_left():
                described = self._beside.submit(self._retrieval.describe, photos)
                seen = self._images.encode(np.stack([photo.seen for photo in photos]), lengths)
                described = described.result()
            blocks.append((cameras, seen, *self._retrieval.rank(described)))
            framed += [photo.size for photo in photos if photo.frame != photo.size]
        self._tell_other_aspects(framed, len(paths))
        cameras, seen, ranked, similarity = zip(*blocks, strict=True)
        return _Recognised(
            *(self._images.join(seen), np.concatenate(ranked), np.concatenate(similarity)),
            AssumedCameras(*map(np.concatenate, zip(*cameras, strict=True))),
        )

    def _tell_other_aspects(self, sizes: list[tuple[int, int]], photos: int) -> None:
        """Log that photos of these sizes have other aspect ratios; each ratio once."""
        aspects = {round(width / height, 2) for width, height in sizes}
        if aspects <= self._told_aspects:
            return
        self._told_aspects |= aspects
        logger.warning(
            "%d of %d photos have another aspect ratio than the scene's images, which are packed "
            "as %d x %d: they are extended at their edges for the network and the descriptor",
            *(len(sizes), photos, *self.frames.image_shape[::-1]),
        )

    def _cameras(self, photos: Sequence[Photo], exact: bool) -> AssumedCameras:
        """Return the cameras of photos, whose focal lengths are exact or from EXIF."""
        sizes = np.array([photo.size for photo in photos])
        frames = np.array([photo.frame for photo in photos])
        told = np.array([photo.focal_length for photo in photos])
        return AssumedCameras.of_photos(sizes, frames, told, exact, self._usual_length)

    def _estimate(
        self, paths: list[Path | Image.Image], names: list[str], known: _Recognised
    ) -> tuple[list[Refined], dict[str, np.ndarray], StatedErrors]:
        """Return poses, the arrays that a predictions file has of them, and the stated errors."""
        neighbours = neighbours_of_photos(names, known.ranked, self.frames, self.place.sampling)
        how = self.place.localization
        candidates = estimate_candidates(self._images, known.seen, neighbours, how.both_directions)
        told = arrays_of_edges(candidates, how.aggregation, self._known_cameras)
        told[SIMILARITY] = known.similarity
        reference = self.frames.poses("train")[neighbours[:, 0]]
        quaternions = quaternion_from_matrix(reference[:, :3, :3])
        told |= arrays_of_poses(PREFIXES[REFERENCE], reference[:, :3, 3], quaternions)
        priors = regressed_prior(told)
        if self._refiner is None:
            refined = [unrefined(prior) for prior in priors]
            return refined, told, stated_errors(told, ALL_EDGES, self._calibration)
        refined = self._refiner.refine(paths, known.ranked, priors, known.cameras, self._workers)
        if len(paths) > 1:
            tell_refined(refined)
        estimator = SOLVED if known.cameras.deviations.any() else REFINED
        told |= refined_arrays(refined, estimator)
        return refined, told, stated_errors(told, estimator, self._calibration)
