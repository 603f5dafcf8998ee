"""A place from a folder of images with poses, without training: what the general network needs.

The pipeline makes it, so that what is there already is not made again: descriptors, features,
graphs, the camera, and how large errors are, image by image without those around it.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from ..calibration import UNREFINED, Calibration
from ..error_growth import FEWEST
from ..experiments import GENERAL, SCENE_NAME
from ..folders import refuse_no_folder
from ..layouts.reading import REFUSE, read_scene
from ..predictions import ALL_EDGES, SOLVED
from ..runtime import InputError

PROJECT = Path(__file__).resolve().parents[4]
MODEL = PROJECT / "results/general/runs/joint/model.pt"
DATASET = "maps"
PATIENCE = 30.0  # seconds that Snakemake has to end, once it is interrupted


def prepare_place(
    images: Path,
    model: Path | None,
    workers: int,
    lost_poses: str | None = None,
    focal_length: float | None = None,
) -> Path:
    """Make what photos are localised with from images with poses; return the place's file.

    Args:
        images: folder of the images and their poses, in any layout of docs/own-places.md; its name
            is the place's.
        model: file of a general network; None: the one that ``make general-model`` trains.
        workers: threads, of all steps together.
        lost_poses: the configuration's ``frames.lost_poses``, ``refuse`` or ``leave_out``; None: as
            it has it.
        focal_length: of the images' camera, in longer sides; None: as they tell it, or estimated.

    Raises:
        InputError: the library is installed without the workflow, there is no such folder, its name
            cannot be a scene's, there is no model, or a step failed.
    """
    images, model = images.resolve(), (model or MODEL).resolve()
    _check_request(images, model)
    place = Path("results", DATASET, "runs", GENERAL, "places", f"{images.name}.json")
    if not (PROJECT / place).is_file():
        _refuse_few_images(images, lost_poses)
    command = [sys.executable, "-m", "snakemake", str(place), "--cores", str(workers)]
    command += ["--quiet", "all", "--config", *_settings(images, model, lost_poses, focal_length)]
    # Its own messages are of jobs and files; those of a step that failed say what is wrong.
    if _run_to_its_end(command, os.environ | {"PYTHONUNBUFFERED": "1"}):
        if any((PROJECT / ".snakemake/locks").glob("*")):
            raise InputError(
                f"{images}: this place could not be prepared: another run is at work in {PROJECT}, "
                "or was killed there. Wait for its end; if it was killed, make resume unlocks the "
                "folder. Then run the command again: finished steps are kept"
            )
        raise InputError(
            f"{images}: this place could not be prepared, for the reason above. Correct it and run "
            "the command again: finished steps are kept. For frames.focal_lengths and "
            "frames.lost_poses, use --database-focal-length and --lost-poses"
        )
    return PROJECT / place


def _check_request(images: Path, model: Path) -> None:
    """Check that a place can be made of images by a network; InputError where it cannot."""
    refuse_no_folder(images, "a folder of images with poses, or a file that export-map has written")
    if not (PROJECT / "Snakefile").is_file():
        raise InputError(
            f"{PROJECT}: has no Snakefile, expected a clone of the project: a place is made of a "
            "folder of images by the workflow, which is no part of the installed library. Make it "
            "there, and hand it over with export-map"
        )
    if not re.fullmatch(SCENE_NAME, images.name):
        raise InputError(
            f"{images}: its name is the place's, expected up to 100 letters, digits, dots, - and "
            "_; rename it"
        )
    if not model.is_file():
        raise InputError(
            f"{model}: is not there, expected a network for places never seen; train one, with "
            '"make general-model", or name its file with --model'
        )


def _run_to_its_end(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run Snakemake, which no shell reads; return its exit code.

    It is in a session of its own: at a terminal's Ctrl-C it is told by this process, once, and
    waited for while it ends its jobs and removes its locks.
    """
    how = {"cwd": PROJECT, "env": environment, "start_new_session": True}
    with subprocess.Popen(command, **how) as process:  # noqa: S603
        try:
            return process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            process.terminate()  # where SIGINT is ignored, as in the background of a script
            process.wait()
            raise


def _refuse_few_images(images: Path, lost_poses: str | None) -> None:
    """Refuse a place whose images are too few for a graph, or to tell errors from."""
    count = len(read_scene(images, lost_poses or REFUSE).train)
    defaults = yaml.safe_load((PROJECT / "config/config.yaml").read_text(encoding="utf-8"))
    fewest = max(defaults["graphs"]["neighbours"] + 1, FEWEST)
    if count < fewest:
        raise InputError(
            f"{images}: {count} images with poses, expected at least {fewest}: by fewer no error "
            "can be stated, and no photo is accepted; add more of this place"
        )


def _settings(
    images: Path, model: Path, lost_poses: str | None, focal_length: float | None
) -> list[str]:
    """Return the configuration of a place, as Snakemake takes it from a command line."""
    configuration = {
        "dataset": DATASET,
        "scenes": [images.name],
        "scenes_dir": str(images.parent),
        "source": "download",
        "experiments": ["unseen"],
        "general": {"models": [str(model)]},
    }
    frames: dict[str, object] = {}
    if lost_poses is not None:
        frames["lost_poses"] = lost_poses
    if focal_length is not None:
        frames["focal_lengths"] = {images.name: {"train": focal_length, "test": None}}
    if frames:
        configuration["frames"] = frames
    return [f"{key}={json.dumps(value)}" for key, value in configuration.items()]


def tell_quality(calibration: Calibration) -> str:
    """Return in words and figures how well a place can be localised in, by its own images."""
    told = {ALL_EDGES: "by the network alone"}
    if SOLVED in calibration:  # or matches refine next to none, and the network's figures say all
        told = {SOLVED: "refined by matches", UNREFINED: "not refined, too few matches"} | told
    lines = []
    for name, text in told.items():
        if (scale := calibration.get(name)) and scale.median:
            metres, degrees = scale.median
            lines.append(
                f"  {text}: median error {metres:.3f} m, {degrees:.2f} degrees ({scale.frames} "
                "images)"
            )
    if not lines:
        return "Accuracy in this place: unknown, because it has too few images"
    heading = "Accuracy for images of this place, each localised without those taken around it:"
    return "\n".join([heading, *lines])
