"""Reading the authors' graphs, which are pickled objects of PyTorch Geometric.

No code that a pickle names is run: ``torch.load`` with ``weights_only=True`` makes tensors, and the
classes of PyTorch Geometric are replaced by empty ones that keep the state. There are two layouts:
the older one has the tensors as attributes of the graph, the newer one in a storage inside it.
"""

import io
import pickle
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ..files.limits import check_zip
from ..files.weights import refusal


class _Graph:
    """Stands for PyTorch Geometric's ``Data``."""


class _Storage:
    """Stands for the storage inside ``Data`` in the newer layout."""


class _Named:
    """Stands for classes that a graph names but does not use."""


class _Object:
    """Stands for ``object``, whose ``__new__`` the older layout calls by name."""


def _new_graph(graph_class: type) -> _Graph:
    """Return an empty graph; stands for ``object.__new__``."""
    if graph_class is not _Graph:
        raise pickle.UnpicklingError(f"object.__new__ called for {graph_class}, not for a graph")
    return _Graph()


def _get_attribute(owner: object, name: object) -> Callable[[type], _Graph]:
    """Return the stand-in for ``object.__new__``, nothing else; stands for ``getattr``."""
    if owner is not _Object or name != "__new__":
        raise pickle.UnpicklingError(f"getattr called with {owner} and {name!r}")
    return _new_graph


# torch converts names of Python 2, such as __builtin__.getattr, to Python 3 before it looks here.
PICKLED_NAMES = [
    (_Graph, "torch_geometric.data.data.Data"),
    (_Storage, "torch_geometric.data.storage.GlobalStorage"),
    (_Named, "torch_geometric.data.data.DataEdgeAttr"),
    (_Named, "torch_geometric.data.data.DataTensorAttr"),
    (_Object, "builtins.object"),
    (_get_attribute, "builtins.getattr"),
    (_new_graph, "builtins.object.__new__"),
]


def read_graph(stream: io.BytesIO) -> tuple[np.ndarray, np.ndarray]:
    """Return images ``x`` and poses ``y`` of a pickled graph of either layout, as float32.

    Raises:
        Exception: of any type, if the file is damaged, holds anything but a graph of tensors and
            plain values, or its ``x`` and ``y`` are not numbers.
    """
    if zipfile.is_zipfile(stream):
        zipped = zipfile.ZipFile(stream)
        check_zip("it", zipped.infolist(), stream.getbuffer().nbytes)
        damaged = zipped.testzip()  # torch does not verify checksums
        if damaged:
            raise zipfile.BadZipFile(f"bad checksum of {damaged}")
    stream.seek(0)
    with _only_pickled_names(), _without_advice():
        contents = torch.load(stream, map_location="cpu", weights_only=True)
    if type(contents) is not _Graph:
        raise pickle.UnpicklingError(f"holds a {type(contents).__name__}, not a graph")
    state = vars(contents)
    if "_store" in state:
        # Storage and graph refer to each other; the cycle would keep both in memory for a while.
        state = vars(state.pop("_store"))["_mapping"]
    return _array(state, "x"), _array(state, "y")


@contextmanager
def _only_pickled_names() -> Iterator[None]:
    """Allow torch only the names in the authors' graphs, not those that other packages added."""
    others = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        with torch.serialization.safe_globals(PICKLED_NAMES):
            yield
    finally:
        torch.serialization.add_safe_globals(others)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Shorten torch's refusals, which advise how to run the code in a file after all."""
    try:
        yield
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(refusal(error)) from None


def _array(state: dict, key: str) -> np.ndarray:
    if key not in state:
        raise KeyError(f"it has no {key}")
    tensor = state[key]
    if type(tensor) is not torch.Tensor or not tensor.is_floating_point():
        raise TypeError(f"{key} is {getattr(tensor, 'dtype', type(tensor))}, expected numbers")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        shape = tuple(tensor.shape)
        raise ValueError(f"{key} has shape {shape} but repeats fewer numbers than that")
    return tensor.numpy().astype(np.float32, copy=False)
