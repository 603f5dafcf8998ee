"""Training of one run, resumable after each epoch (paper, section 4)."""

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import ConcatDataset, Subset
from torch.utils.tensorboard import SummaryWriter
from torch_geometric.loader import DataLoader
from tqdm import tqdm

from .checkpoints import TrainingCheckpoint, save_model
from .datasets import GraphDataset
from .model import ModelSettings
from .runtime import InputError, atomic_path, numpy_generator, torch_generator
from .trainer import Trainer, TrainingSettings

logger = logging.getLogger(__name__)


def train_model(
    scenes: dict[str, tuple[str, str]],
    model_file: str | Path,
    history_file: str | Path,
    tensorboard_folder: str | Path,
    model_settings: ModelSettings,
    settings: TrainingSettings,
    device: torch.device,
    code_digest: str = "",
    backbone_weights: str | Path | None = None,
    threads: int = 1,
) -> None:
    """Train one model on the training graphs of some scenes.

    Args:
        scenes: frames file and graphs file by scene name.
        model_file: output, see ``checkpoints.save_model``.
        history_file: output, CSV with one row per epoch.
        tensorboard_folder: output, the same curves for TensorBoard.
        model_settings: shape of the network.
        settings: protocol.
        device: where to compute.
        code_digest: stands for the code; a training made by other code is not resumed.
        backbone_weights: torchvision's ImageNet weights of the encoder; None: random.
        threads: of this job; with a GPU, processes that read batches take them.

    Raises:
        InputError: scenes of different image sizes or without training graphs, or a loss that
            is not finite.
    """
    datasets = _read_datasets(scenes)
    train_set, validation_set = split_validation(datasets, settings)
    loaders = partial(_loaders, train_set, validation_set, settings, device, threads)
    trainer = Trainer(model_settings, settings, device, backbone_weights)
    recipe = [asdict(model_settings), asdict(settings), code_digest, _digest(backbone_weights)]
    checkpoint = TrainingCheckpoint(model_file, _training_key(recipe, datasets))
    history = _resume(trainer, checkpoint)

    with _event_writer(tensorboard_folder, history) as writer:
        for epoch in tqdm(range(len(history), settings.epochs), "epochs", disable=None):
            row = trainer.run_epoch(*loaders(epoch), epoch)
            history.append(row)
            _write_events(writer, row)
            checkpoint.save({"trainer": trainer.state(), "history": history})
            _log_epoch(row, settings.epochs)

    with atomic_path(history_file) as unfinished:
        pd.DataFrame(history).to_csv(unfinished, index=False)
    save_model(model_file, trainer.model, settings.epochs - 1, list(scenes))
    checkpoint.remove()


def split_validation(
    datasets: list[GraphDataset], settings: TrainingSettings
) -> tuple[ConcatDataset, ConcatDataset]:
    """Set aside a share of each scene's queries; return training and validation graphs.

    A query set aside is never supervised as a query but stays in the database. Validation graphs
    keep the order of their neighbours, whatever the training graphs do.

    Raises:
        InputError: no graph of a scene is left to train on.
    """
    train, validation = [], []
    for dataset in datasets:
        generator = numpy_generator(settings.seed, "validation", dataset.frames.scene)
        order = generator.permutation(len(dataset))
        held_out = round(settings.validation_share * len(dataset))
        if held_out == len(dataset):
            raise InputError(
                f"{dataset.graphs_file}: training.validation_share = {settings.validation_share} "
                f"of {len(dataset)} training graphs leaves none to train on; lower it"
            )
        validation.append(Subset(copy(dataset), sorted(order[:held_out].tolist())))
        train.append(Subset(dataset, sorted(order[held_out:].tolist())))
    return ConcatDataset(train), ConcatDataset(validation)


def _loaders(
    train_set: ConcatDataset,
    validation_set: ConcatDataset,
    settings: TrainingSettings,
    device: torch.device,
    threads: int,
    epoch: int,
) -> tuple[DataLoader | list, DataLoader | list]:
    """Return the batches of one epoch: training graphs in random order, validation graphs."""
    for subset in train_set.datasets:
        subset.dataset.shuffle_neighbours(settings.seed, epoch)
    order = torch_generator(settings.seed, "order", str(epoch))
    workers = threads - 1 if device.type == "cuda" else 0  # on a CPU the network needs them all
    return (
        _loader(train_set, settings, device, workers, order),
        _loader(validation_set, settings, device, workers),
    )


def _loader(
    dataset: ConcatDataset,
    settings: TrainingSettings,
    device: torch.device,
    workers: int,
    order: torch.Generator | None = None,
) -> DataLoader | list:
    if len(dataset) == 0:
        return []
    return DataLoader(
        dataset,
        batch_size=settings.batch_size,
        shuffle=order is not None,
        generator=order,
        num_workers=workers,
        pin_memory=device.type == "cuda",
    )


def _read_datasets(scenes: dict[str, tuple[str, str]]) -> list[GraphDataset]:
    """Return the training graphs of the scenes, checked."""
    datasets = [GraphDataset(*files, "train") for files in scenes.values()]
    _check_graphs(datasets)
    _check_image_sizes(datasets)
    return datasets


def _check_graphs(datasets: list[GraphDataset]) -> None:
    for dataset in datasets:
        if len(dataset) == 0:
            raise InputError(
                f"{dataset.graphs_file}: has no training graphs, expected at least one; graphs "
                "that were imported need their training part too, or take this scene out of the "
                "scenes to train on"
            )


def _check_image_sizes(datasets: list[GraphDataset]) -> None:
    shapes = {dataset.frames.path: dataset.frames.image_shape for dataset in datasets}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{path} {w}x{h}" for path, (h, w) in shapes.items())
        raise InputError(
            f"scenes of different image sizes cannot share a batch: {listed}; train them in "
            "runs of their own (experiments: [single_scene])"
        )


def _digest(weights: str | Path | None) -> str | None:
    if weights is None:
        return None
    with Path(weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _training_key(recipe: list, datasets: list[GraphDataset]) -> str:
    """Return what stands for everything that a training depends on."""
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for dataset in datasets:
        digest.update(dataset.fingerprint().encode())
    return digest.hexdigest()


def _resume(trainer: Trainer, checkpoint: TrainingCheckpoint) -> list[dict[str, float]]:
    """Restore the trainer where there is a state to resume; return the history so far."""
    state = checkpoint.load()
    if state is None:
        return []
    trainer.restore(state["trainer"])
    history = state["history"]
    logger.info("resuming after epoch %d of %d", len(history), trainer.settings.epochs)
    return history


@contextmanager
def _event_writer(folder: str | Path, history: list[dict[str, float]]) -> Iterator[SummaryWriter]:
    """Yield a TensorBoard writer into an emptied folder, after the events of ``history``."""
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(folder) as writer:
        for row in history:
            _write_events(writer, row)
        yield writer


def _write_events(writer: SummaryWriter, row: dict[str, float]) -> None:
    for name, value in row.items():
        if name != "epoch" and math.isfinite(value):
            writer.add_scalar(name.replace("_", "/", 1), value, row["epoch"])


def _log_epoch(row: dict[str, float], epochs: int) -> None:
    logger.info(
        "epoch %d of %d: loss %.3f (translation %.4f m, rotation %.4f), validation %.3f, %.1f s",
        *(row["epoch"] + 1, epochs, row["train_loss"], row["train_translation_loss"]),
        *(row["train_rotation_loss"], row["validation_loss"], row["seconds"]),
    )
