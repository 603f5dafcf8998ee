"""What a script's result depends on in code: a hash over the definitions that it reaches by name.

A module defines names: functions, whole classes, variables, and what it imports. A definition
reaches the names that stand in it, and through them what these reach. A script counts whole.

An imported module also runs. What is no definition, such as ``torch.backends.x = True`` or an
``if`` block, counts for whoever imports it, directly or not; so does a definition whose decorators
name something of its own package, which may register it.

What cannot be followed counts whole: a module that is passed on or lacks the attribute asked of it,
``from m import *``; after a computed import, all packages. A local variable named as a definition
counts as that definition. Not seen is what a call in an assignment or a base class changes when a
module is imported.

Comments, docstrings and other bare constants, formatting, the order of definitions and the bodies
of ``if TYPE_CHECKING:`` do not count. Syntax trees are written out here, because what ``ast.dump``
prints differs between Python versions; digests agree on Python 3.11 to 3.13, but for syntax that
these parse differently.
"""

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

DIGEST_LENGTH = 16  # hexadecimal digits
IGNORED = {  # what changes no result: a new number alone, and what jobs tell of themselves
    ("relposegnn", "version"),
    ("relposegnn", "records"),
}
AT_IMPORT = "<import>"  # among a module's names: what runs when it is imported
COMPUTED = {  # what imports or looks up by a name that may be computed
    "__import__",
    "eval",
    "exec",
    "globals",
    "importlib",
    "importlib.import_module",
    "runpy",
    "runpy.run_module",
    "runpy.run_path",
    "sys.modules",
}
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
NAMED, IMPORTS = (ast.Name, ast.Attribute), (ast.Import, ast.ImportFrom)

Dotted = tuple[str, ...]  # a dotted name: ("relposegnn", "runtime", "InputError")


class Definition(NamedTuple):
    """What stands behind a name of a module: a statement, or one import.

    Attributes:
        text: what counts of it; empty for nothing.
        reaches: the names in it that are imported or defined in its module, in full; and for
            each import the module with ``AT_IMPORT``.
        target: of an import: what it imports, in full.
    """

    text: str
    reaches: frozenset[Dotted]
    target: Dotted = ()


class Binding(NamedTuple):
    """A name in a module with what it means, in full; of an import, what that imports."""

    name: str
    meaning: Dotted
    imports: Dotted = ()


Module = dict[str, list[Definition]]  # by name; those of one name in their order
Meanings = dict[str, set[Dotted]]  # of names


