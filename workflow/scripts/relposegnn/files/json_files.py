"""JSON files of this package: objects whose keys and numbers are checked when they are read."""

import json
import math
from pathlib import Path
from typing import Any

from ..runtime import InputError, atomic_path

# Exceptions of reading such a file and of looking into its contents.
READING_ERRORS = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError),
    *(RecursionError, ArithmeticError),
)


def read_object(path: str | Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        Exception: one of ``READING_ERRORS``: no file, not JSON in UTF-8, or not an object.
    """
    contents = json.loads(Path(path).read_text(encoding="utf-8-sig"))  # there may be a mark (BOM)
    if not isinstance(contents, dict):
        raise ValueError(f"it holds a {type(contents).__name__}, expected an object")
    return contents


def write_object(path: str | Path, contents: dict[str, Any], **style: Any) -> None:
    """Write an object to a JSON file; ``style`` is of ``json.dumps``."""
    with atomic_path(path) as unfinished:
        unfinished.write_text(json.dumps(contents, **style) + "\n", encoding="utf-8")


def unreadable(path: str | Path, kind: str, error: Exception, remedy: str) -> InputError:
    """Return the InputError of a file that is not ``kind``, for one of ``READING_ERRORS``."""
    return InputError(
        f"{path}: cannot be read as {kind} ({error}), expected one as this version writes it; "
        f"{remedy}"
    )


def check_keys(contents: dict[str, Any], expected: set[str]) -> None:
    """Raise ValueError unless an object has exactly these keys."""
    if contents.keys() != expected:
        differing = ", ".join(sorted(contents.keys() ^ expected))
        raise ValueError(f"unknown or missing: {differing}")


def number(value: object, name: str, least: float, most: float = math.inf) -> float:
    """Return a finite number; ValueError if it is not one, or out of range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r:.60}, expected a number")
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"{name} is {value:.4g}, expected {least:.4g} to {most:.4g}")
    return value


def whole_number(value: object, name: str, least: int) -> int:
    """Return an integer; ValueError if it is not one, or out of range."""
    if not isinstance(number(value, name, least), int):
        raise ValueError(f"{name} is {value}, expected an integer")
    return value


def numbers(values: object, name: str, count: int, least: float) -> list[float]:
    """Return a list of ``count`` finite numbers; ValueError if it is not one, or out of range."""
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"{name} is {values!r:.60}, expected {count} numbers")
    return [number(value, name, least) for value in values]
