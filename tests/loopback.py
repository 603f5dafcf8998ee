"""A web server on this machine that serves a folder, parts of files too, and keeps the requests."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

COPY_BYTES = 1 << 20


class Request(NamedTuple):
    """What was asked for."""

    path: str
    range: str | None


@dataclass
class Served:
    """A running server: where it is and what it was asked for.

    ``broken`` plants what another server would do: path -> status, content or ``Cut``.
    """

    url: str
    requests: list[Request] = field(default_factory=list)
    broken: dict[str, "int | bytes | Cut"] = field(default_factory=dict)

    def fetched(self) -> list[str]:
        """Return the paths asked for, sorted, each once."""
        return sorted({request.path for request in self.requests})


class Cut(NamedTuple):
    """A connection that ends after so many bytes, so many times."""

    after: int
    times: int = 1


class Handler(SimpleHTTPRequestHandler):
    """Sends files whole or from a byte on, as told by ``served``."""

    def __init__(self, *arguments, served: Served, **options) -> None:
        self.served = served
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        """Send what was planted for this path, or the file."""
        self.served.requests.append(Request(self.path, self.headers.get("Range")))
        planted = self.served.broken.get(self.path)
        if isinstance(planted, int):
            self.send_error(planted)
        elif isinstance(planted, bytes):
            self.send_head_of(len(planted), {"Content-Type": "text/html"})
            self.wfile.write(planted)
        else:
            self.send_file(Path(self.translate_path(self.path)), self.bytes_to_send(planted))

    def bytes_to_send(self, planted: Cut | None) -> int | None:
        """Return after how many bytes to hang up, and note that one time less is left."""
        if planted is None or planted.times == 0:
            return None
        self.served.broken[self.path] = planted._replace(times=planted.times - 1)
        return planted.after

    def send_file(self, path: Path, limit: int | None) -> None:
        """Send a file, or its rest where a range is asked for and the file is still the same."""
        if not path.is_file():
            self.send_error(404)
            return
        size = path.stat().st_size
        version = f'"{path.stat().st_mtime_ns:x}-{size:x}"'
        start = self.first_byte(version)
        if start >= size > 0:
            self.send_head_of(0, {"Content-Range": f"bytes */{size}"}, 416)
            return
        headers = {"ETag": version, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self.send_head_of(size - start, headers, 206 if start else 200)
        self.send_bytes(path, start, size - start if limit is None else limit)

    def send_bytes(self, path: Path, start: int, count: int) -> None:
        """Send ``count`` bytes and hang up."""
        with path.open("rb") as file:
            file.seek(start)
            while count > 0 and (chunk := file.read(min(COPY_BYTES, count))):
                self.wfile.write(chunk)
                count -= len(chunk)
        self.close_connection = True

    def first_byte(self, version: str) -> int:
        """Return where the range asked for starts; 0 for the whole file."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is None or self.headers.get("If-Range", version) != version:
            return 0
        return int(asked[1])

    def send_head_of(self, length: int, headers: dict[str, str], status: int = 200) -> None:
        """Send status and headers."""
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve a folder until the block ends."""
    served = Served("")
    handler = partial(Handler, served=served, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
