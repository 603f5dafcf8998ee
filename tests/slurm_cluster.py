"""A SLURM cluster of one node, this machine, which tests start in a folder and end."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo")
ACCOUNTING_PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "sacctmgr", "sacct")
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
SchedulerParameters=batch_sched_delay=0
EnforcePartLimits=ALL
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory}
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# Added to it, and the configuration of the daemon beside the database.
ACCOUNTING = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting_port}
AccountingStoragePass={folder}/munge.socket
JobAcctGatherType=jobacct_gather/linux
"""
ACCOUNTING_DAEMON = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={accounting_port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=root
"""
# Beside it lies srun, which finds it by itself: a job of Snakemake takes the variable from the srun
# that it starts; elsewhere the configuration lies where srun looks.
SRUN = """#!/bin/sh
SLURM_CONF={folder}/slurm.conf exec {program} "$@"
"""
# And what tells how jobs are. It answers when they are done, if that is soon: Snakemake, which it
# told that none is, would ask again ten seconds later.
TOLD_AT_THE_END = """#!/bin/sh
for _ in $(seq 300); do
    [ "$({squeue} -h; {sacct} -n -o State 2>/dev/null | grep -E 'PENDING|RUNNING')" ] || break
    sleep 0.1
done
exec {program} "$@"
"""


def missing(accounting: bool) -> str | None:
    """Return why no cluster can be started here, or None where one can."""
    programs = PROGRAMS + ACCOUNTING_PROGRAMS if accounting else PROGRAMS
    absent = [name for name in programs if not shutil.which(name)]
    if absent:
        return (
            f"no {', '.join(absent)} on this machine: apt-get install munge slurmctld slurmd"
            + " slurmdbd mariadb-server-core mariadb-client-core" * accounting
        )
    return None if os.geteuid() == 0 else "SLURM's daemons are started as root alone"


@contextmanager
def slurm_cluster(accounting: bool) -> Iterator[dict[str, str]]:
    """Start a cluster with or without accounting; yield the environment for its commands."""
    with ExitStack() as stack:
        # Not pytest's folder: the path of a socket may have 107 characters.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
        folder.chmod(0o755)
        ports = _configure(folder, accounting)
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
        if accounting:
            stack.enter_context(_accounts(environment, folder, ports["database_port"]))
        stack.enter_context(_running(["slurmctld", "-D", "-i"], environment, folder))
        stack.enter_context(_running(["slurmd", "-D"], environment, folder))
        _wait_until(lambda: _node_state(environment) == "idle", folder)
        yield environment


@contextmanager
def _accounts(environment: dict[str, str], folder: Path, port: int) -> Iterator[None]:
    """Run a database, and the daemon that keeps accounts in it, with those of the cluster."""
    own = ["--no-defaults", f"--datadir={folder}/database", "--user=root"]
    made = ["mariadb-install-db", *own, "--auth-root-authentication-method=normal"]
    subprocess.run([*made, "--skip-test-db"], check=True, capture_output=True)
    database = ["mariadbd", *own, f"--socket={folder}/database.socket", f"--port={port}"]
    database += ["--bind-address=127.0.0.1", "--skip-grant-tables"]
    with _running(database, environment, folder):
        _wait_until(lambda: _listens(port), folder)
        with _running(["slurmdbd", "-D"], environment, folder):
            add = ["sacctmgr", "--immediate", "add", "cluster", "tests"]
            _wait_until(lambda: _succeeds(add, environment), folder)
            yield


def _succeeds(command: list[str], environment: dict[str, str]) -> bool:
    return subprocess.run(command, env=environment, capture_output=True).returncode == 0


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _configure(folder: Path, accounting: bool) -> dict[str, int]:
    """Write the key, the configuration and own programs of a cluster; return its daemons' ports."""
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    texts = {"srun": SRUN, "squeue": TOLD_AT_THE_END}
    texts |= {"sacct": TOLD_AT_THE_END} if accounting else {}
    programs = {name: shutil.which(name) for name in ("squeue", "sacct")}
    for name, text in texts.items():
        own = folder / "bin" / name
        own.write_text(text.format(**programs, folder=folder, program=shutil.which(name)))
        own.chmod(0o755)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    names = ("controller_port", "node_port", "accounting_port", "database_port")
    with ExitStack() as stack:  # held together, so that no two are one
        held = [stack.enter_context(socket.create_server(("", 0))) for _ in names]
        ports = {name: server.getsockname()[1] for name, server in zip(names, held, strict=True)}
    known = {"host": socket.gethostname().split(".")[0], "folder": folder, **ports}
    text = CONFIGURATION + ACCOUNTING if accounting else CONFIGURATION
    (folder / "slurm.conf").write_text(text.format(**known, cpus=CPUS, memory=MEMORY))
    (folder / "slurmdbd.conf").write_text(ACCOUNTING_DAEMON.format(**known))
    (folder / "slurmdbd.conf").chmod(0o600)
    return ports


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
