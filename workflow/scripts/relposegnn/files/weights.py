"""Reading files of ``torch.save``, and loading their weights into modules.

``torch.load`` runs with ``weights_only=True``: no file can run code.
"""

import hashlib
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..runtime import InputError
from .limits import check_zip, refuse_special_file

SHOWN_PROBLEMS = 20  # more are counted, not listed
SHOWN_KEYS = 6
FINGERPRINT_LENGTH = 16  # hexadecimal digits

# Training scripts store NumPy scalars and arrays beside the weights; older ones, under the names of
# NumPy 1. They hold plain numbers, so reading them is safe.
_SCALAR, _ARRAY = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
NUMPY_VALUES = [
    *(_SCALAR, (_SCALAR, "numpy.core.multiarray.scalar")),
    *(_ARRAY, (_ARRAY, "numpy.core.multiarray._reconstruct")),
    *(np.ndarray, np.dtype),
    *(type(np.dtype(code)) for code in np.typecodes["All"] if code not in "OSUVMm"),
    type(np.dtype(bool)),
]
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")  # terminal codes, for example for bold text
REFUSED = re.compile(  # name of an object that cannot be read without running its code
    r"(?:GLOBAL |Unsupported class |unrecognized function |but got <class ')([\w.]+)"
)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the contents of a file written by ``torch.save``, tensors on the CPU.

    Raises:
        InputError: the file is missing, damaged, holds no dict, holds objects other than tensors,
            numbers and arrays, or declares more than it holds.
    """
    refuse_special_file(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zipped:
                check_zip(path, zipped.infolist(), Path(path).stat().st_size)
        with torch.serialization.safe_globals(NUMPY_VALUES):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file, expected a checkpoint; download or make it"
        ) from error
    except Exception as error:  # damaged bytes end in nearly every kind of exception
        refused = REFUSED.search(str(error))
        advice = (
            f"reading it would have to run code of {refused[1]}; store the weights without it"
            if refused
            else "download or make it again"
        )
        raise InputError(
            f"{path}: cannot be read as a checkpoint ({refusal(error)}); expected a file of "
            f"torch.save that holds tensors, arrays and plain values only; {advice}"
        ) from error
    if not isinstance(contents, dict):
        raise InputError(f"{path}: holds a {type(contents).__name__}, expected a dict of tensors")
    return contents


def refusal(error: Exception) -> str:
    """Return in one line why torch refuses a file, without its advice to run code in the file."""
    text = str(error)
    refused = REFUSED.search(text)
    if refused:
        return f"it holds {refused[1]}"
    reason = ESCAPES.sub("", text).split("WeightsUnpickler error: ")[-1].split("In PyTorch 2.6")[0]
    return next(iter(reason.strip().splitlines()), type(error).__name__)


def load_weights(module: nn.Module, state: Mapping[str, torch.Tensor], source: str | Path) -> None:
    """Give ``module``, which may be on torch's meta device, copies of the tensors of ``state``.

    The copies stay on the device of ``state``.

    Raises:
        InputError: as ``check_weights``, or weights are of another type or not finite.
    """
    check_weights(module, state, source)
    given = {}
    for key, own in module.state_dict().items():
        wrong = f"holds {state[key].dtype}"
        if state[key].is_floating_point() == own.is_floating_point():
            given[key] = state[key].to(own.dtype, copy=True)
            if torch.isfinite(given[key]).all():
                continue
            wrong = "holds numbers that are not finite"
        raise InputError(
            f"{source}: {key} {wrong}, expected finite {own.dtype}; download it, or train it, again"
        )
    module.load_state_dict(given, assign=True)


def fingerprint(module: nn.Module) -> str:
    """Return a digest of a network's weights, by which it is recognised."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):  # in any order of construction
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:FINGERPRINT_LENGTH]


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
            f"{source}: holds weights that do not fit {type(module).__name__}:\n  "
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
