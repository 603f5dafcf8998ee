"""Retrieval: describe photos, and rank a place's database images by similarity to them."""

from pathlib import Path

import h5py
import numpy as np
import torch

from ..data.frames import Frames
from ..files.json_files import number
from ..files.limits import checked_size
from ..files.storage import check_scene, open_hdf5, read_settings
from ..files.whole_files import reading
from ..retrieval.describers import Describer, load_describer
from ..retrieval.exact import Ranker
from ..retrieval.neighbour_choice import SamplingSettings, check_choice, choose_neighbours
from ..runtime import InputError, numpy_generator
from .confidence import similarity_scale
from .files import Photo
from .place import Place


class PhotoRetrieval:
    """The descriptors of a database, and the describer of photos; close it after use.

    Attributes:
        size: (width, height) in pixels at which images are described.
        crop: the share of their width and height that is described.
        scale: of similarities in the database.
    """

    def __init__(self, place: Place, frames: Frames, device: torch.device, workers: int) -> None:
        """Open the descriptors of a place, with its frames.

        Args:
            place: that the photos show.
            frames: its frames.
            device: to describe on.
            workers: threads that describe.

        Raises:
            InputError: the files do not belong together, or another describer made the descriptors.
        """
        self._descriptors = open_hdf5(place.descriptors, "descriptors")
        self._length = _ranking_length(place, frames, self._descriptors)
        self.size, self.crop = _describing(self._descriptors)
        self._describer = _describer_of(self._descriptors, place.describer, device, workers)
        self.scale = similarity_scale(self._descriptors["train/descriptor"])
        self._ranker = Ranker(self._descriptors["train/descriptor"])

    def describe(self, photos: list[Photo]) -> np.ndarray:
        """Return the descriptors (N, D) of photos."""
        return np.stack(list(self._describer.rows([photo.describing for photo in photos])))

    def rank(self, described: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rank the database for descriptors (N, D).

        Returns:
            The database images (N, K), most similar first, and the similarity (N,) of the first.
        """
        ranked, similarity = self._ranker.rank(described, self._length)
        return ranked, np.minimum(similarity[:, 0], 1)  # a copy's cosine may be 1.0000001

    def close(self) -> None:
        """Close the file of descriptors."""
        self._descriptors.close()


def _ranking_length(place: Place, frames: Frames, descriptors: h5py.File) -> int:
    """Check the place's files against each other; return the length of a photo's ranking."""
    check_scene(descriptors, frames)
    with reading(descriptors.filename, "descriptors"):
        count = len(descriptors["train/descriptor"])
    if count != frames.count("train"):
        raise InputError(
            f"{descriptors.filename}: describes {count} database images, expected the "
            f"{frames.count('train')} of {frames.path}; describe the frames again"
        )
    length = min(place.candidates, count - 1)
    check_choice(place.sampling, length, count, str(frames.path))
    return length


def _describing(descriptors: h5py.File) -> tuple[tuple[int, int], float]:
    """Return the size at which images were described, and the share of it that was described."""
    settings = read_settings(descriptors)
    with reading(descriptors.filename, "descriptors"):
        size = checked_size(descriptors.filename, settings["width"], settings["height"])
        return size, number(settings["crop"], "crop", least=0.01, most=1)


def _describer_of(
    descriptors: h5py.File, describer_file: Path, device: torch.device, workers: int
) -> Describer:
    """Return the describer that made the descriptors; refuse a file other than the recorded one."""
    settings = read_settings(descriptors)
    describer = load_describer(settings["descriptor"], describer_file, str(device), workers)
    recorded = {key: settings.get(key) for key in describer.made_by}
    if recorded != describer.made_by:
        raise InputError(
            f"{describer_file}: is {describer.made_by}, but {descriptors.filename} was made with "
            f"{recorded}; give the same file, or describe the frames again"
        )
    return describer


def neighbours_of_photos(
    names: list[str], ranked: np.ndarray, frames: Frames, sampling: SamplingSettings
) -> np.ndarray:
    """Return the neighbours (N, k) of each photo; its name seeds the random generator."""
    # Sequences are found by the names of all images, which are read only then.
    sequential = sampling.selection == "sequential"
    database = frames.names("train") if sequential else range(frames.count("train"))
    draws = (numpy_generator(sampling.seed, "photos", frames.scene, name) for name in names)
    chosen = [
        choose_neighbours(ranking[None], database, sampling, generator, within=False)[0]
        for ranking, generator in zip(ranked, draws, strict=True)
    ]
    return np.concatenate(chosen)
