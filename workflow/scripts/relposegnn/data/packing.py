"""Packing the frames of a scene, resized, with poses and names, into a file for ``frames``."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from PIL import Image
from tqdm import tqdm

from ..files.storage import SPLITS, RowWriter, create_hdf5
from ..layouts.files import refuse_no_queries
from ..layouts.reading import REFUSE, read_scene
from ..layouts.scenes import Frame, Scene, hold_out
from ..runtime import InputError, numpy_generator
from ..threads import map_in_threads
from .colour_jitter import jitter_colours
from .images import common_size, read_picture, resized_shape, troubles_of

logger = logging.getLogger(__name__)

Statistics = tuple[Sequence[float], Sequence[float]]  # mean (3), variance (3)
FocalLengths = tuple[float | None, float | None]  # of the database, of the queries

MEAN_TOLERANCE = 0.1  # given means farther from the measured ones cause a warning

SHOWN_TROUBLES = 100  # of images


class Packing(NamedTuple):
    """How the frames of a scene are packed, and facts about them that their files lack.

    Attributes:
        shorter_side: of the resized images, in pixels.
        statistics: mean (3) and variance (3) of the channels, for images in [0, 1], to be recorded
            instead of those of the training images, e.g. those that a model was trained with.
        focal_lengths: of the database's and of the queries' camera, in longer sides of the image.
            None for the first: from the layout's files, if they give any; for the second: the same
            as the first.
        held_out: frames in a stretch, see ``scenes.hold_out``; None keeps the scene's own split.
        colour_jitter: strengths, see ``colour_jitter.jitter_colours``, drawn once for each image;
            None: images as they are.
        lost_poses: treatment of frames whose pose is not finite, see ``reading.read_scene``.
    """

    shorter_side: int
    statistics: Statistics | None = None
    focal_lengths: FocalLengths | None = None
    held_out: int | None = None
    colour_jitter: Sequence[float] | None = None
    lost_poses: str = REFUSE


def pack_frames(
    scene_folder: str | Path,
    frames_file: str | Path,
    dataset: str,
    scene: str,
    packing: Packing,
    workers: int = 1,
    extracted: bool = False,
) -> None:
    """Resize all images of a scene and write its frames file.

    Args:
        scene_folder: folder in a layout that ``layouts.reading`` knows; it may have no queries.
        frames_file: HDF5 file to write.
        dataset: recorded in the file.
        scene: recorded in the file.
        packing: how.
        workers: decoding threads.
        extracted: from an archive, and so expected to have queries if its layout is that of a
            published data set, see ``layouts.files.refuse_no_queries``.

    Raises:
        InputError: the scene is incomplete, an image is damaged, sizes differ, the statistics are
            impossible, or there are too few frames to hold some out.
    """
    given = packing.statistics and _checked_statistics(packing.statistics, scene)
    content = _content(Path(scene_folder), packing, extracted)
    paths = [frame.image for frame in content.train + content.test]
    original, orientations = common_size(paths, workers)
    size = resized_shape(*original, packing.shorter_side)
    focal_lengths = _focal_lengths(content, packing.focal_lengths)
    recorded = packing._asdict() | {"statistics": "given" if given else "measured"}
    settings = {"dataset": dataset, "scene": scene, **recorded}
    with create_hdf5(frames_file, "frames", settings) as file:
        for split in SPLITS:
            frames = content.frames(split)
            group = file.create_group(split)
            _write_labels(group, frames, Path(scene_folder))
            if np.isfinite(focal_lengths[split]).any():
                group.create_dataset("focal_length", data=focal_lengths[split])
            read = partial(_read_frame, size=size, jitter=packing.colour_jitter, scene=scene)
            images = map_in_threads(read, frames, workers)
            with _all_unreadable(paths, workers):
                histogram = _write_images(group, images, len(frames))
            if split == "train":
                measured = channel_statistics(histogram)
        mean, variance = _compared_statistics(given, measured, scene_folder)
        file.attrs.update(dataset=dataset, scene=scene, mean=mean, variance=variance)
        usual = Counter(orientations[: len(content.train)]).most_common(1)[0][0]
        file.attrs["orientation"] = usual


def _content(folder: Path, packing: Packing, extracted: bool) -> Scene:
    """Return the scene in a folder, as it is to be packed."""
    scene = read_scene(folder, packing.lost_poses)
    if extracted:
        refuse_no_queries(folder)
    return hold_out(scene, packing.held_out) if packing.held_out else scene


@contextmanager
def _all_unreadable(paths: Sequence[Path], workers: int) -> Iterator[None]:
    """Name all images that cannot be read, if the block stops at one of several."""
    try:
        yield
    except InputError as error:
        troubles = [str(each) for each in troubles_of(paths, workers) if each]
        if len(troubles) < 2:
            raise
        shown = [*troubles[:SHOWN_TROUBLES], *["..."][: len(troubles) > SHOWN_TROUBLES]]
        listed = "\n".join(shown)
        raise InputError(f"{len(troubles)} images cannot be read:\n{listed}") from error


def channel_histogram(image: Image.Image) -> np.ndarray:
    """Return the counts (3, 256) of each value in the channels of an RGB image."""
    return np.reshape(image.histogram(), (3, 256))


def channel_statistics(histogram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (3) and variance (3) of values scaled to [0, 1] from counts (3, 256)."""
    share = histogram / histogram.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    mean = share @ values
    return mean, np.sum(share * (values - mean[:, None]) ** 2, axis=1)


