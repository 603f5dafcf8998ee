"""Work in several processes, one per GPU, which torch's elastic launcher (torchrun) starts.

A single process, the usual case, is the calling one: none is started, and no group is joined.
"""

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import distributed
from tqdm.contrib.logging import logging_redirect_tqdm

from .runtime import DEVICE_VARIABLE, InputError, enter_process, select_device

logger = logging.getLogger(__name__)

Work = Callable[..., None]  # takes the device
# Seconds that a process waits before it ends by an error that torch also raises when another
# process has died, so that the other one is reported first.
PATIENCE = 3


def run_in_processes(count: int, threads: int, log_file: str | Path, work: Work) -> None:
    """Call ``work(device=...)`` in ``count`` processes of this machine, each with its own GPU.

    Args:
        count: of processes (0: one) and GPUs; with RELPOSEGNN_DEVICE=cpu all use the CPU.
        threads: of all processes together, on the CPU.
        log_file: of the step. The first process logs to it, and each one that fails.
        work: a function that can be pickled, since several processes unpickle it.

    Raises:
        InputError: there are fewer GPUs, or ``work`` raised it.
        RuntimeError: a process failed in another way. The others are ended.
    """
    if count <= 1:
        work(device=select_device(threads=threads))
        return
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    _check_gpus(count)
    logger.info("starting %d processes", count)
    try:
        with TemporaryDirectory(prefix="torchelastic_") as folder:  # torch leaves its own behind
            launch = LaunchConfig(
                *(1, 1, count),  # nodes at least and at most, processes
                run_id=uuid.uuid4().hex,
                rdzv_backend="c10d",
                rdzv_endpoint="127.0.0.1:0",
                local_addr="127.0.0.1",
                max_restarts=0,
                logs_specs=DefaultLogsSpecs(folder),
            )
            elastic_launch(launch, _work_in_group)(max(1, threads // count), log_file, work)
    except ChildFailedError as failed:
        rank, failure = failed.get_first_failure()
        told = failure.message
        reason = told["message"] if isinstance(told, dict) else told
        kind, _, message = reason.partition(": ")
        if kind == InputError.__name__:
            raise InputError(message) from None
        raise RuntimeError(f"process {rank + 1} of {count} failed: {reason}") from None


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started with this one, if it did; leave them at the end.

    ``device`` is ``cpu``, or ``cuda`` without a number, which then means the GPU of this process.
    """
    if not distributed.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group()  # gloo for what is on the CPU, nccl for what is on GPUs
    yield
    # Not after a failure: the others would fail in turn before this process has said why.
    distributed.destroy_process_group()


def process_count() -> int:
    """Return how many processes work together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def process_index() -> int:
    """Return the index of this process among those; the first, 0, writes files and logs."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def _work_in_group(threads: int, log_file: str | Path, work: Work) -> None:
    """Do the work of one of the processes."""
    first = os.environ["RANK"] == "0"
    enter_process(log_file, logging.INFO if first else logging.ERROR)
    device = select_device(threads=threads)
    try:
        with logging_redirect_tqdm(), process_group(device):
            work(device=device)
    except InputError:
        raise  # the same in all; reported once, by the process that started them
    except Exception as error:
        logger.exception("process %d failed", int(os.environ["RANK"]) + 1)
        if isinstance(error, RuntimeError):
            time.sleep(PATIENCE)
        raise


def _check_gpus(count: int) -> None:
    """Check that each process has a GPU, or that all use the CPU.

    Raises:
        InputError: there are fewer GPUs than processes.
    """
    name = os.environ.get(DEVICE_VARIABLE) or "auto"
    found = torch.cuda.device_count()
    if name == "cpu" or (name in ("auto", "cuda") and found >= count):
        return
    raise InputError(
        f"the resource gpu is {count}, but with {DEVICE_VARIABLE}={name} this machine offers "
        f"{found if name in ('auto', 'cuda') else 1} GPUs; expected one for each process: ask for "
        f"fewer (--set-resources train_model:gpu=1), or set {DEVICE_VARIABLE}=cpu"
    )
