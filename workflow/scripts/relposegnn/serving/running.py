"""Run the service: print its address; at a signal or Ctrl-C, finish the work and end."""

import asyncio
import socket
from contextlib import suppress

import uvicorn

from .addresses import listen
from .application import Answering, Bounds, make_application
from .connections import PATIENCE, Connection
from .protection import is_loopback

LOOKING = 0.1  # seconds between two checks for a second Ctrl-C


class _Server(uvicorn.Server):
    """A server that prints when it begins and ends, and finishes accepted work before it ends."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and print the address."""
        await super().startup(sockets)
        address, port = sockets[0].getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        print(f"serving at http://{shown}:{port}/ (Ctrl-C ends it)", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish accepted work, unless Ctrl-C is pressed again, and end."""
        with suppress(OSError):  # its terminal was closed
            print(
                "no new photos are accepted; finishing those received (Ctrl-C again drops them)",
                flush=True,
            )
        # From Python 3.12 on, uvicorn waits for open connections even after a second Ctrl-C.
        finishing = asyncio.create_task(super().shutdown(sockets))
        while not (finishing.done() or self.force_exit):
            await asyncio.wait([finishing], timeout=LOOKING)
        if finishing.done():
            finishing.result()


def serve(place: Answering, bounds: Bounds, listening: socket.socket) -> None:
    """Serve a place until SIGTERM or Ctrl-C, then finish the work and raise KeyboardInterrupt.

    The caller must have called ``runtime.end_as_by_interrupt``.
    The KeyboardInterrupt has an argument if a second Ctrl-C ended the service with work left, a
    thread of which may still run.

    Args:
        place: that the photos show.
        bounds: how much work is accepted.
        listening: socket with an address.

    Raises:
        InputError: another program has come to listen there since the socket was bound.
    """
    listen(listening)
    address = listening.getsockname()[0]
    loopback = is_loopback(address)
    if not loopback:
        print(
            f"--host {address}: anyone who can reach this machine can see the map and send photos; "
            "there is no password and no encryption",
            flush=True,
        )
    application = make_application(place, bounds, loopback)
    how = {"log_config": None, "server_header": False, "lifespan": "off", "ws": "none"}
    how["timeout_keep_alive"] = PATIENCE  # a robot that asks every few seconds keeps its connection
    config = uvicorn.Config(application, http=Connection, **how)
    server = _Server(config)
    try:
        server.run(sockets=[listening])  # raises the signal again after it has ended
    except KeyboardInterrupt:
        raise KeyboardInterrupt(*["work was left"][: server.force_exit]) from None
