"""One training's model, criterion and optimizer, and a pass over its batches."""

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch_geometric.data import Batch

from .checkpoints import load_backbone
from .datasets import normalise_images
from .losses import RelativePoseCriterion, RelativePoseLoss
from .model import ModelSettings, RelPoseGNN
from .runtime import InputError, derive_seed, torch_generator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingSettings:
    """The training protocol; the defaults are the published 7-Scenes protocol."""

    epochs: int = 40
    batch_size: int = 8
    learning_rate: float = 5e-5
    schedule: str = "step"
    decay_epochs: int = 20
    decay_factor: float = 0.1
    weight_decay: float = 5e-4
    initial_s_t: float = 0.0
    initial_s_q: float = -3.0
    validation_share: float = 0.0
    mixed_precision: bool = True
    seed: int = 0


class Trainer:
    """Model, criterion and optimizer of one training, and one pass over batches.

    Everything random in epoch e is drawn from generators seeded by (seed, purpose, e), so that a
    resumed training ends where an uninterrupted one does.
    """

    def __init__(
        self,
        model_settings: ModelSettings,
        settings: TrainingSettings,
        device: torch.device,
        backbone_weights: str | Path | None = None,
    ) -> None:
        """Build everything at epoch 0."""
        torch.manual_seed(derive_seed(settings.seed, "initial weights"))
        self.settings, self.device = settings, device
        self.model = RelPoseGNN(model_settings)
        if backbone_weights is not None:
            load_backbone(self.model, backbone_weights)
        self.model.to(device)
        self.criterion = RelativePoseCriterion(
            settings.initial_s_t, settings.initial_s_q, model_settings.translation_deviation
        )
        self.criterion.to(device)
        self.optimizer = torch.optim.Adam(
            [*self.model.parameters(), *self.criterion.parameters()],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        # bfloat16 has float32's range: no gradient scaling is needed.
        self.half = settings.mixed_precision and has_bfloat16(device)
        logger.info("training on %s, in %s", device, "bfloat16" if self.half else "float32")

    def run_epoch(
        self, train_loader: Iterable[Batch], validation_loader: Iterable[Batch], epoch: int
    ) -> dict[str, float]:
        """Train and validate once; return the epoch's row of the history."""
        started = time.monotonic()
        return {
            "epoch": epoch,
            "learning_rate": learning_rate_at(self.settings, epoch),
            **self.train_epoch(train_loader, epoch),
            **self.validate(validation_loader, epoch),
            "s_t": self.criterion.s_t.item(),
            "s_q": self.criterion.s_q.item(),
            "seconds": time.monotonic() - started,
        }

    def train_epoch(self, loader: Iterable[Batch], epoch: int) -> dict[str, float]:
        """Pass once over the training batches; return the mean losses."""
        seed = self.settings.seed
        torch.manual_seed(derive_seed(seed, "dropout", str(epoch)))
        edge_generator = torch_generator(seed, "edge dropout", str(epoch))
        self.model.train()
        losses = []
        for step, batch in enumerate(loader):
            self._set_learning_rate(epoch + step / len(loader))
            loss = self._loss(batch, edge_generator)
            self.optimizer.zero_grad(set_to_none=True)
            loss.total.backward()
            self.optimizer.step()
            losses.append(torch.stack(loss).detach())
        return _mean_losses("train", losses, epoch)

    @torch.no_grad()
    def validate(self, loader: Iterable[Batch], epoch: int) -> dict[str, float]:
        """Return the mean losses over validation batches; NaN where there are none."""
        self.model.eval()
        return _mean_losses("validation", [torch.stack(self._loss(b)) for b in loader], epoch)

    def state(self) -> dict:
        """Return all that resuming needs."""
        return {
            "model": self.model.state_dict(),
            "criterion": self.criterion.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict) -> None:
        """Go back to a state returned by ``state``."""
        self.model.load_state_dict(state["model"])
        self.criterion.load_state_dict(state["criterion"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _loss(
        self, batch: Batch, edge_generator: torch.Generator | None = None
    ) -> RelativePoseLoss:
        batch = batch.to(self.device, non_blocking=True)
        images = normalise_images(
            batch.images, batch.mean[batch.batch], batch.deviation[batch.batch]
        )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            estimates = self.model(images, batch.edge_index, batch.batch, edge_generator)
        return self.criterion(estimates.relative, batch.poses, estimates.edge_index)

    def _set_learning_rate(self, epochs_done: float) -> None:
        rate = learning_rate_at(self.settings, epochs_done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 by itself, faster than in float32."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def learning_rate_at(settings: TrainingSettings, epochs_done: float) -> float:
    """Return Adam's step size after ``epochs_done`` epochs (a fraction inside an epoch)."""
    if settings.schedule == "step":
        decays = math.floor(epochs_done) // settings.decay_epochs
        return settings.learning_rate * settings.decay_factor**decays
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * epochs_done / settings.epochs))


def _mean_losses(prefix: str, losses: list[torch.Tensor], epoch: int) -> dict[str, float]:
    # The mean over batches, as the optimizer saw them: a short last batch counts as a full one.
    mean = torch.stack(losses).mean(dim=0).tolist() if losses else [math.nan] * 3
    if losses and not all(map(math.isfinite, mean)):
        raise InputError(
            f"epoch {epoch}: the {prefix} loss is {mean[0]}, expected a finite number; lower "
            "training.learning_rate"
        )
    names = (f"{prefix}_loss", f"{prefix}_translation_loss", f"{prefix}_rotation_loss")
    return dict(zip(names, mean, strict=True))
