"""Whether what arrived is the file that was asked for, and all of it."""

import hashlib
import os
import re
import zipfile
from pathlib import Path

from .runtime import InputError, plain

BLOCK = 512  # bytes of a tar archive: the first says "ustar" from byte 257 on, the last is empty
DELETED = (
    "it was deleted: run again, and if it stays so, the published file is damaged or has changed"
)


def check_start(url: str, start: bytes, partial: Path, found_at: str) -> None:
    """Raise InputError if what starts so, ``found_at`` the end of redirections, is not the file."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    shown = re.sub(r"\s+", " ", text[:80].decode(errors="replace"))
    if text.startswith(b"<"):
        found = f"is a web page ({shown!r})"
    elif not start:
        found = "is empty"
    elif partial.stem.endswith(".zip") and not start.startswith(b"PK"):
        found = f"is no zip archive, but starts with {shown[:20]!r}"
    else:
        return
    redirected = f" at {found_at}" if found_at != url else ""
    raise InputError(
        f"{url}: {found}{redirected}, expected the file itself; the address needs a login or has "
        "moved: check it in a browser"
    )


def check_whole(url: str, partial: Path) -> str:
    """Return the SHA-256 of a file; raise InputError where it is an archive that was cut short."""
    with partial.open("rb") as file:
        start = file.read(BLOCK)
        file.seek(-len(start), os.SEEK_END)
        cut_tar = start[257:262] == b"ustar" and file.read() != bytes(BLOCK)
        if cut_tar or (start.startswith(b"PK") and not zipfile.is_zipfile(file)):
            raise InputError(f"{url}: is an archive without an end, expected all of it; {DELETED}")
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_file(target: Path) -> Path:
    """Return the file that keeps the checksum of the first download of a file."""
    return target.with_name(f"{target.name}.sha256")


def note_checksum(url: str, target: Path, found: str) -> None:
    """Keep the checksum of a download, and in a comment of ``sha256sum``'s its address."""
    checksum_file(target).write_text(f"{found}  {target.name}\n# {plain(url)}\n", encoding="utf-8")


def check_checksum(url: str, target: Path, found: str, sha256: str | None) -> None:
    """Raise InputError if a checksum is not the one given; None: not that of the first download.

    Of a first download from another address nothing follows.
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
            f"{url}: has SHA-256 {found}, expected {first} as the first download had; it was "
            f"deleted. If you know why the file has changed, delete {note} and run again"
        )
