"""Copies of scenes whose queries are hard to see, by ``benchmarks/degrade.py``."""

import importlib
import sys

import numpy as np
import pandas as pd
import pytest
from planted_scenes import write_noise
from project import REPOSITORY

from relposegnn.data.images import open_image
from relposegnn.layouts.reading import read_scene


@pytest.fixture
def degrade(monkeypatch):
    """Return a function that runs the benchmark with arguments."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["degrade.py", *map(str, arguments)])
        importlib.import_module("degrade").main()

    return run


def pixels(frame):
    """Return the image of a frame (H, W, 3)."""
    return np.array(open_image(frame.image).convert("RGB"), dtype=int)


def test_queries_are_of_one_kind_each_by_turns(degrade, tmp_path):
    source = write_noise(tmp_path / "room", (160, 120))
    degrade(source, tmp_path / "copy")
    was, now = read_scene(source), read_scene(tmp_path / "copy")
    assert [frame.name for frame in now.train + now.test] == [
        frame.name for frame in was.train + was.test
    ]
    kinds = pd.read_csv(tmp_path / "copy/degraded.csv")
    assert kinds["query"].tolist() == [frame.name for frame in now.test]
    assert kinds["kind"].tolist() == ["blurred", "shaken", "dark"]
    for old, new in zip(was.train, now.train, strict=True):
        np.testing.assert_array_equal(pixels(new), pixels(old))
        np.testing.assert_array_equal(new.world_from_cam, old.world_from_cam)
    blurred, _, dark = (pixels(frame) for frame in now.test)
    assert blurred.std() < 0.5 * pixels(was.test[0]).std()
    assert dark.mean() < 0.1 * pixels(was.test[2]).mean()


def test_queries_of_the_database_are_taken_from_it(degrade, tmp_path):
    source = write_noise(tmp_path / "room")
    degrade(source, tmp_path / "copy", "--from-database", "3", "1:1:3")
    was, now = read_scene(source), read_scene(tmp_path / "copy")
    assert [frame.name for frame in now.train] == [f"seq-01/frame-00000{n}" for n in (0, 3, 4)]
    kinds = pd.read_csv(tmp_path / "copy/degraded.csv").set_index("query")["kind"]
    names = ["clean", "blurred", "shaken", "dark", "wall", "covered"]
    assert kinds.value_counts(sort=False).to_dict() == dict.fromkeys(names, 6)
    walks = [frame for frame in was.train if frame.name.startswith("seq-03")] + was.train[1:3]
    clean = [frame for frame in now.test if kinds[frame.name] == "clean"]
    for old, new in zip(walks, clean, strict=True):
        np.testing.assert_array_equal(pixels(new), pixels(old))
        np.testing.assert_array_equal(new.world_from_cam, old.world_from_cam)


@pytest.mark.parametrize(
    ("told", "message"),
    [("2", "has no such frames, expected some of the sequences [1, 3]"), ("3:x", "'3:x'")],
)
def test_frames_that_are_not_there_are_named(degrade, tmp_path, capsys, told, message):
    with pytest.raises(SystemExit):
        degrade(write_noise(tmp_path / "room"), tmp_path / "copy", "--from-database", told)
    assert message in capsys.readouterr().err
