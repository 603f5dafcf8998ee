"""Downloads from a server on this machine that breaks off, fails and lies on demand."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from relposegnn import downloads
from relposegnn.downloads import CHUNK_BYTES, download
from relposegnn.runtime import InputError


def make_archive(seed: int) -> bytes:
    """Return a zip of noise, some 300 kB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("noise", np.random.default_rng(seed).bytes(300_000))
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves ``content`` as told by its attributes and keeps the requests."""

    daemon_threads = True
    content = make_archive(0)
    version: dict[str, str]
    break_after: list[int]  # per answer: bytes after which the connection is cut
    statuses: list[int]  # answered before the content is
    ranges = True
    wrong_range = False
    content_length = True
    content_type = "application/zip"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.version = {"ETag": '"one"'}
        self.break_after, self.statuses = [], []
        self.requests: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        """Return the address of the archive."""
        return f"http://127.0.0.1:{self.server_port}/attic.zip"


class Handler(BaseHTTPRequestHandler):
    """Answers as its server is told."""

    server: Server

    def do_GET(self) -> None:
        """Send a status, all of the content or the range asked for."""
        server = self.server
        server.requests.append(dict(self.headers))
        if server.statuses:
            self.send_response(server.statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = self.first_byte()
        if start is not None and start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = server.content[start or 0 :]
        self.send_response(200 if start is None else 206)
        if start is not None:
            start += server.wrong_range
            end = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(server.content)}")
        if server.content_length:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", server.content_type)
        for name, value in server.version.items():
            self.send_header(name, value)
        self.end_headers()
        cut = server.break_after.pop(0) if server.break_after else len(body)
        self.wfile.write(body[:cut])
        self.close_connection = True

    def first_byte(self) -> int | None:
        """Return where the range asked for starts, if this version of the file is meant."""
        asked = self.headers.get("Range")
        known = self.headers.get("If-Range")
        if not self.server.ranges or asked is None or known not in self.server.version.values():
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    """Run a server; no proxy stands before it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return where to download to."""
    return tmp_path / "archives/attic.zip"


def fetch(server: Server, target: Path, **options) -> None:
    """Download with hardly any waiting."""
    download(server.url, target, **{"attempts": 3, "wait": 0.001, "timeout": 5, **options})


def left_beside(target: Path) -> list[str]:
    """Return the names in the target's folder."""
    return sorted(path.name for path in target.parent.iterdir())


def assert_arrived(server: Server, target: Path) -> None:
    """Check the content, and that nothing lies beside it."""
    assert target.read_bytes() == server.content
    assert left_beside(target) == ["attic.zip"]


def test_plain(server, target):
    fetch(server, target, sha256=hashlib.sha256(server.content).hexdigest().upper())
    assert_arrived(server, target)
    assert len(server.requests) == 1
    assert "Range" not in server.requests[0]


def test_without_length(server, target):
    server.content_length = False
    fetch(server, target)
    assert_arrived(server, target)


def test_replaces_what_was_there(server, target):
    target.parent.mkdir()
    target.write_text("old")
    fetch(server, target)
    assert_arrived(server, target)


