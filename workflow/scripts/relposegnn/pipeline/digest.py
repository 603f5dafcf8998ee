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
import os
import sys
from contextlib import suppress
from functools import cache, cached_property
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

    Files are read when the first digest is asked for; later changes are not seen.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._names = cache(self._list_folder)
        self._module = cache(self._read_module)
        self._script = cache(self._read_script)
        self._step = cache(self._follow)

    def digest(self, script: str) -> str:
        """Return the digest of a script, by its file name, and of all that it reaches.

        Raises an ``OSError`` if a file is missing, a ``SyntaxError`` if Python cannot parse it.
        """
        return self._kept.get(script) or self._digest(script)

    def _digest(self, script: str) -> str:
        lines = {line for name in self.reached(script) for line in self._step(name)[0]}
        text = "\n".join([self._script(script).text, *sorted(lines)])
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]

    @cached_property
    def _kept(self) -> dict[str, str]:
        """The digests of all scripts, except those that raise errors.

        They are kept beside Python's bytecode, because parsing all files takes half a second, and
        are made anew if any file has changed.
        """
        file = self.folder / "__pycache__" / f"digests.{sys.implementation.cache_tag}.json"
        files = self._digest_of_files()
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            kept = json.loads(file.read_text(encoding="utf-8"))
            if kept["files"] == files:
                return dict(kept["digests"])
        digests = {}
        for script in self.folder.glob("*.py"):
            with suppress(OSError, SyntaxError):
                digests[script.name] = self._digest(script.name)
        if not sys.dont_write_bytecode:
            with suppress(OSError, InputError):
                file.parent.mkdir(exist_ok=True)
                with atomic_path(file) as unfinished:
                    kept = {"files": files, "digests": digests}
                    unfinished.write_text(json.dumps(kept), encoding="utf-8")
        return digests

    def _digest_of_files(self) -> str:
        """Return a digest of all Python files in the folder, and of the code that reads them."""
        found = [
            Path(place, name)
            for place, _, names in os.walk(self.folder, followlinks=True)
            for name in names
            if name.endswith(".py")
        ]
        total = hashlib.sha256()
        for path in [
            *sorted(filter(Path.is_file, found)),
            Path(__file__),
            Path(definitions.__file__),
        ]:
            source = path.read_bytes()
            total.update(f"{os.path.relpath(path, self.folder)} {len(source)} ".encode() + source)
        return total.hexdigest()

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
        return read_script(file.read_bytes(), file)

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
        return read_module(file.read_bytes(), file, name, name if package else name[:-1])

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
