"""The command ``localise``: photos in a folder, their poses out, by files in a results folder."""

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..graphs import SamplingSettings
from ..runtime import InputError, select_device
from ..storage import open_hdf5, read_settings

logger = logging.getLogger(__name__)

# In the demo's rooms and on real frames, photos of other places had up to 0.29, those of the place
# itself from 0.39.
ACCEPTED = 0.35


@dataclass(frozen=True)
class Place:
    """The files of a finished pipeline that photos are localised with."""

    model: Path
    frames: Path
    descriptors: Path
    vocabulary: Path | None
    netvlad: Path | None
    sampling: SamplingSettings
    candidates: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 with a message where the user's input is wrong."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)
    try:
        _run(options)
    except InputError as error:
        print(f"localise: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localise",
        description="Estimate the camera poses of new photos of a scene, with a trained run.",
    )
    add = parser.add_argument
    add("photos", type=Path, help="folder of photos, JPEG or PNG")
    add("--scene", required=True, help="scene that they show")
    add("--run", default="joint", help="trained model to use (default: %(default)s)")
    add("--results", type=Path, help="folder of the pipeline's results; default: the one in "
        "results/ that has the scene")  # fmt: skip
    add("--output", type=Path, default=Path("localised"), help="folder to write to "
        "(default: %(default)s)")  # fmt: skip
    add("--min-confidence", type=float, default=ACCEPTED, help="photos below it are marked, and "
        "left out of poses.txt and images.txt (default: %(default)s)")  # fmt: skip
    add("--netvlad", type=Path, help="NetVLAD's checkpoint, where it is not in "
        "resources/weights/")  # fmt: skip
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    add("--workers", type=_positive, default=os.cpu_count() or 1, help="threads (default: "
        "%(default)s)")  # fmt: skip
    return parser


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"got {text}, expected a number of threads")
    return int(text)


def _run(options: argparse.Namespace) -> None:
    results = options.results or find_results(Path("results"), options.scene)
    place = find_place(results, options.scene, options.run, options.netvlad)
    from .localising import PhotoOutputs, localise_photos  # torch takes seconds: after the checks

    table = localise_photos(
        place.model,
        place.frames,
        place.descriptors,
        options.photos,
        PhotoOutputs.in_folder(options.output),
        select_device(options.device, options.workers),
        place.sampling,
        vocabulary_file=place.vocabulary,
        netvlad_checkpoint=place.netvlad,
        workers=options.workers,
        minimum_confidence=options.min_confidence,
        candidates=place.candidates,
    )
    columns = ["image", "tx", "ty", "tz", "confidence", "accepted"]
    formats = dict.fromkeys(columns[1:5], "{:.2f}".format)
    print(table[columns].to_string(index=False, formatters=formats))
    print(f"\nIn {options.output}:")
    print("  poses.csv    all photos: camera-to-world poses, confidence")
    print("  poses.txt    accepted photos: TUM trajectory")
    print("  images.txt   accepted photos: COLMAP, world-to-camera")
    print("  photos.png   the photos on a map")


def find_results(parent: Path, scene: str) -> Path:
    """Return the dataset's folder in ``parent`` that has a scene.

    Raises:
        InputError: none has it, or several have.
    """
    found = sorted(path.parents[1] for path in parent.glob(f"*/frames/{scene}.h5"))
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"scene {scene!r} is in several folders: {_listed(found)}; choose one with --results"
        )
    scenes = sorted({path.stem for path in parent.glob("*/frames/*.h5")})
    raise InputError(
        f"{parent}: has no scene {scene!r}; there are: {_listed(scenes)}. Run the pipeline, or "
        "name its results with --results"
    )


def find_place(results: Path, scene: str, run: str, netvlad: Path | None = None) -> Place:
    """Return the files of a scene and a run in a dataset's folder of results.

    ``netvlad`` is the checkpoint, where it does not lie in ``resources/weights``, beside the folder
    that ``results`` lies in.

    Raises:
        InputError: a file is missing; the message lists the scenes or runs that there are.
    """
    if not results.is_dir():
        raise InputError(f"{results}: no such folder, expected a dataset's results")
    frames = _existing(results, f"frames/{scene}.h5", "scene", "frames/*.h5")
    descriptors = _existing(results, f"descriptors/{scene}.h5", "scene", "descriptors/*.h5")
    model = _existing(results, f"runs/{run}/model.pt", "run", "runs/*/model.pt")
    with open_hdf5(descriptors, "descriptors") as file:
        settings = read_settings(file)
    vocabulary = checkpoint = None
    if "checkpoint" in settings:
        weights = results.resolve().parents[1] / "resources/weights"
        checkpoint = netvlad or weights / settings["checkpoint"]
    else:
        vocabulary = _existing(
            results, f"vocabularies/{scene}.npz", "vocabulary", "vocabularies/*.npz"
        )
    neighbours = _existing(results, f"neighbours/{scene}.h5", "ranking", "neighbours/*.h5")
    with open_hdf5(neighbours, "neighbours") as file:
        candidates = read_settings(file)["candidates"]
    own = f"graphs/{run}/{scene}.h5"  # of a variant
    graphs = own if (results / own).exists() else f"graphs/{scene}.h5"
    sampling = read_sampling(_existing(results, graphs, "graphs", "graphs/*.h5"))
    return Place(model, frames, descriptors, vocabulary, checkpoint, sampling, candidates)


def read_sampling(graphs_file: Path) -> SamplingSettings:
    """Return how the neighbours of a scene's graphs were chosen."""
    with open_hdf5(graphs_file, "graphs") as file:
        return SamplingSettings(**read_settings(file))


def _existing(results: Path, name: str, what: str, others: str) -> Path:
    """Return a file of the results; where it is missing, say which there are."""
    path = results / name
    if path.is_file():
        return path
    found = sorted(results.glob(others))
    names = [other.parent.name if what == "run" else other.stem for other in found]
    raise InputError(
        f"{path}: no such file; {results} has these ({what}): {_listed(names)}. "
        "Run the pipeline, or choose one of them"
    )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names)) or "none"
