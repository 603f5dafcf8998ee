"""Extraction of a scene's zip archive, in any layout, with or without folders around the scene.

An archive of 7-Scenes holds ``{scene}/TrainSplit.txt``, ``{scene}/TestSplit.txt`` and
``{scene}/seq-01.zip``, which holds ``seq-01/frame-000000.color.png`` and so on. There are also
copies without the outer folder, without the inner one, or with plain folders as sequences; all
extract to the same scene folder. The other layouts have no archives inside.
"""

import errno
import logging
import re
import shutil
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from ..files.limits import check_space, check_zip
from ..layouts.files import describe_layouts, scene_roots
from ..runtime import InputError, atomic_path
from ..threads import map_in_threads

logger = logging.getLogger(__name__)

SEQUENCE_ARCHIVE = re.compile(r"(seq(?:uence)?-?\d+)\.zip", re.IGNORECASE)
VIDEO_SUFFIXES = {".mp4", ".mov", ".avi", ".mkv", ".webm"}  # of Cambridge; no layout reads them
COPY_BYTES = 1 << 20
# A broken offset; an entry that is a file here and a folder there.
IMPOSSIBLE_PLACE = {errno.EINVAL, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


def extract_scene(archive: str | Path, folder: str | Path, scene: str, workers: int = 1) -> None:
    """Extract the archive of a scene; ``folder`` appears when all of it is extracted.

    Args:
        archive: zip file as published.
        folder: becomes the scene's folder. Videos in the archive are not extracted.
        scene: its name, which picks the folder if the archive holds several scenes.
        workers: sequences extracted at the same time.

    Raises:
        InputError: the archive is not a zip file, truncated, damaged or not a scene, an entry would
            be written outside ``folder``, or it is larger than ``limits`` or the disk allow.
            Nothing is left behind.
    """
    archive = Path(archive)
    with _naming_damage(str(archive)):
        outer = zipfile.ZipFile(archive)
    with outer, atomic_path(folder) as partial:
        entries = _entries(outer, str(archive), archive.stat().st_size)
        root = _scene_root(archive, entries, scene)
        members = _members(entries, root)
        _refuse_places_taken(members, str(archive))
        partial.mkdir()
        size = sum(entry.file_size for entry in members.values())
        check_space(archive, size, partial)
        with tqdm(desc=scene, total=size, unit="B", unit_scale=True, disable=None) as bar:
            jobs = ((outer, entry, partial, path, bar) for path, entry in members.items())
            for _ in map_in_threads(lambda job: _extract_member(*job), jobs, workers):
                pass  # raises a thread's exception, and drops the jobs that wait


def _extract_member(
    outer: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, path: PurePosixPath, bar: tqdm
) -> None:
    """Extract an entry of the outer archive to ``folder / path``; of a sequence, all entries."""
    label = f"{outer.filename}: entry {entry.filename}"
    match = SEQUENCE_ARCHIVE.fullmatch(str(path))
    if match is None:
        _copy_entry(outer, entry, folder / path, label)
        bar.update(entry.file_size)
        return
    sequence = match[1].lower()
    with (
        _naming_damage(label),
        outer.open(entry) as stream,
        zipfile.ZipFile(stream) as inner,  # seeks in the outer archive: no copy on disk
    ):
        entries = _entries(inner, label, entry.file_size)
        check_space(label, sum(item.file_size for item in entries.values()), folder)
        # In the order of the archive: each seek back would decompress it from its start again.
        forward = sorted(entries.items(), key=lambda pair: pair[1].header_offset)
        places = _Places(label)
        for inner_path, item in forward:
            places.take(_below(inner_path, sequence), item.filename)
        for inner_path, item in forward:
            target = folder / sequence / _below(inner_path, sequence)
            _copy_entry(inner, item, target, f"{label}/{item.filename}")
            bar.update(item.compress_size)


def _copy_entry(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, label: str) -> None:
    with _naming_damage(label):
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipped.open(entry) as source, target.open("wb") as destination:
            shutil.copyfileobj(source, destination, COPY_BYTES)


def _below(path: PurePosixPath, sequence: str) -> PurePosixPath:
    """Return ``path`` relative to the folder ``sequence``, if that is among its folders."""
    folders = [part.lower() for part in path.parts[:-1]]
    start = folders.index(sequence) + 1 if sequence in folders else 0
    return PurePosixPath(*path.parts[start:])


def _entries(
    zipped: zipfile.ZipFile, label: str, size: int
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return the files of a zip of ``size`` bytes by path.

    Raises:
        InputError: a path is absolute, leads upwards or starts with a drive, two paths are the
            same, or as ``check_zip``.
    """
    check_zip(label, zipped.infolist(), size)
    entries, places = {}, _Places(label)
    for entry in zipped.infolist():
        path = PureWindowsPath(entry.filename)  # understands drives and both kinds of slashes
        if path.anchor or ".." in path.parts:
            raise InputError(
                f"{label}: entry {entry.filename!r} would be written outside the scene's folder; "
                "do not use this archive, download it again from a place that you trust"
            )
        if not entry.is_dir():
            places.take(PurePosixPath(*path.parts), entry.filename)
            entries[PurePosixPath(*path.parts)] = entry
    return entries


class _Places:
    """The paths that entries of an archive are extracted to, which have to differ on any disk.

    Some disks ignore case, or whether an accent is a character of its own: an entry would replace
    another one.
    """

    def __init__(self, label: str) -> None:
        self._label, self._taken = label, {}

    def take(self, path: PurePosixPath, entry: str) -> None:
        """Note the path of an entry; InputError if another entry has it."""
        key = unicodedata.normalize("NFC", str(path).casefold())
        if key in self._taken:
            raise InputError(
                f"{self._label}: entries {self._taken[key]!r} and {entry!r} would both become "
                f"{path}, expected one; unzip it with another program, keep the right one of them "
                "and set scenes_dir to the folder"
            )
        self._taken[key] = entry


def _refuse_places_taken(members: dict[PurePosixPath, zipfile.ZipInfo], label: str) -> None:
    """Refuse sequences that an archive holds twice, as inner archives or folders."""
    places = _Places(label)
    folders = {}
    for path, entry in members.items():
        if match := SEQUENCE_ARCHIVE.fullmatch(str(path)):
            places.take(PurePosixPath(match[1]), entry.filename)
        elif len(path.parts) > 1:
            folders.setdefault(path.parts[0].casefold(), (path.parts[0], entry.filename))
    for folder, first in folders.values():
        places.take(PurePosixPath(folder), first)


def _members(
    entries: dict[PurePosixPath, zipfile.ZipInfo], root: PurePosixPath
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return the entries below ``root`` by their path relative to it, without videos."""
    below = {p.relative_to(root): e for p, e in entries.items() if p.is_relative_to(root)}
    members = {p: e for p, e in below.items() if p.suffix.lower() not in VIDEO_SUFFIXES}
    if len(members) < len(below):
        logger.info("%d videos are not extracted", len(below) - len(members))
    return members


def _scene_root(
    archive: Path, entries: dict[PurePosixPath, zipfile.ZipInfo], scene: str
) -> PurePosixPath:
    """Return the folder in the archive that holds the scene."""
    roots = found = scene_roots(entries)
    if len(roots) > 1:
        roots = [root for root in roots if root.name == scene]
    if len(roots) != 1:
        names = ", ".join(map(str, found)) or "none"
        raise InputError(
            f"{archive}: holds {len(found)} scenes ({names}), expected a single one, or one named "
            f"{scene}, in a layout: {describe_layouts()}"
        )
    return roots[0]


@contextmanager
def _naming_damage(label: str) -> Iterator[None]:
    """Turn errors of zipfile into an ``InputError`` that names the archive or entry."""
    try:
        yield
    except (NotImplementedError, RuntimeError) as error:  # unknown compression; a password
        raise InputError(
            f"{label}: cannot be read ({error}); unzip it with another program and set scenes_dir "
            "to the folder"
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise InputError(f"{label}: no such file, expected an archive; download it") from error
        if isinstance(error, OSError) and error.errno not in IMPOSSIBLE_PLACE:
            raise
        raise InputError(
            f"{label}: is damaged ({error}), expected a complete archive; delete it and download "
            "it again"
        ) from error
