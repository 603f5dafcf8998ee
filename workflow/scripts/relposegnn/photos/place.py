"""A place: what photos are localised with, as one value and as the small file that describes it.

The file is JSON, and names the others relative to itself.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ..aggregation import LocalizationSettings
from ..graphs import SamplingSettings
from ..runtime import InputError, atomic_path

FILES = (
    *("model", "frames", "features", "descriptors", "describer", "calibration"),
    *("camera", "images"),
)


@dataclass(frozen=True)
class Place:
    """A scene and a trained run.

    Attributes:
        model: of the run, adapted to the scene where it was not trained on it.
        frames: of the scene, its database.
        features: of the scene, where the model's edges are match fields; None elsewhere.
        descriptors: of the scene; photos are described as these were.
        describer: vocabulary or checkpoint that they were made with.
        calibration: what errors the model's estimates have here, see ``calibration``.
        sampling: how the neighbours of a photo are chosen.
        candidates: length of the ranking that they are chosen from.
        minimum_confidence: 0 to 1, of estimates that are accepted.
        within: metres and degrees that a pose is within, as probably as its confidence says.
        localization: how a pose follows from what the model regresses.
        camera: of the scene, where the model sees rays or poses are refined by matches; None
            elsewhere.
        images: folder of the database's images, where poses are refined; None elsewhere.
    """

    model: Path
    frames: Path
    features: Path | None
    descriptors: Path
    describer: Path
    calibration: Path
    sampling: SamplingSettings
    candidates: int
    minimum_confidence: float
    within: tuple[float, float]
    localization: LocalizationSettings
    camera: Path | None = None
    images: Path | None = None


def write_place(place_file: str | Path, place: Place) -> None:
    """Describe a place."""
    folder, contents = Path(place_file).parent, asdict(place)
    contents["localization"] = place.localization._asdict()
    named = [name for name in FILES if contents[name] is not None]
    contents |= {name: os.path.relpath(contents[name], folder) for name in named}
    with atomic_path(place_file) as partial:
        partial.write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")


def read_place(place_file: str | Path) -> Place:
    """Return a place by its file.

    Raises:
        InputError: the file cannot be read, or does not describe a place.
    """
    folder = Path(place_file).parent
    try:
        contents = json.loads(Path(place_file).read_text(encoding="utf-8"))
        named = [name for name in FILES if contents[name] is not None]
        contents |= {name: Path(os.path.normpath(folder / contents[name])) for name in named}
        contents["sampling"] = SamplingSettings(**contents["sampling"])
        contents["localization"] = LocalizationSettings(**contents["localization"])
        contents["within"] = tuple(contents["within"])
        return Place(**contents)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{place_file}: cannot be read as a place ({error}); make it again, with the target "
            "models or photos"
        ) from error
