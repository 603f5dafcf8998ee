"""Make a place for the general network from a folder of images with poses, without training.

The workflow makes its files, and keeps those that exist: descriptors, features, graphs, the camera,
and the errors of localising each image without those taken around it.
"""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from ..data.frames import Frames
from ..estimates.predictions import ALL_EDGES, SOLVED
from ..files.folders import refuse_no_folder
from ..files.storage import SPLITS
from ..layouts.files import frame_lists
from ..layouts.reading import REFUSE, read_scene
from ..pipeline.experiments import GENERAL, SCENE_NAME
from ..runtime import InputError
from ..scores.calibration import UNREFINED, Calibration
from ..scores.error_growth import FEWEST

logger = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parents[4]
MODEL = PROJECT / "results/general/runs/joint/model.pt"
DATASET = "maps"
FEW_IMAGES = 60  # with 25 or 40, stated errors were too small, with 80 they were not
# What Snakemake says, between the place in its code and the stack.
REFUSAL = re.compile(
    r"^\w*(?:Error|Exception)\b[^\n]*:\n(.*?)(?=^  File |\Z)", re.MULTILINE | re.DOTALL
)
PATIENCE = 30.0  # seconds that an interrupted Snakemake has to end


def prepare_place(
    images: Path,
    model: Path | None,
    workers: int,
    lost_poses: str | None = None,
    focal_length: float | None = None,
) -> Path:
    """Make a place from images with poses; return the place's file.

    Args:
        images: folder of the images and their poses, in any layout of docs/own-places.md; its name
            becomes the place's.
        model: file of a general network; None: the one that ``make general-model`` trains.
        workers: threads, of all steps together.
        lost_poses: ``frames.lost_poses``, ``refuse`` or ``leave_out``; None: the configuration's.
        focal_length: of the images' camera, in longer sides; None: from the images, or estimated.

    Raises:
        InputError: the library is installed without the workflow, there is no such folder, its name
            cannot be a scene's, there is no model, or a step failed.
    """
    images, model = images.resolve(), (model or MODEL).resolve()
    _check_request(images, model)
    place = Path("results", DATASET, "runs", GENERAL, "places", f"{images.name}.json")
    newer = _newer_input(images)
    if newer or not (PROJECT / place).is_file():
        _refuse_few_images(images, lost_poses)
    what = [str(place), "--cores", str(workers)]
    if newer:
        logger.info("%s: is newer than the place made of it, which is made again", newer)
        what += ["--forcerun", "pack_frames"]
    _make(images, what, _settings(images, model, lost_poses, focal_length))
    return PROJECT / place


def _check_request(images: Path, model: Path) -> None:
    """Raise InputError if no place can be made from this folder and this network."""
    refuse_no_folder(images, "a folder of images with poses, or a file that export-map has written")
    if not (PROJECT / "Snakefile").is_file():
        raise InputError(
            f"{PROJECT}: has no Snakefile, expected a clone of the project: a place is made from a "
            "folder of images by the workflow, which the installed library does not include. Make "
            "the place in a clone, and export it with export-map"
        )
    if not re.fullmatch(SCENE_NAME, images.name):
        raise InputError(
            f"{images}: its name becomes the place's name, expected up to 100 letters, digits, "
            "dots, - and _; rename the folder"
        )
    if not model.is_file():
        raise InputError(
            f"{model}: no such file, expected a general network; train one with "
            '"make general-model", or name its file with --model'
        )


def _newer_input(images: Path) -> Path | None:
    """Return an image, or a list of images, that is newer than the frames packed from it, if any.

    Snakemake itself looks at the date of the folder alone. Dates to come do not count: such a place
    would be made anew in each call.
    """
    packed = PROJECT / f"results/{DATASET}/frames/{images.name}.h5"
    if not packed.is_file():
        return None
    paths = frame_lists(images)
    with suppress(InputError), Frames(packed) as frames:  # an unreadable file is told by its reader
        paths += [path for split in SPLITS for path in frames.paths(split, images)]
    made, now = packed.stat().st_mtime, time.time()
    for path in paths:
        with suppress(OSError):  # one that is gone is told where it is read
            if made < path.stat().st_mtime <= now:
                return path
    return None


