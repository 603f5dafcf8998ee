"""Training in several processes: the mathematics of one, failures, resuming; gloo on the CPU.

They are copies of one that has loaded torch, where users' load it, as in test_workflow_reruns.py.
"""

import multiprocessing
import os
import re
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import with_validation
from prepared_python import launcher, prepared_output
from project import REPOSITORY
from test_learning_training import MODEL, SETTINGS, scene_files
from test_network_match_field_network import CHANNELS, GRID, write_features
from test_network_match_field_network import SETTINGS as MATCH_MODEL
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.launcher.api import LaunchConfig

from relposegnn.data.scene_files import SceneFiles
from relposegnn.learning import training
from relposegnn.learning.training import TrainingOutputs, train_model
from relposegnn.network.checkpoints import load_model
from relposegnn.processes import process_group, process_index, run_in_processes
from relposegnn.runtime import InputError, logging_to

pytestmark = pytest.mark.slow

# Batch norms, both dropouts, heads without a gradient under weight decay.
RANDOM = replace(MODEL, edge_dropout=0.5, dropout=0.5)
MATCH_FIELDS = replace(MATCH_MODEL, edge_dropout=0.5, dropout=0.5)
# Small steps: with larger ones, a few of them make much of rounding, in one process as in two.
# Nine training graphs are two batches that are split, and one graph that both processes compute.
SMALL_STEPS = replace(SETTINGS, learning_rate=1e-5)


LOADED = ["h5py", "pandas", "torch.distributed.launcher.api", "torch.utils.tensorboard"]
LOADED += ["torch_geometric.loader", "torchvision", "tqdm.contrib.logging"]


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("RELPOSEGNN_DEVICE", "cpu")


@pytest.fixture(autouse=True)
def copies(monkeypatch):
    """Start processes as copies of one, see above."""
    multiprocessing.set_forkserver_preload(LOADED)
    copied = partial(LaunchConfig, start_method="forkserver")
    monkeypatch.setattr("torch.distributed.launcher.api.LaunchConfig", copied)


def run(scene, folder, processes, model=RANDOM, settings=SMALL_STEPS, work=train_model):
    """Train in some processes, as the script does."""
    names = ("model.pt", "training.csv", "tensorboard")
    outputs = TrainingOutputs(*(folder / name for name in names))
    work = partial(work, scene_files(tiny=scene), outputs, model, settings)
    with logging_to(folder / "log.txt"):
        run_in_processes(processes, processes, folder / "log.txt", work)


def results(folder):
    """Return the weights and the history."""
    history = pd.read_csv(folder / "training.csv")
    return load_model(folder / "model.pt").state_dict(), history


def assert_close(found, expected, model=RANDOM, maps=None):
    """Losses agree to 1e-5; of the way that weights went, what differs is below 1 %."""
    pd.testing.assert_frame_equal(found[1], expected[1], rtol=1e-5)
    torch.manual_seed(training.derive_seed(SETTINGS.seed, "initial weights"))
    start = training.build_network(model, maps).state_dict()
    for key, before in start.items():
        weights = expected[0][key]
        way = (weights.double() - before.double()).norm()
        assert (found[0][key].double() - weights.double()).norm() <= 0.01 * way, key


def die_in_the_second_epoch(*arguments, **options):
    """Train until the second process is killed, when the second epoch is to be validated."""

    def dying(learner, loader, epoch, validate=training.validate):
        if epoch == 1 and process_index() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return validate(learner, loader, epoch)

    training.validate = dying
    train_model(*arguments, **options)


def fail_in_the_second_process(**_):
    if process_index() == 1:
        raise OSError("the disk is gone")
    torch.distributed.barrier()


@pytest.fixture(scope="module")
def scene(tiny_scene, tmp_path_factory):
    return with_validation(tiny_scene, tmp_path_factory.mktemp("validated"))


@pytest.fixture(scope="module")
def expected(scene, tmp_path_factory):
    """Return what one process trains."""
    folder = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RELPOSEGNN_DEVICE", "cpu")
        run(scene, folder, 1)
    return results(folder)


