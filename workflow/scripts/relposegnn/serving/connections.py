"""Limits on the connections of the service: their number, and how long they may be idle."""

import asyncio
import logging

from uvicorn.protocols.http.auto import AutoHTTPProtocol

try:
    import resource
except ImportError:  # Windows
    resource = None

logger = logging.getLogger(__name__)

PATIENCE = 60  # seconds that a connection may be idle
MOST = 1000


def most_connections() -> int:
    """Return the largest number: at most half of the files that may be open, to leave some free."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else -1
    return MOST if files < 0 else min(MOST, files // 2)  # -1: unlimited


class Connection(AutoHTTPProtocol):
    """A connection that is closed if it is idle, or if there are too many."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin, or close the connection if there are too many."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(PATIENCE, self._look, self.cycle)
        if (count := len(self.connections)) > most_connections():
            logger.warning("%d connections are too many: the last one is closed", count)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._timer.cancel()
        super().connection_lost(exc)

    def _look(self, before: object) -> None:
        """Close the connection if ``before``, its last request, is answered and no other came."""
        if self.cycle is before and (before is None or before.response_complete):
            self.transport.close()
        else:
            self._timer = self.loop.call_later(PATIENCE, self._look, self.cycle)
