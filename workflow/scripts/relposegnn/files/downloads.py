"""Downloads that survive broken connections and arrive whole or not at all.

Partial downloads are kept in ``{target}.partial``, beside a small ``{target}.partial.json`` with
the address and the server's version of the file, so that a later run continues an interrupted one
if the file is still the same. A refused answer does not change the partial download.
"""

import errno
import json
import logging
import re
import shutil
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from tqdm import tqdm

from ..runtime import InputError, plain
from .download_checks import check_checksum, check_start, check_whole, note_checksum
from .limits import check_limit, check_space, refuse_special_file

TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}
TRANSIENT_ERRORS = (  # another attempt may succeed
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
CHUNK_BYTES = 1 << 16  # at most this much is lost with a connection

logger = logging.getLogger(__name__)


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
        target: file to write. If its name ends in .zip, it has to be a zip archive.
        sha256: hexadecimal checksum; None: that of the first download, if there was one.
        attempts: failures in a row, without progress, after which it gives up.
        wait: seconds before the second attempt; doubled before each further one.
        timeout: seconds without a byte after which a connection counts as broken.

    Raises:
        InputError: bad address, missing file, server unreachable or failing, a web page instead of
            the file, a wrong checksum, a truncated archive, a full disk.
    """
    target = Path(target)
    partial = target.with_name(f"{target.name}.partial")
    scheme = _scheme(url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if scheme == "file":
            _copy_local(url, partial)
        else:
            _fetch(url, partial, attempts, wait, timeout)
        try:
            found = check_whole(url, partial)
            check_checksum(url, target, found, sha256)
        except InputError:
            _forget(partial)  # the next run starts anew
            raise
        note_checksum(url, target, found)
        partial.replace(target)
        told = "as configured" if sha256 else "noted for later downloads, as none is configured"
        logger.info("%s: has SHA-256 %s, %s", target.name, found, told)
        _memory(partial).unlink(missing_ok=True)
    except OSError as error:
        trouble = f"cannot be written ({error.strerror}); check the folder and its permissions"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            trouble = "the disk is full; free some space and run again to continue"
        raise InputError(f"{partial}: {trouble}") from error


def _scheme(url: str) -> str:
    """Return the scheme of an address; InputError if it cannot be fetched."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise _bad_address(url, error) from error
    if scheme not in ("http", "https", "file"):
        raise InputError(f"{url}: has scheme {scheme!r}, expected http, https or file")
    return scheme


def _fetch(url: str, partial: Path, attempts: int, wait: float, timeout: float) -> None:
    """Fetch until complete; give up after ``attempts`` failures without progress."""
    failures, farthest = 0, 0
    while True:
        try:
            return _fetch_rest(url, partial, timeout)
        except TRANSIENT_ERRORS as error:
            arrived = partial.stat().st_size if partial.exists() else 0
            failures = 1 if arrived > farthest else failures + 1
            farthest = max(farthest, arrived)
            if failures >= attempts:
                kept = f"{arrived} bytes are kept in {partial}: run again to continue"
                raise InputError(
                    f"{url}: failed {failures} times in a row, last with: {error}. "
                    f"{kept if arrived else 'Run again later'}, or check address and network"
                ) from error
            pause = wait * 2 ** (failures - 1)
            logger.warning("%s: %s; trying again in %.0f s", url, error, pause)
            time.sleep(pause)
        except requests.RequestException as error:
            raise _bad_address(url, error) from error


def _fetch_rest(url: str, partial: Path, timeout: float) -> None:
    """Fetch the missing rest of the partial file, or all of it if the server's file changed."""
    start, headers = _resume_headers(url, partial)
    with _ask(url, headers, timeout) as response:
        sent = response.headers.get("Content-Range", "")
        if start and response.status_code == requests.codes.requested_range_not_satisfiable:
            if sent == f"bytes */{start}":
                return  # complete: only the renaming was interrupted
            _forget(partial)
            raise requests.ConnectionError("the server has another version of this file")
        _check_status(url, response)
        if response.status_code != requests.codes.partial_content:
            start = 0
        elif not sent.startswith(f"bytes {start}-"):
            _forget(partial)
            raise requests.ConnectionError("the server sent another range than asked for")
        chunks = response.iter_content(CHUNK_BYTES)
        first = next(chunks, b"")
        total = _announced_bytes(response, start)
        if start == 0:
            check_start(url, first, partial, response.url)
            _forget(partial)  # the server sends the whole file
        check_limit(url, "DOWNLOAD_BYTES", total or 0, "bytes")
        check_space(partial, (total or 0) - start, partial.parent)
        _remember(url, partial, response)
        try:
            _write_body(chain([first], chunks), partial, start, total)
        except InputError:  # more bytes than allowed
            _forget(partial)
            raise


def _ask(url: str, headers: dict[str, str], timeout: float) -> requests.Response:
    """Send a request; raise InputError at once if asking again cannot help."""
    try:
        return requests.get(url, headers=headers, stream=True, timeout=timeout)
    except TRANSIENT_ERRORS as error:
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):  # other TLS errors may be temporary
            raise
        raise InputError(
            f"{url}: the server's certificate cannot be trusted ({error}); check the address and "
            "this computer's clock, or, behind a proxy, set REQUESTS_CA_BUNDLE to its certificates"
        ) from error
    except (OSError, ValueError) as error:  # including addresses that cannot be parsed
        raise _bad_address(url, error) from error


