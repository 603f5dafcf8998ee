"""Edges of match fields: what a layer makes of pairs of images, what reaches it, what it learns."""

import numpy as np
import pytest
import torch
from noise_cells import GRID, fields_of, random_descriptors, random_views

from relposegnn.network.edges import complete_edges
from relposegnn.network.match_fields import (
    Cells,
    MatchFieldEdge,
    Views,
    cell_positions,
    follow_fields,
    match_fields,
    unordered_pairs,
)


def edge_layer(
    channels: int = 12, width: int = 10, rotation_from_field: bool = False
) -> MatchFieldEdge:
    """Return a small layer with seeded weights."""
    torch.manual_seed(0)
    return MatchFieldEdge(channels, GRID, width, rotation_from_field)


def test_edges_are_pairs_and_back():
    rng = np.random.default_rng(0)
    everything = np.concatenate([complete_edges(6), complete_edges(4) + 6], axis=1)
    for count in (1, 2, 7, 20, everything.shape[1]):
        edge_index = torch.from_numpy(rng.permutation(everything.T)[:count].T.copy())
        first, second, row = unordered_pairs(edge_index)
        pairs = list(zip(first.tolist(), second.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs)
        assert set(pairs) == {tuple(sorted(edge)) for edge in edge_index.T.tolist()}
        directions = torch.cat([torch.stack([first, second]), torch.stack([second, first])], dim=1)
        assert torch.equal(directions[:, row], edge_index)


def outputs(layer, cells, edge_index):
    """Return the features of edges, and of rotations where they have their own."""
    return [each for each in layer(cells, edge_index) if each is not None]


@pytest.mark.parametrize("rotation_from_field", [False, True])
def test_an_edge_does_not_see_the_others(rotation_from_field):
    """In any order, with their opposites or without, by any numbering of the images."""
    layer = edge_layer(rotation_from_field=rotation_from_field)
    cells, edge_index = layer.look(random_views()), torch.from_numpy(complete_edges(5))
    expected = outputs(layer, cells, edge_index)
    assert len(expected) == 1 + rotation_from_field
    assert expected[0].std() > 0
    rng = np.random.default_rng(0)
    chosen = torch.from_numpy(rng.permutation(20)[:9])
    number = torch.from_numpy(rng.permutation(5))  # the new number of each image
    renumbered = Cells(*(part[number.argsort()] for part in cells))
    for found in (
        outputs(layer, cells, edge_index[:, chosen]),
        outputs(layer, renumbered, number[edge_index[:, chosen]]),
    ):
        for part, whole in zip(found, expected, strict=True):
            torch.testing.assert_close(part, whole[chosen], atol=1e-5, rtol=1e-4)


def test_opposite_edges_differ():
    layer = edge_layer()
    there, back = layer(layer.look(random_views(2)), torch.tensor([[0, 1], [1, 0]]))[0]
    assert (there - back).abs().max() > 1e-3


def test_rotations_may_see_the_field_alone():
    layer = edge_layer(rotation_from_field=True)
    cells = layer.look(random_views())
    repainted = cells._replace(appearance=cells.appearance.flip(1))
    edge_index = torch.tensor([[0, 1, 2], [1, 2, 0]])
    translation, rotation = layer(cells, edge_index)
    other_translation, other_rotation = layer(repainted, edge_index)
    assert torch.equal(rotation, other_rotation)
    assert (translation - other_translation).abs().max() > 1e-3
    assert edge_layer()(cells, edge_index)[1] is None


def test_positions_have_the_scale_of_each_image():
    layer, edge_index = edge_layer(), torch.tensor([[0, 1], [1, 0]])
    cells = layer.look(random_views(2))
    expected = layer(cells, edge_index)[0]
    cells.scales[1] = torch.tensor([0.7, 0.6])
    found = layer(cells, edge_index)[0]
    positions = cell_positions(*GRID) * cells.scales[:, None]
    fields = match_fields(*cells.descriptors[:, None], *positions)
    own = cells.appearance
    for row, field, source, target in (
        (0, fields.there, own[:1], follow_fields(fields, own[:1], own[1:])[0]),
        (1, fields.back, own[1:], follow_fields(fields, own[:1], own[1:])[1]),
    ):
        wanted = layer.edge_network(torch.cat([field, source, target], dim=1))
        torch.testing.assert_close(found[[row]], wanted)
    assert (found - expected).abs().max() > 1e-3


@pytest.mark.parametrize("rotation_from_field", [False, True])
def test_gradients_reach_what_is_learned_and_nothing_else(rotation_from_field):
    layer = edge_layer(rotation_from_field=rotation_from_field)
    cells = layer.look(random_views())
    cells.descriptors.requires_grad_()
    features = outputs(layer, cells, torch.from_numpy(complete_edges(5)))
    sum(each.square().sum() for each in features).backward()
    assert cells.descriptors.grad is None
    for name, parameter in layer.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_gradient_of_the_learned_channels_is_the_numeric_one():
    fields = fields_of(*random_descriptors(2)[:, None])
    values = torch.randn(2, 1, 2, 48, generator=torch.Generator().manual_seed(0))
    for place in (0, 1):
        moved = values.clone().requires_grad_()
        follow_fields(fields, *moved)[1 - place].square().sum().backward()
        step = torch.zeros_like(values)
        step[place, 0, 1, 7] = 1e-2
        higher, lower = (
            follow_fields(fields, *(values + sign * step))[1 - place].square().sum()
            for sign in (1, -1)
        )
        numeric = (higher - lower) / 2e-2
        torch.testing.assert_close(moved.grad[place, 0, 1, 7], numeric, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("grid", [(16, 22), (16, 28), (5, 7), (1, 3)])
def test_images_of_any_size(grid):
    layer = MatchFieldEdge(4, grid, 10, rotation_from_field=True)
    features = layer(layer.look(random_views(3, 4, grid)), torch.tensor([[0, 2], [1, 0]]))
    assert [part.shape for part in features] == [(2, 10), (2, 10)]
    assert all(part.isfinite().all() for part in features)


def test_motion_can_be_learned():
    """How far the second image is shifted, by regression on edges that training has not seen."""
    torch.manual_seed(0)
    layer, head = MatchFieldEdge(12, GRID, 16, rotation_from_field=False), torch.nn.Linear(16, 2)
    optimiser = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=3e-3)
    rng = np.random.default_rng(0)

    def batch() -> tuple[Views, torch.Tensor]:
        shifts = rng.integers(-2, 3, (8, 2))
        content = torch.from_numpy(rng.standard_normal((8, 12, 10, 12), np.float32))
        maps = [part[:, 2:8, 2:10] for part in content]
        maps += [
            part[:, 2 - y : 8 - y, 2 - x : 10 - x]
            for part, (x, y) in zip(content, shifts, strict=True)
        ]
        maps = torch.stack(maps)
        return Views(maps, maps[:, :0], torch.ones(16, 2)), torch.from_numpy(shifts).float()

    edge_index = torch.stack([torch.arange(8), torch.arange(8, 16)])
    for _ in range(60):
        views, shifts = batch()
        loss = (head(layer(layer.look(views), edge_index)[0]) - shifts).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        views, shifts = batch()
        error = (head(layer(layer.look(views), edge_index)[0]) - shifts).abs().mean()
    assert error < 0.4 < shifts.abs().mean()
