"""Photos in turn: one is localised at a time, in a thread of its own, and a few others wait."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


class BusyError(Exception):
    """As many photos are here as may be; ``seconds`` is when to ask again."""

    def __init__(self, inside: int, seconds: int) -> None:
        """Tell how many are here."""
        super().__init__(
            f"{inside} photos are waiting or in work, expected at most as many; send this one "
            f"again in {seconds} s"
        )
        self.seconds = seconds


class GoneError(Exception):
    """Nobody waits for the answer any more."""


class Turns:
    """The queue of the service; of one event loop.

    Attributes:
        inside: photos that have come and wait, the one in work included.
        finished: photos that have had their turn, with a pose or with why there is none.
    """

    def __init__(self, localise: Callable[[bytes], dict], most: int) -> None:
        """Start the thread.

        Args:
            localise: from a photo to its answer.
            most: photos that may be here.
        """
        self._localise, self._most = localise, most
        self._thread = ThreadPoolExecutor(1, "localising")
        self._turn = asyncio.Lock()  # first come, first served
        self._usual = 1.0  # seconds that a photo takes, of late
        self.inside, self.finished = 0, 0

    def check_place(self) -> None:
        """Raise BusyError where none of the places is left."""
        if self.inside >= self._most:
            raise BusyError(self.inside, math.ceil(self.inside * self._usual))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places, for a photo that has come.

        Raises:
            BusyError: none is left.
        """
        self.check_place()
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def localise(self, photo: bytes, gone: Callable[[], Awaitable[bool]]) -> dict:
        """Return a photo's answer when its turn has come, with the milliseconds that it took.

        Raises:
            GoneError: ``gone`` told so when the turn came.
        """
        came = time.perf_counter()
        async with self._turn:
            if await gone():
                raise GoneError
            began = time.perf_counter()
            loop = asyncio.get_running_loop()
            try:
                answer = await loop.run_in_executor(self._thread, self._localise, photo)
            finally:  # others wait for one that cannot be read, too
                seconds = time.perf_counter() - began
                self._usual += (seconds - self._usual) / 5  # a slow one says little of others
                self.finished += 1
        return answer | {
            "milliseconds": round(1000 * seconds, 1),
            "milliseconds_waited": round(1000 * (began - came), 1),
        }
