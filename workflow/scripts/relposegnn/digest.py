"""What a script's result depends on in code: a hash over itself and the modules it imports.

Sources with the same syntax tree have the same digest: comments, blank lines, formatting,
docstrings and other bare strings do not count. The tree is written out here, because what
``ast.dump`` prints differs between Python versions; digests agree on Python 3.11 to 3.13, but for
syntax that these parse differently.

Imports are found wherever they stand, in functions too. Those under ``if TYPE_CHECKING:`` are left
out, because they never run. Modules imported by a computed name (``importlib``) are not found.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

DIGEST_LENGTH = 16  # hexadecimal digits
IGNORED = {"relposegnn.version"}  # a new number alone changes no result


def library_digest(script: str | Path) -> str:
    """Return the digest of a script and of every local module that it imports, transitively.

    Local is what lies beside the script, such as the package ``relposegnn``; the parents'
    ``__init__`` modules are part of it. A missing script or one that Python cannot parse raises
    ``OSError`` or ``SyntaxError``.
    """
    script = Path(script)
    lines = [f"{name} {_digest(path.read_bytes())}" for name, path in local_modules(script).items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:DIGEST_LENGTH]


def local_modules(script: str | Path) -> dict[str, Path]:
    """Return the script (as ``__main__``) and the local modules it imports, by dotted name."""
    script = Path(script)
    found: dict[str, Path] = {}
    pending = {"__main__": script}
    while pending:
        name, path = pending.popitem()
        found[name] = path
        for target in imported_names(path, name):
            for local, file in _with_parents(target, script.parent):
                if local not in found and local not in IGNORED:
                    pending[local] = file
    return dict(sorted(found.items()))


def imported_names(path: Path, module: str) -> set[str]:
    """Return the absolute dotted names that a file imports; ``module`` is its own name.

    ``from a import b`` gives ``a`` and ``a.b``: whether ``b`` is a module is for the reader of
    the folder to say.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return {_absolute(level, name, package) for level, name in _imports(path.read_bytes())}


def _absolute(level: int, name: str, package: str) -> str:
    if not level:
        return name
    base = package.split(".")[: len(package.split(".")) - level + 1]
    return ".".join([*base, name]) if name else ".".join(base)


def _with_parents(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield dotted name and file of ``name`` and of its parents, as far as they are local."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        path = folder.joinpath(*parts[:length])
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                yield ".".join(parts[:length]), file
                break


@cache
def _parsed(source: bytes) -> ast.Module:
    return ast.parse(source)


@cache
def _imports(source: bytes) -> frozenset[tuple[int, str]]:
    """Return (level, dotted name) of every import in a source, relative ones with level > 0."""
    found: set[tuple[int, str]] = set()
    for node in _running_nodes(_parsed(source)):
        if isinstance(node, ast.Import):
            found |= {(0, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found.add((node.level, base))
            found |= {(node.level, f"{base}.{alias.name}".lstrip(".")) for alias in node.names}
    return frozenset(found)


def _running_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes below ``node`` but those under ``if TYPE_CHECKING:``."""
    yield node
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        children = iter(node.orelse)
    for child in children:
        yield from _running_nodes(child)


@cache
def _digest(source: bytes) -> str:
    return hashlib.sha256(_written(_parsed(source)).encode()).hexdigest()


def _written(node: object) -> str:
    """Return a syntax tree as text, without positions, bare strings and empty fields."""
    if isinstance(node, list):
        return f"[{','.join(_written(item) for item in node if not _is_bare_string(item))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, getattr(node, name, None)) for name in node._fields]
    parts = [f"{name}={_written(value)}" for name, value in fields if value not in (None, [])]
    return f"{type(node).__name__}({','.join(parts)})"


def _is_bare_string(node: object) -> bool:
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        return False
    return isinstance(node.value.value, str)
