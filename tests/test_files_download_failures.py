"""Downloads that fail: each says why, leaves nothing that looks complete, loses nothing good."""

import errno
import io
import shutil
import ssl
import subprocess
import tarfile
from collections import namedtuple
from pathlib import Path

import pytest
from misbehaving_server import (
    LOGIN_PAGE,
    assert_arrived,
    assert_continues,
    fetch,
    interrupt,
    left_beside,
)
from misbehaving_server import server as server
from misbehaving_server import target as target

from relposegnn.files import downloads
from relposegnn.files.downloads import CHUNK_BYTES, download
from relposegnn.runtime import InputError

DiskUsage = namedtuple("DiskUsage", "total used free")


def test_server_errors_stay(server, target):
    server.statuses = [500] * 10
    with pytest.raises(
        InputError, match=r"failed 3 times in a row.*the server answered 500.*\. Run again later"
    ):
        fetch(server, target)
    assert len(server.requests) == 3
    assert left_beside(target) == []


@pytest.mark.parametrize("status", [404, 403, 401, 410])
def test_not_there(server, target, status):
    server.statuses = [status]
    with pytest.raises(InputError, match=rf"{server.url}: the server answered {status} \w+"):
        fetch(server, target)
    assert len(server.requests) == 1
    assert left_beside(target) == []


@pytest.mark.parametrize("status", [404, 500])
def test_an_error_meanwhile_loses_nothing(server, target, status):
    interrupt(server, target)
    server.statuses = [status] * 3
    with pytest.raises(InputError, match=f"the server answered {status}"):
        fetch(server, target)
    server.statuses = []
    assert_continues(server, target)


@pytest.mark.parametrize("content_type", ["text/html", "application/zip"])
def test_web_page(server, target, content_type):
    server.content, server.content_type = LOGIN_PAGE, content_type
    with pytest.raises(
        InputError, match=r"is a web page .*Please log in.*expected the file itself"
    ):
        fetch(server, target)
    assert left_beside(target) == []


def test_redirected_to_a_login_page(server, target):
    """What came before the login expired is kept."""
    interrupt(server, target)
    archive, version = server.content, server.version
    server.redirect_to, server.content, server.version = "/login", LOGIN_PAGE, {}
    with pytest.raises(InputError, match=rf"{server.url}: is a web page .* at http:.*/login, exp"):
        fetch(server, target)
    server.redirect_to, server.content, server.version = None, archive, version
    assert_continues(server, target)


def test_redirected_in_circles(server, target):
    server.redirect_to = "/attic.zip#again"
    with pytest.raises(InputError, match=r"cannot be downloaded .*redirects.*check the addr"):
        fetch(server, target)
    assert left_beside(target) == []


def test_redirected_to_no_address(server, target):
    server.redirect_to = "http://[/"
    with pytest.raises(InputError, match=r"attic.zip: cannot be downloaded .*check the address"):
        fetch(server, target)
    assert left_beside(target) == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate by openssl")