@pytest.mark.parametrize(
    "version",
    [
        {"ETag": '"one"'},
        {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"},
        {"ETag": 'W/"weak"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"},
    ],
)
def test_continues_after_broken_connections(server, target, version):
    server.version = version
    server.break_after = [CHUNK_BYTES + 5000, 2 * CHUNK_BYTES + 1]
    fetch(server, target)
    assert_arrived(server, target)
    ranges = [request.get("Range") for request in server.requests]
    assert ranges == [None, f"bytes={CHUNK_BYTES}-", f"bytes={3 * CHUNK_BYTES}-"]


def test_progress_does_not_count_as_failure(server, target):
    """More breaks than attempts, but each time something more has come."""
    server.break_after = [CHUNK_BYTES + 100] * 4
    fetch(server, target, attempts=2)
    assert_arrived(server, target)
    assert len(server.requests) == 5


def interrupt(server: Server, target: Path) -> None:
    """Leave a download behind that broke off after its first chunk."""
    server.break_after = [CHUNK_BYTES + 1000]
    with pytest.raises(InputError, match="failed 1 times in a row"):
        fetch(server, target, attempts=1)
    assert left_beside(target) == ["attic.zip.partial", "attic.zip.partial.json"]
    server.requests.clear()


def test_a_later_run_continues(server, target):
    interrupt(server, target)
    fetch(server, target)
    assert_arrived(server, target)
    assert [r.get("Range") for r in server.requests] == [f"bytes={CHUNK_BYTES}-"]


def test_a_changed_file_is_fetched_anew(server, target):
    interrupt(server, target)
    server.content = make_archive(1)
    server.version = {"ETag": '"two"'}
    fetch(server, target)
    assert_arrived(server, target)
    assert server.requests[0]["If-Range"] == '"one"'


def test_another_address_is_fetched_anew(server, target):
    interrupt(server, target)
    download(server.url + "?mirror", target, wait=0.001)
    assert_arrived(server, target)
    assert "Range" not in server.requests[0]


def test_a_server_without_ranges_is_fetched_anew(server, target):
    interrupt(server, target)
    server.ranges = False
    fetch(server, target)
    assert_arrived(server, target)


def test_a_server_without_versions_is_fetched_anew(server, target):
    server.version = {}
    server.break_after = [CHUNK_BYTES]
    fetch(server, target)
    assert_arrived(server, target)
    assert [r.get("Range") for r in server.requests] == [None, None]


def test_a_wrong_range_is_not_appended(server, target):
    interrupt(server, target)
    server.wrong_range = True
    fetch(server, target)
    assert_arrived(server, target)


def test_complete_but_not_renamed(server, target):
    """A run that was killed just before its last step costs no second download."""
    interrupt(server, target)
    target.with_name("attic.zip.partial").write_bytes(server.content)
    fetch(server, target)
    assert_arrived(server, target)
    assert len(server.requests) == 1


def test_longer_than_the_servers_file(server, target):
    interrupt(server, target)
    target.with_name("attic.zip.partial").write_bytes(server.content + b"more")
    fetch(server, target)
    assert_arrived(server, target)


def test_server_errors_pass(server, target):
    server.statuses = [500, 503]
    fetch(server, target)
    assert_arrived(server, target)
    assert len(server.requests) == 3


def test_server_errors_stay(server, target):
    server.statuses = [500] * 10
    with pytest.raises(InputError, match=r"failed 3 times in a row.*the server answered 500"):
        fetch(server, target)
    assert len(server.requests) == 3


def test_waits_longer_each_time(server, target, monkeypatch):
    pauses = []
    monkeypatch.setattr(downloads.time, "sleep", pauses.append)
    server.statuses = [500] * 3
    fetch(server, target, attempts=4, wait=2.0)
    assert pauses == [2.0, 4.0, 8.0]


@pytest.mark.parametrize("status", [404, 403, 410])
def test_not_there(server, target, status):
    server.statuses = [status]
    with pytest.raises(InputError, match=rf"{server.url}: the server answered {status} \w+"):
        fetch(server, target)
    assert len(server.requests) == 1
    assert left_beside(target) == []


@pytest.mark.parametrize("content_type", ["text/html", "application/zip"])
def test_web_page(server, target, content_type):
    server.content = b"\r\n <!DOCTYPE html>\n<html><title>Please log in</title></html>"
    server.content_type = content_type
    with pytest.raises(
        InputError, match=r"is a web page .*Please log in.*expected the file itself"
    ):
        fetch(server, target)
    assert left_beside(target) == []


def test_wrong_checksum(server, target):
    with pytest.raises(InputError, match=r"has SHA-256 [0-9a-f]{64}, expected 0{64}"):
        fetch(server, target, sha256="0" * 64)
    assert left_beside(target) == []
    fetch(server, target)
    assert "Range" not in server.requests[-1]


def test_nobody_answers(server, target):
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match=f"{url}: failed 2 times in a row.*check address"):
        download(url, target, attempts=2, wait=0.001, timeout=1)


def test_silence_is_a_broken_connection(server, target, monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda self: answered.wait(5))
    with pytest.raises(InputError, match=r"failed 2 times in a row.*timed out"):
        fetch(server, target, attempts=2, timeout=0.05)
    answered.set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk(server, target, monkeypatch):
    monkeypatch.setattr(
        downloads, "_remember", lambda url, partial, response: partial.symlink_to("/dev/full")
    )
    with pytest.raises(InputError, match="the disk is full; free some space"):
        fetch(server, target)
    assert not target.exists()


def test_local_file(server, tmp_path, target):
    source = tmp_path / "a copy.zip"
    source.write_bytes(server.content)
    download(source.as_uri(), target, sha256=hashlib.sha256(server.content).hexdigest())
    assert_arrived(server, target)
    assert source.exists()
    with pytest.raises(InputError, match="no such file on this machine"):
        download((tmp_path / "missing.zip").as_uri(), target)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://127.0.0.1/attic.zip", "has scheme 'ftp', expected http, https or file"),
        ("attic.zip", "has scheme '', expected"),
        ("http://", "cannot be downloaded"),
    ],
)
def test_bad_address(target, url, message):
    with pytest.raises(InputError, match=message):
        download(url, target)
