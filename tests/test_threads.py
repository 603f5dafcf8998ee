"""Threads of ours, and those of the libraries beneath."""

import os
import threading
import time
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_limits

from relposegnn import threads
from relposegnn.runtime import InputError
from relposegnn.threads import map_in_threads


def test_results_keep_the_order_of_items():
    def slow_first(item):
        time.sleep(0.02 if item % 3 == 0 else 0)
        return 10 * item

    assert list(map_in_threads(slow_first, range(20), 4)) == [10 * item for item in range(20)]


def test_no_more_items_are_taken_than_fit():
    taken, lock, most = [], threading.Lock(), 0

    def items():
        for item in range(50):
            with lock:
                taken.append(item)
            yield item

    for done, _ in enumerate(map_in_threads(lambda item: item, items(), 3)):
        most = max(most, len(taken) - done)
    assert len(taken) == 50
    assert most <= 6


def test_an_error_comes_in_its_turn():
    def fail_at_two(item):
        if item == 2:
            raise InputError("the third")
        return item

    results = map_in_threads(fail_at_two, range(9), 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(InputError, match="the third"):
        next(results)


@pytest.mark.slow
def test_what_waits_is_not_begun_after_an_error():
    """Two threads, four items taken: the first fails while the second lasts, maybe the third."""
    begun, second = [], threading.Event()

    def fail_at_once(item):
        begun.append(item)
        if item == 0:
            assert second.wait(10)
            raise InputError("the first")
        second.set()
        time.sleep(1)

    with pytest.raises(InputError, match="the first"):
        list(map_in_threads(fail_at_once, range(9), 2))
    assert sorted(begun) in ([0, 1], [0, 1, 2])


def test_waiting_threads_sleep_soon_unless_the_user_says_otherwise(monkeypatch):
    for own in ({}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}):
        monkeypatch.setattr(os, "environ", {"HOME": "/", **own})
        threads.leave_cores_to_others()
        assert os.environ == {"HOME": "/", **(own or threads.WAITING)}


def test_freed_memory_is_kept_unless_the_user_says_otherwise(monkeypatch):
    for own in ({}, {"MALLOC_ARENA_MAX": "1"}, {"GLIBC_TUNABLES": "glibc.malloc.check=1"}):
        monkeypatch.setattr(os, "environ", {"HOME": "/", **own})
        threads.keep_freed_memory()
        assert os.environ == {"HOME": "/", **(own or threads.KEPT_MEMORY)}


def test_tests_keep_freed_memory_as_jobs_do():
    makefile = Path(__file__).parents[1].joinpath("Makefile").read_text(encoding="utf-8")
    expected = " ".join(f"{name}={value}" for name, value in threads.KEPT_MEMORY.items())
    assert f"\nMEMORY := {expected}\n" in makefile


def matrix_threads():
    """Return the numbers of threads of the libraries that multiply NumPy's matrices."""
    return {each["num_threads"] for each in threads._matrix_libraries().info()}


def test_matrices_use_one_thread_beside_ours():
    """And as many as before when these have ended, whichever way."""

    def count(item):
        if item == 2:
            raise InputError("the third")
        return matrix_threads()

    with threadpool_limits(2, user_api="blas"):
        assert list(map_in_threads(count, [0, 1], 2)) == [{1}, {1}]
        with pytest.raises(InputError):
            list(map_in_threads(count, range(9), 2))
        assert list(map_in_threads(count, [0], 2)) == [{2}], "one alone has them all"
        assert matrix_threads() == {2}


def test_torch_keeps_its_threads_beside_ours():
    """faiss's OpenBLAS may share torch's OpenMP."""
    import faiss  # noqa: F401

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with threads.single_matrix_threads():
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_core_is_left_to_the_thread_beside():
    before = torch.get_num_threads()
    try:
        for given, used in ((3, 2), (1, 1)):
            torch.set_num_threads(given)
            with pytest.raises(InputError), threads.one_core_left():
                assert torch.get_num_threads() == used
                assert matrix_threads() == {1}
                raise InputError("")
            assert torch.get_num_threads() == given
    finally:
        torch.set_num_threads(before)
