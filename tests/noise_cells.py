"""Images of noise on a small grid, and their match fields."""

import torch

from relposegnn.network.match_fields import (
    MatchFields,
    Views,
    cell_positions,
    describe_cells,
    match_fields,
)

GRID = (6, 8)


def random_views(images: int = 5, channels: int = 12, grid: tuple[int, int] = GRID) -> Views:
    """Return images of noise, of a fine map alone."""
    generator = torch.Generator().manual_seed(0)
    fine = torch.randn(images, channels, *grid, generator=generator)
    return Views(fine, fine[:, :0], torch.ones(images, 2))


def random_descriptors(images: int = 5) -> torch.Tensor:
    """Return the descriptors (images, 12, 48) of the cells of images of noise."""
    return describe_cells(*random_views(images)[:2])[1]


def fields_of(first: torch.Tensor, second: torch.Tensor) -> MatchFields:
    """Return the fields of images on the grid, in half widths."""
    positions = cell_positions(*GRID)
    return match_fields(first, second, positions, positions)
