"""Programs in copies of a process that has loaded the libraries run as those of their own do."""

import os
import sys

import pytest
from prepared_python import prepared_output
from project import output_of

pytestmark = pytest.mark.slow

PROGRAM = """
import atexit, ctypes, os, sys
from beside import SIDE
print(__name__, __file__, sys.argv, sys.path[0], os.getcwd(), os.environ["TOLD"], SIDE)
print(sorted({"relposegnn", "generated_rooms", "conftest", "project"} & sys.modules.keys()))
print("an error", file=sys.stderr, flush=True)
ctypes.CDLL(None).printf(b"a line from C\\n")
atexit.register(lambda: print("the end"))
exec(sys.argv[2])
"""


def test_a_program_sees_and_tells_what_it_would_alone(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there/beside.py").write_text("SIDE = 1\n")
    program = tmp_path / "there/program.py"
    program.write_text(PROGRAM)
    environment = os.environ | {"TOLD": "in the environment", "PYTHONUNBUFFERED": ""}
    ends = {"sys.exit(3)": 3, "sys.exit()": 0, "sys.exit('wrong')": 1, "pass": 0}
    for end, code in ends.items():
        arguments = [str(program), "a word's", end]
        alone = output_of([sys.executable, *arguments], tmp_path / "here", code, environment)
        told = prepared_output(arguments, tmp_path / "here", code, environment)
        assert sorted(told.splitlines()) == sorted(alone.splitlines())
        assert {"the end", "a line from C"} <= set(told.splitlines())


def test_a_program_that_is_killed_ends_itself_alone(tmp_path):
    (tmp_path / "killed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    (tmp_path / "broken.py").write_text("print(1 / 0)\n")
    (tmp_path / "changed.py").write_text("import json\njson.planted = 1\n")
    (tmp_path / "after.py").write_text("import json\nprint(hasattr(json, 'planted'))\n")
    prepared_output([str(tmp_path / "killed.py")], tmp_path, expect=128 + 9)
    assert "ZeroDivisionError" in prepared_output([str(tmp_path / "broken.py")], tmp_path, expect=1)
    prepared_output([str(tmp_path / "changed.py")], tmp_path)
    assert prepared_output([str(tmp_path / "after.py")], tmp_path) == "False\n"
