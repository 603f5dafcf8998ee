"""What is trained: the network and the loss together (paper, section 4)."""

import logging

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from ..network.match_fields import Views
from ..network.pose_network import PoseNetwork, joined
from ..network.scene_images import normalise_images
from ..split_batches import weighted_by_rows
from .datasets import true_relative
from .losses import RelativePoseCriterion, RelativePoseLoss
from .training_settings import TrainingSettings

logger = logging.getLogger(__name__)


class Learner(nn.Module):
    """The network, and the loss whose weights are learned together with it."""

    def __init__(
        self, model: PoseNetwork, settings: TrainingSettings, device: torch.device
    ) -> None:
        """Move the network and the loss to ``device``."""
        super().__init__()
        self.model = model
        self.criterion = RelativePoseCriterion(
            settings.initial_s_t, settings.initial_s_q, model.settings.translation_deviation
        )
        self.to(device)
        # Only if the GPU supports bfloat16 natively. It has float32's range: no gradient scaling.
        able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        self.half = settings.mixed_precision and able
        logger.info("training on %s, in %s", device, "bfloat16" if self.half else "float32")

    @property
    def device(self) -> torch.device:
        """Return the device of network and loss."""
        return self.criterion.s_t.device

    def forward(
        self, batch: Batch, edge_generator: torch.Generator | None = None
    ) -> RelativePoseLoss:
        """Return the loss of a batch of graphs; ``edge_generator`` draws the edge dropout."""
        batch = batch.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            estimates = self.model(_seen(batch), batch.edge_index, batch.batch, edge_generator)
        edges = estimates.edge_index
        loss = self.criterion(estimates.relative, true_relative(batch, edges))
        return weighted_by_rows(loss, edges.shape[1])

    @torch.no_grad()
    def query_features(self, batch: Batch) -> Tensor:
        """Return the features (E, D) of the edges into and out of the queries of graphs."""
        batch = batch.to(self.device, non_blocking=True)
        queries = torch.zeros(len(batch.batch), dtype=torch.bool, device=self.device)
        queries[batch.ptr[:-1]] = True
        cells = self.model.encode(_seen(batch))
        graphs = batch.edge_index, batch.batch, queries
        return joined(*self.model.edges_at(cells, *graphs, both_directions=True)[1:])


def _seen(batch: Batch) -> Tensor | Views:
    """Return the network's input for the images of graphs."""
    if "fine" in batch:
        return Views(batch.fine, batch.coarse, batch.scales)
    return normalise_images(batch.images, batch.mean[batch.batch], batch.deviation[batch.batch])
