"""Training: learning, resuming, seeds, schedules, history."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from configurations import shipped, validated
from conftest import with_validation, write_tiny_scene
from torch_geometric.loader import DataLoader

from relposegnn.data.scene_files import SceneFiles
from relposegnn.files.storage import create_hdf5
from relposegnn.learning import training
from relposegnn.learning.datasets import GraphDataset, batches
from relposegnn.learning.learner import Learner
from relposegnn.learning.training import TrainingOutputs, learning_rate_at, train_epoch, train_model
from relposegnn.learning.training_settings import TrainingSettings
from relposegnn.locks import try_lock
from relposegnn.network.checkpoints import load_model
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.networks import build_network
from relposegnn.network.relative_poses import WORLD_DIFFERENCE
from relposegnn.retrieval.graphs import write_split
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
MODEL = ModelSettings.published(backbone="resnet10", width=16, iterations=1)
SETTINGS = TrainingSettings(
    epochs=3,
    batch_size=4,
    learning_rate=1e-3,
    schedule="step",
    decay_epochs=20,
    decay_factor=0.1,
    weight_decay=5e-4,
    initial_s_t=0.0,
    initial_s_q=-3.0,
    shuffle_once=False,
    drop_last_batch=False,
    mixed_precision=True,
    seed=0,
)


def scene_files(**scenes):
    return {name: SceneFiles(each.frames, each.graphs) for name, each in scenes.items()}


def train(scene, folder, settings=SETTINGS, model=MODEL, code_digest="", scenes=None):
    """Train on one or more scenes; return the weights and the history."""
    files = scenes or scene_files(tiny=scene)
    names = ("model.pt", "training.csv", "tensorboard")
    outputs = TrainingOutputs(*(folder / name for name in names))
    train_model(files, outputs, model, settings, CPU, code_digest)
    return load_model(outputs.model).state_dict(), pd.read_csv(outputs.history)


def learner_and_optimizer(model, settings):
    """Return what ``train_epoch`` changes, at its start."""
    torch.manual_seed(0)
    learner = Learner(build_network(model, None), settings, CPU)
    return learner, torch.optim.Adam(learner.parameters(), weight_decay=settings.weight_decay)


def same(state, other):
    return all(torch.equal(state[key], other[key]) for key in state)


def test_one_graph_is_overfitted(tiny_scene):
    """The network can learn exactly: its loss on a fixed graph falls to a small share."""
    settings = replace(SETTINGS, initial_s_t=-2.0)
    model = replace(MODEL, width=64, dropout=0.0, edge_dropout=0.0)
    learning = learner_and_optimizer(model, settings)
    loader = batches(GraphDataset(tiny_scene, "train", WORLD_DIFFERENCE)[:1], 8, CPU)
    steps = (train_epoch(*learning, loader, settings, 0) for _ in range(120))
    losses = (row["train_translation_loss"] for row in steps)
    first = next(losses)
    assert any(loss < 0.1 * first for loss in losses)


def test_the_same_seed_gives_the_same_model(tiny_scene, tmp_path):
    first, _ = train(tiny_scene, tmp_path / "a")
    second, _ = train(tiny_scene, tmp_path / "b")
    other, _ = train(tiny_scene, tmp_path / "c", replace(SETTINGS, seed=1))
    assert same(first, second)
    assert not same(first, other)


@pytest.fixture
def two_threads():
    """Let torch use two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def busy_neighbour():
    """Let another process keep a core busy."""
    work = "import os; own = os.getppid()\nwhile os.getppid() == own: pass"  # and end with us
    with subprocess.Popen([sys.executable, "-c", work]) as process:
        yield
        process.kill()


