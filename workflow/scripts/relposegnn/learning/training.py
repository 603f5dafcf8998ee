"""Training of one model, from settings to files (paper, section 4).

All random numbers of epoch e come from generators seeded by (seed, purpose, e), so that a resumed
training ends where an uninterrupted one does.
"""

import hashlib
import logging
import math
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import distributed, nn
from torch.optim import Adam
from torch.utils.data import ConcatDataset, Dataset, Subset
from torch.utils.tensorboard import SummaryWriter
from torch_geometric.loader import DataLoader
from tqdm import tqdm

from ..data.scene_files import SceneFiles
from ..locks import sole_user
from ..network.checkpoints import restore_state, save_model, save_state
from ..network.model_settings import MATCH_FIELD, ModelSettings
from ..network.networks import build_network
from ..processes import process_count, process_index
from ..runtime import (
    InputError,
    atomic_path,
    derive_seed,
    disk_errors_named,
    repeatable,
    torch_generator,
)
from ..split_batches import averaged, in_parts, with_averaged_gradients
from .datasets import batches, read_training_graphs, shuffled_batches
from .learner import Learner
from .training_settings import TrainingSettings

logger = logging.getLogger(__name__)

KNOWN_GRAPHS = 256  # at most so many training graphs give the known features


class TrainingOutputs(NamedTuple):
    """What a training writes.

    Attributes:
        model: file, see ``checkpoints.save_model``.
        history: CSV file with one row per epoch.
        tensorboard: folder with the same curves for TensorBoard.
    """

    model: str | Path
    history: str | Path
    tensorboard: str | Path


def train_model(
    scenes: dict[str, SceneFiles],
    outputs: TrainingOutputs,
    model_settings: ModelSettings,
    settings: TrainingSettings,
    device: torch.device,
    code_digest: str = "",
    backbone_weights: str | Path | None = None,
) -> None:
    """Train one model on the graphs of ``scenes``, by name.

    ``backbone_weights`` are torchvision's of ImageNet. A killed training resumes after its last
    complete epoch if settings, data and ``code_digest`` are the same. If another process is
    training this model, its end is waited for. Inside ``processes.process_group``, all processes
    train together, and the first one writes.

    Raises:
        InputError: the scenes cannot be trained on together, their graphs make no full batch, a
            batch cannot be split over the processes, or the loss is not finite.
    """
    with _sole_training(outputs.model), repeatable(device):
        train_set, validation_set = read_training_graphs(
            scenes, model_settings.pose, model_settings.positions
        )
        _check_batches(settings, len(train_set), scenes)

        torch.manual_seed(derive_seed(settings.seed, "initial weights"))
        network = build_network(model_settings, train_set.datasets[0].maps, backbone_weights)
        learner = Learner(network, settings, device)
        optimizer = Adam(learner.parameters(), weight_decay=settings.weight_decay, fused=True)

        graphs = [*train_set.datasets, *validation_set.datasets]
        data = [_digest(backbone_weights), *(dataset.fingerprint() for dataset in graphs)]
        key = repr([model_settings, settings, code_digest, data])
        # Unknown to Snakemake, which therefore does not delete it when a training is killed.
        state_file = Path(f"{outputs.model}.ckpt", "last.pt")
        sets, saved = (train_set, validation_set), (state_file, key)
        history = _train_epochs(learner, optimizer, sets, settings, saved, outputs.tensorboard)
        if process_index():
            return
        with atomic_path(outputs.history) as unfinished:
            # Seconds differ each time; they are only in the log and in TensorBoard's events.
            pd.DataFrame(history).drop(columns="seconds").to_csv(unfinished, index=False)
        if model_settings.edges == MATCH_FIELD:  # the other kind keeps to published checkpoints
            _know_features(learner, train_set, settings)
        save_model(outputs.model, learner.model, settings.epochs - 1, list(scenes))
        shutil.rmtree(state_file.parent, ignore_errors=True)


def _train_epochs(
    learner: Learner,
    optimizer: Adam,
    sets: tuple[Dataset, Dataset],
    settings: TrainingSettings,
    saved: tuple[Path, str],
    tensorboard: str | Path,
) -> list[dict[str, float]]:
    """Train the epochs that are left; return the history of all epochs.

    Args:
        learner: to be trained.
        optimizer: of its weights.
        sets: training and validation graphs.
        settings: of the training.
        saved: file of the state after the last complete epoch, and the key that the state has to
            have to be resumed.
        tensorboard: folder of events.
    """
    history = restore_state(*saved, learner=learner, optimizer=optimizer)
    if history:
        logger.info("resuming after epoch %d of %d", len(history), settings.epochs)
    trained, first, device = with_averaged_gradients(learner), process_index() == 0, learner.device
    with _event_writer(tensorboard, history) if first else nullcontext() as writer:
        epochs = range(len(history), settings.epochs)
        for epoch in tqdm(epochs, "epochs", disable=None if first else True):
            started = time.monotonic()
            loader = shuffled_batches(sets[0], settings, device, epoch)
            row = {"epoch": epoch, "learning_rate": learning_rate_at(settings, epoch)}
            row |= train_epoch(trained, optimizer, loader, settings, epoch)
            row |= validate(learner, batches(sets[1], settings.batch_size, device), epoch)
            row |= {"s_t": learner.criterion.s_t.item(), "s_q": learner.criterion.s_q.item()}
            history.append(row | {"seconds": time.monotonic() - started})
            if first:
                _write_events(writer, history[-1])
                save_state(*saved, history, learner=learner, optimizer=optimizer)
            _log_epoch(history[-1], settings.epochs)
    return history


