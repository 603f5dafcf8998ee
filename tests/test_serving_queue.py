"""Photos at once: each has its own answer, in turn; those beyond the queue come again."""

import asyncio
import threading
import time
from contextlib import ExitStack, suppress

import httpx
import numpy as np
import pytest
from serving_place import PlantedPlace, client, held_place, photo_at, send_by_hand, serving

from relposegnn.serving.turns import BusyError, Turns

PHOTOS = [(row, red) for row in range(50) for red in (0, 7, 101, 230)]


def ask_at_once(address, photos):
    """Return the responses to photos that are all sent before the first is answered."""

    async def ask_all():
        limits = httpx.Limits(max_connections=None)
        options = {"base_url": address, "trust_env": False, "timeout": 60, "limits": limits}
        async with httpx.AsyncClient(**options) as asking:
            asked = (asking.post("/localise", content=photo) for photo in photos)
            return await asyncio.gather(*asked)

    return asyncio.run(ask_all())


@pytest.mark.slow
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
        assert "it has 4 photos, including the one being localised" in answer.json()["error"]


def test_photos_that_do_not_come_keep_no_others_away():
    with (
        serving(PlantedPlace(), queue=2) as address,
        client(address) as asking,
        ExitStack() as held,
    ):
        for _ in range(6):
            held.enter_context(send_by_hand(address, b"\x89PN", told=90_000))
        time.sleep(0.1)
        assert asking.post("/localise", content=photo_at(3)).status_code == 200


def test_what_is_on_its_way_is_bounded_and_the_others_are_told_when_it_has_come():
    """Two of 60,000 bytes do not fit into 100,000; a photo of a few does beside one."""
    with serving(PlantedPlace(), queue=1) as address, client(address) as asking:
        ask = lambda photo: asking.post("/localise", content=photo)  # noqa: E731
        with send_by_hand(address, bytes(60_000), told=90_000):
            wait_for(lambda: ask(bytes(60_000)).status_code == 503)
            answer = ask(bytes(60_000))
            assert answer.headers["Retry-After"] == "60"
            assert "more than 100000 bytes are being received" in answer.json()["error"]
            assert ask(photo_at(3)).status_code == 200
        wait_for(lambda: ask(bytes(60_000)).status_code == 422)


def test_photos_that_cannot_be_read_are_finished_and_tell_how_long_others_wait():
    async def told():
        turns = Turns(most=10)

        async def stays():
            return False

        for _ in range(20):
            with turns.place(), suppress(IndexError):
                await turns.answer(lambda: [][0], stays)
        with ExitStack() as inside, pytest.raises(BusyError) as busy:
            for _ in range(11):
                inside.enter_context(turns.place())
        return turns.finished, busy.value.seconds

    assert asyncio.run(told()) == (20, 1)


def test_one_slow_photo_says_little_of_how_long_others_wait():
    """Twenty are quick; ten that wait are not told ten times what the last one took."""

    async def told():
        turns = Turns(most=10)

        async def stays():
            return False

        for seconds in (*[0] * 20, 0.5):
            await turns.answer(lambda seconds=seconds: time.sleep(seconds) or {}, stays)
        with ExitStack() as inside, pytest.raises(BusyError) as busy:
            for _ in range(11):
                inside.enter_context(turns.place())
        return busy.value.seconds

    assert asyncio.run(told()) == 2


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


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it has not come")
