"""COLMAP's unfinished work on a place: key points and matches, kept until the model is written.

An interrupted run resumes from them.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from ..colmap_library import load_pycolmap
from ..runtime import InputError, atomic_path, make_folder

pycolmap = load_pycolmap()

logger = logging.getLogger(__name__)

UNFINISHED = ".find-poses"  # sub-folder of the place's folder
CAMERA = "SIMPLE_RADIAL"  # one focal length, and the first term of distortion
LONGEST_SIDE = 1600  # pixels; larger photos are reduced before key points are found
PHOTOS_AT_ONCE, PAIRS_AT_ONCE = 4, 50  # between two checks for an interruption by the user
LEAST_MODEL = 10  # fewest photos of a model that COLMAP keeps; all photos if there are fewer
SEED = 0


class Work:
    """COLMAP's database, and links to the photos, because names in its lists end at a blank."""

    def __init__(self, folder: Path, photos: Sequence[tuple[str, Path]], workers: int) -> None:
        """Make the working folder, or resume from an existing one if it is of the same photos.

        Args:
            folder: of the place.
            photos: names and files.
            workers: threads.
        """
        self._folder, self._workers = folder / UNFINISHED, workers
        self._database, self._links = self._folder / "database.db", self._folder / "photos"
        told = self._folder / "photos.json"
        now = json.dumps([_state(name, path) for name, path in photos])
        if self._folder.exists():
            if told.is_file() and told.read_text(encoding="utf-8") == now:
                logger.info("%s: resuming unfinished work", folder)
            else:
                logger.info(
                    "%s: the photos have changed since the last run; starting again", folder
                )
                self.remove()
        make_folder(self._links)
        told.write_text(now, encoding="utf-8")
        self._names = {_link(self._links, name, path): name for name, path in photos}

    def find_key_points(self) -> None:
        """Find the key points of all photos that have none yet.

        Raises:
            InputError: COLMAP cannot read some photos.
        """
        names = list(self._names)
        reader = pycolmap.ImageReaderOptions(camera_model=CAMERA)
        with pycolmap.Database.open(self._database) as database:
            if cameras := database.read_all_cameras():
                reader.existing_camera_id = cameras[0].camera_id
        how = {"camera_mode": pycolmap.CameraMode.SINGLE}
        files = self._database, self._links
        pycolmap.import_images(*files, image_names=names, options=reader, **how)
        options = pycolmap.FeatureExtractionOptions(
            max_image_size=LONGEST_SIDE, num_threads=self._workers
        )
        how |= {"reader_options": reader, "extraction_options": options}
        for some in _parts(names, PHOTOS_AT_ONCE, "key points"):
            pycolmap.extract_features(*files, image_names=some, **how)
        with pycolmap.Database.open(self._database) as database:
            known = {image.name for image in database.read_all_images()}
        if missing := [name for link, name in self._names.items() if link not in known]:
            raise InputError(
                f"{missing[0]}: COLMAP cannot read this photo (the first of {len(missing)}), "
                "expected PNG or JPEG; leave them out, or save them anew"
            )

    def match(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Match those pairs of photos, given by rows, that are not matched yet."""
        names, listed = list(self._names), self._folder / "pairs.txt"
        options = pycolmap.FeatureMatchingOptions(num_threads=self._workers)
        for some in _parts(pairs, PAIRS_AT_ONCE, "matches"):
            listed.write_text("".join(f"{names[a]} {names[b]}\n" for a, b in some))
            pairing = pycolmap.ImportedPairingOptions(match_list_path=listed)
            pycolmap.match_image_pairs(
                self._database, matching_options=options, pairing_options=pairing
            )

    def reconstruct(self) -> "list[pycolmap.Reconstruction]":
        """Return COLMAP's models, the largest first; images have the names of the photos."""
        options = pycolmap.IncrementalPipelineOptions(
            num_threads=self._workers,
            random_seed=SEED,
            min_model_size=min(LEAST_MODEL, len(self._names)),
        )
        with (
            atomic_path(self._folder / "models") as made,
            tqdm(desc="poses", unit=" photos tried") as bar,
        ):
            made.mkdir()
            files = self._database, self._links, made
            found = pycolmap.incremental_mapping(*files, options, next_image_callback=bar.update)
        models = sorted(found.values(), key=lambda model: -model.num_reg_images())
        for model in models:
            for image in model.images.values():
                image.name = self._names[image.name]
        return models

    def remove(self) -> None:
        """Remove the working folder."""
        shutil.rmtree(self._folder)


def _state(name: str, path: Path) -> list[str | int]:
    stat = path.stat()
    return [name, stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _link(links: Path, name: str, path: Path) -> str:
    """Make a link to a photo; return the link's name, which has no blanks."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    link = links / f"{digest[:20]}{path.suffix.lower()}"
    link.unlink(missing_ok=True)  # it may be stale, if the place was moved
    link.symlink_to(path.resolve())
    return link.name


def _parts(items: Sequence, size: int, what: str) -> Iterator[Sequence]:
    """Yield items in parts of a size, and show the progress."""
    with tqdm(total=len(items), desc=what) as bar:
        for start in range(0, len(items), size):
            yield items[start : start + size]
            bar.update(len(items[start : start + size]))
