"""A place that stays loaded: photos in, their poses and errors out, as often as one likes."""

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

from ..aggregation import aggregate, pair_spread
from ..calibration import StatedErrors, read_calibration_file, stated_errors
from ..checkpoints import load_model
from ..frames import Frames
from ..localization import estimate_candidates, way_to_nearest
from ..matching.refinement import Refined, unrefined
from ..matching.scenes import poses_of, refined_arrays, regressed_prior, tell_refined
from ..metrics import STATED, stated_columns
from ..owners import Owner
from ..poses import quaternion_from_matrix
from ..predictions import ALL_EDGES, DISTANCES, EDGE_SPREADS, NEAREST, REFINED, SOLVED
from ..runtime import InputError
from ..scene_images import SceneImages
from ..stored_maps import StoredMaps
from ..threads import map_in_threads, one_core_left
from ..weights import fingerprint
from .cameras import AssumedCameras, check_focal_length
from .confidence import confidence
from .files import Photo, read_photo
from .given import Picture, listed_photos
from .place import Place
from .refining import PhotoRefiner
from .retrieval import PhotoRetrieval, neighbours_of_photos
from .table import NO_PHOTOS, POSE
from .table import Localised as Localised  # for who takes it
from .unchanged import Unchanged

logger = logging.getLogger(__name__)

PHOTOS_AT_ONCE = 64  # in memory
KEPT_IMAGES = 256  # of the database, as the network sees them; up to 0.5 MB each


class _Recognised(NamedTuple):
    """Photos, by what they look like.

    Attributes:
        seen: what the network sees of them.
        ranked: (N, K) database images, most similar first.
        similarity: (N,) to the first of them.
        cameras: that took them, as far as is known.
    """

    seen: torch.Tensor | StoredMaps
    ranked: np.ndarray
    similarity: np.ndarray
    cameras: AssumedCameras


