"""Programs in copies of a process that has loaded the libraries run as those of their own do."""

import os
import sys

import pytest
from prepared_python import prepared_output
from project import output_of

pytestmark = pytest.mark.slow

PROGRAM = """
import atexit, os, sys
from beside import SIDE
print(__name__, __file__, sys.argv, sys.path[0], os.getcwd(), os.environ["TOLD"], SIDE)
print(sorted({"relposegnn", "generated_rooms", "conftest", "project"} & sys.modules.keys()))
print("an error", file=sys.stderr, flush=True)
atexit.register(lambda: print("the end"))
sys.exit(int(sys.argv[2]))
"""


def test_a_program_sees_and_tells_what_it_would_alone(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there/beside.py").write_text("SIDE = 1\n")
    program = tmp_path / "there/program.py"
    program.write_text(PROGRAM)
    environment = os.environ | {"TOLD": "in the environment", "PYTHONUNBUFFERED": ""}
    for code in (0, 3):
        arguments = [str(program), "a word's", str(code)]
        alone = output_of([sys.executable, *arguments], tmp_path / "here", code, environment)
        told = prepared_output(arguments, tmp_path / "here", code, environment)
        assert sorted(told.splitlines()) == sorted(alone.splitlines())
        assert "the end" in told


def test_a_program_that_is_killed_ends_itself_alone(tmp_path):
    (tmp_path / "killed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    (tmp_path / "changed.py").write_text("import json\njson.planted = 1\n")
    (tmp_path / "after.py").write_text("import json\nprint(hasattr(json, 'planted'))\n")
    prepared_output([str(tmp_path / "killed.py")], tmp_path, expect=128 + 9)
    prepared_output([str(tmp_path / "changed.py")], tmp_path)
    assert prepared_output([str(tmp_path / "after.py")], tmp_path) == "False\n"
