"""What COLMAP has done for a place: key points and matches, kept until the model is there.

Who begins again after a kill goes on with them.
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

UNFINISHED = ".find-poses"  # folder in the place's
CAMERA = "SIMPLE_RADIAL"  # one focal length, and the first term of distortion
LONGEST_SIDE = 1600  # pixels, of the photos that key points are found in
PHOTOS_AT_ONCE, PAIRS_AT_ONCE = 4, 50  # between two looks at whether the user interrupts
LEAST_MODEL = 10  # photos that COLMAP keeps a model of; all of them, where there are fewer
SEED = 0


class Work:
    """COLMAP's database, and links to photos by names without blanks, which its lists end at."""

    def __init__(self, folder: Path, photos: Sequence[tuple[str, Path]], workers: int) -> None:
        """Make the folder, or take what is in it, unless it is of other photos.

        Args:
            folder: of the place.
            photos: their names, and files.
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
            InputError: COLMAP finds none in some photos.
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
                f"{missing[0]}: COLMAP cannot read this photo, expected PNG or JPEG (of "
                f"{len(missing)} such photos the first); leave them out, or save them anew"
            )

    def match(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Match pairs of photos, by their rows, where that was not done yet."""
        names, listed = list(self._names), self._folder / "pairs.txt"
        options = pycolmap.FeatureMatchingOptions(num_threads=self._workers)
        for some in _parts(pairs, PAIRS_AT_ONCE, "matches"):
            listed.write_text("".join(f"{names[a]} {names[b]}\n" for a, b in some))
            pairing = pycolmap.ImportedPairingOptions(match_list_path=listed)
            pycolmap.match_image_pairs(
                self._database, matching_options=options, pairing_options=pairing
            )

    def reconstruct(self) -> "list[pycolmap.Reconstruction]":
        """Return COLMAP's models of the photos, by their names, the largest first."""
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
        """Remove what was kept until the model is there."""
        shutil.rmtree(self._folder)


def _state(name: str, path: Path) -> list[str | int]:
    stat = path.stat()
    return [name, stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _link(links: Path, name: str, path: Path) -> str:
    """Return the name of a link to a photo, which has no blanks."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    link = links / f"{digest[:20]}{path.suffix.lower()}"
    link.unlink(missing_ok=True)  # it may be of the time before the place was moved
    link.symlink_to(path.resolve())
    return link.name


def _parts(items: Sequence, size: int, what: str) -> Iterator[Sequence]:
    """Yield items, so many at once, and show how many are done."""
    with tqdm(total=len(items), desc=what) as bar:
        for start in range(0, len(items), size):
            yield items[start : start + size]
            bar.update(len(items[start : start + size]))
