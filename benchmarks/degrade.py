"""Copy a scene in 7-Scenes' layout, with queries that are degraded in five ways.

    python benchmarks/degrade.py path/to/7scenes/redkitchen path/to/degraded/redkitchen
    python benchmarks/degrade.py path/to/study path/to/degraded/study --from-database 3 8

The database is unchanged (links to its images), so that a run with ``scenes_dir=path/to/degraded``
shows how well blurred, shaken, dark, white-wall or half-covered photos are localised in the same
place. The queries are degraded in these five ways by turns. With ``--from-database``, the queries
are sequences of the database, which are removed from it; each is written once as it is and once in
each way. This is for tuning, for which test queries must not be used. ``degraded.csv`` lists the
kind of each query, for ``comparison.py --groups``.
"""

import argparse
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import inputs  # noqa: F401  # puts the library on the path
import numpy as np
import pandas as pd

from relposegnn.data.images import open_image
from relposegnn.layouts.files import SEVEN_SCENES_SPLITS
from relposegnn.layouts.reading import read_scene
from relposegnn.layouts.scenes import Frame, Scene
from relposegnn.runtime import InputError, numpy_generator

SIGMA, SHAKE = 6.0, 31  # pixels at 640 x 480
LIGHT, PHOTONS = 0.06, 400.0  # share of light left; photons of a white pixel in full light


def blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image out of focus."""
    return cv2.GaussianBlur(image, (0, 0), SIGMA * max(image.shape) / 640)


def shaken(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image blurred by sideways motion of the camera."""
    length = round(SHAKE * max(image.shape) / 640)
    return cv2.blur(image, (length, 1))


def dark(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image taken in little light, with photon noise."""
    photons = rng.poisson(image / 255 * LIGHT * PHOTONS)
    return np.clip(photons / PHOTONS * 255, 0, 255).astype(np.uint8)


def wall(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image of a white wall of the same size."""
    return np.clip(rng.normal(225, 2, image.shape), 0, 255).astype(np.uint8)


def covered(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image whose left half is covered with grey."""
    image = image.copy()
    image[:, : image.shape[1] // 2] = 90
    return image


KINDS = (blurred, shaken, dark, wall, covered)
Kind = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Copy(NamedTuple):
    """A frame of the copied scene.

    Attributes:
        split: ``train`` or ``test``.
        sequence: its number.
        frame: the original one.
        kind: how a query is degraded; None: not at all.
    """

    split: str
    sequence: int
    frame: Frame
    kind: Kind | None = None


def sequence_of(frame: Frame) -> int:
    """Return the number of a frame's sequence, from its name, such as seq-03/frame-000017."""
    return int(frame.name.split("/")[0].removeprefix("seq-"))


def degraded_queries(scene: Scene) -> Iterator[Copy]:
    """Yield a scene's frames; its queries are degraded in one way each, by turns."""
    for frame in scene.train:
        yield Copy("train", sequence_of(frame), frame)
    for frame, kind in zip(scene.test, itertools.cycle(KINDS), strict=False):
        yield Copy("test", sequence_of(frame), frame, kind)


def span(text: str) -> tuple[int, slice]:
    """Parse SEQUENCE or SEQUENCE:FROM:TO; return the sequence and a slice of its frames."""
    sequence, *limits = (int(part) for part in text.split(":"))
    first, last = limits or (None, None)
    return sequence, slice(first, last)


def database_queries(scene: Scene, spans: list[tuple[int, slice]]) -> Iterator[Copy]:
    """Yield a scene's database, with spans of it as queries of every kind instead.

    Raises:
        InputError: a span has no frames.
    """
    numbers = [sequence_of(frame) for frame in scene.train]
    taken, following = set(), max(numbers) + 1
    for sequence, part in spans:
        rows = [row for row, own in enumerate(numbers) if own == sequence][part]
        if not rows:
            raise InputError(
                f"sequence {sequence}: has no such frames, expected some of the sequences "
                f"{sorted(set(numbers))}; correct --from-database"
            )
        for kind in (None, *KINDS):
            yield from (Copy("test", following, scene.train[row], kind) for row in rows)
            following += 1
        taken.update(rows)
    for row, frame in enumerate(scene.train):
        if row not in taken:
            yield Copy("train", numbers[row], frame)


def write_copy(output: Path, copies: list[Copy]) -> None:
    """Write frames in 7-Scenes' layout."""
    rows = []
    for copy in copies:
        name = f"seq-{copy.sequence:02d}/{copy.frame.name.split('/')[1]}"
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path.with_suffix(".pose.txt"), copy.frame.world_from_cam, fmt="%.17g")
        image_path = path.with_suffix(f".color{copy.frame.image.suffix}")
        if copy.kind is None:
            image_path.symlink_to(copy.frame.image)
        else:
            draw = numpy_generator(0, "degrade", "/".join(copy.frame.image.parts[-2:]))
            image = copy.kind(np.array(open_image(copy.frame.image).convert("RGB")), draw)
            cv2.imwrite(str(image_path), image[..., ::-1])
        if copy.split == "test":
            rows.append({"query": name, "kind": copy.kind.__name__ if copy.kind else "clean"})
    for split, file in SEVEN_SCENES_SPLITS.items():
        numbers = sorted({copy.sequence for copy in copies if copy.split == split})
        (output / file).write_text("".join(f"sequence{number}\n" for number in numbers))
    pd.DataFrame(rows).to_csv(output / "degraded.csv", index=False)
    print(f"{output}: {len(rows)} queries")


def main() -> None:
    """Copy a scene."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path, help="folder of the scene")
    parser.add_argument("output", type=Path, help="folder to write")
    parser.add_argument(
        "--from-database",
        nargs="+",
        type=span,
        metavar="SEQUENCE[:FROM:TO]",
        help="sequences of the database as queries, of some their frames FROM to TO - 1",
    )
    arguments = parser.parse_args()
    spans = arguments.from_database
    try:
        scene = read_scene(arguments.scene.resolve())
        copies = list(database_queries(scene, spans) if spans else degraded_queries(scene))
    except InputError as error:
        parser.error(str(error))
    write_copy(arguments.output, copies)


if __name__ == "__main__":
    main()
