"""Connections of the service: so many at a time, each only while it asks for something."""

import asyncio
import logging

from uvicorn.protocols.http.auto import AutoHTTPProtocol

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None

logger = logging.getLogger(__name__)

PATIENCE = 60  # seconds in which a connection has to ask for something
MOST = 1000


def most_connections() -> int:
    """Return how many there may be: half of the files that may be open, for photos are some too."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else -1
    return MOST if files < 0 else min(MOST, files // 2)  # -1: any number


class Connection(AutoHTTPProtocol):
    """A connection that is closed when it asks for nothing, or is one too many."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin, or hang up."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(PATIENCE, self._look, self.cycle)
        if (count := len(self.connections)) > most_connections():
            logger.warning("%d connections, expected fewer: the last one is closed", count)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._timer.cancel()
        super().connection_lost(exc)

    def _look(self, before: object) -> None:
        """Hang up where nothing was asked since ``before``, the last request then, was answered."""
        if self.cycle is before and (before is None or before.response_complete):
            self.transport.close()
        else:
            self._timer = self.loop.call_later(PATIENCE, self._look, self.cycle)
