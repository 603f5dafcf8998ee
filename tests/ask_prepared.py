"""Have a program run in a copy of a process that ``prepared_python`` has started.

As a program itself, it is to a Snakemake that runs so what Python is to another one. It starts for
every job, and loads next to nothing: ``socket`` and ``json`` would take longer than all else.
"""

import os
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SHUT_WR, SOL_SOCKET, socket


def ask(address: str, arguments: list, folder: str, environment: dict, streams: list[int]) -> int:
    """Run a program with these streams for its own; return its exit code."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    words = [folder, str(len(arguments)), *arguments, *variables]
    sent = b"".join(stream.to_bytes(4, sys.byteorder) for stream in streams)
    connection = socket(AF_UNIX)
    connection.connect(address)
    connection.sendmsg([b"."], [(SOL_SOCKET, SCM_RIGHTS, sent)])
    connection.sendall(b"\0".join(map(os.fsencode, words)))
    connection.shutdown(SHUT_WR)
    code = (connection.recv(1) or b"\1")[0]
    connection.close()
    return code


def asked(text: bytes) -> tuple[list[str], str, dict[str, str]]:
    """Return arguments, folder and environment of a program that somebody has asked for."""
    folder, count, *words = map(os.fsdecode, text.split(b"\0"))
    variables = (word.partition("=") for word in words[int(count) :])
    return words[: int(count)], folder, {name: value for name, _, value in variables}


if __name__ == "__main__":
    here = os.getcwd()  # noqa: PTH109 — pathlib would have to be loaded
    sys.exit(ask(sys.argv[1], sys.argv[2:], here, dict(os.environ), [0, 1, 2]))
