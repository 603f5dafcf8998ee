"""What a download has to be: checks of its first bytes, its end and its checksum."""

import hashlib
import os
import re
import zipfile
from pathlib import Path
from typing import BinaryIO

from .runtime import InputError

BLOCK = 512  # of a tar archive: the first says "ustar" from byte 257 on, the last is empty


def check_download(url: str, path: Path, name: str, sha256: str | None) -> None:
    """Check a file that came from ``url`` and will be called ``name``.

    Raises:
        InputError: empty, a web page, of another checksum, or an archive without its end.
    """
    with path.open("rb") as file:
        refuse_start(url, file.read(BLOCK), name, url)
        refuse_truncated_archive(url, file)
        refuse_checksum(url, file, sha256)


def refuse_start(url: str, start: bytes, name: str, found_at: str) -> None:
    """Raise InputError if a file that starts so cannot be what was asked for.

    Empty, HTML or XML, or ``name`` ends in .zip and it is none. ``found_at``: where redirections
    led.
    """
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    shown = re.sub(r"\s+", " ", text[:80].decode(errors="replace"))
    if text.startswith(b"<"):
        found = f"is a web page ({shown!r})"
    elif not start:
        found = "is empty"
    elif name.endswith(".zip") and not start.startswith(b"PK"):
        found = f"is no zip archive, but starts with {shown[:20]!r}"
    else:
        return
    redirected = f" at {found_at}" if found_at != url else ""
    raise InputError(
        f"{url}: {found}{redirected}, expected the file itself; the address needs a login or has "
        "moved: check it in a browser"
    )


def refuse_truncated_archive(url: str, file: BinaryIO) -> None:
    """Raise InputError if what starts as a zip or tar archive does not end as one."""
    file.seek(0)
    start = file.read(BLOCK)
    file.seek(-len(start), os.SEEK_END)
    end = file.read()
    truncated = start.startswith(b"PK") and not zipfile.is_zipfile(file)
    truncated |= start[257:262] == b"ustar" and end != bytes(BLOCK)
    if truncated:
        raise InputError(
            f"{url}: is an archive without an end, expected all of it; it was deleted: run again, "
            "and if it stays so, the published file is damaged"
        )


def refuse_checksum(url: str, file: BinaryIO, expected: str | None) -> None:
    """Raise InputError if the file has another SHA-256 than expected, where one is."""
    if expected is None:
        return
    file.seek(0)
    found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.lower():
        raise InputError(
            f"{url}: has SHA-256 {found}, expected {expected}; it was deleted: run again, and if "
            "it stays so, the published file has changed"
        )
