"""Maps of images that are read, and turned into cells, when a graph needs them.

Those of a whole scene do not fit into memory: they take 0.2 MB per image.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from .match_fields import Cells, Views
from .pose_network import PoseNetwork


class StoredMaps(NamedTuple):
    """Maps of some images, with their scales, read on demand.

    Attributes:
        read: returns the views of the images of rows (n) below ``count``.
        count: of the images.
    """

    read: Callable[[np.ndarray], Views]
    count: int

    def __len__(self) -> int:
        """Return the number of images."""
        return self.count


class CellsOfRows:
    """Cells of images by row, computed on demand from their maps: queries, then database images.

    ``database`` returns the cells of database images by their rows, from 0.
    """

    def __init__(
        self,
        model: PoseNetwork,
        device: torch.device,
        queries: StoredMaps,
        database: Callable[[np.ndarray], list[Cells]],
    ) -> None:
        self.model, self.device = model, device
        self.queries, self.database = queries, database

    def __getitem__(self, rows: torch.Tensor) -> Cells:
        """Return the cells of rows (n), repeats allowed; each distinct one is read once."""
        distinct, place = np.unique(rows.cpu().numpy(), return_inverse=True)
        count = len(self.queries)
        views = self.queries.read(distinct[distinct < count])
        own = self.model.encode(Views(*(each.to(self.device) for each in views)))
        images = one_by_one(own) + self.database(distinct[distinct >= count] - count)
        # Copies each array once: 2 MB for a photo and its neighbours.
        return Cells(*(torch.cat(each) for each in zip(*(images[i] for i in place), strict=True)))


def one_by_one(cells: Cells) -> list[Cells]:
    """Return the cells (1, ...) of each of N images, without copying."""
    return [Cells(*each) for each in zip(*(part.split(1) for part in cells), strict=True)]