def train_epoch(
    learner: nn.Module, optimizer: Adam, loader: DataLoader, settings: TrainingSettings, epoch: int
) -> dict[str, float]:
    """Train on each batch once; return the mean losses."""
    torch.manual_seed(derive_seed(settings.seed, "dropout", str(epoch)))
    edge_generator = torch_generator(settings.seed, "edge dropout", str(epoch))
    learner.train()
    losses = []
    for step, batch in enumerate(in_parts(loader)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(settings, epoch + step / len(loader))
        loss = learner(batch, edge_generator)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        optimizer.step()
        losses.append(torch.stack(loss).detach())
    return _mean_losses("train", losses, epoch)


@torch.no_grad()
def validate(learner: Learner, loader: DataLoader, epoch: int) -> dict[str, float]:
    """Return the mean losses over validation batches; NaN if there are none."""
    learner.eval()
    losses = [torch.stack(learner(batch)) for batch in in_parts(loader)]
    return _mean_losses("validation", losses, epoch)


def _know_features(learner: Learner, graphs: ConcatDataset, settings: TrainingSettings) -> None:
    """Let the network learn its known features from evenly spread training graphs."""
    for dataset in graphs.datasets:  # the same order of neighbours as in a resumed training
        dataset.shuffle_neighbours(settings.seed, 0)
    chosen = torch.linspace(0, len(graphs) - 1, min(len(graphs), KNOWN_GRAPHS)).long().tolist()
    learner.eval()
    loader = DataLoader(Subset(graphs, chosen), batch_size=settings.batch_size)
    features = torch.cat([learner.query_features(batch).cpu() for batch in loader])
    learner.model.add_known().learn(features)


def learning_rate_at(settings: TrainingSettings, epochs_done: float) -> float:
    """Return Adam's step size after ``epochs_done`` epochs (a fraction inside an epoch)."""
    if settings.schedule == "step":
        decays = math.floor(epochs_done) // settings.decay_epochs
        return settings.learning_rate * settings.decay_factor**decays
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * epochs_done / settings.epochs))


def _mean_losses(prefix: str, losses: list[torch.Tensor], epoch: int) -> dict[str, float]:
    # The mean over batches, as for the optimizer: a short last batch counts as much as a full one.
    mean = averaged(torch.stack(losses)).mean(dim=0).tolist() if losses else [math.nan] * 3
    if losses and not all(map(math.isfinite, mean)):
        raise InputError(
            f"epoch {epoch}: the {prefix} loss is {mean[0]}, expected a finite number; lower "
            "training.learning_rate"
        )
    names = (f"{prefix}_loss", f"{prefix}_translation_loss", f"{prefix}_rotation_loss")
    return dict(zip(names, mean, strict=True))


def _check_batches(settings: TrainingSettings, graphs: int, scenes: Iterable[str]) -> None:
    """Check that there is a full batch, and that batches can be split over the processes.

    Raises:
        InputError: one of these does not hold.
    """
    if settings.drop_last_batch and graphs < settings.batch_size:
        raise InputError(
            f"{', '.join(scenes)}: {graphs} training graphs make no full batch of "
            f"training.batch_size = {settings.batch_size}, and training.drop_last_batch drops "
            "incomplete batches; lower the former or turn off the latter"
        )
    if settings.batch_size % process_count():
        raise InputError(
            f"training.batch_size = {settings.batch_size} graphs cannot be split evenly over "
            f"{process_count()} processes, expected a multiple; train on another number of GPUs "
            "(resource gpu of train_model) or change the batch size, which changes the result"
        )


@contextmanager
def _sole_training(model_file: str | Path) -> Iterator[None]:
    """Be the only training of a model: two would resume and remove each other's state."""
    model_file = Path(model_file)
    model_file.parent.mkdir(parents=True, exist_ok=True)
    lock_file = model_file.with_name(f".{model_file.name}.lock")
    first = process_index() == 0
    with sole_user(lock_file, str(model_file)) if first else nullcontext():
        if process_count() > 1:
            distributed.barrier()  # the others wait for the first one's lock
        yield


def _digest(weights: str | Path | None) -> str | None:
    if weights is None:
        return None
    with Path(weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _event_writer(folder: str | Path, history: list[dict[str, float]]) -> Iterator[SummaryWriter]:
    """Yield a TensorBoard writer to an emptied folder that already holds ``history``."""
    shutil.rmtree(folder, ignore_errors=True)
    with disk_errors_named(folder), SummaryWriter(folder) as writer:
        for row in history:
            _write_events(writer, row)
        yield writer


def _write_events(writer: SummaryWriter, row: dict[str, float]) -> None:
    for name, value in row.items():
        if name != "epoch" and math.isfinite(value):
            writer.add_scalar(name.replace("_", "/", 1), value, row["epoch"])


def _log_epoch(row: dict[str, float], epochs: int) -> None:
    held_out = math.isfinite(row["validation_loss"])
    validation = f"validation {row['validation_loss']:.3f}" if held_out else "no validation frames"
    logger.info(
        "epoch %d of %d: loss %.3f (translation %.4f m, rotation %.4f), %s, %.1f s",
        *(row["epoch"] + 1, epochs, row["train_loss"], row["train_translation_loss"]),
        *(row["train_rotation_loss"], validation, row["seconds"]),
    )
