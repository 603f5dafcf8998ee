"""Cells of images of noise on a small grid, and their match fields."""

import torch
from torch.nn.functional import normalize

from relposegnn.network.match_fields import Cells, MatchFields, cell_positions, match_fields

GRID = (6, 8)


def random_cells(images: int = 5, channels: int = 12, grid: tuple[int, int] = GRID) -> Cells:
    """Return the cells of images of noise."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(images, channels, grid[0] * grid[1], generator=generator)
    return Cells(maps, normalize(maps, dim=1), torch.ones(images, 2), maps.mean(dim=2))


def fields_of(first: torch.Tensor, second: torch.Tensor) -> MatchFields:
    """Return the fields of images on the grid, in half widths."""
    positions = cell_positions(*GRID)
    return match_fields(first, second, positions, positions)
