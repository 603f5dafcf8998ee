"""Downloads arrive whole, whatever the connection does, and continue where they broke off."""

import errno
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from loopback import Cut, serving
from misbehaving_server import (
    LOGIN_PAGE,
    assert_arrived,
    assert_continues,
    fetch,
    interrupt,
    left_beside,
    make_archive,
)
from misbehaving_server import server as server
from misbehaving_server import target as target

from relposegnn.files import downloads
from relposegnn.files.downloads import CHUNK_BYTES, download
from relposegnn.runtime import InputError, plain


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
    assert server.ranges_asked == [None, f"bytes={CHUNK_BYTES}-", f"bytes={3 * CHUNK_BYTES}-"]


def test_progress_does_not_count_as_failure(server, target):
    """More breaks than attempts, but each time something more has come."""
    server.break_after = [CHUNK_BYTES + 100] * 4
    fetch(server, target, attempts=2)
    assert_arrived(server, target)
    assert len(server.requests) == 5


def test_a_later_run_continues(server, target):
    interrupt(server, target)
    assert_continues(server, target)


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
    assert server.ranges_asked == [None, None]


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


def test_waits_longer_each_time(server, target, monkeypatch):
    pauses = []
    monkeypatch.setattr(downloads.time, "sleep", pauses.append)
    server.statuses = [500] * 3
    fetch(server, target, attempts=4, wait=2.0)
    assert pauses == [2.0, 4.0, 8.0]


def test_parts_shorter_than_asked_for_are_put_together(server, target):
    server.break_after = [CHUNK_BYTES + 1]
    server.longest_part = 100_000
    fetch(server, target)
    assert_arrived(server, target)
    starts = [CHUNK_BYTES, CHUNK_BYTES + 100_000, CHUNK_BYTES + 200_000]
    assert server.ranges_asked == [None, *(f"bytes={start}-" for start in starts)]


def test_downloads_side_by_side_do_not_disturb_each_other(tmp_path):
    """Two files in one folder, over connections that break, at the same time."""
    source, folder = tmp_path / "source", tmp_path / "archives"
    source.mkdir()
    contents = {f"scene-{i}.zip": make_archive(i) for i in range(4)}
    for name, content in contents.items():
        (source / name).write_bytes(content)
    with serving(source) as served, ThreadPoolExecutor(len(contents)) as pool:
        served.broken = {f"/{name}": Cut(2 * CHUNK_BYTES + 7, times=2) for name in contents}
        checksums = [hashlib.sha256(content).hexdigest() for content in contents.values()]
        urls = [f"{served.url}/{name}" for name in contents]
        targets = [folder / name for name in contents]
        list(pool.map(lambda *job: download(*job, wait=0.001), urls, targets, checksums))
        assert len(served.requests) == 3 * len(contents)
    assert left_beside(targets[0]) == sorted([*contents, *(f"{name}.sha256" for name in contents)])
    assert all((folder / name).read_bytes() == content for name, content in contents.items())


def test_an_answer_longer_than_announced_is_not_kept(server, target):
    """The range says where the file ends; without a length the answer itself need not."""
    interrupt(server, target)
    server.content_length, server.endless_parts = False, True
    fetch(server, target)
    assert_arrived(server, target)
    assert server.ranges_asked == [f"bytes={CHUNK_BYTES}-", None]


@pytest.mark.parametrize("memory", ["[1]", "null", "{", "7", '"url"', "\x00"])
def test_a_damaged_memory_is_fetched_anew(server, target, memory):
    interrupt(server, target)
    target.with_name("attic.zip.partial.json").write_text(memory)
    fetch(server, target)
    assert_arrived(server, target)
    assert server.ranges_asked == [None]


def test_local_file(server, tmp_path, target):
    source = tmp_path / "a copy.zip"
    source.write_bytes(server.content)
    download(source.as_uri(), target, sha256=hashlib.sha256(server.content).hexdigest())
    assert_arrived(server, target)
    assert source.exists()


def test_a_local_web_page_is_refused(tmp_path, target):
    source = tmp_path / "copy.zip"
    source.write_bytes(LOGIN_PAGE)
    with pytest.raises(InputError, match=r"is a web page .*Please log in"):
        download(source.as_uri(), target)
    assert left_beside(target) == []


def test_a_broken_local_copy_is_no_part_of_a_download(server, tmp_path, target, monkeypatch):
    interrupt(server, target)
    source = tmp_path / "copy.zip"
    source.write_bytes(make_archive(1))

    def breaking_off(file, copy):
        copy.write(file.read(100_000))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(InputError, match="the disk is full"):
        patched.setattr(downloads.shutil, "copyfileobj", breaking_off)
        download(source.as_uri(), target)
    fetch(server, target)
    assert_arrived(server, target)
    assert server.ranges_asked == [None]


def test_a_password_in_an_address_stays_there(server, target, caplog):
    """It is used, but neither told nor written; a download with one is continued too."""
    url = server.url.replace("://", "://me:secret@")
    server.break_after = [CHUNK_BYTES + 1000]
    with pytest.raises(InputError) as caught:
        download(url, target, attempts=1, timeout=5)
    beside = target.with_name("attic.zip.partial.json").read_text()
    assert server.url in beside
    assert "secret" not in str(caught.value) + beside
    server.requests.clear()
    download(url, target, attempts=1, timeout=5)
    assert_arrived(server, target)
    assert server.ranges_asked == [f"bytes={CHUNK_BYTES}-"]
    assert server.requests[0]["Authorization"].startswith("Basic ")


def test_a_file_that_has_changed_since_the_first_download_is_refused(server, target):
    fetch(server, target)
    first, note = hashlib.sha256(server.content).hexdigest(), target.with_name("attic.zip.sha256")
    assert note.read_text() == f"{first}  attic.zip\n# {server.url}\n"
    fetch(server, target)  # the same again
    target.unlink()
    server.content, server.version = make_archive(1), {"ETag": '"two"'}
    other = hashlib.sha256(server.content).hexdigest()
    message = rf"attic\.zip: has SHA-256 {other}, expected {first} as .*delete .*attic\.zip\.sha256"
    with pytest.raises(InputError, match=message):
        fetch(server, target)
    assert left_beside(target) == ["attic.zip.sha256"]
    note.unlink()
    fetch(server, target)
    assert_arrived(server, target)


def test_another_address_may_have_another_file(server, target):
    fetch(server, target)
    server.content, server.version = make_archive(1), {"ETag": '"two"'}
    target.unlink()
    url = server.url.replace("://", "://name:secret@").replace("attic", "cellar")
    download(url, target, attempts=1, timeout=5)
    assert_arrived(server, target)
    note = target.with_name("attic.zip.sha256").read_text()
    assert note.split() == [
        hashlib.sha256(server.content).hexdigest(),
        "attic.zip",
        "#",
        plain(url),
    ]
    assert "secret" not in note


def test_a_checksum_that_is_given_counts_more_than_that_of_the_first_download(server, target):
    fetch(server, target)
    server.content, server.version = make_archive(1), {"ETag": '"two"'}
    fetch(server, target, sha256=hashlib.sha256(server.content).hexdigest())
    assert_arrived(server, target)
    fetch(server, target)
