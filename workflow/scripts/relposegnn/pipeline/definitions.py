"""The definitions in a Python file, as text, and the names that each definition reaches.

Comments, docstrings and other bare constants, formatting, the order of definitions and the bodies
of ``if TYPE_CHECKING:`` do not count. Syntax trees are written out here, because the output of
``ast.dump`` differs between Python versions; these texts are the same on Python 3.11 to 3.13,
except for syntax that these parse differently.
"""

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

AT_IMPORT = "<import>"  # name, in a module, of the code that runs when it is imported
COMPUTED = {  # these import or look up by a name that may be computed
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
    """The meaning of a name in a module: a statement, or one import.

    Attributes:
        text: digest of the parts that count; empty if there are none.
        reaches: full names of what it uses that its module imports or defines; for each import in
            it, also the module with ``AT_IMPORT``.
        target: for an import, the full name of what it imports.
    """

    text: str
    reaches: frozenset[Dotted]
    target: Dotted = ()


class Binding(NamedTuple):
    """A name in a module with its full meaning; for an import, also the full name imported."""

    name: str
    meaning: Dotted
    imports: Dotted = ()


Module = dict[str, list[Definition]]  # by name; several of one name are in order
Meanings = dict[str, set[Dotted]]  # of names


def read_module(source: bytes, file: object, name: Dotted, package: Dotted) -> Module:
    """Return the definitions of a module; ``package`` is where its relative imports start.

    Raises a ``SyntaxError`` that names the file if Python cannot parse it.
    """
    body = _parsed(source, file)
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


def read_script(source: bytes, file: object) -> Definition:
    """Return a script as one definition; errors are those of ``read_module``."""
    return _definition(_parsed(source, file), (), {})


def _parsed(source: bytes, file: object) -> list[ast.stmt]:
    return list(_counting(ast.parse(source, file).body))


def _definition(nodes: list[ast.AST], package: Dotted, meanings: Meanings) -> Definition:
    """Return nodes as one definition; ``meanings`` are those of the names in the module."""
    tree = _Tree(package)
    text = tree.written(nodes)
    roots = {name[0] for name in tree.names}
    known = {root: set(meanings[root]) for root in roots & meanings.keys()}
    reaches = {name for name in tree.names if ".".join(name) in COMPUTED}
    for name, meaning, imported in tree.imports:
        reaches.add((*imported, AT_IMPORT))
        if name in roots:
            known.setdefault(name, set()).add(meaning)
        else:  # used as an attribute, or all of a module
            reaches.add(imported)
    reaches |= {each + name[1:] for name in tree.names for each in known.get(name[0], ())}
    text += str(sorted((root, sorted(known[root])) for root in known))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Definition(digest if nodes else "", frozenset(reaches))


class _Tree:
    """Writes a syntax tree as text, and collects the names and imports in it."""

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
    """Yield the nodes except bare constants and bodies of ``if TYPE_CHECKING:``."""
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
    """Yield the names that a module gets from a statement, including those in its blocks."""
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
    """Return the dotted name of a node such as ``a`` or ``a.b.c``; empty for anything else."""
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value)):
        return (*owner, node.attr)
    return (node.id,) if isinstance(node, ast.Name) else ()