def test_a_certificate_that_nobody_vouches_for_is_not_tried_again(server, target, tmp_path, caplog):
    pem = tmp_path / "key_and_certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*command, "-keyout", pem, "-out", tmp_path / "cert.pem"], check=True)
    pem.write_text(pem.read_text() + (tmp_path / "cert.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with pytest.raises(InputError, match=r"https:.*certificate cannot be trusted .*REQUESTS_CA"):
        download(server.url.replace("http:", "https:"), target, attempts=3, wait=0.001)
    assert "trying again" not in caplog.text
    assert left_beside(target) == []


def test_no_certificates_to_compare_with(server, target, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(InputError, match=r"cannot be downloaded \(.*missing\.pem"):
        download("https://127.0.0.1:9/attic.zip", target, wait=0.001)


def test_empty_file(server, target):
    server.content = b""
    with pytest.raises(InputError, match="is empty, expected the file itself"):
        fetch(server, target)
    assert left_beside(target) == []


def test_no_archive(server, target):
    server.content = b'{"error": "quota exceeded"}'
    with pytest.raises(
        InputError, match=r"is not a zip archive, but starts with .*error.* expected"
    ):
        fetch(server, target)
    assert left_beside(target) == []


def test_wrong_checksum(server, target):
    with pytest.raises(InputError, match=r"has SHA-256 [0-9a-f]{64}, expected 0{64}"):
        fetch(server, target, sha256="0" * 64)
    assert left_beside(target) == []
    fetch(server, target)
    assert "Range" not in server.requests[-1]


def test_truncated_zip(server, target):
    """A server that tells no length cannot be asked whether all has come; a zip can."""
    server.content_length = False
    server.break_after = [4 * CHUNK_BYTES]
    with pytest.raises(InputError, match="is an archive without an end, expected it whole"):
        fetch(server, target)
    assert left_beside(target) == []
    fetch(server, target)
    assert_arrived(server, target)


def test_truncated_tar(server, target):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("graph")
        entry.size = 3 * CHUNK_BYTES
        archive.addfile(entry, io.BytesIO(b"x" * entry.size))
    server.content, server.content_length = buffer.getvalue(), False
    server.break_after = [2 * CHUNK_BYTES]
    target = target.with_suffix(".tar")
    with pytest.raises(InputError, match="is an archive without an end, expected it whole"):
        fetch(server, target)
    assert left_beside(target) == []
    fetch(server, target)
    assert target.read_bytes() == server.content


def test_always_cut_short_without_ranges(server, target):
    server.ranges = False
    server.break_after = [CHUNK_BYTES + 5] * 3
    with pytest.raises(InputError, match=rf"failed 3 times .* {CHUNK_BYTES} bytes are kept in"):
        fetch(server, target)
    assert left_beside(target) == ["attic.zip.partial", "attic.zip.partial.json"]
    fetch(server, target)
    assert_arrived(server, target)


def test_nobody_answers(server, target):
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match=f"{url}: failed 2 times in a row.*check address"):
        download(url, target, attempts=2, wait=0.001, timeout=1)


def test_silence_after_the_headers(server, target):
    server.silent_after_headers = True
    with pytest.raises(InputError, match=r"failed 2 times in a row.*timed out"):
        fetch(server, target, attempts=2, timeout=0.1)
    assert not target.exists()


def test_silence_without_headers(server, target, monkeypatch):
    monkeypatch.setattr(
        server.RequestHandlerClass, "do_GET", lambda self: self.server.stopped.wait(5)
    )
    with pytest.raises(InputError, match=r"failed 2 times in a row.*timed out"):
        fetch(server, target, attempts=2, timeout=0.05)
    assert left_beside(target) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("size", [100, CHUNK_BYTES + 100])
def test_full_disk(server, target, monkeypatch, size):
    monkeypatch.setattr(
        downloads, "_remember", lambda url, partial, response: partial.symlink_to("/dev/full")
    )
    server.content = server.content[:size]
    with pytest.raises(InputError, match=r"attic.zip.partial: the disk is full; free some space"):
        fetch(server, target)
    assert not target.exists()


def test_full_disk_before_the_first_byte(server, target, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(InputError, match="the disk is full"):
        patched.setattr(Path, "write_text", no_space)
        fetch(server, target)
    fetch(server, target)
    assert_arrived(server, target)


def test_too_little_space_is_told_at_the_start(server, target, monkeypatch):
    interrupt(server, target)
    missing = len(server.content) - CHUNK_BYTES
    with monkeypatch.context() as patched:
        patched.setattr(downloads.shutil, "disk_usage", lambda _: DiskUsage(10**6, 10**6, 1000))
        with pytest.raises(
            InputError, match=f"needs {missing} more bytes, but the disk has only 1000"
        ):
            fetch(server, target)
        patched.setattr(downloads.shutil, "disk_usage", lambda _: DiskUsage(1, 0, missing - 1))
        with pytest.raises(InputError, match=f"disk has only {missing - 1} free; free some space"):
            fetch(server, target)
    assert_continues(server, target)


def test_a_disk_that_tells_nothing_is_tried(server, target, monkeypatch):
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: DiskUsage(0, 0, 0))
    fetch(server, target)
    assert_arrived(server, target)


def test_no_folder_to_write_to(server, target):
    target.parent.write_text("a file")
    with pytest.raises(InputError, match=r"cannot be written \(.*check the folder"):
        fetch(server, target)


@pytest.mark.parametrize("name", ["missing.zip", "."])
def test_local_file_not_there(target, tmp_path, name):
    with pytest.raises(InputError, match=r"cannot be read on this machine \(.*check the address"):
        download(f"{tmp_path.as_uri()}/{name}", target)
    assert left_beside(target) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://127.0.0.1/attic.zip", "has scheme 'ftp', expected http, https or file"),
        ("attic.zip", "has scheme '', expected"),
        ("http://", "cannot be downloaded"),
        ("http://[/", "cannot be downloaded .*check the address"),
        ("http://a..b/", r"cannot be downloaded .*a\.\.b.*check the address"),
    ],
)
def test_bad_address(target, url, message):
    with pytest.raises(InputError, match=message):
        download(url, target)
