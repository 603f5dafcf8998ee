"""Batches whose graphs are split over processes, with the same results as in one process.

Each process takes an equal part of a batch's graphs. Random numbers are drawn for the whole batch,
means are over all of its edges, batch norms over all of its images, and gradients are averaged, so
that results differ from those of one process only by rounding. A last batch that cannot be split
evenly is computed whole by every process. With one process nothing changes.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import BatchSampler, Sampler

from .processes import process_count, process_index

if TYPE_CHECKING:  # it takes as long to load as torch, and poses are predicted without it
    from torch_geometric.data import Batch
    from torch_geometric.loader import DataLoader

_split = False  # whether the current batch is split


class PartSampler(Sampler):
    """The part of each batch that this process takes, as indices into the dataset."""

    def __init__(self, batches: BatchSampler) -> None:
        """Split ``batches``, which have to be the same in all processes."""
        self.batches, self.batch_size = batches, batches.batch_size

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this process's part of each batch, or all of a batch that cannot be split."""
        count, index = process_count(), process_index()
        for batch in self.batches:
            part = len(batch) // count
            yield batch if len(batch) % count else batch[index * part : (index + 1) * part]


def in_parts(loader: "DataLoader") -> "Iterator[Batch]":
    """Yield the batches of a loader, and note whether the current one is split."""
    global _split
    if process_count() == 1:
        yield from loader
        return
    size, graphs = loader.batch_sampler.batch_size, len(loader.dataset)
    try:
        for step, batch in enumerate(loader):
            _split = min(size, graphs - step * size) % process_count() == 0
            yield batch
    finally:
        _split = False


def drawn_for_rows(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """Return ``draw`` of ``count`` rows: this process's part of a draw for the whole batch.

    Rows, for example nodes, edges or pairs, are in the order of the graphs.
    """
    if not _split:
        return draw(count)
    first, total = _place(count)
    return draw(total)[first : first + count]


def weighted_by_rows(means: tuple[Tensor, ...], count: int) -> tuple[Tensor, ...]:
    """Return means over ``count`` rows, weighted so that their average over processes is right."""
    if not _split:
        return means
    _, total = _place(count)
    return type(means)(*(mean * (count * process_count() / total) for mean in means))


def averaged(values: Tensor) -> Tensor:
    """Return the mean of values over all processes."""
    if process_count() == 1:
        return values
    total = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total / process_count()


def with_averaged_gradients(learner: nn.Module) -> nn.Module:
    """Return the learner itself, or with several processes a wrapper that averages its gradients.

    To be called in all processes at once. Batch norms and dropouts then act on whole batches.
    """
    if process_count() == 1:
        return learner
    for module in learner.modules():
        module.__class__ = _OF_WHOLE_BATCHES.get(type(module), type(module))
    # Heads of absolute poses do not reach the loss. Buffers are equal in all processes anyway.
    return DistributedDataParallel(learner, find_unused_parameters=True, broadcast_buffers=False)


class _Average(torch.autograd.Function):
    """The mean over processes, with its gradient: each process's loss depends on all values."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Return the mean of ``values`` over processes."""
        return averaged(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of the sum of all processes' losses."""
        return averaged(gradient)


class _BatchNorm(nn.BatchNorm2d):
    """Batch norm over the images of all processes; torch's SyncBatchNorm works only on GPUs."""

    def forward(self, maps_NCHW: Tensor) -> Tensor:
        """Return normalised maps; all processes have the same number of them."""
        if not (self.training and _split):
            return super().forward(maps_NCHW)
        own_variance_C, own_mean_C = torch.var_mean(maps_NCHW.float(), (0, 2, 3), correction=0)
        mean_C = _Average.apply(own_mean_C)
        variance_C = _Average.apply(own_variance_C + (own_mean_C - mean_C).square())
        self._follow(mean_C.detach(), variance_C.detach(), maps_NCHW[:, 0].numel())
        scale_C = self.weight * (variance_C + self.eps).rsqrt()
        shift_C = self.bias - mean_C * scale_C
        normal = maps_NCHW * scale_C[:, None, None] + shift_C[:, None, None]
        return normal.to(maps_NCHW.dtype)

    def _follow(self, mean_C: Tensor, variance_C: Tensor, count: int) -> None:
        """Update the running statistics by those of ``count`` values per process, unbiased."""
        count *= process_count()
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean_C, self.momentum)
        self.running_var.lerp_(variance_C * (count / (count - 1)), self.momentum)


class _Dropout(nn.Dropout):
    """Dropout of rows, drawn for the rows of all processes together."""

    def forward(self, rows_RC: Tensor) -> Tensor:
        """Return the rows with some numbers zero and the others scaled."""
        if not (self.training and self.p and _split):
            return super().forward(rows_RC)

        def draw(count: int) -> Tensor:
            """Return factors (count, C): ones after dropout."""
            return super(_Dropout, self).forward(rows_RC.new_ones(count, rows_RC.shape[1]))

        return rows_RC * drawn_for_rows(draw, len(rows_RC))


_OF_WHOLE_BATCHES = {nn.BatchNorm2d: _BatchNorm, nn.Dropout: _Dropout}


def _place(count: int) -> tuple[int, int]:
    """Return where this process's ``count`` rows start in the whole batch, and its row count."""
    counts = [torch.zeros(1, dtype=torch.long) for _ in range(process_count())]
    distributed.all_gather(counts, torch.tensor([count]))
    rows = [int(each) for each in counts]
    return sum(rows[: process_index()]), sum(rows)
