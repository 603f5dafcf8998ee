"""Have a program run in a copy of a process that ``prepared_python`` has started.

As a program itself, it is to a Snakemake that runs so what Python is to another one. It loads
little: it starts for every job.
"""

import json
import os
import socket
import sys


def ask(address: str, program: list, streams: list[int]) -> int:
    """Run a program, given by arguments, folder and environment; return its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"."], streams)
        connection.sendall(json.dumps(program).encode())
        connection.shutdown(socket.SHUT_WR)
        return (connection.recv(1) or b"\1")[0]


if __name__ == "__main__":
    here = os.getcwd()  # noqa: PTH109 — pathlib would have to be loaded
    sys.exit(ask(sys.argv[1], [sys.argv[2:], here, dict(os.environ)], [0, 1, 2]))
