"""Copy a scene in 7-Scenes' layout with queries that are hard to see: one of five kinds, by turns.

    python benchmarks/degrade.py path/to/7scenes/redkitchen path/to/degraded/redkitchen

The database stays as it is (links to its files), so that a run with ``scenes_dir=path/to/degraded``
tells what the same place gives for photos that are blurred, shaken, dark, of a white wall or half
covered. What is done to a query is in ``degraded.csv``.
"""

import argparse
from pathlib import Path

import cv2
import inputs  # noqa: F401  # puts the library on the path
import numpy as np
import pandas as pd

from relposegnn.images import open_image
from relposegnn.layouts.reading import read_scene
from relposegnn.runtime import numpy_generator

SIGMA, SHAKE = 6.0, 31  # pixels at 640 x 480
LIGHT, PHOTONS = 0.06, 400.0  # share of the light that is left; of them a white pixel has so many


def blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image out of focus."""
    return cv2.GaussianBlur(image, (0, 0), SIGMA * max(image.shape) / 640)


def shaken(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image by a camera that moves sideways."""
    length = round(SHAKE * max(image.shape) / 640)
    return cv2.blur(image, (length, 1))


def dark(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image of little light, with the noise of few photons."""
    photons = rng.poisson(image / 255 * LIGHT * PHOTONS)
    return np.clip(photons / PHOTONS * 255, 0, 255).astype(np.uint8)


def wall(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image of a white wall instead."""
    return np.clip(rng.normal(225, 2, image.shape), 0, 255).astype(np.uint8)


def covered(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image whose left half something grey covers."""
    image = image.copy()
    image[:, : image.shape[1] // 2] = 90
    return image


KINDS = (blurred, shaken, dark, wall, covered)


def main() -> None:
    """Copy a scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path, help="folder of the scene")
    parser.add_argument("output", type=Path, help="folder to write")
    arguments = parser.parse_args()
    source, output = arguments.scene.resolve(), arguments.output
    scene = read_scene(source)
    queries = {frame.image.resolve(): index for index, frame in enumerate(scene.test)}
    rows = []
    for path in sorted(source.rglob("*")):
        copy = output / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        elif path.resolve() in queries:
            kind = KINDS[queries[path.resolve()] % len(KINDS)]
            draw = numpy_generator(0, "degrade", path.relative_to(source).as_posix())
            image = kind(np.array(open_image(path).convert("RGB")), draw)
            copy.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(copy), image[..., ::-1])
            frame = scene.test[queries[path.resolve()]]
            rows.append({"query": frame.name, "kind": kind.__name__})
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(path)
    pd.DataFrame(rows).to_csv(output / "degraded.csv", index=False)
    print(f"{output}: {len(rows)} queries degraded")


if __name__ == "__main__":
    main()
