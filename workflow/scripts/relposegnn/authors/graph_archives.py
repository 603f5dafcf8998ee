"""The authors' pre-processed graphs, read one at a time from their tar archives.

An archive holds ``{scene}_fc8_sp5_test/processed/data_000000.pt`` and so on, one per query: a
pickled graph with ``x`` (8, 3 H W), copies of its normalised images, and ``y`` (8, 6), their poses.
A graph takes 8.4 MB and an archive up to 58 GB, so nothing is extracted to disk.
"""

import gzip
import io
import lzma
import math
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ..files.limits import check_limit, refuse_special_file
from ..network.relative_poses import WORLD_TO_CAMERA
from ..poses import inverse_pose, pose_from_vector, vector_from_pose
from ..runtime import InputError
from .pickles import read_graph

NODES = 8  # of a graph: the query, then its neighbours, best-ranked first
GRAPH_FILE = re.compile(r"data_(\d+)\.pt")  # not pre_transform.pt, pre_filter.pt
ASPECT_TOLERANCE = 0.03  # in the logarithm of height / width
TAR_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class ArchivedPoses(NamedTuple):
    """The convention of the poses in an archive.

    Attributes:
        pose: kind of the vectors, see ``relative_poses``: vectors of world-to-camera poses for
            ``world_to_camera``, else of camera-to-world poses.
        translation_mean: (3) in metres, which was subtracted from translations.
        translation_deviation: (3) in metres, by which they were then divided.
    """

    pose: str
    translation_mean: Sequence[float]
    translation_deviation: Sequence[float]

    def decode(self, vectors: np.ndarray) -> np.ndarray:
        """Return camera centres in metres and log-quaternions (..., 6), camera-to-world."""
        vectors = np.asarray(vectors, dtype=np.float64)
        metres = vectors[..., :3] * self.translation_deviation + self.translation_mean
        poses = pose_from_vector(np.concatenate([metres, vectors[..., 3:]], axis=-1))
        return vector_from_pose(inverse_pose(poses) if self.pose == WORLD_TO_CAMERA else poses)


@dataclass(frozen=True)
class ArchivedGraph:
    """One graph: ``label`` names archive and member, for messages; ``number`` is the member's.

    ``images`` (8, 3, H, W) float32, standardised per channel; ``poses`` (8, 6) as in the archive,
    see ``ArchivedPoses``. Node 0 is the query.
    """

    label: str
    number: int
    images: np.ndarray
    poses: np.ndarray


def read_archive(path: str | Path, frame_shape: tuple[int, int]) -> Iterator[ArchivedGraph]:
    """Yield the graphs of an archive, in the order of its members.

    Memory holds one file and the graph made from it. Whether an archive is complete is known only
    after its last graph has been yielded.

    Args:
        path: tar archive, compressed or not.
        frame_shape: height and width of images with the aspect ratio of those in the graphs.

    Raises:
        InputError: this is not a complete tar archive, its graphs are not numbered 0, 1, 2, ...
            each once, or one is damaged, holds anything but a graph of tensors, has other shapes,
            or a pose or image that is not finite. The message names archive and member.
    """
    path, found = Path(path), {}
    with _open_tar(path) as tar:
        for member in tqdm(tar, path.name, unit="file", disable=None):
            match = GRAPH_FILE.fullmatch(PurePosixPath(member.name).name)
            if match is None:
                continue
            number = int(match[1])
            if number in found:
                raise InputError(
                    f"{path}: holds graph {number} twice, as {found[number]} and {member.name}, "
                    "expected each once; give an archive of one scene and split"
                )
            found[number] = member.name
            label = f"{path}: {member.name}"
            # Not assigned to a variable, which would keep the graph while the next one is read.
            yield _graph(label, number, *_load(tar, member, label), frame_shape)
        _check_end(tar)
    missing = next((number for number in range(len(found)) if number not in found), None)
    if missing is not None or not found:
        raise InputError(
            f"{path}: holds {len(found)} graphs without data_{missing or 0:06}.pt, "
            "expected data_000000.pt and so on without gaps; download the archive again"
        )


@contextmanager
def _open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Yield a tar archive, compressed or not; damage found in the block becomes an InputError."""
    tar = None
    refuse_special_file(path)
    try:
        with tarfile.open(path) as tar:
            yield tar
    except TAR_DAMAGE as error:
        found = "is a truncated or damaged tar archive" if tar else "is not a tar archive"
        raise InputError(
            f"{path}: {found} ({error}), expected a complete tar archive of graphs; "
            "delete it and download it again"
        ) from error
    except OSError as error:  # after TAR_DAMAGE, because some of these are OSErrors
        raise InputError(
            f"{path}: cannot be read ({error.strerror}), expected a tar archive of graphs"
        ) from error


def _check_end(tar: tarfile.TarFile) -> None:
    """Check that the last member is followed by the zeros that end every archive.

    Raises:
        ReadError: something else follows, which tarfile takes for the end.
    """
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"no end of archive at byte {tar.offset}")


def _load(
    tar: tarfile.TarFile, member: tarfile.TarInfo, label: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return images and poses of a graph, of any shape.

    Raises:
        InputError: the member is not a file, or not a graph of tensors.
    """
    if not member.isfile():
        raise InputError(f"{label} is a link, expected a file")
    if member.issparse():
        raise InputError(
            f"{label} is a sparse file, expected one with all its bytes; do not use this archive, "
            "download it again from a place that you trust"
        )
    check_limit(label, "GRAPH_BYTES", member.size, "bytes")
    with tar.extractfile(member) as file:
        stream = io.BytesIO(file.read(member.size))  # with a size, it is read in one piece
    try:
        return read_graph(stream)
    except Exception as error:  # a damaged pickle may raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{label} cannot be read as a graph ({reason}); expected a complete pickled graph of "
            "tensors and plain values, x and y among them; do not use this archive, download it "
            "again from a place that you trust"
        ) from error


def _graph(
    label: str, number: int, images: np.ndarray, poses: np.ndarray, frame_shape: tuple[int, int]
) -> ArchivedGraph:
    """Return a checked graph, its images with the aspect ratio that is nearest to the frames'.

    Raises:
        InputError: images or poses have another shape, or are not finite.
    """
    columns = images.shape[1] if images.ndim == 2 and len(images) == NODES else 0
    height = _image_height(columns, frame_shape[0] / frame_shape[1])
    if height is None:
        raise InputError(
            f"{label}: x has shape {images.shape}, expected {NODES} rows of 3 H W columns, H:W as "
            f"in {frame_shape[1]}x{frame_shape[0]} (width x height) images; is this an archive of "
            "the authors' graphs, and of this scene?"
        )
    if poses.shape != (NODES, 6):
        raise InputError(f"{label}: y has shape {poses.shape}, expected {(NODES, 6)}")
    for key, array in (("x", images), ("y", poses)):
        if not np.isfinite(array).all():
            raise InputError(
                f"{label}: {key} has values that are not finite, expected "
                "images in x and poses in y; download the archive again"
            )
    return ArchivedGraph(label, number, images.reshape(NODES, 3, height, -1), poses)


def _image_height(columns: int, aspect: float) -> int | None:
    """Return H of images with 3 H W = ``columns`` and H / W near ``aspect``; None if impossible."""
    ideal = math.sqrt(columns / 3 * aspect)
    heights = [h for h in range(1, math.ceil(2 * ideal) + 1) if columns % (3 * h) == 0]
    height = min(heights, key=lambda h: abs(math.log(h / ideal)), default=None)
    misfit = 2 * abs(math.log(height / ideal)) if height else math.inf
    return height if misfit <= ASPECT_TOLERANCE else None
