"""Threads: our own, which work on images, those of libraries, which must not slow them, and memory.

This module loads neither NumPy nor torch: ``leave_cores_to_others`` has to be called before.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

# Iterations for which a thread of GNU's OpenMP, which torch uses, spins while it waits for others,
# before it sleeps. The default, 300,000, takes ten milliseconds and more.
WAITING = {"GOMP_SPINCOUNT": "10000"}
# Bytes of freed memory that GNU's allocator keeps, and size of the largest blocks taken from it.
KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "33554432"}

Item, Result = TypeVar("Item"), TypeVar("Result")


def leave_cores_to_others() -> None:
    """Let torch's waiting threads sleep soon, here and in processes that start from now on.

    If another process is busy, threads of a step wait for the one that shares its core with it;
    threads that spin meanwhile lengthen the wait. OpenMP reads the variable once, when torch is
    loaded. A user's own setting of it, or of OMP_WAIT_POLICY, is kept.
    """
    if not {*WAITING, "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ.update(WAITING)


def keep_freed_memory() -> None:
    """Let processes that start from now on reuse the memory that they have freed.

    Each step of training frees what the next one needs. Returning it to the system in between,
    which clears it and hands it out again page by page, costs a tenth and more of a step's time on
    a CPU. The allocator reads these variables once, when a process starts. A user's own settings of
    the allocator are kept.
    """
    if not any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        os.environ.update(KEPT_MEMORY)


@contextmanager
def single_matrix_threads() -> Iterator[None]:
    """Let NumPy's matrix products use one thread in the block, in the whole process.

    For blocks with threads of our own, from which OpenBLAS's threads would take the cores by
    spinning while they wait for work. Without other threads, products of large matrices are faster
    with several.
    """
    with _matrix_libraries().limit(limits=1):
        yield


@lru_cache
def _matrix_libraries() -> ThreadpoolController:
    """Return a handle to NumPy's matrix library, and others loaded by now; a search takes 0.06 s.

    Only libraries with pthreads: OpenMP's threads, for example of faiss's OpenBLAS, may be torch's
    too.
    """
    import numpy  # noqa: F401  to load its library

    return ThreadpoolController().select(threading_layer="pthreads")


@contextmanager
def one_core_left() -> Iterator[None]:
    """Let torch use one thread less in the block, but at least one: another thread works too."""
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
    """Yield ``function`` of each item, in order; at most 2 x ``workers`` results wait in memory.

    An exception is raised when its item is due; items that wait then are not started. Threads
    suffice for files and images: reading, zlib, Pillow and OpenCV release the GIL. A list of one
    item needs no thread. Meanwhile NumPy's matrix products use one thread.

    Args:
        function: of an item.
        items: taken as they are needed.
        workers: number of threads.
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
