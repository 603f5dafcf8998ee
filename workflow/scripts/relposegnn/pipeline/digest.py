"""Digest of the code that a script's result depends on: the definitions that it reaches by name.

A module defines names: functions, whole classes, variables, and what it imports. A definition
reaches the names in it and, through them, what these reach. A script counts as a whole.

A module's code also runs when it is imported. Statements other than definitions, such as
``torch.backends.x = True`` or an ``if`` block, count for each script that imports the module,
directly or not. So does a definition whose decorators name something of its own package, since they
may register it.

What cannot be followed counts as a whole: a module that is passed on or lacks the attribute asked
of it, or ``from m import *``; after a computed import, all packages. A local variable with the name
of a definition counts as that definition. What a call in an assignment or a base class changes at
import is not seen.

``definitions`` says which parts of a definition's text count.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

from ..runtime import InputError, atomic_path
from . import definitions
from .definitions import AT_IMPORT, COMPUTED, Definition, Dotted, Module, read_module, read_script

DIGEST_LENGTH = 16  # hexadecimal digits
IGNORED = {  # they change no result: the version's number, and the records of jobs
    ("relposegnn", "version"),
    ("relposegnn", "pipeline", "records"),
}


class Library:
    """The packages and modules in a folder of scripts.

    Each file is read once, when it is first needed; later changes are not seen.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._known = _KnownFiles(self.folder)
        self._names = cache(self._list_folder)
        self._module = cache(self._read_module)
        self._script = cache(self._read_script)
        self._step = cache(self._follow)

    def digest(self, script: str) -> str:
        """Return the digest of a script, by its file name, and of all that it reaches.

        Raises an ``OSError`` if a file is missing, a ``SyntaxError`` if Python cannot parse it.
        """
        lines = {line for name in self.reached(script) for line in self._step(name)[0]}
        text = "\n".join([self._script(script).text, *sorted(lines)])
        self._known.keep()
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]

    def reached(self, script: str) -> set[Dotted]:
        """Return the full names that a script reaches, including those of other libraries."""
        pending, found = set(self._script(script).reaches), set()
        while pending:
            name = pending.pop()
            found.add(name)
            pending |= self._step(name)[1] - found
        return found

    def _read_script(self, script: str) -> Definition:
        file = self.folder / script
        known = self._known.read(file, "script", lambda source: {"": [read_script(source, file)]})
        return known[""][0]

    def _list_folder(self, name: Dotted) -> set[str]:
        """Return the names of the modules in a package; none if there is no such package."""
        with suppress(OSError):
            return {path.stem for path in self.folder.joinpath(*name).iterdir()}
        return set()

    def _read_module(self, name: Dotted) -> Module:
        """Return the definitions of a module; empty if the folder has no such module."""
        if name[-1] not in self._names(name[:-1]):
            return {}
        path = self.folder.joinpath(*name)
        package = path.is_dir()
        file = path / "__init__.py" if package else path.with_name(f"{path.name}.py")
        if not file.is_file():
            return read_module(b"", file, name, name) if package else {}
        start = name if package else name[:-1]
        make = partial(read_module, file=file, name=name, package=start)
        return self._known.read(file, "module", make)

    def _follow(self, name: Dotted) -> tuple[list[str], set[Dotted]]:
        """Return lines that identify the definitions behind a name, and the names they reach."""
        lines: list[str] = []
        onward: set[Dotted] = set()
        if any(name[: len(ignored)] == ignored for ignored in IGNORED):
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
        """Return all names in a module and the modules below it; for (), all packages."""
        files = self.folder.joinpath(*module).glob("*")
        below = {path.stem for path in files if path.is_dir() or (module and path.suffix == ".py")}
        names = set(self._module(module)) if module else set()
        return {(*module, name) for name in names | below}


class _KnownFiles:
    """Cache of the definitions in the files of a folder, kept beside Python's bytecode.

    Parsing all files would take a third of a second at each start of the workflow. An entry is
    valid for the bytes of its file and of the module ``definitions``; anything else is made anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "__pycache__" / f"definitions.{sys.implementation.cache_tag}.json"
        self._reader = hashlib.sha256(Path(definitions.__file__).read_bytes()).hexdigest()
        self._new = False
        self._files: dict[str, list] = {}  # by kind and path: digest of the bytes, definitions
        with suppress(OSError, ValueError, LookupError, TypeError):
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self._files = dict(kept["files"]) if kept["reader"] == self._reader else {}

    def read(self, file: Path, kind: str, make: Callable[[bytes], Module]) -> Module:
        """Return the definitions in a file, a script or a module, from the cache or by ``make``."""
        source = file.read_bytes()
        digest = hashlib.sha256(source).hexdigest()
        key = f"{kind} {file.relative_to(self._folder).as_posix()}"
        with suppress(LookupError, TypeError, ValueError, AttributeError):
            known, told = self._files[key]
            if known == digest:
                return _module_of(told)
        module = make(source)
        self._files[key], self._new = [digest, _told_of(module)], True
        return module

    def keep(self) -> None:
        """Write the cache, if there is anything new and Python writes bytecode."""
        if not self._new or sys.dont_write_bytecode:
            return
        self._new = False
        with suppress(OSError, InputError):
            self._file.parent.mkdir(exist_ok=True)
            with atomic_path(self._file) as unfinished:
                kept = {"reader": self._reader, "files": self._files}
                unfinished.write_text(json.dumps(kept), encoding="utf-8")


def _told_of(module: Module) -> dict[str, list]:
    """Return the definitions of a module as values for JSON, with names as text."""
    return {
        name: [[own.text, sorted(map(".".join, own.reaches)), own.target] for own in several]
        for name, several in module.items()
    }


def _module_of(told: dict[str, list]) -> Module:
    """Return the definitions of a module from values of JSON."""
    return {
        name: [
            Definition(text, frozenset(tuple(each.split(".")) for each in reaches), tuple(target))
            for text, reaches, target in several
        ]
        for name, several in told.items()
    }
