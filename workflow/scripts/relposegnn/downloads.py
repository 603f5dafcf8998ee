"""Downloads that survive broken connections and arrive whole or not at all.

What has arrived waits in ``{target}.partial``, beside a small ``{target}.partial.json`` which
remembers the address and the server's version of the file, so that a later run continues where
an earlier one broke off, if the file is still the same.
"""

import errno
import hashlib
import json
import logging
import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from tqdm import tqdm

from .runtime import InputError

TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}
TRANSIENT_ERRORS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
CHUNK_BYTES = 1 << 16  # at most this much is lost with a connection

logger = logging.getLogger(__name__)


class _TransientError(Exception):
    """What the server answered may be better at the next attempt."""


def download(
    url: str,
    target: str | Path,
    sha256: str | None = None,
    attempts: int = 6,
    wait: float = 2.0,
    timeout: float = 60.0,
) -> None:
    """Download ``url`` to ``target``, which appears when complete and verified.

    Args:
        url: http, https or file address.
        target: file to write.
        sha256: hexadecimal checksum, where known.
        attempts: failures in a row, without progress, after which it gives up.
        wait: seconds before the second attempt; doubled before each further one.
        timeout: seconds without a byte after which a connection counts as broken.

    Raises:
        InputError: bad address, file not there, server out of reach or failing, a web page in
            place of the file, another checksum, disk full.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    scheme = urlsplit(url).scheme
    if scheme == "file":
        _copy_local(url, partial)
    elif scheme in ("http", "https"):
        _fetch_persistently(url, partial, attempts, wait, timeout)
    else:
        raise InputError(f"{url}: has scheme {scheme!r}, expected http, https or file")
    _verify(url, partial, sha256)
    partial.replace(target)
    _memory(partial).unlink(missing_ok=True)


def _fetch_persistently(
    url: str, partial: Path, attempts: int, wait: float, timeout: float
) -> None:
    """Fetch until complete; give up after ``attempts`` failures without progress."""
    failures, farthest = 0, 0
    while True:
        try:
            return _fetch_rest(url, partial, timeout)
        except (*TRANSIENT_ERRORS, _TransientError) as error:
            arrived = partial.stat().st_size if partial.exists() else 0
            failures = 1 if arrived > farthest else failures + 1
            farthest = max(farthest, arrived)
            if failures >= attempts:
                raise InputError(
                    f"{url}: failed {failures} times in a row, last with: {error}. What arrived "
                    f"is kept in {partial}: run again to continue, or check address and network"
                ) from error
            pause = wait * 2 ** (failures - 1)
            logger.warning("%s: %s; trying again in %.0f s", url, error, pause)
            time.sleep(pause)
        except requests.RequestException as error:
            raise InputError(f"{url}: cannot be downloaded ({error}); check the address") from error


def _fetch_rest(url: str, partial: Path, timeout: float) -> None:
    """Fetch what is missing of the partial file, all of it where the server's file changed."""
    start, headers = _resume_headers(url, partial)
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if start and response.status_code == requests.codes.requested_range_not_satisfiable:
            if response.headers.get("Content-Range") == f"bytes */{start}":
                return  # all there: only the last step, the renaming, was interrupted
            _forget(partial)
            raise _TransientError("the server has another version of this file")
        _check_status(url, response)
        if response.status_code != requests.codes.partial_content:
            _forget(partial)  # the whole file comes: none of what is there belongs to it
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            _forget(partial)
            raise _TransientError("the server sent another range than asked for")
        _remember(url, partial, response)
        _write_body(response, partial, start)


def _check_status(url: str, response: requests.Response) -> None:
    status = f"{response.status_code} {response.reason}"
    if response.status_code in TRANSIENT_STATUS:
        raise _TransientError(f"the server answered {status}")
    if response.status_code not in (requests.codes.ok, requests.codes.partial_content):
        raise InputError(
            f"{url}: the server answered {status}, expected the file; check the address in the "
            "configuration, or download the file by hand from where it is now"
        )


def _write_body(response: requests.Response, partial: Path, start: int) -> None:
    """Append the body to the first ``start`` bytes of the partial file."""
    length = response.headers.get("Content-Length")
    if "Content-Encoding" in response.headers:
        length = None  # it counts the encoded bytes, not those that are written
    total = None if length is None else start + int(length)
    name = partial.name.removesuffix(".partial")
    with (
        partial.open("ab" if start else "wb") as file,
        tqdm(desc=name, total=total, initial=start, unit="B", unit_scale=True, disable=None) as bar,
    ):
        for chunk in response.iter_content(CHUNK_BYTES):
            _write(file, chunk, partial)
            bar.update(len(chunk))
        arrived = file.tell()
    if total is not None and arrived != total:
        raise _TransientError(f"the connection ended after {arrived} of {total} bytes")


def _write(file, chunk: bytes, partial: Path) -> None:
    """Write and flush one chunk."""
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _disk_full(partial) from error


def _resume_headers(url: str, partial: Path) -> tuple[int, dict[str, str]]:
    """Return from which byte to ask, and how: only if the server still has the same version."""
    headers = {"Accept-Encoding": "identity"}
    try:
        known = json.loads(_memory(partial).read_text())
        start = partial.stat().st_size
    except (FileNotFoundError, ValueError):
        return 0, headers
    if known.get("url") != url or not known.get("version") or start == 0:
        return 0, headers
    return start, {**headers, "Range": f"bytes={start}-", "If-Range": known["version"]}


def _remember(url: str, partial: Path, response: requests.Response) -> None:
    """Note which version of the file arrives; a weak ETag cannot vouch for its bytes."""
    version = response.headers.get("ETag", "")
    if not version or version.startswith("W/"):
        version = response.headers.get("Last-Modified", "")
    if "Content-Encoding" in response.headers:
        version = ""
    _memory(partial).write_text(json.dumps({"url": url, "version": version}))


def _copy_local(url: str, partial: Path) -> None:
    """Copy a file:// address."""
    source = Path(url2pathname(urlsplit(url).path))
    try:
        shutil.copyfile(source, partial)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{url}: no such file on this machine; check the address") from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _disk_full(partial) from error


def _verify(url: str, partial: Path, sha256: str | None) -> None:
    """Check the complete file; delete what is wrong, so that the next run starts anew."""
    with partial.open("rb") as file:
        start = file.read(512).lstrip()
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest() if sha256 else None
    if start.startswith(b"<"):  # no zip, tar or checkpoint starts so, but HTML and XML do
        _forget(partial)
        text = re.sub(r"\s+", " ", start[:80].decode(errors="replace"))
        raise InputError(
            f"{url}: is a web page ({text!r}), expected the file itself; the address needs a "
            "login or has moved: check it in a browser"
        )
    if sha256 and found != sha256.lower():
        _forget(partial)
        raise InputError(
            f"{url}: has SHA-256 {found}, expected {sha256}; it was deleted: run again, and if "
            "it stays so, the published file has changed"
        )


def _memory(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _forget(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _memory(partial).unlink(missing_ok=True)


def _disk_full(partial: Path) -> InputError:
    return InputError(
        f"{partial}: the disk is full; free some space and run again, which continues from here"
    )
