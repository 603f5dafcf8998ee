"""The network whose edges start from the match field of their two images."""

from torch import Tensor, nn
from torch.nn.functional import relu

from .match_fields import Cells, MatchFieldEdge, Views
from .model_settings import ModelSettings
from .pose_network import PoseNetwork


class MatchFieldGNN(PoseNetwork):
    """A network whose edges see both images: they start from match fields of frozen features."""

    def __init__(self, settings: ModelSettings, channels: int, grid: tuple[int, int]) -> None:
        """Build the network for features of ``channels`` in ``grid`` = (rows, columns) of cells."""
        super().__init__(settings)
        self.maps = {"channels": channels, "grid": list(grid)}
        if settings.iterations or settings.knn:
            self.node_projection = nn.Linear(channels, settings.width)
        self.match = MatchFieldEdge(channels, grid, settings.width, settings.rotation_from_field)

    def encode(self, seen: Views) -> Cells:
        """Return the cells of images."""
        return self.match.look(seen)

    def node_features(self, features: Cells) -> Tensor | None:
        """Return a projection of each image's mean over its cells; None if nothing reads it."""
        if not (self.settings.iterations or self.settings.knn):
            return None
        return relu(self.node_projection(features.means))

    def edge_features(self, features: Cells, edge_index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the features of the edges' match fields, see ``MatchFieldEdge``."""
        return self.match(features, edge_index)
