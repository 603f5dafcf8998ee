"""Checks of YAML files of settings before they are merged: whole, each key once, of a sane size."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from ..files.limits import check_limit
from ..runtime import InputError

DEEPEST = 30  # levels of nested sections and lists; the configuration has 5
UNCOUNTED = 10**18  # counts of values end here
# Errors of PyYAML's: of no YAML; of no UTF-8, or an impossible date; of a value with a wrong tag.
FAULTS = (yaml.YAMLError, ValueError, LookupError, AttributeError)


def check_file(path: str | Path) -> None:
    """Check a YAML file of settings before they are merged.

    No key may appear twice: YAML would silently take the last. Aliases, which are small until they
    are followed, may not expand to too many values.

    Raises:
        InputError: a key appears twice in one section, there are too many values, one contains
            itself or is nested too deeply, or the file is empty, or not YAML in UTF-8 with keys.
    """
    with _telling_faults(path):
        root = yaml.compose(Path(path).read_text(encoding="utf-8"))
        problems = list(_duplicate_keys(root, "", set()))
        values = 0 if problems or root is None else _extent(root, {})[0]
    if problems:
        raise InputError("\n".join(f"{path}: {problem}" for problem in problems))
    check_limit(path, "SETTINGS", values, "values, counting what aliases stand for")
    if not isinstance(root, yaml.MappingNode):
        line = 0 if root is None else root.start_mark.line + 1
        found = f"line {line}: is not a key" if line else "is empty"
        raise InputError(
            f"{path}: {found}, expected keys with their values, such as dataset: mine; write those "
            "that differ from config/config.yaml"
        )
    with _telling_faults(path):
        yaml.SafeLoader("").construct_document(root)


@contextmanager
def _telling_faults(path: str | Path) -> Iterator[None]:
    """Turn what is wrong with the YAML of a file into an ``InputError`` that names the line."""
    try:
        yield
    except FAULTS as error:
        raise InputError(
            f"{path}: {_line_of(error)}is not valid YAML ({_problem(error)}), expected sections "
            "and keys in UTF-8, indented by blanks, not tabs; correct it, or save it anew"
        ) from error
    except RecursionError as error:
        raise InputError(
            f"{path}: is nested too deeply, expected at most {DEEPEST} levels of sections and "
            "lists; correct it"
        ) from error


def _line_of(error: Exception) -> str:
    """Return the line where YAML is wrong, as ``line 3: ``; nothing if the error does not say."""
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"line {line}: "
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f"line {mark.line + 1}: "


def _problem(error: Exception) -> str:
    """Return what is wrong with YAML, and where its part began that could not be read."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    begun = error.context_mark
    begun = f", which begins in line {begun.line + 1}" if error.context and begun else ""
    return ", ".join(filter(None, [f"{error.context or ''}{begun}", error.problem]))


def _extent(node: yaml.Node, known: dict[int, tuple[int, int]], depth: int = 0) -> tuple[int, int]:
    """Return the number of values in a node with all aliases expanded, and its depth.

    Each node is visited once; results are kept in ``known``, by the node's id.

    Raises:
        RecursionError: it is nested too deeply, or contains itself.
    """
    if id(node) not in known and not isinstance(node, yaml.ScalarNode) and depth <= DEEPEST:
        pairs = isinstance(node, yaml.MappingNode)
        inner = [each for pair in node.value for each in pair] if pairs else node.value
        counts, depths = zip(
            (0, 0), *(_extent(each, known, depth + 1) for each in inner), strict=True
        )
        known[id(node)] = min(1 + sum(counts), UNCOUNTED), 1 + max(depths)
    count, below = known.get(id(node), (1, 1))
    if depth + below > DEEPEST:
        raise RecursionError
    return count, below


def _duplicate_keys(node: yaml.Node | None, place: str, known: set[int]) -> Iterator[str]:
    """Yield the keys that appear twice below a node; a node with several aliases counts once."""
    if id(node) in known:
        return
    known.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicate_keys(item, place, known)
    if not isinstance(node, yaml.MappingNode):
        return
    first_lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        name = f"{place}{key.value}"
        if name in first_lines:
            yield (
                f"line {line}: {name} is also in line {first_lines[name]}, expected once; keep one "
                "of them"
            )
        first_lines.setdefault(name, line)
        yield from _duplicate_keys(value, f"{name}.", known)
