"""The published pre-processed graphs, read one at a time from their tar archives.

An archive holds ``{scene}_fc8_sp5_test/processed/data_000000.pt`` and so on, one per query: a
pickled graph with ``x`` (8, 3 H W), copies of its normalised images, and ``y`` (8, 6), their poses.
A graph takes 8.4 MB and an archive up to 58 GB, so nothing is extracted to disk.
"""

import gzip
import io
import logging
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from ..runtime import InputError
from .pickles import read_graph

logger = logging.getLogger(__name__)

NODES = 8  # the query, then its neighbours, best-ranked first
GRAPH_FILE = re.compile(r"data_(\d+)\.pt")  # beside pre_transform.pt, pre_filter.pt
GREY_TOLERANCE = 0.1  # of 255; float32 rounds by 2e-5, statistics of 6 digits by 1e-2
ASPECT_TOLERANCE = 0.03  # of the logarithm of height / width
MOST_PIXELS = 2**24  # of an image; published ones have 87296
TAR_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


@dataclass(frozen=True)
class PublishedGraph:
    """One graph: ``name`` of its archive member, ``number`` in that name.

    ``images`` (8, 3, H, W) float32, standardised per channel; ``poses`` (8, 6) float32: camera
    centre in metres, log-quaternion, world frame. Node 0 is the query.
    """

    name: str
    number: int
    images: np.ndarray
    poses: np.ndarray


class PublishedArchive:
    """Reader of an archive of graphs; ``with PublishedArchive(path) as archive`` closes it.

    ``len(archive)`` graphs are numbered from 0. Memory: one file and the graph made from it.

    Raises:
        InputError: no complete tar archive, or its graphs are not numbered 0, 1, 2, ... each once.
    """

    def __init__(self, path: str | Path) -> None:
        """Find all graphs; a compressed archive is decompressed once for that."""
        self.path = Path(path)
        self._tar = _open_tar(self.path)
        try:
            with _naming_damage(self.path):
                self._members = self._find_graphs()
                self._check_end()
        except BaseException:
            self._tar.close()
            raise

    def __len__(self) -> int:
        """Return the number of graphs."""
        return len(self._members)

    def __enter__(self) -> "PublishedArchive":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the archive."""
        self._tar.close()

    def name(self, number: int) -> str:
        """Return a graph's archive and member, for messages and labels."""
        return f"{self.path.name}: {self._members[number].name}"

    def read(self, number: int, image_shape: tuple[int, int]) -> PublishedGraph:
        """Return a graph with images of ``image_shape`` = (height, width).

        Raises:
            InputError: the file is damaged, holds anything but a graph of tensors, has other
                shapes, or a pose or image is not finite. The message names archive and member.
        """
        images, poses = self._load(number)
        label, values = f"{self.path}: {self._members[number].name}", 3 * np.prod(image_shape)
        for key, array, columns in (("x", images, values), ("y", poses, 6)):
            if array.shape != (NODES, columns):
                raise InputError(
                    f"{label}: {key} has shape {array.shape}, expected {(NODES, columns)} "
                    f"for images of {image_shape[1]}x{image_shape[0]} pixels"
                )
            if not np.isfinite(array).all():
                raise InputError(
                    f"{label}: {key} has values that are not finite, expected "
                    "images in x and poses in y; download the archive again"
                )
        images = images.reshape(NODES, 3, *image_shape)
        return PublishedGraph(self._members[number].name, number, images, poses)

    def image_shape_like(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) of the first graph's images, which have the aspect of ``shape``.

        Raises:
            InputError: as ``read``, or no such size has as many pixels as the images.
        """
        label = f"{self.path}: {self._members[0].name}"
        found = self._load(0)[0].shape
        if len(found) != 2 or found[0] != NODES or not 0 < found[1] <= 3 * MOST_PIXELS:
            raise InputError(
                f"{label}: x has shape {found}, expected {NODES} rows of 3 H W columns for images "
                f"of at most {MOST_PIXELS} pixels; is this an archive of published graphs?"
            )
        pixels, rest = divmod(found[1], 3)
        height = None if rest else _height_like(pixels, shape)
        if height is None:
            raise InputError(
                f"{label}: x has {found[1]} columns, expected 3 H W with H:W as in "
                f"{shape[1]}x{shape[0]} (width x height) images; is the archive of another scene?"
            )
        return height, pixels // height

    def _find_graphs(self) -> list[tarfile.TarInfo]:
        """Return the members that hold graphs, by number."""
        found: dict[int, tarfile.TarInfo] = {}
        for member in tqdm(self._tar, f"list {self.path.name}", unit="file", disable=None):
            match = GRAPH_FILE.fullmatch(PurePosixPath(member.name).name)
            if match is None:
                continue
            if not member.isfile():
                raise InputError(f"{self.path}: {member.name} is a link, expected a file")
            first = found.setdefault(int(match[1]), member)
            if first is not member:
                raise InputError(
                    f"{self.path}: holds graph {int(match[1])} twice, as {first.name} and as "
                    f"{member.name}, expected each once; give an archive of one scene and split"
                )
        missing = next((number for number in range(len(found)) if number not in found), None)
        if missing is not None or not found:
            raise InputError(
                f"{self.path}: holds {len(found)} graphs without data_{missing or 0:06}.pt, "
                "expected data_000000.pt and so on without gaps; download the archive again"
            )
        self._warn_of_jumps([found[number].offset for number in range(len(found))])
        return [found[number] for number in range(len(found))]

    def _warn_of_jumps(self, offsets: list[int]) -> None:
        if offsets != sorted(offsets) and not isinstance(self._tar.fileobj, io.BufferedReader):
            logger.warning(
                "%s: is compressed and its graphs are out of order, so that it is decompressed "
                "again and again; decompress it once to make this faster",
                self.path,
            )

    def _check_end(self) -> None:
        """Check that the zeros that end every archive follow its last member."""
        self._tar.fileobj.seek(self._tar.offset)
        if self._tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no end of archive at byte {self._tar.offset}")

    def _load(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return images and poses of a graph, of any shape."""
        member = self._members[number]
        with _naming_damage(self.path), self._tar.extractfile(member) as file:
            stream = io.BytesIO(file.read(member.size))  # in one piece, without joining
        try:
            return read_graph(stream)
        except Exception as error:  # a damaged pickle may raise anything
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(
                f"{self.path}: {member.name} cannot be read as a graph ({reason}); expected a "
                "complete pickled graph of tensors and plain values, x and y among them; do not "
                "use this archive, download it again from a place that you trust"
            ) from error


