import asyncio
import errno
import json
import socket
import threading
import time
from contextlib import suppress
from unittest.mock import Mock

import httpx
import numpy as np
import pytest
from serving_place import PlantedPlace, client, photo_at, serving

from relposegnn.photos.unchanged import ChangedError
from relposegnn.serving import connections, uploads

PHOTOS = [(row, red) for row in range(50) for red in (0, 7, 101, 230)]


@pytest.fixture(scope="module")
def place():
    return PlantedPlace()


@pytest.fixture(scope="module")
def service(place):
    with serving(place) as address, client(address) as asking:
        yield asking


def ask_at_once(address, photos):
    """Return the responses to photos that are all sent before the first is answered."""

    async def ask_all():
        limits = httpx.Limits(max_connections=None)
        options = {"base_url": address, "trust_env": False, "timeout": 60, "limits": limits}
        async with httpx.AsyncClient(**options) as asking:
            asked = (asking.post("/localise", content=photo) for photo in photos)
            return await asyncio.gather(*asked)

    return asyncio.run(ask_all())


def test_each_of_200_photos_at_once_has_its_own_answer():
    place = PlantedPlace(delay=0.002)
    with serving(place, queue=200) as address:
        answers = ask_at_once(address, [photo_at(*photo) for photo in PHOTOS])
    assert [answer.status_code for answer in answers] == [200] * 200
    found = [answer.json()["pose"]["centre_m"] for answer in answers]
    expected = [place.pose_at(*photo)[:3, 3] for photo in PHOTOS]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert place.most == 1
    assert sorted(place.seen) == sorted((red, row) for row, red in PHOTOS)


def test_photos_beyond_the_queue_are_told_when_to_come_again():
    place = PlantedPlace(delay=0.05)
    with serving(place, queue=4) as address:
        answers = ask_at_once(address, [photo_at(row) for row in range(20)])
        with client(address) as asking:
            assert asking.post("/localise", content=photo_at(3)).status_code == 200
            assert asking.get("/health").json()["inside"] == 0
    taken = [row for row, answer in enumerate(answers) if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(taken) + len(refused) == 20
    assert 4 <= len(taken) < 20
    for row in taken:
        centre = answers[row].json()["pose"]["centre_m"]
        np.testing.assert_allclose(centre, place.pose_at(row)[:3, 3], atol=1e-9)
    for answer in refused:
        assert 1 <= int(answer.headers["Retry-After"]) <= 4
        assert "4 photos wait" in answer.json()["error"]


def test_others_are_answered_while_a_photo_is_in_work():
    place, began, release = held_place()
    with serving(place) as address, client(address) as asking:
        answers = []
        post = lambda: answers.append(client(address).post("/localise", content=photo_at(1)))  # noqa: E731
        thread = threading.Thread(target=post)
        thread.start()
        assert began.wait(60)
        assert asking.get("/health").json()["inside"] == 1
        assert not answers
        release.set()
        thread.join()
    assert answers[0].status_code == 200


def test_a_photo_of_a_client_that_has_gone_is_not_localised():
    place, began, release = held_place()
    with serving(place) as address, client(address) as asking:
        first = threading.Thread(
            target=lambda: client(address).post("/localise", content=photo_at(1))
        )
        first.start()
        assert began.wait(60)
        gone = send_by_hand(address, photo_at(2))
        wait_for(lambda: asking.get("/health").json()["inside"] == 2)
        gone.close()
        time.sleep(0.05)
        release.set()
        first.join()
        wait_for(lambda: asking.get("/health").json()["inside"] == 0)
    assert place.seen == [(0, 1)]


def held_place():
    """Return a place that tells when it begins a photo, and goes on when it is released."""
    place, began, release = PlantedPlace(), threading.Event(), threading.Event()
    usual = place.localise

    def localise(photo):
        began.set()
        assert release.wait(60)
        return usual(photo)

    place.localise = localise
    return place, began, release


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it has not come")


def send_by_hand(address, body, told=None, more=""):
    """Send a photo, or its first bytes where more are told of; return the open connection."""
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    head = f"POST /localise HTTP/1.1\r\nHost: {host}\r\nContent-Length: {told or len(body)}\r\n"
    connection.sendall(f"{head}{more}\r\n".encode() + body)
    return connection


def test_a_form_and_a_body_are_one_photo(service, place):
    photo = photo_at(31, 40)
    forms = {"files": {"photo": ("../../etc/passwd", photo, "image/png")}, "data": {"a": "b"}}
    for sent in ({"content": photo}, forms):
        answer = service.post("/localise", **sent)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        told = answer.json()
        pose = place.pose_at(31, 40)
        np.testing.assert_allclose(told["pose"]["centre_m"], pose[:3, 3], atol=1e-9)
        np.testing.assert_allclose(told["pose"]["rotation"], pose[:3, :3], atol=1e-9)
        assert told["accepted"] is True
        assert told["milliseconds"] >= 0


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        ({"content": b"GIF89a"}, 422, "photo: cannot be read as an image"),
        ({"content": b""}, 400, "photo: is empty"),
        ({"data": {"photo": "none"}, "files": {}}, 422, "photo: cannot be read"),
        ({"files": {"photo": ("a", b"")}}, 400, "photo: is empty"),
        ({"files": [("a", ("a", b"1")), ("b", ("b", b"2"))]}, 400, "Maximum number of files is 1"),
        (
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "form: cannot be read (Missing boundary in multipart.), expected a photo as its one",
        ),
        (
            {
                "content": b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n',
                "headers": {"Content-Type": "multipart/form-data; boundary=b"},
            },
            400,
            "form: holds no file",
        ),
        ({"content": bytes(100_001)}, 413, "has 100001 bytes, expected at most 100000"),
        ({"content": iter([bytes(60_000)] * 3)}, 413, "has more than 100000 bytes"),
        ({"files": {"photo": ("a", bytes(100_000))}}, 413, "expected at most 100000"),
    ],
)
def test_what_is_no_photo_is_told(service, sent, status, message):
    answer = service.post("/localise", **sent)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert service.get("/health").json()["inside"] == 0