@pytest.mark.slow
def test_two_processes_compute_what_one_does_also_after_one_was_killed(scene, tmp_path, expected):
    with pytest.raises(SystemExit):
        run(scene, tmp_path, 2, work=die_in_the_second_epoch)
    log = (tmp_path / "log.txt").read_text()
    assert "process 2 of 2 failed: Signal 9 (SIGKILL)" in log
    assert not (tmp_path / "model.pt").exists()
    run(scene, tmp_path, 2)
    log = (tmp_path / "log.txt").read_text()
    assert log.count("resuming after epoch 1 of 3") == log.count("epoch 3 of 3") == 1
    assert_close(results(tmp_path), expected)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    assert not (tmp_path / "model.pt.ckpt").exists()


def train_from_outside(frames, graphs, features, folder):
    """Train as a script does that torchrun may start."""
    names = ("model.pt", "training.csv", "tensorboard")
    outputs, cpu = TrainingOutputs(*(f"{folder}/{name}" for name in names)), torch.device("cpu")
    scenes = {"tiny": SceneFiles(frames, graphs, features)}
    with process_group(cpu):
        train_model(scenes, outputs, MATCH_FIELDS, SMALL_STEPS, cpu)


@pytest.mark.slow
def test_torchrun_starts_the_same_training(scene, tmp_path):
    files = (scene.frames, scene.graphs, write_features(tmp_path / "features.h5"))
    train_from_outside(*files, tmp_path / "one")
    folders = [str(REPOSITORY / each) for each in ("workflow/scripts", "tests")]
    (tmp_path / "train.py").write_text(
        f"import sys; sys.path[:0] = {folders}\n"
        "from test_processes import train_from_outside; train_from_outside(*sys.argv[1:])\n"
    )
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    script = ("--no-python", launcher(), tmp_path / "train.py", *files, tmp_path / "two")
    prepared_output(list(map(str, (*torchrun, *script))), tmp_path)
    one, two = (results(tmp_path / name) for name in ("one", "two"))
    assert_close(two, one, MATCH_FIELDS, {"channels": sum(CHANNELS.values()), "grid": GRID})


@pytest.mark.slow
def test_what_a_process_raises_ends_the_step_and_is_told(tmp_path, monkeypatch):
    folders = []

    class Noted(DefaultLogsSpecs):
        def __init__(self, log_dir):
            folders.append(Path(log_dir))
            super().__init__(log_dir)

    monkeypatch.setattr("torch.distributed.elastic.multiprocessing.DefaultLogsSpecs", Noted)
    with pytest.raises(RuntimeError, match="process 2 of 2 failed: OSError: the disk is gone"):
        run_in_processes(2, 2, tmp_path / "log.txt", fail_in_the_second_process)
    log = (tmp_path / "log.txt").read_text()
    assert re.search(
        r"ERROR process 2 failed\nTraceback .*\nOSError: the disk is gone\n", log, re.S
    )
    [folder] = folders
    assert not folder.exists()  # torch leaves it behind


@pytest.mark.slow
def test_a_batch_that_cannot_be_split_is_refused(scene, tmp_path):
    with pytest.raises(SystemExit):
        run(scene, tmp_path, 2, settings=replace(SETTINGS, batch_size=3))
    log = (tmp_path / "log.txt").read_text()
    assert log.count("training.batch_size = 3 graphs cannot be split evenly over 2 process") == 1
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("device", "found"), [("auto", 1), ("cuda", 1), ("cuda:1", 4), ("auto", 0)]
)
def test_fewer_gpus_than_processes_are_refused(tmp_path, monkeypatch, device, found):
    monkeypatch.setenv("RELPOSEGNN_DEVICE", device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    offered = 1 if device == "cuda:1" else found
    message = f"the resource gpu is 2, .*={device} this machine offers {offered} GPUs; expected one"
    with pytest.raises(InputError, match=message):
        run_in_processes(2, 2, tmp_path / "log.txt", print)


def test_one_process_starts_none(tmp_path):
    seen = []
    run_in_processes(1, 3, tmp_path / "log.txt", lambda device: seen.append((device, os.getpid())))
    assert seen == [(torch.device("cpu"), os.getpid())]
    assert torch.get_num_threads() == 3
    assert not torch.distributed.is_initialized()
