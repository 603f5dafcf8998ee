"""The command ``relposegnn new-place``: writes the configuration of a folder of posed photos."""

import argparse
import logging
import math
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from ..data.camera_files import SAME_LENS
from ..data.images import common_size
from ..layouts.reading import LEAVE_OUT, REFUSE, layout_of, read_scene
from ..layouts.scenes import Frame, Scene
from ..photos.chosen_place import some_path
from ..photos.preparing import DATASET as MAPS
from ..pipeline.configuration import validate_configuration
from ..pipeline.experiments import SCENE_NAME
from ..reconstruction.photos import check_place
from ..retrieval.validation import ValidationSettings, held_out_count
from ..runtime import InputError, atomic_path, log_to_terminal, plain
from .run import find_project

logger = logging.getLogger(__name__)

MADE = "# Made by relposegnn new-place"
FAR_APART = 3.0  # metres between consecutive images, beyond which the unit is doubted
UNSCALED = ("a COLMAP model", "NeRF's transforms")  # layouts of structure from motion


@dataclass(frozen=True)
class FoundPlace:
    """What was found in a folder: its scene, layout, and the (width, height) of its images."""

    folder: Path
    scene: Scene
    layout: str
    size: tuple[int, int]


def main(arguments: Sequence[str]) -> int:
    """Run the command; return 0, or 1 with a message if the folder or the name is wrong."""
    options = _parser().parse_args(arguments)
    log_to_terminal(logging.WARNING)
    try:
        project = find_project()
        place = look_at(options.folder.resolve(), options.lost_poses)
        name = place.folder.name if options.name is None else options.name
        text = configuration_of(place, name, options.lost_poses, project)
        path = project / "config" / f"{name}.yaml"
        write_configuration(path, text, options.force)
    except InputError as error:
        print(f"relposegnn new-place: {error}", file=sys.stderr)
        return 1
    print(plain("\n".join([*findings(place), "", f"Written: {path}", "Check it, then run:"])))
    print(f"  ./relposegnn run {name} -n   # shows what would run\n  ./relposegnn run {name}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relposegnn new-place",
        description="Inspect a folder of photos with poses, in any layout of docs/own-places.md, "
        "and write config/NAME.yaml for it.",
    )
    add = parser.add_argument
    add(
        "folder",
        metavar="FOLDER",
        type=some_path,
        help="the photos and their poses; its name is the name of the scene",
    )
    add("--name", help="name of the configuration and its results (default: that of "
        "the folder)")  # fmt: skip
    add("--force", action="store_true", help="replace a file that this command wrote")
    add("--lost-poses", choices=(REFUSE, LEAVE_OUT), default=REFUSE, help="what to do with "
        "frames whose pose is not finite (default: %(default)s)")  # fmt: skip
    return parser


def look_at(folder: Path, lost_poses: str = REFUSE) -> FoundPlace:
    """Inspect a folder.

    Raises:
        InputError: it holds no complete scene in a layout that is known, its images have several
            sizes, or its path cannot be one of the workflow.
    """
    scene = read_scene(folder, lost_poses)
    check_place(folder)
    paths = [frame.image for frame in scene.train + scene.test]
    return FoundPlace(folder, scene, layout_of(folder), common_size(paths, os.cpu_count() or 1)[0])


def findings(place: FoundPlace) -> list[str]:
    """Return lines of text about what was found."""
    (width, height), scene = place.size, place.scene
    ratio = max(place.size) / min(place.size)
    lines = [
        f"{place.folder}: {place.layout}",
        f"{len(scene.train)} database images, {len(scene.test) or 'no'} queries",
        f"images of {width} x {height} pixels, aspect ratio {ratio:.2f} : 1",
    ]
    lines += _extent(scene)
    if place.layout in UNSCALED:
        lines.append(
            "these are metres only if the poses were scaled, for example by find-poses --distance"
        )
    if lengths := known_lengths(scene.train + scene.test):
        lines.append(
            f"focal lengths {min(lengths):.3f} to {max(lengths):.3f}, relative to the longer side"
        )
    else:
        lines.append("no focal length given: it is estimated from the database's poses")
    if not scene.test:
        lines.append("without queries there are no scores: the run ends with the trained model")
    return lines


def _extent(scene: Scene) -> list[str]:
    """Return lines on how far apart the database images are: they show a wrong unit of length."""
    centres = np.stack([frame.world_from_cam[:3, 3] for frame in scene.train])
    sides = " x ".join(f"{side:.3g}" for side in np.ptp(centres, axis=0))
    step = (
        float(np.median(np.linalg.norm(np.diff(centres, axis=0), axis=1)))
        if len(centres) > 1
        else 0.0
    )
    lines = [f"camera positions within {sides} m, {step:.3g} m between consecutive images (median)"]
    if step > FAR_APART:
        lines.append("that is far apart for one place: are the positions in metres?")
    return lines


