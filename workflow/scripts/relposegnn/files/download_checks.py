"""Checks that a download is the file that was asked for, and complete."""

import hashlib
import os
import re
import zipfile
from pathlib import Path

from ..runtime import InputError, plain

BLOCK = 512  # bytes of a tar's blocks: the first has "ustar" at byte 257, the last is all zeros
DELETED = (
    "it was deleted: run again; if the error persists, the published file is damaged or has changed"
)


def check_start(url: str, start: bytes, partial: Path, found_at: str) -> None:
    """Raise InputError if the ``start`` of a download shows that it is not the file.

    ``found_at`` is the address after redirections.
    """
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    shown = re.sub(r"\s+", " ", text[:80].decode(errors="replace"))
    if text.startswith(b"<"):
        found = f"is a web page ({shown!r})"
    elif not start:
        found = "is empty"
    elif partial.stem.endswith(".zip") and not start.startswith(b"PK"):
        found = f"is not a zip archive, but starts with {shown[:20]!r}"
    else:
        return
    redirected = f" at {found_at}" if found_at != url else ""
    raise InputError(
        f"{url}: {found}{redirected}, expected the file itself; the address needs a login or has "
        "moved: check it in a browser"
    )


def check_whole(url: str, partial: Path) -> str:
    """Return the SHA-256 of a file; raise InputError if it is an archive that was cut short."""
    with partial.open("rb") as file:
        start = file.read(BLOCK)
        file.seek(-len(start), os.SEEK_END)
        cut_tar = start[257:262] == b"ustar" and file.read() != bytes(BLOCK)
        if cut_tar or (start.startswith(b"PK") and not zipfile.is_zipfile(file)):
            raise InputError(f"{url}: is an archive without an end, expected it whole; {DELETED}")
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_file(target: Path) -> Path:
    """Return the file with the checksum of a file's first download."""
    return target.with_name(f"{target.name}.sha256")


def note_checksum(url: str, target: Path, found: str) -> None:
    """Write the checksum of a download, in the format of ``sha256sum`` with its address below."""
    checksum_file(target).write_text(f"{found}  {target.name}\n# {plain(url)}\n", encoding="utf-8")


def check_checksum(url: str, target: Path, found: str, sha256: str | None) -> None:
    """Raise InputError if a checksum is not ``sha256``; if None, not that of the first download.

    A first download from another address is not compared.
    """
    if sha256 is not None:
        if found != sha256.lower():
            raise InputError(f"{url}: has SHA-256 {found}, expected {sha256}; {DELETED}")
        return
    note = checksum_file(target)
    if not note.exists():
        return
    text = note.read_text(encoding="utf-8", errors="replace")
    first, _, rest = text.partition(" ")
    address = rest.partition("\n# ")[2].strip()
    if found != first and address in ("", plain(url)):
        raise InputError(
            f"{url}: has SHA-256 {found}, expected {first} as in the first download; it was "
            f"deleted. If you know why the file has changed, delete {note} and run again"
        )
