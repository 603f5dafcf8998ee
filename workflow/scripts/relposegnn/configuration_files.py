"""Checks of YAML files of settings before they are merged: each key once, of a sane size."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from .limits import check_limit
from .runtime import InputError

DEEPEST = 30  # levels of nested sections and lists; the configuration has 5
UNCOUNTED = 10**18  # counts of values end here


def check_file(path: str | Path) -> None:
    """Check a YAML file of settings before they are merged.

    No key may appear twice: YAML would silently take the last. Aliases, which are small until they
    are followed, may not expand to too many values.

    Raises:
        InputError: a key appears twice in one section, there are too many values, one contains
            itself or is nested too deeply, or the file is not YAML in UTF-8.
    """
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"))
        problems = list(_duplicate_keys(root, "", set()))
        values = 0 if problems or root is None else _extent(root, {})[0]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: is not valid YAML ({error}), expected sections and keys in UTF-8; correct "
            "it, or save it anew"
        ) from error
    except RecursionError as error:
        raise InputError(
            f"{path}: is nested too deeply, expected at most {DEEPEST} levels of sections and "
            "lists; correct it"
        ) from error
    if problems:
        raise InputError("\n".join(f"{path}: {problem}" for problem in problems))
    check_limit(path, "SETTINGS", values, "values, counting what aliases stand for")


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