def known_lengths(frames: list[Frame]) -> list[float]:
    """Return the focal lengths that the layout gives, relative to the longer side."""
    return [frame.focal_length for frame in frames if not math.isnan(frame.focal_length)]


def fitting_stride(images: int, defaults: dict) -> int:
    """Return the largest stride that fits a database of this size, at most the default one.

    A part of each ranking is dropped at random (``graphs.drop_probability``), and every stride-th
    image of the rest is taken. On average, this has to fill a graph.

    Raises:
        InputError: there are too few images for a graph.
    """
    graphs, validation = defaults["graphs"], defaults["graphs"]["validation"]
    held_out = held_out_count(images, validation and ValidationSettings(**validation))
    others = images - held_out - 1
    if others < graphs["neighbours"]:
        raise InputError(
            f"{images} database images, {held_out} of them held out, expected at least "
            f"{graphs['neighbours'] + 1} others: an image and the neighbours of its graph; take "
            "more photos"
        )
    most = int(others * (1 - graphs["drop_probability"]) / graphs["neighbours"])
    return min(max(most, 1), graphs["stride"])


def configuration_of(place: FoundPlace, name: str, lost_poses: str, project: Path) -> str:
    """Return the text of a place's configuration, after checking it.

    Raises:
        InputError: the name is none or another configuration's, or there are too few images.
    """
    if not re.fullmatch(SCENE_NAME, name):
        raise InputError(
            f"{name!r:.200}: is no name, expected up to 100 letters, digits, dots, - and _"
        )
    defaults = yaml.safe_load((project / "config/config.yaml").read_text())
    _refuse_shared_results(name, project)
    try:
        stride = fitting_stride(len(place.scene.train), defaults)
    except InputError as error:
        raise InputError(f"{place.folder}: {error}") from error
    lengths = known_lengths(place.scene.train + place.scene.test)
    several = bool(lengths) and max(lengths) > (1 + SAME_LENS) * min(lengths)
    values = {
        "findings": "\n".join(f"# {' '.join(plain(line).split())}" for line in findings(place)),
        "name": name,
        "scene": place.folder.name,
        "scenes_dir": _quoted(place.folder.parent),
        "stride": stride,
        "default_stride": defaults["graphs"]["stride"],
        "lost_poses": lost_poses,
        "positions": "rays" if several else "image",
    }
    text = TEMPLATE.format(**values)
    validate_configuration(yaml.safe_load(text), project)
    return text


def _quoted(path: Path) -> str:
    """Return a path as YAML on a single line, whatever its characters."""
    return yaml.safe_dump(
        str(path), default_style='"', allow_unicode=True, width=sys.maxsize
    ).strip()


def _refuse_shared_results(name: str, project: Path) -> None:
    """Refuse a name if another configuration, or ``localise --map``, has its results there."""
    if name == MAPS:
        raise InputError(
            f"{name}: is the name of the results of localise --map, expected another name"
        )
    for path in (project / "config").glob("*.yaml"):
        try:
            other = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            logger.warning("%s: cannot be read (%s), so its dataset is not known", path, error)
            continue
        if path.stem != name and isinstance(other, dict) and other.get("dataset") == name:
            raise InputError(
                f"{path}: writes its results to results/{name} too, expected a name of its own for "
                "this place; choose one with --name"
            )


def write_configuration(path: Path, text: str, force: bool) -> None:
    """Write a file; with ``force``, replace an existing one that this command has written.

    Raises:
        InputError: there is one, and it may not be replaced.
    """
    if path.exists():
        own = path.read_text(encoding="utf-8", errors="replace").startswith(MADE)
        if not (force and own):
            how = "--force replaces it, or" if own else "it was not written by this command:"
            raise InputError(f"{path}: is there already; {how} choose another name with --name")
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


TEMPLATE = (
    MADE
    + """; change what you like. All other settings are as in config.yaml,
# which explains every key. All commands read this file:
#     ./relposegnn run {name}            runs what is missing or out of date
#     ./relposegnn run {name} -n         shows what that would be, and why
#
# Found:
{findings}

# Results are in results/{name}.
dataset: "{name}"

# The scene is the folder {scene} in scenes_dir. After a change inside it, touch that folder.
scenes: ["{scene}"]
scenes_dir: {scenes_dir}
source: download

frames:
  shorter_side: 64
  lost_poses: {lost_poses}

graphs:
  # The largest stride, up to {default_stride}, that fills the graphs of this database on average.
  stride: {stride}

model:
  # rays for cameras of several focal lengths, image for a single one.
  positions: {positions}

training:
  # For about 300 database images. With more, an epoch takes longer, and fewer epochs are enough.
  epochs: 22
  # For poses in metres. Neighbours are near, so errors are small from the start.
  initial_s_t: -3.5
  initial_s_q: -4.0

photos:
  # New photos to localise: ./relposegnn run {name} photos, or ./relposegnn localise.
  folder: null
"""
)
