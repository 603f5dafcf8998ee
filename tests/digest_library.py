"""A library whose code scripts reach in every way, and edits of it."""

from pathlib import Path

from relposegnn.pipeline.digest import Library

LIBRARY = {
    "relposegnn/__init__.py": "",
    "relposegnn/version.py": "VERSION = '1'\n",
    "relposegnn/pipeline/records.py": "def recorded():\n    return 800\n",
    "relposegnn/colours.py": "RED = 100\nBLUE = 200\n\n\ndef mixed():\n    return RED\n",
    "relposegnn/base.py": (
        "class Base:\n    def inherited(self):\n        return 300\n\n\n"
        "def plain(function):\n    return function or 301\n\n\n"
        "def other():\n    return 302\n"
    ),
    "relposegnn/api.py": "from .base import plain as thing\nfrom . import colours as paint\n",
    "relposegnn/deep/__init__.py": "",
    "relposegnn/deep/inner.py": "from ..colours import mixed\n\ndef depth():\n    return mixed()\n",
    "relposegnn/lazy.py": "VALUE = 400\nUNUSED = 401\n",
    "relposegnn/shapes.py": "class Shape:\n    sides = 500\n",
    "relposegnn/statements.py": (
        "from .colours import BLUE\nfrom . import base\n\nVALUE = 600\nbase.LIMIT = BLUE\n"
    ),
    "relposegnn/blocks.py": (
        "try:\n    from .colours import mixed as chosen\nexcept ImportError:\n"
        "    from .base import other as chosen\n"
        "for SIZE in (1, 2):\n    LAST = SIZE\n"
        "def run():\n    return chosen()\n"
    ),
    "relposegnn/registry.py": (
        "KNOWN = []\n\n\ndef register(function):\n    KNOWN.append(function)\n    return function\n"
    ),
    "relposegnn/stars.py": "from .colours import *\n\n\ndef starred():\n    return BLUE\n",
    "relposegnn/tools.py": (
        '"""Tools."""\n'
        "from __future__ import annotations\n"
        "import functools\n"
        "from typing import TYPE_CHECKING\n"
        "import numpy as np\n"
        "import relposegnn.deep.inner as innermost\n"
        "import relposegnn.deep.inner\n"
        "from . import colours as paint\n"
        "from .base import Base, other as second, plain as first\n"
        "from .pipeline.records import recorded\n"
        "from .version import VERSION\n"
        "if TYPE_CHECKING:\n    from .shapes import Shape\n"
        "LIMIT: int = 1\n"
        "OTHER = 2\n"
        "LEFT, RIGHT = 3, 4\n\n\n"
        "def used(value=5):\n"
        '    """Use."""\n'
        "    return LIMIT + value\n\n\n"
        "def unused():\n    return OTHER\n\n\n"
        "def chained() -> Shape:\n    return relposegnn.deep.inner.depth()\n\n\n"
        "def renamed():\n    return innermost.depth(), paint.BLUE\n\n\n"
        "def later():\n    from . import lazy\n    return lazy.VALUE\n\n\n"
        "def pair():\n    return first(1), second()\n\n\n"
        "def outside():\n    return np.zeros(1), VERSION, recorded()\n\n\n"
        "@functools.cache\n@first\ndef decorated():\n    return 6\n\n\n"
        "class Child(Base):\n    def own(self):\n        return 7\n"
    ),
}


def write_library(folder: Path) -> Path:
    """Write a library into a folder, to put scripts into."""
    for name, source in LIBRARY.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)
    return folder


def counts(folder: Path, script: str, module: str, old: str, new: str) -> bool:
    """Return whether an edit of a module changes the digest of a script."""
    (folder / "script.py").write_text(f"{script}\n")
    before = Library(folder).digest("script.py")
    file = folder / "relposegnn" / f"{module}.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert file.read_text() != text
    return Library(folder).digest("script.py") != before
