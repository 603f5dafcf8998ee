"""Files of settings, checked before they are merged: YAML, with each key once, of a sane size."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from .limits import check_limit
from .runtime import InputError

DEEPEST = 30  # sections and lists in each other; the configuration has 5
UNCOUNTED = 10**18  # so many values are no longer told from more


def check_file(path: str | Path) -> None:
    """Check a YAML file of settings before they are merged.

    No key may appear twice, of which YAML would silently take the last; and aliases, which cost
    nothing until they are followed, may not stand for more values than there can be.

    Raises:
        InputError: a key appears twice in one section, there are too many values, one contains
            itself or is nested too deeply, or the file is no YAML in UTF-8.
    """
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"))
        problems = list(_duplicate_keys(root, "", set()))
        values = 0 if problems or root is None else _extent(root, {})[0]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: is no valid YAML, expected sections and keys in UTF-8: {error}; correct it, "
            "or save it anew"
        ) from error
    except RecursionError as error:
        raise InputError(
            f"{path}: is nested too deeply, expected sections and keys, at most {DEEPEST} in each "
            "other; correct it"
        ) from error
    if problems:
        raise InputError("\n".join(f"{path}: {problem}" for problem in problems))
    check_limit(path, "SETTINGS", values, "values, with those that aliases stand for")


def _extent(node: yaml.Node, known: dict[int, tuple[int, int]], depth: int = 0) -> tuple[int, int]:
    """Return how many values a node stands for, each time that an alias does, and how deep it is.

    Each node is looked at once, and then ``known`` by its id.

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
    """Yield the keys that appear twice below a node; what several aliases stand for counts once."""
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
                f"line {line}: {name} stands in line {first_lines[name]} too, expected once: keep "
                "one of them"
            )
        first_lines.setdefault(name, line)
        yield from _duplicate_keys(value, f"{name}.", known)