@pytest.mark.usefixtures("two_threads", "busy_neighbour")
def test_two_threads_train_the_same_bytes_beside_a_busy_process(tiny_scene, tmp_path):
    """Every image is in several pairs, whose gradients meet: the order of threads may not count."""
    graphs, features = tmp_path / "graphs.h5", tmp_path / "features.h5"
    with create_hdf5(graphs, "graphs", {}) as file:
        write_split(file, "train", np.arange(6), (np.arange(6)[:, None] + range(1, 8)) % 12)
    settings = {"encoder": "planted", "weights": "none", "width": 176, "height": 128}
    draw = np.random.default_rng(0)
    with create_hdf5(features, "features", settings) as file:
        file.attrs.update(dataset="tiny", scene="tiny")
        for split, count in (("train", 12), ("test", 5)):
            file[f"{split}/fine"] = draw.standard_normal((count, 8, 16, 22)).astype(np.float16)
            file[f"{split}/coarse"] = np.zeros((count, 0, 8, 11), np.float16)
        for name, channels in (("fine", 8), ("coarse", 0)):
            for kind in ("mean", "deviation"):
                file[f"{name}_{kind}"] = np.ones(channels, np.float32)
    scenes = {"tiny": SceneFiles(tiny_scene.frames, graphs, features)}
    model = ModelSettings.published(
        edges="match_field", pose="relative", iterations=0, width=8, edge_dropout=0.5
    )
    for name in "ab":
        train(None, tmp_path / name, replace(SETTINGS, epochs=1, batch_size=1), model, "", scenes)
    assert not torch.are_deterministic_algorithms_enabled()
    first, second = (tmp_path / name / "model.pt" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_training_waits_for_another_one_of_its_model(tiny_scene, tmp_path, caplog):
    """Callers of the library have no lock of a step around them."""
    settings = replace(SETTINGS, epochs=1)
    with ThreadPoolExecutor(1) as thread, caplog.at_level("WARNING"):
        with try_lock(tmp_path / ".model.pt.lock"):
            running = thread.submit(train, tiny_scene, tmp_path, settings)
            while "is already working on it" not in caplog.text and not running.done():
                time.sleep(0.01)
            assert not running.done()
            assert not (tmp_path / "model.pt").exists()
        running.result()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.pt", "training.csv", "tensorboard"}


@pytest.mark.parametrize("killed_in_epoch", [1, 2])
def test_a_killed_training_resumes_to_the_same_model(
    tiny_scene, tmp_path, monkeypatch, caplog, killed_in_epoch
):
    expected, history = train(tiny_scene, tmp_path / "whole")

    def dying(learner, optimizer, loader, settings, epoch):
        row = train_epoch(learner, optimizer, loader, settings, epoch)
        if epoch == killed_in_epoch:
            raise KeyboardInterrupt
        return row

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(training, "train_epoch", dying)
        train(tiny_scene, tmp_path / "killed")
    assert not (tmp_path / "killed" / "model.pt").exists()
    with caplog.at_level("INFO"):
        resumed, resumed_history = train(tiny_scene, tmp_path / "killed")
    assert f"resuming after epoch {killed_in_epoch} of 3" in caplog.text
    assert same(expected, resumed)
    pd.testing.assert_frame_equal(history, resumed_history)
    assert not (tmp_path / "killed" / "model.pt.ckpt").exists()


def test_other_settings_code_or_data_start_over(tiny_scene, tmp_path, monkeypatch, caplog):
    def dying(row, epochs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(training, "_log_epoch", dying)
        train(tiny_scene, tmp_path)
    expected, _ = train(tiny_scene, tmp_path / "whole", code_digest="changed")
    with caplog.at_level("INFO"):
        state, _ = train(tiny_scene, tmp_path, code_digest="changed")
    assert "starts over" in caplog.text
    assert "resuming" not in caplog.text
    assert same(state, expected)


def test_validation_does_not_disturb_training(tiny_scene, tmp_path, monkeypatch):
    scene = with_validation(tiny_scene, tmp_path)
    expected, history = train(scene, tmp_path / "a")
    assert history["validation_loss"].notna().all()
    monkeypatch.setattr(training, "validate", lambda *_: {"validation_loss": 0.0})
    state, _ = train(scene, tmp_path / "b")
    assert same(expected, state)


def test_graphs_that_make_no_full_batch_are_refused_where_others_are_dropped(tiny_scene, tmp_path):
    settings = replace(SETTINGS, batch_size=13, drop_last_batch=True)
    with pytest.raises(InputError, match="tiny: 12 training graphs make no full batch"):
        train(tiny_scene, tmp_path, settings)


def test_history_and_events_have_a_row_per_epoch(tiny_scene, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, history = train(tiny_scene, tmp_path)
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history["train_loss"].notna().all()
    assert history["validation_loss"].isna().all()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    logged = [event.value for event in events.Scalars("train/loss")]
    assert logged == pytest.approx(history["train_loss"].tolist(), rel=1e-5)


def test_several_scenes_train_one_model(tiny_scene, tmp_path):
    other = write_tiny_scene(tmp_path, "other", seed=1)
    scenes = scene_files(tiny=tiny_scene, other=other)
    joint, _ = train(None, tmp_path / "joint", scenes=scenes)
    alone, _ = train(tiny_scene, tmp_path / "alone")
    assert not same(joint, alone)


def test_scenes_of_different_image_sizes_are_refused(tiny_scene, tmp_path):
    other = write_tiny_scene(tmp_path, "tall", height=48)
    scenes = scene_files(tiny=tiny_scene, tall=other)
    with pytest.raises(InputError, match=r"tiny-frames\.h5 40x32, .*tall-frames\.h5 40x48"):
        train(None, tmp_path, scenes=scenes)


def test_a_diverging_training_is_stopped(tiny_scene, tmp_path):
    with pytest.raises(InputError, match=r"loss is .*; lower training\.learning_rate"):
        train(tiny_scene, tmp_path, replace(SETTINGS, learning_rate=1e20))
    assert not (tmp_path / "model.pt").exists()


def test_settings_have_no_second_default():
    for settings in (ModelSettings, TrainingSettings):
        with pytest.raises(TypeError, match="missing"):
            settings()


def test_step_schedule_is_the_published_one():
    protocol = validated(shipped("7scenes.yaml"))["training"]
    assert protocol.pop("single_scene_epochs") == 100
    (seed,) = protocol.pop("seeds")
    settings = TrainingSettings(**protocol, seed=seed)
    rates = [learning_rate_at(settings, epoch) for epoch in (0, 19.9, 20, 39.9)]
    assert rates == pytest.approx([5e-5, 5e-5, 5e-6, 5e-6])


def test_cosine_schedule_falls_to_zero():
    settings = replace(SETTINGS, epochs=10, learning_rate=1.0, schedule="cosine")
    settings = replace(settings, decay_epochs=None, decay_factor=None)
    rates = [learning_rate_at(settings, epoch) for epoch in (0, 5, 10)]
    assert rates == pytest.approx([1.0, 0.5, 0.0])


def test_a_deviation_trains_as_poses_divided_by_it_do(tiny_scene):
    settings, deviation = replace(SETTINGS, batch_size=1), torch.tensor([2.0, 4, 8, 1, 1, 1])
    dataset = GraphDataset(tiny_scene, "train", WORLD_DIFFERENCE)
    graphs = [dataset[index] for index in range(3)]
    divided = [graph.clone() for graph in graphs]
    for graph in divided:
        graph.relative = graph.relative / deviation
    losses, states = [], []
    for model, data in (
        (replace(MODEL, translation_deviation=(2, 4, 8)), graphs),
        (MODEL, divided),
    ):
        learning = learner_and_optimizer(model, settings)
        loader = DataLoader(data, batch_size=1)
        rows = [train_epoch(*learning, loader, settings, epoch) for epoch in range(2)]
        losses.append([row["train_loss"] for row in rows])
        states.append(learning[0].model.state_dict())
    assert losses[0] == losses[1]  # dividing by powers of two is exact
    assert same(*states)


@pytest.mark.parametrize("model", [replace(MODEL, iterations=0), replace(MODEL, attention=False)])
def test_ablations_train_and_load(tiny_scene, tmp_path, model):
    state, history = train(tiny_scene, tmp_path, replace(SETTINGS, epochs=1), model)
    assert history["train_loss"].notna().all()
    assert not any(".att." in key for key in state)


def test_graphs_without_a_training_part_are_refused(tiny_scene, tmp_path):
    imported = tmp_path / "imported.h5"
    with create_hdf5(imported, "graphs", {}) as file:
        write_split(file, "train", np.empty(0), np.empty((0, 3)))
        write_split(file, "test", np.arange(5), np.tile([0, 1, 2], (5, 1)))
    with pytest.raises(InputError, match=r"imported\.h5: has no training graphs"):
        train(None, tmp_path, scenes={"tiny": SceneFiles(tiny_scene.frames, imported)})
