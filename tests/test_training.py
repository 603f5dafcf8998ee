"""Training: learning, resuming, seeds, schedules, history."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import write_tiny_scene
from torch_geometric.loader import DataLoader

from relposegnn import training
from relposegnn.checkpoints import load_model
from relposegnn.datasets import GraphDataset
from relposegnn.graphs import write_split
from relposegnn.model import ModelSettings
from relposegnn.runtime import InputError
from relposegnn.storage import create_hdf5
from relposegnn.trainer import Trainer, TrainingSettings, learning_rate_at
from relposegnn.training import split_validation, train_model

CPU = torch.device("cpu")
MODEL = ModelSettings(backbone="resnet10", width=16, iterations=1)
SETTINGS = TrainingSettings(epochs=3, batch_size=4, learning_rate=1e-3)


def train(scene, folder, settings=SETTINGS, model=MODEL, code_digest="", scenes=None):
    """Train on one or more scenes; return the weights and the history."""
    files = scenes or {"tiny": (scene.frames, scene.graphs)}
    outputs = (folder / "model.pt", folder / "training.csv", folder / "tensorboard")
    train_model(files, *outputs, model, settings, CPU, code_digest)
    return load_model(outputs[0]).state_dict(), pd.read_csv(outputs[1])


def same(state, other):
    return all(torch.equal(state[key], other[key]) for key in state)


def test_one_graph_is_overfitted(tiny_scene):
    """The network can learn exactly: its loss on a fixed graph falls to a small share."""
    settings = TrainingSettings(learning_rate=1e-3, epochs=1, initial_s_t=-2.0)
    trainer = Trainer(replace(MODEL, width=64, dropout=0.0, edge_dropout=0.0), settings, CPU)
    dataset = GraphDataset(tiny_scene.frames, tiny_scene.graphs, "train")
    loader = training._loader(dataset[:1], settings, CPU, workers=0)
    losses = [trainer.train_epoch(loader, 0)["train_translation_loss"] for _ in range(120)]
    assert losses[-1] < 0.1 * losses[0]


def test_the_same_seed_gives_the_same_model(tiny_scene, tmp_path):
    first, _ = train(tiny_scene, tmp_path / "a")
    second, _ = train(tiny_scene, tmp_path / "b")
    other, _ = train(tiny_scene, tmp_path / "c", replace(SETTINGS, seed=1))
    assert same(first, second)
    assert not same(first, other)


@pytest.mark.parametrize("killed_in_epoch", [1, 2])
def test_a_killed_training_resumes_to_the_same_model(
    tiny_scene, tmp_path, monkeypatch, caplog, killed_in_epoch
):
    expected, history = train(tiny_scene, tmp_path / "whole")
    run_epoch = Trainer.run_epoch

    def dying(self, train_loader, validation_loader, epoch):
        if epoch == killed_in_epoch:
            raise KeyboardInterrupt
        return run_epoch(self, train_loader, validation_loader, epoch)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Trainer, "run_epoch", dying)
        train(tiny_scene, tmp_path / "killed")
    assert not (tmp_path / "killed" / "model.pt").exists()
    with caplog.at_level("INFO"):
        resumed, resumed_history = train(tiny_scene, tmp_path / "killed")
    assert f"resuming after epoch {killed_in_epoch} of 3" in caplog.text
    assert same(expected, resumed)
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), resumed_history.drop(columns="seconds")
    )
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
    settings = replace(SETTINGS, validation_share=0.25)
    expected, history = train(tiny_scene, tmp_path / "a", settings)
    assert history["validation_loss"].notna().all()
    monkeypatch.setattr(Trainer, "validate", lambda *_: {"validation_loss": 0.0})
    state, _ = train(tiny_scene, tmp_path / "b", settings)
    assert same(expected, state)


def test_validation_queries_are_set_aside_by_seed(tiny_scene):
    dataset = GraphDataset(tiny_scene.frames, tiny_scene.graphs, "train")
    parts = split_validation([dataset], replace(SETTINGS, validation_share=0.25))
    train_set, validation_set = (set(part.datasets[0].indices) for part in parts)
    assert len(validation_set) == 3
    assert train_set | validation_set == set(range(12))
    assert not train_set & validation_set


def test_a_validation_share_that_leaves_nothing_to_train_is_refused(tiny_scene):
    dataset = GraphDataset(tiny_scene.frames, tiny_scene.graphs, "train")
    with pytest.raises(InputError, match=r"graphs\.h5: training\.validation_share = 0\.99 of 12"):
        split_validation([dataset], replace(SETTINGS, validation_share=0.99))


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
    scenes = {"tiny": (tiny_scene.frames, tiny_scene.graphs), "other": (other.frames, other.graphs)}
    joint, _ = train(None, tmp_path / "joint", scenes=scenes)
    alone, _ = train(tiny_scene, tmp_path / "alone")
    assert not same(joint, alone)


def test_scenes_of_different_image_sizes_are_refused(tiny_scene, tmp_path):
    other = write_tiny_scene(tmp_path, "tall", height=48)
    scenes = {"tiny": (tiny_scene.frames, tiny_scene.graphs), "tall": (other.frames, other.graphs)}
    with pytest.raises(InputError, match=r"tiny-frames\.h5 40x32, .*tall-frames\.h5 40x48"):
        train(None, tmp_path, scenes=scenes)


def test_a_diverging_training_is_stopped(tiny_scene, tmp_path):
    with pytest.raises(InputError, match=r"loss is .*; lower training\.learning_rate"):
        train(tiny_scene, tmp_path, replace(SETTINGS, learning_rate=1e20))
    assert not (tmp_path / "model.pt").exists()


def test_step_schedule_is_the_published_one():
    settings = TrainingSettings()
    rates = [learning_rate_at(settings, epoch) for epoch in (0, 19.9, 20, 39.9)]
    assert rates == pytest.approx([5e-5, 5e-5, 5e-6, 5e-6])


def test_cosine_schedule_falls_to_zero():
    settings = TrainingSettings(epochs=10, learning_rate=1.0, schedule="cosine")
    rates = [learning_rate_at(settings, epoch) for epoch in (0, 5, 10)]
    assert rates == pytest.approx([1.0, 0.5, 0.0])


def test_a_deviation_trains_as_poses_divided_by_it_do(tiny_scene):
    settings, deviation = replace(SETTINGS, batch_size=1), torch.tensor([2.0, 4, 8, 1, 1, 1])
    dataset = GraphDataset(tiny_scene.frames, tiny_scene.graphs, "train")
    graphs = [dataset[index] for index in range(3)]
    divided = [graph.clone() for graph in graphs]
    for graph in divided:
        graph.poses = graph.poses / deviation
    losses, states = [], []
    for model, data in (
        (replace(MODEL, translation_deviation=(2, 4, 8)), graphs),
        (MODEL, divided),
    ):
        trainer = Trainer(model, settings, CPU)
        loader = DataLoader(data, batch_size=1)
        losses.append([trainer.train_epoch(loader, epoch)["train_loss"] for epoch in range(2)])
        states.append(trainer.model.state_dict())
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
        train(None, tmp_path, scenes={"tiny": (tiny_scene.frames, imported)})
