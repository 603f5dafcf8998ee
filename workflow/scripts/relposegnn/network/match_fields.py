"""Match fields: where each cell of one image lies in another, by frozen features; edge features.

All cells of one image are compared with all cells of the other, and a softmax over the similarities
gives each cell an expected position there. None of this is learned. A small network turns the field
into the feature of an edge.

Dimensions in tensor names: N images, P pairs of images, E edges, K channels of a cell, M = h w
cells of an image, A learned channels, C feature width. Positions are in half widths of an image,
from its middle, x to the right and y down, multiplied by the image's scales, see ``positions``.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

TEMPERATURE = 15.0  # factor of cosine similarities in the softmax
FINE_SHARE = 0.7  # weight of the fine map in a descriptor; that of the coarse map is 1
FIELD_CHANNELS = 10  # of a match field
APPEARANCE = 16  # learned channels of a cell's appearance
HIDDEN = 64  # channels of the network on a field
CONVOLUTIONS = 2  # of that network, 3x3 with stride 2


class Views(NamedTuple):
    """Images as the input of a network with match fields.

    Attributes:
        fine: (N, C8, h, w) channels of mean 0 and deviation 1, from ``FeatureMaps``.
        coarse: (N, C16, h', w') likewise; C16 = 0 for an encoder of one stride.
        scales: (N, 2) of the positions x and y of their cells, see ``positions``.
    """

    fine: Tensor
    coarse: Tensor
    scales: Tensor


class Cells(NamedTuple):
    """The cells of images, row by row: what all edges of an image share.

    Attributes:
        appearance: (N, A, M) learned channels, a sixteenth of the numbers of the maps.
        descriptors: (N, K, M) unit vectors to compare cells by.
        scales: (N, 2) of their positions.
        means: (N, K) of the maps' channels.
    """

    appearance: Tensor
    descriptors: Tensor
    scales: Tensor
    means: Tensor


class MatchFields(NamedTuple):
    """Both directions of some pairs of images, from one matrix product.

    Attributes:
        there: (P, 10, M) channels of the field of the first image's cells in the second.
        back: (P, 10, M) of the second image's cells in the first.
        weights: (P, M, M) of first and second cells: the softmax of both directions, unnormalised.
        totals_there: (P, 1, M) sums of the weights of each first cell.
        totals_back: (P, 1, M) of each second cell.
    """

    there: Tensor
    back: Tensor
    weights: Tensor
    totals_there: Tensor
    totals_back: Tensor


def cell_positions(height: int, width: int) -> Tensor:
    """Return the positions (M, 2) of the centres of an image's cells, x and y, in half widths.

    Always on the CPU, even if the network is built on torch's meta device: no file holds them.
    """
    x = (torch.arange(width, device="cpu") + 0.5) * 2 / width - 1
    y = ((torch.arange(height, device="cpu") + 0.5) * 2 / height - 1) * (height / width)
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows], dim=2).flatten(0, 1)


def describe_cells(fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
    """Return the channels (N, K, M) of images' cells, and their descriptors (N, K, M).

    Cells are those of the fine map, to which the coarse map is interpolated. A descriptor holds
    both maps, each normalised, the fine one weighted by ``FINE_SHARE``. Maps are as in ``Views``.
    """
    if coarse.shape[1]:
        size = fine.shape[2:]
        coarse = interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    else:
        coarse = fine[:, :0]
    fine, coarse = fine.flatten(2), coarse.flatten(2)
    parts = [FINE_SHARE * normalize(fine, dim=1), normalize(coarse, dim=1)]
    return torch.cat([fine, coarse], dim=1), normalize(torch.cat(parts, dim=1), dim=1)


def unordered_pairs(edge_index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pairs of nodes that edges (2, E), of one or both directions, connect.

    Each pair is compared once.

    Returns:
        first (P,), the nodes of lower index; second (P,), the others; row (E,) of each edge among
        the 2 P directions: P from first to second, then P back.
    """
    low, high = edge_index.amin(dim=0), edge_index.amax(dim=0)
    count = high.max() + 1
    pairs, pair_of_edge = (low * count + high).unique(return_inverse=True)
    back = edge_index[0] > edge_index[1]
    return pairs // count, pairs % count, pair_of_edge + back * len(pairs)


