"""The catalogue, read: faults of files by their readers, and what the errors have to say."""

import csv
from pathlib import Path
from typing import NamedTuple

import pytest

from relposegnn.runtime import InputError

FILE = Path(__file__).with_name("catalogue.csv")


class Case(NamedTuple):
    """A fault, and the four things that are said of it.

    Attributes:
        reader: that tells of it.
        file: that has it, relative to the folder of a whole scene, place, ...
        fault: how the file is changed, see ``with_fault``.
        content: what with; a backslash and n stand for the end of a line.
        told: the file that the message names, and the line where it has lines.
        found: what the message says that was found.
        expected: what it says that was expected.
        remedy: what it says is to be done.
    """

    reader: str
    file: str
    fault: str
    content: str
    told: str
    found: str
    expected: str
    remedy: str


def cases() -> list[Case]:
    """Return the rows of the catalogue."""
    with FILE.open(newline="", encoding="utf-8") as file:
        return [Case(**row) for row in csv.DictReader(file)]


def with_fault(whole: bytes, case: Case) -> bytes:
    """Return the bytes of a file with a fault.

    ``line N`` has another text, from 1; ``behind N`` lines there is the rest; ``cut N`` bytes are
    left of it; ``bytes N`` on are others, in hexadecimal digits; ``swap`` has one text in place of
    another; ``whole`` is another content; ``utf-16`` is as some programs save it.
    """
    kind, _, number = case.fault.partition(" ")
    text = case.content.encode().decode("unicode_escape")
    if kind in ("line", "behind"):
        lines = whole.decode().split("\n")
        lines = lines[int(number) :] if kind == "behind" else lines
        if kind == "line":
            lines[int(number) - 1] = text
        return "\n".join(lines).encode()
    if kind == "swap":
        old, new = text.split(" -> ")
        assert old.encode() in whole, old
        return whole.replace(old.encode(), new.encode(), 1)
    if kind == "bytes":
        new = bytes.fromhex(text)
        return whole[: int(number)] + new + whole[int(number) + len(new) :]
    if kind == "cut":
        return whole[: int(number)]
    return {"whole": text.encode(), "utf-16": whole.decode(errors="ignore").encode("utf-16")}[kind]


def assert_told(folder: Path, case: Case, read: object) -> None:
    """Check that ``read`` works, and that with the fault it tells file, found, expected, remedy."""
    read()
    path = folder / case.file
    whole = path.read_bytes() if path.exists() else b""
    if case.fault == "absent":
        path.unlink()
    else:
        path.write_bytes(with_fault(whole, case))
        assert path.read_bytes() != whole
    with pytest.raises(InputError) as caught:
        read()
    message = str(caught.value)
    assert "expected" in message or "did you mean" in message, message
    for part in (case.told, case.found, case.expected, case.remedy):
        assert part in message, f"{part!r} is not in {message!r}"