def _make(images: Path, what: Sequence[str], settings: Mapping[str, object]) -> None:
    """Let Snakemake make a file of a place; raise InputError if it fails."""
    with TemporaryDirectory(prefix="relposegnn-place-") as folder:
        file = Path(folder, "settings.json")  # because --config takes values for YAML
        file.write_text(json.dumps(settings))
        # Snakemake's own messages are about jobs and files; a failed step says what is wrong.
        command = [sys.executable, "-m", "snakemake", *what, "--quiet", "all"]
        command += ["--configfile", str(file)]
        if not _run_to_its_end(command, os.environ | {"PYTHONUNBUFFERED": "1"}):
            return
        if any((PROJECT / ".snakemake/locks").glob("*")):
            raise InputError(
                f"{images}: this place could not be prepared: another run is at work in {PROJECT}, "
                "or was killed there. Wait for its end; if it was killed, ./relposegnn run config "
                "-- --unlock unlocks that folder. Then run the command again: finished steps are "
                "kept"
            )
        reason = _refusal(command) or "for the reason above. "
    raise InputError(
        f"{images}: this place could not be prepared, {reason}Correct it and run the command "
        "again: finished steps are kept. For frames.focal_lengths and frames.lost_poses, use "
        "--database-focal-length and --lost-poses"
    )


def _refusal(command: Sequence[str]) -> str:
    """Return why Snakemake began no step, or nothing: then a step has failed, and said why.

    With ``--quiet all``, only a plan says it.
    """
    plan = [*command, "--dry-run"]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    how |= {"encoding": "utf-8", "errors": "backslashreplace"}
    done = subprocess.run(plan, cwd=PROJECT, check=False, **how)  # noqa: S603
    if done.returncode == 0:
        return ""
    told = REFUSAL.search(done.stdout)
    return f"because Snakemake refuses it:\n{(told[1] if told else done.stdout).strip()}\n"


def _run_to_its_end(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run Snakemake, without a shell; return its exit code.

    It runs in a session of its own, so that Ctrl-C in a terminal reaches only this process, which
    passes it on once, and waits while Snakemake ends its jobs and removes its locks.
    """
    how = {"cwd": PROJECT, "env": environment, "start_new_session": True}
    with subprocess.Popen(command, **how) as process:  # noqa: S603
        try:
            return process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            process.terminate()  # SIGINT may be ignored, as in the background of a script
            process.wait()
            raise


def _refuse_few_images(images: Path, lost_poses: str | None) -> None:
    """Refuse a place with too few images for a graph, or for measuring errors."""
    count = len(read_scene(images, lost_poses or REFUSE).train)
    defaults = yaml.safe_load((PROJECT / "config/config.yaml").read_text(encoding="utf-8"))
    fewest = max(defaults["graphs"]["neighbours"] + 1, FEWEST)
    if count < fewest:
        raise InputError(
            f"{images}: {count} images with poses, expected at least {fewest}: with fewer, no "
            "error can be stated and no photo is accepted; add more images of this place"
        )


def _settings(
    images: Path, model: Path, lost_poses: str | None, focal_length: float | None
) -> dict[str, object]:
    """Return the configuration of a place."""
    configuration: dict[str, object] = {
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
    return configuration


def tell_quality(calibration: Calibration) -> str:
    """Return text for the user: how accurately images of the place itself were localised."""
    told = {ALL_EDGES: "by the network alone"}
    if SOLVED in calibration:  # else matches refine hardly any, and the network's figures say all
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
    own = calibration.get(ALL_EDGES)
    if own and own.median and own.frames < FEW_IMAGES:
        lines.append(
            f"  Measured on fewer than {FEW_IMAGES} images, errors by the network alone are often "
            "larger than stated; add images to the place"
        )
    return "\n".join([heading, *lines])
