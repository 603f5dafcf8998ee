"""A server on this machine that breaks off, fails and lies on demand."""

import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from relposegnn.files.downloads import CHUNK_BYTES, download
from relposegnn.runtime import InputError

LOGIN_PAGE = b"\xef\xbb\xbf\r\n <!DOCTYPE html>\n<html><title>Please log in</title></html>"


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
    longest_part: int | None = None  # bytes of the answer to a request for the rest
    content_length = True
    content_type = "application/zip"
    redirect_to: str | None = None
    silent_after_headers = False
    endless_parts = False  # of answers to a request for the rest

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.version = {"ETag": '"one"'}
        self.break_after, self.statuses = [], []
        self.requests: list[dict[str, str]] = []
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        """Return the address of the archive."""
        return f"http://127.0.0.1:{self.server_port}/attic.zip"

    @property
    def ranges_asked(self) -> list[str | None]:
        """Return the ranges asked for, in turn."""
        return [request.get("Range") for request in self.requests]


class Handler(BaseHTTPRequestHandler):
    """Answers as its server is told."""

    server: Server

    def do_GET(self) -> None:
        """Send a status, all of the content or the range asked for."""
        server, length = self.server, len(self.server.content)
        server.requests.append(dict(self.headers))
        start = self.first_byte()
        if server.statuses:
            self.send_head(server.statuses.pop(0), {"Content-Length": "0"})
        elif server.redirect_to and self.path != server.redirect_to:
            self.send_head(302, {"Location": server.redirect_to, "Content-Length": "0"})
        elif start is not None and start >= length:
            self.send_head(416, {"Content-Range": f"bytes */{length}", "Content-Length": "0"})
        elif start is None:
            self.send_content(200, server.content, {})
        else:
            part = server.content[start:][: server.longest_part]
            first = start + server.wrong_range
            last = first + len(part) - 1
            self.send_content(206, part, {"Content-Range": f"bytes {first}-{last}/{length}"})

    def send_head(self, status: int, headers: dict[str, str]) -> None:
        """Send status and headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_content(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Send a body as far as it goes, and hang up."""
        server = self.server
        if server.content_length:
            headers["Content-Length"] = str(len(body))
        self.send_head(status, headers | {"Content-Type": server.content_type} | server.version)
        if server.silent_after_headers:
            server.stopped.wait()
            return
        self.wfile.write(body[: server.break_after.pop(0) if server.break_after else None])
        while status == 206 and server.endless_parts and not server.stopped.is_set():
            self.wfile.write(bytes(CHUNK_BYTES))
        self.close_connection = True

    def first_byte(self) -> int | None:
        """Return where the range asked for starts, if this version of the file is meant."""
        asked = self.headers.get("Range")
        known = self.headers.get("If-Range")
        if not self.server.ranges or asked is None or known not in self.server.version.values():
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def handle(self) -> None:
        """Answer; a client may hang up meanwhile."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Run a server; no proxy stands before it. Tests import this as one of their fixtures."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.stopped.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return a file to download to, in a folder that does not exist yet."""
    return tmp_path / "archives/attic.zip"


def fetch(server: Server, target: Path, **options) -> None:
    """Download with hardly any waiting."""
    download(server.url, target, **{"attempts": 3, "wait": 0.001, "timeout": 5, **options})


def interrupt(server: Server, target: Path) -> None:
    """Leave a download behind that broke off after its first chunk."""
    server.break_after = [CHUNK_BYTES + 1000]
    with pytest.raises(InputError, match=rf"failed 1 times .*{CHUNK_BYTES} bytes are kept in"):
        fetch(server, target, attempts=1)
    assert left_beside(target) == ["attic.zip.partial", "attic.zip.partial.json"]
    server.requests.clear()


def left_beside(target: Path) -> list[str]:
    """Return the names in the target's folder."""
    return sorted(path.name for path in target.parent.iterdir())


def assert_arrived(server: Server, target: Path) -> None:
    """Check the content, and that nothing but its checksum lies beside it."""
    assert target.read_bytes() == server.content
    assert left_beside(target) == ["attic.zip", "attic.zip.sha256"]


def assert_continues(server: Server, target: Path) -> None:
    """Check that a download goes on from the first chunk that an interrupted one left."""
    server.requests.clear()
    fetch(server, target)
    assert_arrived(server, target)
    assert server.ranges_asked == [f"bytes={CHUNK_BYTES}-"]
