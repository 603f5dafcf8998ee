"""The queue of photos: one is localised at a time, in a thread, while a limited number wait."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


class BusyError(Exception):
    """The queue is full; ``seconds`` says when to try again."""

    def __init__(self, inside: int, seconds: int) -> None:
        """Compose the message, with the number of photos in the queue."""
        super().__init__(
            f"the queue is full: it has {inside} photos, including the one being localised; send "
            f"this one again in {seconds} s"
        )
        self.seconds = seconds


class GoneError(Exception):
    """The client no longer waits for the answer."""


class Turns:
    """The queue of the service; for use in a single event loop.

    Attributes:
        inside: number of photos in the queue, including the one being localised.
        finished: number of photos that were finished, with or without a pose.
    """

    def __init__(self, most: int) -> None:
        """Start the thread; at ``most`` so many photos may be in the queue."""
        self._most = most
        self._thread = ThreadPoolExecutor(1, "localising")
        self._turn = asyncio.Lock()  # first come, first served
        self._usual = 1.0  # seconds that a photo takes, a moving average
        self.inside, self.finished = 0, 0

    def check_place(self) -> None:
        """Raise BusyError if the queue is full."""
        if self.inside >= self._most:
            raise BusyError(self.inside, math.ceil(self.inside * self._usual))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue for a received photo.

        Raises:
            BusyError: the queue is full.
        """
        self.check_place()
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def answer(
        self, localise: Callable[[], dict], gone: Callable[[], Awaitable[bool]]
    ) -> dict:
        """Wait for a photo's turn and return its answer, with the milliseconds that it took.

        Args:
            localise: returns the answer to the photo.
            gone: returns whether the client no longer waits.

        Raises:
            GoneError: ``gone`` returned true when the turn came.
        """
        came = time.perf_counter()
        async with self._turn:
            if await gone():
                raise GoneError
            began = time.perf_counter()
            loop = asyncio.get_running_loop()
            try:
                answer = await loop.run_in_executor(self._thread, localise)
            finally:  # photos that cannot be read take time, too
                seconds = time.perf_counter() - began
                self._usual += (seconds - self._usual) / 5  # one slow photo should not count much
                self.finished += 1
        return answer | {
            "milliseconds": round(1000 * seconds, 1),
            "milliseconds_waited": round(1000 * (began - came), 1),
        }
