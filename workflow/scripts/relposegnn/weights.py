"""Reading files of ``torch.save`` and filling modules with what they hold.

``torch.load`` runs with ``weights_only=True``: no file can run code.
"""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .limits import check_zip, refuse_special_file
from .runtime import InputError

SHOWN_PROBLEMS = 20  # more are counted, not listed
SHOWN_KEYS = 6

# Training scripts of the time stored scores, beside the weights, as NumPy scalars, under the name
# that NumPy 1 had for them. They hold plain numbers, so reading them is safe.
NUMPY_SCALARS = [
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    np.float64(0).__reduce__()[0],
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "int32", "int64", "float32", "float64")),
]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the contents of a file written by ``torch.save``, tensors on the CPU.

    Raises:
        InputError: missing, damaged, no dict, holding objects other than tensors and numbers, or
            declaring more than it holds.
    """
    refuse_special_file(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zipped:
                check_zip(path, zipped.infolist(), Path(path).stat().st_size)
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # damaged bytes end in nearly every kind of exception
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path}: cannot be read as a checkpoint ({reason}); expected a file of torch.save "
            "that holds tensors and plain values only; download or make it again"
        ) from error
    if not isinstance(contents, dict):
        raise InputError(f"{path}: holds a {type(contents).__name__}, expected a dict of tensors")
    return contents


def load_weights(module: nn.Module, state: Mapping[str, torch.Tensor], source: str | Path) -> None:
    """Copy ``state`` into ``module``, every key of it.

    Raises:
        InputError: as ``check_weights``.
    """
    check_weights(module, state, source)
    module.load_state_dict(state)


def check_weights(module: nn.Module, state: Mapping[str, torch.Tensor], source: str | Path) -> None:
    """Check that ``state`` has the keys and shapes of ``module``, which may be on torch's meta.

    Raises:
        InputError: missing, unexpected or differently shaped entries, named with their keys. The
            message starts with ``source``.
    """
    expected = module.state_dict()
    problems = [f"missing {key}" for key in expected if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in expected]
    problems += [
        f"{key} is {describe_shape(state[key])}, expected {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and describe_shape(state[key]) != str(tuple(tensor.shape))
    ]
    if problems:
        shown = problems[:SHOWN_PROBLEMS]
        if len(problems) > SHOWN_PROBLEMS:
            shown.append(f"... {len(problems)} in all")
        raise InputError(
            f"{source}: holds the weights of another network than {type(module).__name__}:\n  "
            + "\n  ".join(shown)
        )


def describe_shape(entry: object) -> str:
    """Return the shape of a tensor, or the type of anything else, for a message."""
    if isinstance(entry, torch.Tensor):
        return str(tuple(entry.shape))
    return f"a {type(entry).__name__}"


def list_keys(keys: Iterable[object]) -> str:
    """Return the first of some keys, and how many there are, for a message."""
    names = [str(key) for key in keys]
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN_KEYS else ""
    return (", ".join(names[:SHOWN_KEYS]) or "nothing") + more