def rows_of(values: Tensor, rows: Tensor) -> Tensor:
    """Return rows (P, ...) of values (N, ...); a view if possible, as for a single query."""
    if values.is_cuda or len(rows) == 0:
        return values[rows]  # reading rows would wait for the GPU
    start, steps = int(rows[0]), rows.diff()
    if not steps.any():
        return values[start : start + 1].expand(len(rows), *values.shape[1:])
    return values[start : start + len(rows)] if (steps == 1).all() else values[rows]


@torch.no_grad()
def match_fields(
    first_PKM: Tensor, second_PKM: Tensor, first_positions: Tensor, second_positions: Tensor
) -> MatchFields:
    """Compare all cells of pairs of images; no gradient passes.

    The channels of a field, for a cell at p with the expected position q in the other image: x and
    y of 5 (q - p), of q, and of p; the best cosine similarity - 1; 3 times the largest softmax
    weight; 3 times the sum over the other cells of the weight there times the weight back, a sum
    that is 1 if two cells choose only each other; 3 times the root mean square distance from q
    under the softmax, - 1.

    Args:
        first_PKM: (P, K, M) unit descriptors of the first images' cells.
        second_PKM: (P, K, M) of the second images' cells.
        first_positions: (P, M, 2) of the first images' cells, or (M, 2) if all are the same.
        second_positions: of the second images' cells.
    """
    with torch.autocast(first_PKM.device.type, enabled=False):
        first_PKM, second_PKM = first_PKM.float(), second_PKM.float()
        first_P2M, second_P2M = (
            positions.mT.float().expand(len(first_PKM), -1, -1)
            for positions in (first_positions, second_positions)
        )
        # exp(temperature (cosine - 1)) is at most 1: no maximum has to be subtracted.
        offset = first_PKM.new_full((1, 1, 1), -TEMPERATURE)
        weights_PMM = torch.baddbmm(offset, first_PKM.mT, second_PKM, alpha=TEMPERATURE).exp_()
        # Few rows times a matrix is several times faster on a CPU than a matrix times few columns.
        sums_there = torch.bmm(_moments(second_P2M), weights_PMM.mT)
        sums_back = torch.bmm(_moments(first_P2M), weights_PMM)
        squares_PMM = weights_PMM.square()
        mutual_there = torch.bmm(1 / sums_back[:, :1], squares_PMM.mT)
        mutual_back = torch.bmm(1 / sums_there[:, :1], squares_PMM)
        there = _channels(first_P2M, sums_there, weights_PMM.amax(dim=2), mutual_there)
        back = _channels(second_P2M, sums_back, weights_PMM.amax(dim=1), mutual_back)
        return MatchFields(there, back, weights_PMM, sums_there[:, :1], sums_back[:, :1])


