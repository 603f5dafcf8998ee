"""A place: everything that photos are localised with, as a value and as a small JSON file.

The file names the other files relative to itself.
"""

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..estimates.aggregation import RULES, LocalizationSettings
from ..files.json_files import (
    READING_ERRORS,
    check_keys,
    number,
    numbers,
    read_object,
    unreadable,
    whole_number,
    write_object,
)
from ..retrieval.neighbour_choice import SamplingSettings
from .unchanged import Unchanged

FILES = (
    *("model", "frames", "features", "descriptors", "describer", "calibration"),
    *("camera", "images"),
)
OPTIONAL = ("features", "camera", "images")


@dataclass(frozen=True)
class Place:
    """A scene and a trained run.

    Attributes:
        model: of the run, adapted to the scene if it was not trained on it.
        frames: of the scene; its database.
        features: of the scene, if the model's edges are match fields; else None.
        descriptors: of the scene; photos are described in the same way.
        describer: vocabulary or checkpoint that the descriptors were made with.
        calibration: the errors of the model's estimates here, see ``calibration``.
        sampling: how the neighbours of a photo are chosen.
        candidates: length of the ranking that neighbours are chosen from.
        minimum_confidence: 0 to 1, the least of an accepted estimate.
        within: metres and degrees; the confidence is the probability that a pose is within them.
        localization: how a pose follows from what the model regresses.
        camera: of the scene, if the model sees rays or poses are refined by matches; else None.
        images: folder of the database's images, if poses are refined; else None.
        opened: the map's file as it was when it was opened; None: the place is not in a map.
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
    opened: Unchanged | None = None


def write_place(place_file: str | Path, place: Place) -> None:
    """Write the file that describes a place."""
    folder, contents = Path(place_file).parent, asdict(place)
    del contents["opened"]
    contents["localization"] = place.localization._asdict()
    named = [name for name in FILES if contents[name] is not None]
    contents |= {name: os.path.relpath(contents[name], folder) for name in named}
    write_object(place_file, contents, indent=2)


def read_place(place_file: str | Path) -> Place:
    """Return the place that a file describes.

    Raises:
        InputError: the file cannot be read, or does not describe a place.
    """
    folder = Path(place_file).parent
    try:
        contents = read_object(place_file)
        check_keys(contents, {field.name for field in fields(Place)} - {"opened"})
        named = [name for name in FILES if contents[name] is not None or name not in OPTIONAL]
        for name in named:
            if not isinstance(contents[name], str) or "\0" in contents[name]:
                raise ValueError(f"{name} is {contents[name]!r:.60}, expected a path")
            contents[name] = Path(os.path.normpath(folder / contents[name]))
        contents["sampling"] = _read_sampling(contents["sampling"])
        contents["localization"] = _read_localization(contents["localization"])
        contents["within"] = tuple(numbers(contents["within"], "within", 2, least=0))
        whole_number(contents["candidates"], "candidates", least=1)
        number(contents["minimum_confidence"], "minimum_confidence", least=0, most=1)
        return Place(**contents)
    except READING_ERRORS as error:
        remedy = "make it again, with the target models or photos"
        raise unreadable(place_file, "a place", error, remedy) from error


def _read_sampling(told: dict) -> SamplingSettings:
    check_keys(told, {field.name for field in fields(SamplingSettings)})
    if told["selection"] not in ("strided", "random", "sequential"):
        raise ValueError(f"selection is {told['selection']!r:.60}")
    for name, least in (("neighbours", 1), ("stride", 1), ("seed", 0)):
        whole_number(told[name], name, least)
    number(told["drop_probability"], "drop_probability", least=0, most=1)
    return SamplingSettings(**told)


def _read_localization(told: dict) -> LocalizationSettings:
    check_keys(told, set(LocalizationSettings._fields))
    if not isinstance(told["both_directions"], bool) or told["aggregation"] not in RULES:
        raise ValueError(f"localization is {told}")
    return LocalizationSettings(**told)
