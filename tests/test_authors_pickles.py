"""Pickled graphs: both of the authors' layouts are read, and no pickle gets anything run."""

import io
import os
import pickle

import numpy as np
import pytest
import torch
from graph_archives import OlderGraph, saved, saved_graph
from torch_geometric.data import Data
from torch_geometric.data.storage import GlobalStorage

from relposegnn.authors.pickles import read_graph

NODES, COLUMNS = 8, 36


def planted() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((NODES, COLUMNS), dtype=np.float32)
    return images, rng.standard_normal((NODES, 6), dtype=np.float32)


class Hostile:
    """Runs something when unpickled by a reader that lets it."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("older", [False, True])
def test_a_graph_comes_back(older):
    images, poses = planted()
    found = read_graph(io.BytesIO(saved_graph(images, poses, older)))
    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_array_equal(found[1], poses)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_their_layouts_are_read(number, reference):
    file = reference / "prebuilt_graphs" / f"data_{number:06}.pt"
    images, poses = read_graph(io.BytesIO(file.read_bytes()))
    trusted = torch.load(file, weights_only=False)
    state = vars(trusted) if number == 2 else trusted
    np.testing.assert_array_equal(images, state["x"].numpy())
    np.testing.assert_array_equal(poses, state["y"].numpy())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_graphs_of_tests_are_like_theirs(number, reference):
    file = reference / "prebuilt_graphs" / f"data_{number:06}.pt"
    theirs = torch.load(file, weights_only=False)
    images, poses = read_graph(io.BytesIO(file.read_bytes()))
    made = torch.load(io.BytesIO(saved_graph(images, poses, number == 2)), weights_only=False)
    state, expected = (vars(g) if number == 2 else g for g in (made, theirs))
    for key in ("x", "edge_index", "edge_attr", "y"):
        torch.testing.assert_close(state[key], expected[key], rtol=0, atol=0)


def test_numbers_that_a_tensor_repeats_are_not_written_out():
    one = torch.zeros(1, 1)
    for x in (one.expand(8, 10**11), one.half().expand(8, 10**11), one.double().expand(9, 1)):
        with pytest.raises(ValueError, match="repeats fewer numbers"):
            read_graph(io.BytesIO(saved(OlderGraph(x=x, y=torch.zeros(8, 6)))))


def test_graphs_are_read_by_none_of_torch_geometrics_code(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("torch_geometric was called")

    content = saved_graph(*planted())
    for graph_class in (Data, GlobalStorage):
        monkeypatch.setattr(graph_class, "__setstate__", refuse, raising=False)
    with pytest.raises(AssertionError, match="was called"):
        torch.load(io.BytesIO(content), weights_only=False)
    found = read_graph(io.BytesIO(content))
    np.testing.assert_array_equal(found[1], planted()[1])


def test_what_torch_may_read_elsewhere_stays_as_it_was():
    before = set(torch.serialization.get_safe_globals())
    read_graph(io.BytesIO(saved_graph(*planted())))
    with pytest.raises(pickle.UnpicklingError):
        read_graph(io.BytesIO(saved(Hostile(os.getcwd))))
    assert set(torch.serialization.get_safe_globals()) == before


def hostile_contents(function: object, *arguments: object) -> dict[str, object]:
    """Return objects that call something at the place that each is named after."""
    hostile = Hostile(function, *arguments)
    images, poses = map(torch.from_numpy, planted())
    newer = Data(x=images, y=poses)
    newer.hidden = hostile
    nested = Data(x=images, y=poses)
    nested.hidden = {"deep": [1, (hostile,)]}
    return {
        "whole": hostile,
        "newer": newer,
        "nested": nested,
        "older": OlderGraph(x=images, y=poses, hidden=hostile),
        "images": OlderGraph(x=hostile, y=poses),
    }


@pytest.mark.parametrize("place", ["whole", "newer", "nested", "older", "images"])
@pytest.mark.parametrize("legacy", [False, True])
def test_hostile_pickles_are_refused_and_not_run(place, legacy, tmp_path):
    mark = tmp_path / "was-here"
    content = hostile_contents(os.system, f"touch {mark}")[place]
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(pickle.UnpicklingError, match="system"):
        read_graph(stream)
    assert not mark.exists()
    torch.load(io.BytesIO(stream.getvalue()), weights_only=False)
    assert mark.exists(), "this pickle would not have run anything in any reader"


@pytest.mark.parametrize("owner, name", [(Data, "__subclasses__"), (Data, "__init__")])
def test_getattr_of_the_older_layout_gives_nothing_else(owner, name):
    with pytest.raises(pickle.UnpicklingError, match=f"getattr called with .*{name}"):
        read_graph(io.BytesIO(saved(Hostile(getattr, owner, name))))


def test_object_new_of_the_older_layout_makes_nothing_else():
    with pytest.raises(pickle.UnpicklingError, match=r"object\.__new__ called"):
        read_graph(io.BytesIO(saved(Hostile(object.__new__, object))))


@pytest.mark.parametrize("key", ["x", "y"])
def test_a_missing_attribute_is_named(key):
    state = {"x": torch.zeros(8, 3), "y": torch.zeros(8, 6)}
    del state[key]
    for graph in (OlderGraph(**state), Data(**state)):
        with pytest.raises((KeyError, TypeError), match=key):
            read_graph(io.BytesIO(saved(graph)))


@pytest.mark.parametrize("value", ["text", torch.zeros(8, 6, dtype=torch.long), [1.0]])
def test_poses_that_are_no_tensor_of_numbers_are_refused(value):
    with pytest.raises(TypeError, match="y is"):
        read_graph(io.BytesIO(saved(OlderGraph(x=torch.zeros(8, 3), y=value))))


def test_other_contents_are_refused():
    with pytest.raises(pickle.UnpicklingError, match="holds a dict"):
        read_graph(io.BytesIO(saved({"x": torch.zeros(8, 3), "y": torch.zeros(8, 6)})))
    with pytest.raises(pickle.UnpicklingError, match="Linear"):
        read_graph(io.BytesIO(saved(torch.nn.Linear(1, 1))))


def test_damage_is_noticed():
    content = saved_graph(*planted())
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        with pytest.raises((EOFError, RuntimeError, ValueError, pickle.UnpicklingError)):
            read_graph(io.BytesIO(content[:length]))
    flipped = bytearray(content)
    flipped[content.index(planted()[0].tobytes()) + 5] ^= 1
    with pytest.raises(Exception, match="checksum"):
        read_graph(io.BytesIO(flipped))
