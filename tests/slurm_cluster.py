"""A SLURM cluster of one node, this machine, which tests start in a folder and end."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo")
CPUS, MEMORY = 2, 20_000  # megabytes; what the node says it has, and jobs do not use
# Nothing of the system's own: neither its accounts, nor its control groups, nor its files. A job
# that no node can run is refused, where it would usually wait for ever.
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/builtin
EnforcePartLimits=ALL
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory}
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Return why no cluster can be started here, or None where one can."""
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    if absent:
        return f"no {', '.join(absent)} on this machine: apt-get install munge slurmctld slurmd"
    return None if os.geteuid() == 0 else "SLURM's daemons are started as root alone"


@contextmanager
def slurm_cluster() -> Iterator[dict[str, str]]:
    """Start a cluster without accounting; yield the environment in which commands find it."""
    with ExitStack() as stack:
        # Not pytest's folder: the path of a socket may have 107 characters.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
        folder.chmod(0o755)
        _configure(folder)
        environment = {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
        }
        munged = ["munged", "--foreground", "--force", "--num-threads=2"]
        for name in ("key-file", "socket", "seed-file", "pid-file", "log-file"):
            munged.append(f"--{name}={folder}/munge.{name.removesuffix('-file')}")
        stack.enter_context(_running(munged, environment, folder))
        _wait_until((folder / "munge.socket").exists, folder)
        stack.enter_context(_running(["slurmctld", "-D", "-i"], environment, folder))
        stack.enter_context(_running(["slurmd", "-D"], environment, folder))
        _wait_until(lambda: _node_state(environment) == "idle", folder)
        yield environment


def _configure(folder: Path) -> None:
    """Write the key and the configuration of a cluster, and an srun that finds it by itself.

    A job of Snakemake's takes the variable from the srun that it starts: elsewhere the
    configuration lies where srun looks.
    """
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    srun = folder / "bin/srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    # Held together, so that they are two.
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        ports = [server.getsockname()[1] for server in (one, other)]
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(
            host=socket.gethostname().split(".")[0],
            folder=folder,
            controller_port=ports[0],
            node_port=ports[1],
            cpus=CPUS,
            memory=MEMORY,
        )
    )


@contextmanager
def _running(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Run a daemon for as long as the block lasts; what it prints goes to a file."""
    with (folder / f"{command[0]}.out").open("w") as output:
        daemon = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield
        finally:
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _node_state(environment: dict[str, str]) -> str:
    asked = ["sinfo", "--noheader", "--format=%t"]
    return subprocess.run(asked, env=environment, capture_output=True, text=True).stdout.strip()


def _wait_until(ready: Callable[[], bool], folder: Path, seconds: float = 60) -> None:
    """Wait for a part of the cluster, or fail with what its daemons have said."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            said = [path.read_text()[-1500:] for path in sorted(folder.glob("*.[lo][ou][gt]"))]
            raise AssertionError("SLURM did not start:\n" + "\n".join(said))
        time.sleep(0.2)