def _bad_address(url: str, error: Exception) -> InputError:
    return InputError(f"{url}: cannot be downloaded ({error}); check the address")


def _check_status(url: str, response: requests.Response) -> None:
    status = f"{response.status_code} {response.reason}"
    if response.status_code in TRANSIENT_STATUS:
        raise requests.ConnectionError(f"the server answered {status}")
    if response.status_code not in (requests.codes.ok, requests.codes.partial_content):
        raise InputError(
            f"{url}: the server answered {status}, expected the file; check the address in the "
            "configuration, or download the file by hand from where it is now"
        )


def _announced_bytes(response: requests.Response, start: int) -> int | None:
    """Return the bytes of the whole file, if announced; the response begins at ``start``."""
    if "Content-Encoding" in response.headers:
        return None  # the length would be that of the encoded bytes, not of those written
    part = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if part:
        return int(part[1])  # not start + length: a server may send less than the rest
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _write_body(chunks: Iterator[bytes], partial: Path, start: int, total: int | None) -> None:
    """Append the chunks to the first ``start`` bytes of the partial file, up to ``total`` bytes."""
    name = partial.stem
    with (
        partial.open("ab" if start else "wb") as file,
        tqdm(desc=name, total=total, initial=start, unit="B", unit_scale=True, disable=None) as bar,
    ):
        arrived = start
        for chunk in chunks:
            arrived += len(chunk)
            if total is not None and arrived > total:  # possibly endless
                _forget(partial)
                raise requests.ConnectionError(f"more came than the {total} bytes announced")
            check_limit(partial.with_suffix(""), "DOWNLOAD_BYTES", arrived, "bytes so far")
            file.write(chunk)
            file.flush()
            bar.update(len(chunk))
    if total is not None and arrived < total:
        raise requests.ConnectionError(f"the connection ended after {arrived} of {total} bytes")


def _resume_headers(url: str, partial: Path) -> tuple[int, dict[str, str]]:
    """Return the first byte to ask for, and headers: a range, if the version is still the same."""
    headers = {"Accept-Encoding": "identity"}
    try:
        known = json.loads(_memory(partial).read_text())
        start = partial.stat().st_size
    except (FileNotFoundError, ValueError):
        return 0, headers
    same_file = isinstance(known, dict) and known.get("url") == plain(url) and known.get("version")
    if start == 0 or not same_file:
        return 0, headers
    return start, {**headers, "Range": f"bytes={start}-", "If-Range": known["version"]}


def _remember(url: str, partial: Path, response: requests.Response) -> None:
    """Note the version of the file; a weak ETag does not guarantee equal bytes."""
    version = response.headers.get("ETag", "")
    if not version or version.startswith("W/"):
        version = response.headers.get("Last-Modified", "")
    if "Content-Encoding" in response.headers:
        version = ""
    _memory(partial).write_text(json.dumps({"url": plain(url), "version": version}))


def _memory(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _forget(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _memory(partial).unlink(missing_ok=True)


def _copy_local(url: str, partial: Path) -> None:
    """Copy a file:// address."""
    source = Path(url2pathname(urlsplit(url).path))
    refuse_special_file(source)
    try:
        file = source.open("rb")
    except OSError as error:
        raise InputError(
            f"{url}: cannot be read on this machine ({error.strerror}); check the address"
        ) from error
    _forget(partial)  # an interrupted copy must not be continued from a server
    with file:
        check_start(url, file.peek(), partial, url)
        with partial.open("wb") as copy:
            shutil.copyfileobj(file, copy)