class Localiser:
    """Localises photos in a place; ``with``, or ``close``, closes its files.

    Everything of the database is read once: the descriptors where they are small enough for it, key
    points when they are needed first. Threads may share it, and take turns; a process that is
    forked loads a place of its own.
    """

    _turn = threading.RLock()  # of all: how many threads libraries use is the whole process's

    def __init__(self, place: Place, device: torch.device, workers: int = 1) -> None:
        """Load a place.

        Args:
            place: that photos show.
            device: to compute on.
            workers: threads that read and refine photos.

        Raises:
            InputError: a file of the place cannot be read, or they do not belong together.
        """
        if not 0 <= place.minimum_confidence <= 1:
            raise InputError(f"minimum confidence is {place.minimum_confidence}, expected 0 to 1")
        used = {place.frames, place.features, place.descriptors, place.images} - {None}
        self._files = Unchanged(path for path in used if path.is_file())
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
                "%s: has no scale of the errors of photos whose focal length is solved for: they "
                "are not stated, and no photo is accepted without --focal-length; calibrate anew, "
                "or make the place or its map again",
                place.calibration,
            )
        model = model.to(device, memory_format=torch.channels_last)
        self._images = SceneImages(model, self.frames, place.features, KEPT_IMAGES)
        self._retrieval = PhotoRetrieval(place, self.frames, device, workers)
        self._beside = ThreadPoolExecutor(1)  # describes what is encoded meanwhile
        self._told_aspects: set[float] = set()  # of photos, width / height
        self._refiner = PhotoRefiner(self.frames, place.images) if place.images else None
        self._process: int | None = os.getpid()  # None: closed

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files of the place."""
        self.close()

    def close(self) -> None:
        """Close the files of the place, once what other threads have asked is answered."""
        if self._process != os.getpid():
            return
        with self._turn:
            self._process = None
            self._beside.shutdown()
            self.frames.close()
            self._retrieval.close()

    def check(self) -> None:
        """Check that photos can be localised still.

        Raises:
            InputError: it was closed, or is another process's; ``ChangedError``: a file of the
                place has changed meanwhile.
        """
        if self._process != os.getpid():
            found = "was closed" if self._process is None else "was loaded by another process"
            raise InputError(
                f"the place {self.frames.scene!r} {found}, expected one that this process has "
                "opened; make another Localiser here"
            )
        self._files.check()

    def localise(
        self,
        photos: Sequence[Picture] | Picture,
        names: Sequence[str] | str | None = None,
        focal_length: float | None = None,
    ) -> Localised:
        """Return the poses of N photos in their order, each as it would be alone, but for rounding.

        A row per photo: ``image``; ``tx ty tz`` in metres, ``qw qx qy qz``, camera-to-world, the
        aggregate of all edges into it, refined where the place is prepared for that, not finite
        where it failed; ``confidence``; ``accepted``; ``sigma_m``, ``sigma_deg``, errors that hold
        in 68 % of the cases, and ``sigma95_m``, ``sigma95_deg``, in 95 %; ``similarity`` to the
        ``nearest`` database image; ``spread_m``, ``spread_deg``, medians between two edges'
        estimates; ``points`` by which the pose was refined, 0 where it was not; and the camera,
        ``width height fx fy cx cy`` in pixels of the photo turned as its pose has it, as matches
        have it where the pose was refined.

        Args:
            photos: JPEG, PNG and HEIC files, or images in memory, upright, Pillow's or arrays
                (H, W, 3) uint8 RGB or (H, W) uint8 grey; or a single one.
            names: that the table calls them by; None: those of the files, of others their numbers,
                from 0. A name and the seed of the place's sampling fix the neighbours of a photo.
            focal_length: of photos, in longer sides; None: as EXIF says, else as the database's.

        Raises:
            InputError: a photo is none, there are not as many names, the focal length is none, or
                an image of the place cannot be read, see also ``check``; ``PhotoError``: a photo
                cannot.
        """
        self.check()
        check_focal_length(focal_length)
        paths, names = listed_photos(photos, names)
        if not paths:
            return Localised(NO_PHOTOS.copy(), np.empty((0, 3, 3)))
        with self._turn:
            self.check()  # in its turn
            try:
                known = self._recognise(paths, focal_length)
                refined, told, stated = self._estimate(paths, names, known)
            finally:  # what cannot be read may be a file that has changed
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
        return pd.DataFrame(  # made at once: a column that is added costs as much as all of them
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
        quiet = len(paths) == 1 or None  # None: unless it goes to a terminal
        progress = iter(tqdm(reading, "reading photos", len(paths), unit="img", disable=quiet))
        blocks, framed = [], []
        while photos := list(itertools.islice(progress, min(PHOTOS_AT_ONCE, self._images.at_once))):
            cameras = self._cameras(photos, focal_length is not None)
            widening = [max(photo.frame) / max(photo.size) for photo in photos]
            lengths = cameras.focal_lengths / widening  # in longer sides of what is seen
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
        """Log that some of the photos, of these sizes, have other aspects; each aspect once."""
        aspects = {round(width / height, 2) for width, height in sizes}
        if aspects <= self._told_aspects:
            return
        self._told_aspects |= aspects
        logger.warning(
            "%d of %d photos have another aspect than the scene's images, which are packed as "
            "%d x %d: for the network and for the descriptor their edges are continued",
            *(len(sizes), photos, *self.frames.image_shape[::-1]),
        )

    def _cameras(self, photos: Sequence[Photo], exact: bool) -> AssumedCameras:
        """Return the cameras of photos, whose focal lengths are exact or as EXIF has them."""
        sizes = np.array([photo.size for photo in photos])
        frames = np.array([photo.frame for photo in photos])
        told = np.array([photo.focal_length for photo in photos])
        return AssumedCameras.of_photos(sizes, frames, told, exact, self._usual_length)

    def _estimate(
        self,
        paths: list[Path | Image.Image],
        names: list[str],
        known: _Recognised,
    ) -> tuple[list[Refined], dict[str, np.ndarray], StatedErrors]:
        """Return poses, arrays of them as in a predictions file, and the errors that are stated."""
        neighbours = neighbours_of_photos(names, known.ranked, self.frames, self.place.sampling)
        how = self.place.localization
        candidates = estimate_candidates(self._images, known.seen, neighbours, how.both_directions)
        poses = aggregate(candidates, how.aggregation)
        spread = pair_spread(candidates.translation, candidates.quaternion)
        told = dict(zip(EDGE_SPREADS, spread, strict=True))
        told[DISTANCES[ALL_EDGES]] = candidates.distance.mean(axis=1)
        told["robust_t"], told["robust_q"] = poses
        told[NEAREST[ALL_EDGES]] = way_to_nearest(poses[0], self._known_cameras)
        reference = self.frames.poses("train")[neighbours[:, 0]]
        told["reference_t"] = reference[:, :3, 3]
        told["reference_q"] = quaternion_from_matrix(reference[:, :3, :3])
        priors = regressed_prior(*poses, *spread)
        if self._refiner is None:
            refined = [unrefined(prior) for prior in priors]
            return refined, told, stated_errors(told, ALL_EDGES, self._calibration)
        refined = self._refiner.refine(paths, known.ranked, priors, known.cameras, self._workers)
        if len(paths) > 1:
            tell_refined(refined)
        estimator = SOLVED if known.cameras.deviations.any() else REFINED
        told |= refined_arrays(refined, estimator)
        return refined, told, stated_errors(told, estimator, self._calibration)