class Library:
    """The packages and modules in a folder of scripts.

    Each file is read when it is first needed and never again: what changes later is not seen.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._module = cache(self._read_module)
        self._step = cache(self._follow)

    def digest(self, script: str) -> str:
        """Return the digest of a script, by its file's name, and of all that it reaches.

        A missing file or one that Python cannot parse raises ``OSError`` or ``SyntaxError``.
        """
        lines = {line for name in self.reached(script) for line in self._step(name)[0]}
        text = "\n".join([self._script(script).text, *sorted(lines)])
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]

    def reached(self, script: str) -> set[Dotted]:
        """Return the names that a script reaches, in full; those of other libraries too."""
        pending, found = set(self._script(script).reaches), set()
        while pending:
            name = pending.pop()
            found.add(name)
            pending |= self._step(name)[1] - found
        return found

    def _script(self, script: str) -> Definition:
        return _definition(_parsed(self.folder / script), (), {})

    def _read_module(self, name: Dotted) -> Module:
        """Return what a module defines; nothing at all where the folder has no such module."""
        path = self.folder.joinpath(*name)
        if path.is_dir():
            file = path / "__init__.py"
            return _module(_parsed(file) if file.is_file() else [], name, name)
        file = path.with_name(f"{path.name}.py")
        return _module(_parsed(file), name, name[:-1]) if file.is_file() else {}

    def _follow(self, name: Dotted) -> tuple[list[str], set[Dotted]]:
        """Return what counts of the definitions behind a name, and the names that they reach."""
        lines: list[str] = []
        onward: set[Dotted] = set()
        if name[:2] in IGNORED:
            return lines, onward
        if not self._module(name[:1]):
            return lines, self._whole(()) if ".".join(name) in COMPUTED else onward
        for depth in range(1, len(name)):
            owner, rest = name[:depth], name[depth + 1 :]
            attribute = AT_IMPORT if name[-1] == AT_IMPORT else name[depth]
            definitions = self._module(owner).get(attribute, [])
            for definition in definitions:
                onward |= {definition.target + rest} if definition.target else definition.reaches
            text = " ".join(definition.text for definition in definitions)
            lines += [f"{'.'.join(owner)} {attribute} {text}"] if text else []
            if not self._module(name[: depth + 1]):
                return lines, onward if definitions else self._whole(owner)
        return lines, onward | self._whole(name)

    def _whole(self, module: Dotted) -> set[Dotted]:
        """Return all names in a module and the modules under it; of (), all packages."""
        files = self.folder.joinpath(*module).glob("*")
        below = {path.stem for path in files if path.is_dir() or (module and path.suffix == ".py")}
        names = set(self._module(module)) if module else set()
        return {(*module, name) for name in names | below}


def _parsed(file: Path) -> list[ast.stmt]:
    return list(_counting(ast.parse(file.read_bytes(), file).body))


def _module(body: list[ast.stmt], name: Dotted, package: Dotted) -> Module:
    """Return what a module defines; ``package`` is where its relative imports start."""
    statements = [(each, list(_bindings(each, name, package))) for each in body]
    meanings: Meanings = defaultdict(set)
    for _, bindings in statements:
        for binding in bindings:
            meanings[binding.name].add(binding.meaning)

    module: Module = defaultdict(list)
    runs: list[ast.stmt] = []
    imports: set[Dotted] = set()
    for statement, bindings in statements:
        definition = _definition([statement], package, meanings)
        decorators = _definition(getattr(statement, "decorator_list", []), package, meanings)
        if not _defines(statement) or any(each[0] == name[0] for each in decorators.reaches):
            runs.append(statement)
        for key, meaning, imported in bindings:
            if imported:
                imports.add((*imported, AT_IMPORT))
                module[key].append(Definition(".".join(meaning), frozenset(), meaning))
            else:
                module[key].append(definition)
    at_import = _definition(runs, package, meanings)
    module[AT_IMPORT] = [at_import._replace(reaches=at_import.reaches | imports)]
    return dict(module)


def _definition(nodes: list[ast.AST], package: Dotted, meanings: Meanings) -> Definition:
    """Return nodes as one definition; ``meanings`` are those of the names of its module."""
    tree = _Tree(package)
    text = tree.written(nodes)
    roots = {name[0] for name in tree.names}
    known = {root: set(meanings[root]) for root in roots & meanings.keys()}
    reaches = {name for name in tree.names if ".".join(name) in COMPUTED}
    for name, meaning, imported in tree.imports:
        reaches.add((*imported, AT_IMPORT))
        if name in roots:
            known.setdefault(name, set()).add(meaning)
        else:  # asked for as an attribute, or for all of a module
            reaches.add(imported)
    reaches |= {each + name[1:] for name in tree.names for each in known.get(name[0], ())}
    text += str(sorted((root, sorted(known[root])) for root in known))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Definition(digest if nodes else "", frozenset(reaches))


class _Tree:
    """Writes a syntax tree as text, and notes the names and imports in it."""

    def __init__(self, package: Dotted) -> None:
        self.package = package
        self.names: set[Dotted] = set()
        self.imports: list[Binding] = []

    def written(self, node: object) -> str:
        """Return a tree as text, without positions, bare constants and empty fields."""
        kind = type(node)
        if kind is list:
            return f"[{','.join([self.written(each) for each in _counting(node)])}]"
        if not isinstance(node, ast.AST):
            return repr(node)
        if kind in NAMED and (name := _dotted(node)):
            self.names.add(name)
            return f"{'.'.join(name)} {type(node.ctx).__name__}"
        if kind in IMPORTS:
            self.imports += _imports(node, self.package)
        parts = [
            f"{name}={self.written(each)}"
            for name in kind._fields
            if (each := getattr(node, name, None)) is not None and each != []
        ]
        return f"{kind.__name__}({','.join(parts)})"


def _counting(nodes: Iterable) -> Iterator:
    """Yield the nodes that count: no bare constants, no bodies of ``if TYPE_CHECKING:``."""
    for node in nodes:
        if isinstance(node, ast.If) and _dotted(node.test)[-1:] == ("TYPE_CHECKING",):
            yield from _counting(node.orelse)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            yield node


def _defines(statement: ast.stmt) -> bool:
    """Return whether a statement does nothing but bind names that it spells out."""
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        nodes = [node for target in targets for node in ast.walk(target)]
        return not any(isinstance(node, ast.Attribute | ast.Subscript) for node in nodes)
    if isinstance(statement, ast.ImportFrom):
        return statement.names[0].name != "*"
    return isinstance(statement, (*SCOPES, ast.Import))


def _bindings(node: ast.AST, module: Dotted, package: Dotted) -> Iterator[Binding]:
    """Yield the names that a module gets from a statement, or from what stands in its blocks."""
    yield from _imports(node, package)
    names = [getattr(node, field, None) for field in ("name", "rest")]  # of def, except, case
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        names.append(node.id)
    yield from (Binding(name, (*module, name)) for name in names if isinstance(name, str))
    if not isinstance(node, (*SCOPES, ast.Import, ast.ImportFrom)):
        for child in _counting(ast.iter_child_nodes(node)):
            yield from _bindings(child, module, package)


def _imports(node: ast.AST, package: Dotted) -> Iterator[Binding]:
    """Yield the names that an import statement binds; ``*`` for all of a module."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            module = tuple(alias.name.split("."))
            yield Binding(alias.asname or module[0], module if alias.asname else module[:1], module)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else ()
        base += tuple(node.module.split(".")) if node.module else ()
        for alias in node.names:
            module = base if alias.name == "*" else (*base, alias.name)
            yield Binding(alias.asname or alias.name, module, module)


def _dotted(node: ast.AST) -> Dotted:
    """Return the name that ``a`` or ``a.b.c`` is; empty for anything else."""
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value)):
        return (*owner, node.attr)
    return (node.id,) if isinstance(node, ast.Name) else ()
