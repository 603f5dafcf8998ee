"""Localise photos that were cropped or stretched, in a place whose runs are prepared for photos.

    scene="results/7scenes-small redkitchen path/to/redkitchen"
    python benchmarks/changed_photos.py $scene
    python benchmarks/changed_photos.py $scene --exif 0.82

The photos are queries of the place, at equal distances in their order, each changed in every way of
``CHANGES``. They tell nothing about their cameras. With ``--exif``, they tell this focal length, in
longer sides, of the whole picture that they were cut from, in whole millimetres. The table has
median errors, as means of the runs ± their standard deviation; the median of the errors stated for
68 %; the shares of queries within the errors stated for 68 % (metres / degrees) and 95 % (metres);
and how many are accepted, of these how many are more than 25 cm or 10 degrees off (means of runs).
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import inputs  # noqa: F401  # puts the library on the path
import numpy as np
import pandas as pd
from PIL import Image

from relposegnn.data.frames import Frames
from relposegnn.data.images import open_image
from relposegnn.estimates.yardsticks import affine_combination, most_similar
from relposegnn.photos.files import read_photo
from relposegnn.photos.localiser import Localiser
from relposegnn.photos.place import read_place
from relposegnn.poses import pose_distances, pose_from_quaternion
from relposegnn.runtime import select_device

LIMITS = 0.25, 10.0  # metres, degrees: a pose that is farther off is wrong
DIAGONAL = 43.27  # millimetres, of 35 mm film
FOCAL_LENGTH_IN_35MM = 0xA405  # EXIF's tag

Change = Callable[[Image.Image], Image.Image]


def part(left: float, top: float, right: float, bottom: float) -> Change:
    """Return a function that cuts out a part, given by shares of the width and height."""

    def cut(image: Image.Image) -> Image.Image:
        """Return the part of an image."""
        width, height = image.size
        return image.crop(
            tuple(map(round, (left * width, top * height, right * width, bottom * height)))
        )

    return cut


def middle(aspect: float) -> Change:
    """Return a function that cuts the largest part of an aspect ratio from the middle."""

    def cut(image: Image.Image) -> Image.Image:
        """Return the part of an image."""
        width, height = image.size
        across = min(1.0, aspect * height / width) / 2
        down = min(1.0, width / aspect / height) / 2
        return part(0.5 - across, 0.5 - down, 0.5 + across, 0.5 + down)(image)

    return cut


def stretched(across: float, down: float) -> Change:
    """Return a function that resizes an image by these factors of its width and height."""
    return lambda image: image.resize(
        (round(across * image.width), round(down * image.height)), Image.Resampling.BICUBIC
    )


CHANGES: dict[str, Change] = {
    "as they are": part(0, 0, 1, 1),
    "middle half": part(0.25, 0.25, 0.75, 0.75),
    "portrait format from the middle": middle(3 / 4),
    "corner, two thirds": part(0, 0, 2 / 3, 2 / 3),
    "corner, four fifths": part(0, 0, 0.8, 0.8),
    "three fifths of the width, at one side": part(0, 0, 0.6, 1),
    "upper three fifths": part(0, 0, 1, 0.6),
    "lower three fifths": part(0, 0.4, 1, 1),
    "1.3 times as high": stretched(1, 1.3),
    "1.3 times as wide": stretched(1.3, 1),
    "square from the middle": middle(1),
    "16:9 from the middle": middle(16 / 9),
}


def in_35mm(focal_length: float, size: tuple[int, int]) -> int:
    """Return a focal length in longer sides as EXIF tells it, of an image (width, height)."""
    return round(focal_length * max(size) / np.hypot(*size) * DIAGONAL)


def write_changed(
    images: Sequence[Path], change: Change, folder: Path, focal_length: float | None
) -> list[Path]:
    """Write changed images as JPEG, with the focal length of the whole ones in EXIF if given."""
    paths = []
    for number, path in enumerate(images):
        image = open_image(path).convert("RGB")
        exif = Image.Exif()
        if focal_length is not None:
            exif.get_ifd(0x8769)[FOCAL_LENGTH_IN_35MM] = in_35mm(focal_length, image.size)
        paths.append(folder / f"{number:03}.jpg")
        change(image).save(paths[-1], quality=95, exif=exif)
    return paths


def baselines(loaded: Localiser, paths: Sequence[Path]) -> list[np.ndarray]:
    """Return poses (N, 4, 4): of the most similar images, and combined from the 20 of these."""
    retrieval, frames = loaded._retrieval, loaded.frames
    sizes = retrieval.size, loaded._images.size, frames.image_shape[::-1], retrieval.crop
    described = retrieval.describe([read_photo(path, *sizes) for path in paths])
    ranked, _ = retrieval.rank(described)
    database = frames.poses("train")
    descriptors = retrieval._descriptors["train/descriptor"]
    return [
        most_similar(ranked, database),
        affine_combination(described, descriptors, ranked, database),
    ]


def medians(poses: np.ndarray, truth: np.ndarray) -> str:
    """Return median errors of poses (N, 4, 4) as text."""
    metres, degrees = (np.median(own) for own in pose_distances(poses, truth))
    return f"{metres:.3f} / {degrees:.1f}"


def localised(loaded: Localiser, paths: Sequence[Path], truth: np.ndarray) -> dict[str, float]:
    """Return what the table has of one run: errors, stated ones, shares in %, counts."""
    table = loaded.localise(list(paths)).table
    poses = pose_from_quaternion(
        table[["tx", "ty", "tz"]].to_numpy(), table[["qw", "qx", "qy", "qz"]].to_numpy()
    )
    metres, degrees = pose_distances(poses, truth)
    right = (metres <= LIMITS[0]) & (degrees <= LIMITS[1])
    return {
        "metres": np.median(metres),
        "degrees": np.median(degrees),
        "stated": table["sigma_m"].median(),
        "held_m": 100 * np.mean(metres <= table["sigma_m"]),
        "held_deg": 100 * np.mean(degrees <= table["sigma_deg"]),
        "held95_m": 100 * np.mean(metres <= table["sigma95_m"]),
        "accepted": table["accepted"].sum(),
        "wrong": (table["accepted"] & ~right).sum(),
    }


def row(name: str, yardsticks: Sequence[str], runs: pd.DataFrame) -> str:
    """Return a row of the Markdown table."""
    mean = runs.mean()
    cells = [
        *(name, *yardsticks),
        f"{mean.metres:.3f} ± {runs.metres.std(ddof=0):.3f} / {mean.degrees:.2f}",
        f"{mean.stated:.3f}",
        f"{mean.held_m:.0f} / {mean.held_deg:.0f}, {mean.held95_m:.0f}",
        f"{mean.accepted:.1f}, {mean.wrong:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Localise and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of the data set's results")
    parser.add_argument("scene")
    parser.add_argument("images", type=Path, help="folder of the scene's images")
    parser.add_argument("--runs", default="general*", help="pattern of their names")
    parser.add_argument("--photos", type=int, default=25, help="number of queries")
    parser.add_argument("--exif", type=float, metavar="F", help="focal length, in longer sides")
    parser.add_argument("--only", choices=CHANGES, help="this change alone")
    arguments = parser.parse_args()
    places = sorted(arguments.results.glob(f"runs/{arguments.runs}/places/{arguments.scene}.json"))
    if not places:
        parser.error(f"{arguments.results}: no run is prepared for photos; run the target models")
    print(f"{arguments.scene}: {arguments.photos} photos, {len(places)} runs\n")
    head = "changed | most similar image | affine combination | localised | stated for 68 %, m"
    print(f"| {head} | held, %: 68 % (m / deg), 95 % (m) | accepted, of these wrong |")
    print("|---|---|---|---|---|---|---|")
    with Frames(read_place(places[0]).frames) as frames:
        count = frames.count("test")
        chosen = np.linspace(0, count - 1, min(arguments.photos, count)).round().astype(int)
        truth = frames.poses("test")[chosen]
        originals = [frames.paths("test", arguments.images)[index] for index in chosen]
    loaded = [Localiser(read_place(place), select_device(), 2) for place in places]
    for name in [arguments.only] if arguments.only else CHANGES:
        with tempfile.TemporaryDirectory() as folder:
            paths = write_changed(originals, CHANGES[name], Path(folder), arguments.exif)
            yardsticks = [medians(own, truth) for own in baselines(loaded[0], paths)]
            runs = pd.DataFrame([localised(own, paths, truth) for own in loaded])
        print(row(name, yardsticks, runs), flush=True)


if __name__ == "__main__":
    main()