def follow_fields(
    fields: MatchFields, first_PAM: Tensor, second_PAM: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the other image's channels at the positions that the fields point to.

    Gradients pass to the channels.

    Args:
        fields: of P pairs.
        first_PAM: (P, A, M) any channels of the first images' cells.
        second_PAM: (P, A, M) of the second images' cells.

    Returns:
        (P, A, M) of the second images for the first images' cells; (P, A, M) the other way round.
    """
    weights_PMM = fields.weights
    with torch.autocast(weights_PMM.device.type, enabled=False):
        there = torch.bmm(second_PAM.float(), weights_PMM.mT) / fields.totals_there
        back = torch.bmm(first_PAM.float(), weights_PMM) / fields.totals_back
    return there, back


class MatchFieldEdge(nn.Module):
    """Edge features from match fields, and from the appearance of matched cells."""

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int],
        width: int,
        rotation_from_field: bool,
    ) -> None:
        """Build the layers with random weights, drawn from torch's global generator.

        Args:
            channels: K, of the fine and the coarse map together.
            grid: (h, w) cells of an image.
            width: C, length of an edge's feature.
            rotation_from_field: whether rotations get a feature of their own, from the field alone:
                what appearance tells of them does not hold in other places.
        """
        super().__init__()
        self.appearance = nn.Conv1d(channels, APPEARANCE, 1)
        inputs = FIELD_CHANNELS + 2 * APPEARANCE
        self.edge_network = _field_network(inputs, grid, width)
        self.rotation_network = None
        if rotation_from_field:
            self.rotation_network = _field_network(FIELD_CHANNELS, grid, width)
        self.register_buffer("positions", cell_positions(*grid), persistent=False)

    def look(self, views: Views) -> Cells:
        """Return the cells of images."""
        fine, coarse, scales = views
        maps, descriptors = describe_cells(fine, coarse)
        return Cells(self.appearance(maps), descriptors, scales, maps.mean(dim=2))

    def forward(self, cells: Cells, edge_index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the features (E, C) of edges, and of rotations if these have their own.

        Args:
            cells: of N images.
            edge_index: (2, E) source and target. An edge's feature does not depend on the order of
                the edges, nor on whether its opposite is among them.
        """
        first, second, row = unordered_pairs(edge_index)
        positions_NM2 = self.positions * cells.scales[:, None]
        fields = match_fields(
            *(rows_of(cells.descriptors, first), rows_of(cells.descriptors, second)),
            *(positions_NM2[first], positions_NM2[second]),
        )
        own_NAM = cells.appearance
        source = torch.cat([own_NAM[first], own_NAM[second]])[row]
        target = torch.cat(follow_fields(fields, own_NAM[first], own_NAM[second]))[row]
        field = torch.cat([fields.there, fields.back])[row]
        edges_EC = self.edge_network(torch.cat([field, source, target], dim=1))
        if self.rotation_network is None:
            return edges_EC, None
        return edges_EC, self.rotation_network(field)


def _moments(positions_P2M: Tensor) -> Tensor:
    """Return 1, x, y and x^2 + y^2 (P, 4, M) of positions."""
    squares = positions_P2M.square().sum(dim=1, keepdim=True)
    return torch.cat([torch.ones_like(squares), positions_P2M, squares], dim=1)


def _channels(own_P2M: Tensor, sums_P4M: Tensor, peak_PM: Tensor, mutual_P1M: Tensor) -> Tensor:
    """Return a field's channels (P, 10, M) from sums over the other image's cells.

    Args:
        own_P2M: positions of the cells themselves.
        sums_P4M: of the weights times 1, x, y and x^2 + y^2 of the other cells.
        peak_PM: largest unnormalised weight.
        mutual_P1M: sum of squared weights, each divided by the other cell's sum of weights.
    """
    total_P1M, peak_P1M = sums_P4M[:, :1], peak_PM[:, None]
    expected_P2M = sums_P4M[:, 1:3] / total_P1M
    variance_P1M = sums_P4M[:, 3:] / total_P1M - expected_P2M.square().sum(dim=1, keepdim=True)
    parts = [
        5 * (expected_P2M - own_P2M),
        expected_P2M,
        own_P2M,
        peak_P1M.log() / TEMPERATURE,
        3 * peak_P1M / total_P1M,
        3 * mutual_P1M / total_P1M,
        3 * variance_P1M.clamp(min=0).sqrt() - 1,
    ]
    return torch.cat(parts, dim=1)


def _field_network(channels: int, grid: tuple[int, int], width: int) -> nn.Sequential:
    """Return a network from the channels of cells (E, channels, M) to features (E, width)."""
    layers = [nn.Unflatten(2, grid), nn.Conv2d(channels, HIDDEN, 1), nn.ReLU()]
    height, columns = grid
    for _ in range(CONVOLUTIONS):
        layers += [nn.Conv2d(HIDDEN, HIDDEN, 3, stride=2, padding=1), nn.ReLU()]
        height, columns = (height + 1) // 2, (columns + 1) // 2
    last = nn.Linear(HIDDEN * height * columns, width)
    return nn.Sequential(*layers, nn.Flatten(), last, nn.ReLU())
