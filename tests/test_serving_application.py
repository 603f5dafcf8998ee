import errno
import json
import socket
from contextlib import suppress
from unittest.mock import Mock

import numpy as np
import pytest
from serving_place import PlantedPlace, client, held_place, photo_at, send_by_hand, serving

from relposegnn.photos.unchanged import ChangedError
from relposegnn.runtime import InputError
from relposegnn.serving import connections, uploads


@pytest.fixture(scope="module")
def place():
    return PlantedPlace()


@pytest.fixture(scope="module")
def service(place):
    with serving(place) as address, client(address) as asking:
        yield asking


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
            "form: cannot be read (Missing boundary in multipart.), expected a photo as its only",
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


def test_a_photo_may_come_with_its_focal_length(service):
    lengths = {"": 0.82, "?focal_length=0.914": 0.914, "?focal_length=1.3": 1.3}
    for query, expected in lengths.items():
        answer = service.post(f"/localise{query}", content=photo_at(3)).json()
        assert answer["camera"]["fx"] == pytest.approx(640 * expected)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("focal_length=525", "focal length is 525.0, expected 0.1 to 10 longer sides"),
        ("focal_length=nan", "focal length is nan, expected"),
        ("focal_length=", "focal_length: got , expected a number, in longer sides"),
        ("focal_length=35mm%1b", "focal_length: got 35mm\\x1b, expected a number"),
        ("focal=0.9", "focal: no such parameter, expected focal_length or none"),
        ("focal_length=0.9&format=colmap", "format: no such parameter, expected focal_length"),
    ],
)
def test_parameters_that_are_wrong_or_unknown_are_told(service, query, message):
    answer = service.post(f"/localise?{query}", content=photo_at(3))
    assert answer.status_code == 400
    assert message in answer.json()["error"]


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
        ("POST", "/localise/", 404),
        ("GET", "/map/", 404),
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
    assert answer.json() == {"error": "the service failed on this request; its log says why"}
    assert answer.headers["Content-Security-Policy"]
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ChangedError("a.map: was overwritten"), "a.map: was overwritten"),
        (InputError("features.h5: cannot be read"), "features.h5: cannot be read"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "cannot write the photo to its disk; its log says why",
        ),
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


def test_other_sites_forms_are_refused(service):
    """A browser sends them as navigation, like a link."""
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    answer = service.post("/localise", headers=headers, files={"photo": ("a", photo_at(3))})
    assert answer.status_code == 403
    assert "a page of another site asked" in answer.json()["error"]