def test_a_large_photo_is_refused_before_it_comes(service):
    with send_by_hand(str(service.base_url), b"", told=1 << 40) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_photo_that_does_not_come_is_given_up(service, monkeypatch):
    monkeypatch.setattr(uploads, "PATIENCE", 0.05)
    with send_by_hand(str(service.base_url), b"\x89PNG", told=1000) as connection:
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert service.get("/health").json()["inside"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/localise", 405),
        ("POST", "/", 405),
        ("DELETE", "/map", 405),
        ("GET", "/none", 404),
        ("GET", "/page.html", 404),
        ("GET", "/../answers.py", 404),
        ("GET", "/%2e%2e/answers.py", 404),
    ],
)
def test_other_requests_are_told_what_there_is(service, method, path, status):
    answer = service.request(method, path)
    assert answer.status_code == status
    assert "POST /localise" in answer.json()["error"]


def test_a_fault_is_told_without_its_words(service, place, monkeypatch, caplog):
    def fail(_):
        raise RuntimeError("secret")

    with serving(type("Failing", (PlantedPlace,), {"localise": lambda *_: fail(_)})()) as address:
        answer = client(address).post("/localise", content=photo_at(1))
    assert answer.status_code == 500
    assert answer.json() == {"error": "the service failed at this request; its log says why"}
    assert answer.headers["Content-Security-Policy"]
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ChangedError("a.map: was written anew"), "a.map: was written anew"),
        (OSError(errno.ENOSPC, "No space left on device"), "takes no photo; its log says why"),
    ],
)
def test_trouble_of_the_machine_is_none_of_the_photo_and_told_in_words(error, told, caplog):
    place = PlantedPlace()
    place.localise = Mock(side_effect=error)
    with serving(place) as address:
        answer = client(address).post("/localise", content=photo_at(1))
    assert answer.status_code == 500
    assert told in answer.json()["error"]
    assert str(error.args[-1]) in caplog.text
    assert "Traceback" not in caplog.text


def test_connections_that_ask_for_nothing_are_closed_and_so_are_those_beyond_a_number(monkeypatch):
    monkeypatch.setattr(connections, "MOST", 3)
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    place, began, release = held_place()
    with serving(place) as address:
        host, port = address.removeprefix("http://").split(":")
        asking = send_by_hand(address, photo_at(1))
        assert began.wait(60)
        idle = [socket.create_connection((host, int(port)), timeout=60) for _ in range(3)]
        with suppress(ConnectionError):  # its end may come as one
            assert idle[2].recv(1) == b""
        idle[1].sendall(b"GET /map HTTP/1.1\r\n")
        assert [each.recv(1) for each in idle[:2]] == [b"", b""]
        release.set()  # later than PATIENCE
        assert asking.recv(1000).startswith(b"HTTP/1.1 200 ")
        for each in (asking, *idle):
            each.close()


def test_the_map_has_the_database_and_the_quality(service, place):
    told = json.loads(service.get("/map").text, parse_constant=pytest.fail)
    np.testing.assert_allclose(told["cameras"]["centres_m"], place.poses[:, :3, 3], atol=1e-4)
    np.testing.assert_allclose(told["cameras"]["ahead"], place.poses[:, :3, 2], atol=1e-4)
    assert told["quality"] == {"all edges": {"median_m": 0.08, "median_deg": 1.5, "images": 200}}
    assert (told["scene"], told["limit_bytes"]) == ("study", 100_000)


OWN = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "127.0.0.1:1", "Origin": OWN}, 200),
        ({"Host": "127.0.0.1:1", "Origin": OWN, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}, 403),
        ({"Host": "["}, 403),
        ({"Host": ""}, 403),
        ({"Host": "127.0.0.1:1", "Origin": "http://evil.example"}, 403),
        ({"Host": "127.0.0.1:1", "Origin": "null"}, 403),
        ({"Host": "127.0.0.1:1", "Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
    ],
)
def test_other_sites_are_kept_away(service, headers, status):
    answer = service.get("/map", headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
