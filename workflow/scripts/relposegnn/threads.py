"""Threads: ours, over images, and those of the libraries beneath, which are not to be in their way.

And the memory that they share. Neither NumPy nor torch is loaded with it, before which
``leave_cores_to_others`` comes.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

# Turns for which a thread of GNU's OpenMP, which torch uses, keeps its core busy while it waits for
# others, before it sleeps: 300,000 where nothing is set, ten milliseconds and more.
WAITING = {"GOMP_SPINCOUNT": "10000"}
# Bytes that GNU's allocator keeps when they are freed, and up to which it takes a piece from them.
KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "33554432"}

Item, Result = TypeVar("Item"), TypeVar("Result")


def leave_cores_to_others() -> None:
    """Let torch's waiting threads sleep soon, here and in processes that start from now on.

    Where another process is busy, threads of a step wait for the one that shares its core: those
    that keep theirs busy meanwhile lengthen the wait. OpenMP reads this once, as torch is loaded.
    What a user has set of it, or as OMP_WAIT_POLICY, stays.
    """
    if not {*WAITING, "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ.update(WAITING)


def keep_freed_memory() -> None:
    """Let processes that start from now on use memory again that they have freed.

    A step of training frees what the next one asks for. Where that goes back to the system in
    between, to be cleared and handed out page by page, a tenth and more of the step's time on a CPU
    goes with it. The allocator reads this once, as a process starts. What a user has set of it
    stays.
    """
    if not any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        os.environ.update(KEPT_MEMORY)


@contextmanager
def single_matrix_threads() -> Iterator[None]:
    """Let each product of NumPy's matrices use one thread in the block, in the whole process.

    For blocks with threads of our own: those of OpenBLAS turn in circles while they wait for work,
    and take the cores from these. Products of large matrices, with no thread beside, are faster by
    several.
    """
    with _matrix_libraries().limit(limits=1):
        yield


@lru_cache
def _matrix_libraries() -> ThreadpoolController:
    """Return a handle to NumPy's library, and others loaded by then; to look for it takes 0.06 s.

    Libraries with threads of their own: OpenMP's, as of faiss's OpenBLAS, may be torch's as well.
    """
    import numpy  # noqa: F401  it is loaded now, where it was not

    return ThreadpoolController().select(threading_layer="pthreads")


@contextmanager
def one_core_left() -> Iterator[None]:
    """Let torch use a thread less in the block, at least one: another thread works beside it."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads - 1))
    try:
        with single_matrix_threads():
            yield
    finally:
        torch.set_num_threads(threads)


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Yield ``function`` of each item, in their order; at most 2 x ``workers`` wait in memory.

    What it raises comes in the turn of its item; those that wait then are not begun. Threads
    suffice for files and images: reading, zlib, Pillow and OpenCV release the GIL. A single item of
    a list needs none. Meanwhile NumPy's matrices use one thread each.

    Args:
        function: of an item.
        items: taken as they are needed.
        workers: threads.
    """
    if isinstance(items, Sequence) and len(items) == 1:
        yield function(items[0])
        return
    pool = ThreadPoolExecutor(workers)
    waiting: deque = deque()
    with single_matrix_threads():
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
