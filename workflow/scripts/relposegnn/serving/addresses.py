"""The address of the service: a socket that is bound before the place is loaded, then listens."""

import socket

from ..runtime import InputError


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address, and does not listen yet.

    Raises:
        InputError: this machine has no such address, or another program uses the port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # UnicodeError: not a possible name
        raise InputError(
            f"--host {host:.200}: is not an address ({error}), expected an address of this machine"
        ) from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise _not_usable(host, port, error) from error
    return listening


def listen(bound: socket.socket) -> None:
    """Listen at the address of a socket.

    Two sockets may be bound to one port as long as neither listens: SO_REUSEADDR, without which the
    port of a service that has just ended could not be used for a minute.

    Raises:
        InputError: another program listens there, which began after the socket was bound.
    """
    try:
        bound.listen()
    except OSError as error:
        raise _not_usable(*bound.getsockname()[:2], error) from error


def _not_usable(host: str, port: int, error: OSError) -> InputError:
    return InputError(
        f"--host {host} --port {port}: cannot be used ({error.strerror}); choose another port, "
        "0 for any that is free, or an address of this machine"
    )
