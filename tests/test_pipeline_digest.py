"""Tests of relposegnn.digest: a digest changes with the code that a script reaches, only then."""

from pathlib import Path

import pytest
from digest_library import LIBRARY, counts, write_library

from relposegnn.pipeline.digest import Library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_library(tmp_path)


@pytest.mark.parametrize(
    ("name", "module", "old", "new", "expected"),
    [
        ("used", "tools", "+ value", "- value", True),
        ("used", "tools", "return OTHER", "return 0", False),
        ("used", "tools", "value=5", "value=6", True),
        ("used", "tools", "LIMIT: int = 1", "LIMIT: int = 9", True),
        ("used", "tools", "OTHER = 2", "OTHER = 9", False),
        ("used", "tools", "return 7", "return 8", False),
        ("unused", "tools", "OTHER = 2", "OTHER = 9", True),
        ("LEFT", "tools", "3, 4", "3, 5", True),
        ("Child", "tools", "return 7", "return 8", True),
        ("Child", "tools", "(Base)", "(object)", True),
        ("Child", "base", "300", "0", True),
        ("Child.own", "base", "300", "0", True),
        ("Child", "base", "302", "0", False),
        ("decorated", "tools", "@functools.cache\n", "", True),
        ("decorated", "base", "301", "0", True),
        ("renamed", "colours", "200", "0", True),
        ("renamed", "colours", "100", "0", True),
        ("chained", "colours", "100", "0", True),
        ("chained", "colours", "200", "0", False),
        ("chained", "deep/inner", "mixed()", "1", True),
        ("chained", "shapes", "500", "0", False),
        ("later", "lazy", "400", "0", True),
        ("later", "lazy", "401", "0", False),
        (
            "pair",
            "tools",
            "other as second, plain as first",
            "other as first, plain as second",
            True,
        ),
        ("outside", "tools", "import numpy as np", "import scipy as np", True),
        ("used", "tools", "import numpy as np", "import scipy as np", False),
        ("outside", "version", "1", "2", False),
        ("outside", "pipeline/records", "800", "801", False),
    ],
)
def test_an_edit_counts_where_it_is_reached(folder, name, module, old, new, expected):
    for script in (
        f"from relposegnn.tools import {name.split('.')[0]} as it\nit()",
        f"from relposegnn import tools\ntools.{name}",
        f"def main():\n    import relposegnn.tools\n    relposegnn.tools.{name}",
    ):
        assert counts(folder, script, module, old, new) == expected, script
        (folder / f"relposegnn/{module}.py").write_text(LIBRARY[f"relposegnn/{module}.py"])


@pytest.mark.parametrize(
    ("script", "module", "old"),
    [
        ("from relposegnn.api import thing\nthing(1)", "base", "301"),
        ("from relposegnn import api\napi.paint.RED", "colours", "100"),
        ("from relposegnn.api import paint\npaint.mixed()", "colours", "100"),
    ],
)
def test_a_name_is_followed_through_a_module_that_passes_it_on(folder, script, module, old):
    assert counts(folder, script, module, old, "0")
    assert not counts(folder, script, "base", "300", "0")
    assert not counts(folder, script, "colours", "200", "0")


@pytest.mark.parametrize(
    "script",
    [
        "from relposegnn import colours\nprint(colours)",
        "from relposegnn import colours\ngetattr(colours, input())",
        "from relposegnn import colours as c\nc.missing",
        "from relposegnn.colours import *",
        "from relposegnn.stars import RED",
        "from relposegnn.stars import starred",
        "from relposegnn import stars\nprint(stars)",
        "import relposegnn\nrelposegnn.missing",
        "import relposegnn.colours\nprint(relposegnn)",
        "from relposegnn import api\nprint(api)",
        "class A:\n    from relposegnn import colours",
        "from relposegnn import colours\nalias = colours\nalias.BLUE",
        "import importlib\nimportlib.import_module(f'relposegnn.{input()}')",
        "from importlib import import_module as load\nload(f'relposegnn.{input()}')",
        "__import__(input())",
        "import relposegnn.computed",
    ],
)
def test_what_cannot_be_followed_counts(folder, script):
    (folder / "relposegnn/computed.py").write_text(
        "import sys\n\n\ndef get(name):\n    return sys.modules[name]\n\n\nget('a')\n"
    )
    assert counts(folder, script, "colours", "200", "0")


def test_a_computed_import_counts_where_it_is_reached(folder):
    (folder / "relposegnn/loading.py").write_text(
        "import importlib\n\n\ndef load(name):\n    return importlib.import_module(name)\n\n\n"
        "def version():\n    return importlib.metadata.version('numpy')\n"
    )
    (folder / "script.py").write_text("from relposegnn.loading import load\nload(input())\n")
    assert ("relposegnn", "tools", "unused") in Library(folder).reached("script.py")
    (folder / "script.py").write_text("from relposegnn.loading import version\nversion()\n")
    assert ("relposegnn", "tools", "unused") not in Library(folder).reached("script.py")


@pytest.mark.parametrize(
    ("module", "old", "expected"),
    [
        ("statements", "base.LIMIT", True),
        ("colours", "200", True),  # the statement reaches it
        ("colours", "100", False),
        ("statements", "600", False),
    ],
)
def test_statements_of_a_module_count_for_all_that_import_it(folder, module, old, expected):
    (folder / "relposegnn/importer.py").write_text("from . import statements\n\nVALUE = 1\n")
    script = "from relposegnn.importer import VALUE\nVALUE"
    assert counts(folder, script, module, old, "base.OTHER" if "." in old else "0") == expected