def place_nodes(
    archive: PublishedArchive,
    image_shape: tuple[int, int],
    place: Callable[[PublishedGraph], np.ndarray],
    description: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return query (G,) and neighbours (G, 7) of an archive's graphs, in the order of numbers.

    ``place`` returns the frame index of each of a graph's nodes (8).

    Raises:
        InputError: as ``PublishedArchive.read`` and ``place``, or two graphs have one query.
    """
    numbers = tqdm(range(len(archive)), description, unit="graph", disable=None)
    rows = np.stack([place(archive.read(number, image_shape)) for number in numbers])
    _, first, inverse = np.unique(rows[:, 0], return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[inverse] != np.arange(len(rows)))
    if repeated.size:
        again = int(repeated[0])
        raise InputError(
            f"{archive.name(again)} has the query of {archive.name(int(first[inverse[again]]))}, "
            "expected one graph a query; give an archive of one scene and split"
        )
    return rows[:, 0], rows[:, 1:]


def _height_like(pixels: int, shape: tuple[int, int]) -> int | None:
    """Return the height of images of so many pixels with the aspect of ``shape``, if there is."""
    if pixels == shape[0] * shape[1]:
        return shape[0]
    height = np.sqrt(pixels * shape[0] / shape[1])
    # One more on either side, for nothing but rounding.
    lowest = max(1, int(height * np.exp(-ASPECT_TOLERANCE / 2)) - 1)
    heights = np.arange(lowest, int(height * np.exp(ASPECT_TOLERANCE / 2)) + 2)
    heights = heights[pixels % heights == 0]
    misfit = 2 * np.abs(np.log(heights / height))
    if misfit.min(initial=np.inf) > ASPECT_TOLERANCE:
        return None
    return int(heights[misfit.argmin()])


def grey_values(image: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return a standardised image (3, H, W) as float32 grey values (H, W, 3), 0 to 255.

    ``mean`` and ``variance`` (3) are those of the channels in [0, 1].
    """
    scale = np.float32(255) * np.sqrt(np.asarray(variance, dtype=np.float32))
    shift = np.float32(255) * np.asarray(mean, dtype=np.float32)
    return image.transpose(1, 2, 0) * scale + shift


def whole_grey_values(
    image: np.ndarray, mean: np.ndarray, variance: np.ndarray, source: str
) -> np.ndarray:
    """Return a standardised image (3, H, W) as the uint8 image (H, W, 3) that it was made from.

    Raises:
        InputError: the values are no whole grey values. The message starts with ``source``.
    """
    grey = grey_values(image, mean, variance)
    whole = np.rint(grey)
    deviation = np.abs(grey - whole).max()
    if not deviation <= GREY_TOLERANCE or whole.min() < 0 or whole.max() > 255:
        raise InputError(
            f"{source}: with channel mean {np.round(mean, 4)} and variance "
            f"{np.round(variance, 4)} its image is off whole grey values of 0 to 255 (by up to "
            f"{deviation:.2g}), expected at most {GREY_TOLERANCE}: these statistics belong to "
            "another scene"
        )
    return whole.astype(np.uint8)


def _open_tar(path: Path) -> tarfile.TarFile:
    """Open a tar archive, compressed or not, or say what it is instead."""
    try:
        return tarfile.open(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, expected a tar archive of graphs") from error
    except TAR_DAMAGE as error:
        with path.open("rb") as file:
            start = file.read(64).lstrip()
        found = f"starts with {start[:8]!r}" if start else "is empty"
        found = "is an HTML or XML page" if start.startswith(b"<") else found
        raise InputError(
            f"{path}: {found}, expected a complete tar archive of graphs; "
            "delete it and download it again"
        ) from error
    except OSError as error:  # after TAR_DAMAGE, some of which is a kind of it
        raise InputError(
            f"{path}: cannot be opened ({error.strerror}), expected a tar archive of graphs"
        ) from error


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    """Turn what reading a damaged tar archive raises into an error that names it."""
    try:
        yield
    except TAR_DAMAGE as error:
        raise InputError(
            f"{path}: is a truncated or damaged tar archive ({error}), expected it complete; "
            "delete it and download it again"
        ) from error
