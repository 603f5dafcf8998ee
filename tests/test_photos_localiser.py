"""A loaded place among threads and processes, and once it is closed."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from described_place import CPU

from relposegnn.photos.localiser import Localiser
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow


def test_calls_of_threads_take_turns_also_of_two_places(place, folder, monkeypatch):
    """How many threads libraries use is changed meanwhile, and put back: of the whole process."""
    photos, recognise = sorted(folder.glob("*.PNG")), Localiser._recognise
    inside, most = [], []

    def recognise_slowly(*arguments):
        inside.append(0)
        most.append(len(inside))
        time.sleep(0.02)
        found = recognise(*arguments)
        inside.pop()
        return found

    with Localiser(place, CPU) as one, Localiser(place, CPU) as other:
        alone = [one.localise(photo).table for photo in photos]
        monkeypatch.setattr(Localiser, "_recognise", recognise_slowly)
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(each.localise, p) for p in photos for each in (one, other)]
            found = [each.result().table for each in asked]
    assert max(most) == 1
    assert all(found[2 * i].equals(table) for i, table in enumerate(alone))
    assert all(found[2 * i + 1].equals(table) for i, table in enumerate(alone))


def test_a_place_that_was_closed_is_told_and_may_be_closed_again(place, folder):
    loaded = Localiser(place, CPU)
    loaded.localise(folder / "test 1.PNG")
    loaded.close()
    loaded.close()
    with pytest.raises(InputError, match=r"the place 'tiny' was closed, .*make another Localiser"):
        loaded.localise(folder / "test 1.PNG")
    with loaded, pytest.raises(InputError, match="was closed"):
        loaded.check()


def test_a_process_that_was_forked_is_told_to_load_its_own(place, folder):
    with Localiser(place, CPU) as loaded:
        before = loaded.localise(folder / "test 1.PNG").table
        child = os.fork()
        if not child:
            signal.alarm(20)  # it would wait for a thread that did not come along
            try:
                loaded.localise(folder / "test 1.PNG")
            except InputError as error:
                os._exit(0 if "was loaded by another process" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert loaded.localise(folder / "test 1.PNG").table.equals(before)
