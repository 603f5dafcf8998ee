"""A GPU that is none, for machines without one: torch takes tensors of this process for CUDA's.

They are computed with as on the CPU, and what a GPU would refuse is refused: tensors of the CPU
beside those of the GPU, a generator of the CPU, and numbers that NumPy reads without a copy. Mixed
precision has no effect on them, and other threads know nothing of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

CUDA = torch.device("cuda", 0)
aten = torch.ops.aten
COPYING = {aten._to_copy, aten.copy_}  # from one device to another
# The first tensor is where what comes out is; indices may be on the CPU beside one of the GPU.
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}


class OnGpu(Tensor):
    """A tensor that says it is on the GPU; its numbers are in ``held``, on the CPU.

    torch's own code takes it for one of the meta device, as those of ``FakeTensorMode``, but with
    the kernels of CUDA.
    """

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGpu":
        """Return a tensor of the shape and the layout of ``held``."""
        with torch._C._DisableTorchDispatch():
            layout = torch.empty_strided(held.shape, held.stride(), dtype=held.dtype, device="meta")
        return Tensor._make_subclass(cls, layout, False, device_for_backend_keys=CUDA)

    def __init__(self, held: Tensor) -> None:
        """Keep the numbers."""
        self.held = held

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = is_meta = property(lambda self: False)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None) -> Any:
        """Compute, see ``computed``."""
        return computed(function, args, kwargs or {})

    def __getitem__(self, index: Any) -> Tensor:
        """Return rows; NumPy's indices are copied to the GPU by torch itself."""
        return super().__getitem__(torch.from_numpy(index) if type(index) is np.ndarray else index)

    def __reduce_ex__(self, protocol: int) -> tuple:
        """Be stored as a tensor of the CPU, which is how one of the GPU is read."""
        return self.held.detach().__reduce_ex__(protocol)

    def tolist(self) -> Any:
        """Return the numbers; torch refuses those of subclasses."""
        return self.held.tolist()


class _PretendedGpu(TorchDispatchMode):
    """Computes what has no tensor of the GPU yet."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None) -> Any:
        return computed(function, args, kwargs or {})


def computed(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Return what a function of torch's makes of tensors, on the GPU where they are or it is asked.

    Raises:
        RuntimeError: a GPU would raise it.
    """
    asked = torch.device(kwargs["device"]).type if kwargs.get("device") is not None else None
    tensors = [each for each in tree_iter((args, kwargs)) if isinstance(each, Tensor)]
    there = any(isinstance(each, OnGpu) for each in tensors)
    if not there and asked not in ("cuda", "meta"):
        return function(*args, **kwargs)
    packet = function.overloadpacket
    if packet is aten._has_compatible_shallow_copy_type:
        return False
    if there and packet not in COPYING:
        _refuse_mixed(function, args, tensors)
    if kwargs.get("generator") is not None:
        raise RuntimeError(f"{function}: got a generator of the CPU, expected one of the GPU")
    kwargs = {name: _held(value) for name, value in kwargs.items() if name != "pin_memory"}
    made = function(*_held(args), **(kwargs | ({"device": "cpu"} if asked else {})))
    if asked == "cpu":
        return made
    if packet in {aten._local_scalar_dense, aten.equal}:  # a number
        return made
    returned = function._schema.returns
    if returned and returned[0].alias_info is not None and returned[0].alias_info.is_write:
        return args[0]
    return tree_map(lambda each: OnGpu(each) if isinstance(each, Tensor) else each, made)


def _refuse_mixed(function: Any, args: tuple, tensors: list[Tensor]) -> None:
    """Refuse tensors of two devices. Those of a single number may be on the CPU."""
    if function.overloadpacket in INDEXING:
        first, _, *values = args
        if isinstance(first, OnGpu):
            tensors = [first, *values]
    others = [each for each in tensors if isinstance(each, Tensor) and not isinstance(each, OnGpu)]
    if any(each.dim() for each in others):
        raise RuntimeError(f"{function}: expected all tensors on one device, got cuda:0 and cpu")


def _held(values: Any) -> Any:
    """Return tensors of the GPU as those of the CPU."""
    return tree_map(lambda each: each.held if isinstance(each, OnGpu) else each, values)


def _made_there(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function that makes tensors of numbers, on this GPU too."""

    def made(numbers: Any, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        """Return a tensor of numbers."""
        if device is None or torch.device(device).type != "cuda":
            return make(numbers, *args, device=device, **kwargs)
        return make(numbers, *args, device="cpu", **kwargs).to(CUDA)

    return made


@contextmanager
def pretended_gpu() -> Iterator[torch.device]:
    """Let ``cuda:0`` be such a GPU in the block, which it yields."""
    changes = {
        "torch.cuda._lazy_init": lambda: None,
        "torch.cuda.is_available": lambda: True,
        "torch.cuda.is_bf16_supported": lambda including_emulation=True: True,
        "torch.cuda.is_current_stream_capturing": lambda: False,
        "torch.cuda.set_device": lambda device: None,
        "torch.cuda.manual_seed_all": lambda seed: None,
        "torch.cuda.synchronize": lambda device=None: None,
        "torch.Tensor.pin_memory": lambda tensor, *_: tensor,
        "torch.tensor": _made_there(torch.tensor),
        "torch.as_tensor": _made_there(torch.as_tensor),
    }
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # of modules that are moved
    patches = [mock.patch(name, change) for name, change in changes.items()]
    try:
        for patch in patches:
            patch.start()
        with _PretendedGpu():
            yield CUDA
    finally:
        for patch in patches:
            patch.stop()
        torch.__future__.set_overwrite_module_params_on_conversion(before)