def test_statements_count_from_where_an_import_runs(folder):
    (folder / "relposegnn/importer.py").write_text(
        "VALUE = 1\n\n\ndef later():\n    import relposegnn.statements\n"
    )
    edit = ("statements", "base.LIMIT", "base.OTHER")
    assert not counts(folder, "from relposegnn.importer import VALUE\nVALUE", *edit)
    edit = ("statements", "base.OTHER", "base.LIMIT")
    assert counts(folder, "from relposegnn.importer import later\nlater()", *edit)


def test_statements_of_parents_count(folder):
    (folder / "relposegnn/deep/__init__.py").write_text("print(1)\n")
    assert counts(folder, "from relposegnn.deep.inner import depth", "deep/__init__", "1", "2")
    assert not counts(folder, "from relposegnn.lazy import VALUE", "deep/__init__", "2", "3")


@pytest.mark.parametrize("name", ["run", "SIZE", "LAST", "chosen"])
@pytest.mark.parametrize(
    ("module", "old"), [("blocks", "(1, 2)"), ("colours", "100"), ("base", "302")]
)
def test_names_bound_in_blocks_are_definitions(folder, name, module, old):
    script = f"from relposegnn import blocks\nblocks.{name}"
    assert counts(folder, script, module, old, "(7,)")
    assert not counts(folder, script, "colours", "200", "0")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("@register\ndef first():\n    return 700", True),
        ("@register\nclass First:\n    value = 700", True),
        ("KNOWN += [700]", True),
        ("KNOWN[:] = [700]", True),
        ("KNOWN.extend([700])", True),
        ("def first():\n    return 700", False),
        ("from functools import cache\n@cache\ndef first():\n    return 700", False),
    ],
)
def test_what_a_module_may_register_counts(folder, source, expected):
    (folder / "relposegnn/registered.py").write_text(
        f"from .registry import KNOWN, register\n{source}\n"
    )
    (folder / "relposegnn/importer.py").write_text(
        "from . import registered\nfrom .registry import KNOWN\n"
    )
    script = "from relposegnn.importer import KNOWN\nKNOWN"
    assert counts(folder, script, "registered", "700", "0") == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RED = 100", "# A comment\nRED  =  (100)  # red"),
        ("RED = 100", '"""A module."""\n\nRED = 100'),
        ("RED = 100", "RED = 100\n'a bare string'"),
        ("return RED", '"""Return red."""\n    return RED'),
        ("RED = 100\nBLUE = 200", "BLUE = 200\nRED = 100"),
        ("RED = 100", "import json\nfrom . import base\nRED = 100"),
        ("RED = 100", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    X = 1\nRED = 100"),
        ("RED = 100", "import typing\nif typing.TYPE_CHECKING:\n    import json\nRED = 100"),
    ],
)
def test_what_changes_no_result_does_not_count(folder, old, new):
    script = "from relposegnn import colours\nprint(colours.RED, colours.BLUE, colours.mixed())"
    assert not counts(folder, script, "colours", old, new)


@pytest.mark.parametrize("new", ["100.0", "'100'", "None", "-100", "0\nRED = 100"])
def test_constants_of_another_type_or_value_count(folder, new):
    script = "from relposegnn.colours import RED\nRED"
    assert counts(folder, script, "colours", "100", new)


def test_the_order_of_assignments_to_one_name_counts(folder):
    (folder / "relposegnn/colours.py").write_text("RED = 1\nRED = 2\n")
    script = "from relposegnn.colours import RED\nRED"
    assert counts(folder, script, "colours", "RED = 1\nRED = 2", "RED = 2\nRED = 1")


def test_the_else_of_type_checking_counts(folder):
    (folder / "relposegnn/lazy.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    X = 1\nelse:\n    X = 2\n"
        "if not TYPE_CHECKING:\n    Y = 3\n"
    )
    script = "from relposegnn.lazy import X\nX"
    assert not counts(folder, script, "lazy", "X = 1", "X = 4")
    assert counts(folder, script, "lazy", "X = 2", "X = 4")
    assert counts(folder, script, "lazy", "Y = 3", "Y = 4")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("print(1)", "print(2)", True),
        ("print(1)", "print( 1)  # one", False),
        ("import json", "import yaml", True),
    ],
)
def test_the_script_counts_whole(folder, old, new, expected):
    file = folder / "script.py"
    file.write_text("import json\n\n\ndef unused():\n    print(1)\n")
    before = Library(folder).digest("script.py")
    file.write_text(file.read_text().replace(old, new))
    assert (Library(folder).digest("script.py") != before) == expected


def test_other_packages_and_modules_beside_the_script_are_followed(folder):
    (folder / "rooms").mkdir()
    (folder / "rooms/walls.py").write_text("from beside import SIDE\n\n\ndef wall():\n    SIDE\n")
    (folder / "beside.py").write_text("SIDE = 1\nOTHER = 2\n")
    (folder / "script.py").write_text("from rooms.walls import wall\nwall()\n")
    library = Library(folder)
    assert ("beside", "SIDE") in library.reached("script.py")
    assert ("beside", "OTHER") not in library.reached("script.py")


def test_imports_in_a_circle_end(folder):
    (folder / "relposegnn/__init__.py").write_text(
        "from . import colours\nfrom .api import thing\n"
    )
    (folder / "relposegnn/api.py").write_text(
        "from . import thing, again\nfrom .lazy import again\n"
    )
    (folder / "relposegnn/lazy.py").write_text("from .api import again\n")
    script = "from relposegnn import thing, again, colours\nthing, again, colours.RED"
    assert counts(folder, script, "colours", "100", "0")