def _checked_statistics(statistics: Statistics, scene: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (3) and variance (3) given; InputError if they are impossible."""
    mean, variance = (np.asarray(values, dtype=np.float64) for values in statistics)
    fine = mean.shape == variance.shape == (3,) and ((mean >= 0) & (mean <= 1)).all()
    # The largest variance of values in [0, 1] is that of zeros and ones in equal numbers.
    if not fine or not ((variance > 0) & (variance <= 0.25)).all():
        raise InputError(
            f"statistics of {scene}: got mean {mean.tolist()} and variance {variance.tolist()}, "
            "expected three numbers each, of images in [0, 1]: means from 0 to 1, variances "
            "(squared deviations) above 0 and up to 0.25"
        )
    return mean, variance


def _compared_statistics(
    given: tuple[np.ndarray, np.ndarray] | None,
    measured: tuple[np.ndarray, np.ndarray],
    scene_folder: str | Path,
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (3) and variance (3) to record; warn if given ones seem to be of other images.

    Raises:
        InputError: a channel has the same value in all pixels.
    """
    mean, variance = given or measured
    if not (variance > 0).all():
        raise InputError(
            f"{scene_folder}: a channel has the same value in all pixels of the database images "
            f"(variances {variance.tolist()}), expected photos; are these the right files?"
        )
    logger.info("%s: mean and variance are %s", scene_folder, "given" if given else "measured")
    if np.abs(mean - measured[0]).max() > MEAN_TOLERANCE:
        logger.warning(
            "the given mean %s is more than %s from that of the training images, %s; are "
            "these the statistics of another scene?",
            *(mean.round(4).tolist(), MEAN_TOLERANCE, measured[0].round(4).tolist()),
        )
    return mean, variance


def _focal_lengths(content: Scene, given: FocalLengths | None) -> dict[str, np.ndarray]:
    """Return focal lengths (N) by split, NaN where unknown, see ``Packing``."""
    found = {
        split: np.array([frame.focal_length for frame in content.frames(split)], dtype=np.float64)
        for split in SPLITS
    }
    train, test = given or (None, None)
    for split, value in (("train", train), ("test", train if test is None else test)):
        known = int(np.isfinite(found[split]).sum())
        if value is not None:
            found[split][:] = value
            if known:
                logger.info(
                    "focal lengths of %d images of %s are replaced by the given one, %g",
                    *(known, split, value),
                )
        elif split == "train" and 0 < known < len(found[split]):
            logger.warning(
                "%d of %d database images have no focal length, or a fisheye lens: they are "
                "assumed to have that of the others; leave out those of another lens",
                *(len(found[split]) - known, len(found[split])),
            )
    return found


def _write_labels(group: h5py.Group, frames: list[Frame], folder: Path) -> None:
    """Write the names, sources, file sizes and poses of frames."""
    sources = [frame.image.relative_to(folder).as_posix() for frame in frames]
    sizes = [frame.image.stat().st_size for frame in frames]
    group.create_dataset("name", data=[f.name for f in frames], dtype=h5py.string_dtype())
    group.create_dataset("source", data=sources, dtype=h5py.string_dtype())
    group.create_dataset("source_bytes", data=np.array(sizes, dtype=np.int64))
    poses = np.array([f.world_from_cam for f in frames], dtype=np.float64)
    group.create_dataset("world_from_cam", data=poses.reshape(-1, 4, 4))


def _read_frame(
    frame: Frame, size: tuple[int, int], jitter: Sequence[float] | None, scene: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the resized image of a frame, and the histogram of its channels.

    With ``jitter``, its colours are changed at random, seeded by the frame's name.
    """
    image = read_picture(frame.image, size)
    if jitter:
        draw = numpy_generator(0, "colour jitter", scene, frame.name)
        image = jitter_colours(image, jitter, draw)
    return np.array(image), channel_histogram(image)


def _write_images(
    group: h5py.Group, images: Iterable[tuple[np.ndarray, np.ndarray]], count: int
) -> np.ndarray:
    """Write resized images; return the sum of their histograms (3, 256), exact counts."""
    rows, histogram = RowWriter(group, "images", count), np.zeros((3, 256), dtype=np.int64)
    description = Path(group.name).name
    for image, own in tqdm(images, description, count, unit="img", disable=None):
        rows.append(image)
        histogram += own
    return histogram
