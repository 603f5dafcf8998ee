"""JSON files of ours: objects, read whole or refused; numbers in them are what they should be."""

import json
import math
from pathlib import Path
from typing import Any

from .runtime import InputError

# What reading such a file, and looking into it, raises.
READING_ERRORS = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError),
    *(RecursionError, ArithmeticError),
)


def read_object(path: str | Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        Exception: one of ``READING_ERRORS``: no file, no JSON in UTF-8, or no object.
    """
    contents = json.loads(Path(path).read_text(encoding="utf-8-sig"))  # a mark may come before it
    if not isinstance(contents, dict):
        raise ValueError(f"it holds a {type(contents).__name__}, expected an object")
    return contents


def unreadable(path: str | Path, kind: str, error: Exception, remedy: str) -> InputError:
    """Return the error of a file that is not ``kind``, for one of ``READING_ERRORS``."""
    return InputError(
        f"{path}: cannot be read as {kind} ({error}), expected it as this version writes it; "
        f"{remedy}"
    )


def check_keys(contents: dict[str, Any], expected: set[str]) -> None:
    """Raise ValueError where an object has not exactly these keys."""
    if contents.keys() != expected:
        differing = ", ".join(sorted(contents.keys() ^ expected))
        raise ValueError(f"unknown or missing: {differing}")


def number(value: object, name: str, least: float, most: float = math.inf) -> float:
    """Return a finite number; ValueError where it is none, or out of range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r:.60}, expected a number")
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"{name} is {value:.4g}, expected {least:.4g} to {most:.4g}")
    return value


def whole_number(value: object, name: str, least: int) -> int:
    """Return an integer; ValueError where it is none, or out of range."""
    if not isinstance(number(value, name, least), int):
        raise ValueError(f"{name} is {value}, expected an integer")
    return value


def numbers(values: object, name: str, count: int, least: float) -> list[float]:
    """Return so many finite numbers; ValueError where they are none, or out of range."""
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"{name} is {values!r:.60}, expected {count} numbers")
    return [number(value, name, least) for value in values]
