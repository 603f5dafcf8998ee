"""Match fields: planted motions, symmetry, rays; edges of any order, gradients, pairs."""

import numpy as np
import pytest
import torch
from noise_cells import GRID, fields_of, random_descriptors
from torch.nn.functional import normalize

from generated_rooms.paths import camera_path
from generated_rooms.rendering import Camera, render_frame
from relposegnn.encoding.encoders import load_encoder
from relposegnn.network.match_fields import (
    FIELD_CHANNELS,
    TEMPERATURE,
    cell_positions,
    describe_cells,
    follow_fields,
    match_fields,
)
from relposegnn.network.positions import RAYS, image_scales

CELL = 2 / GRID[1]  # size of a cell in half widths


def unlike_cells(height: int, width: int) -> torch.Tensor:
    """Return descriptors (1, K, M) none of which is like another."""
    return torch.eye(height * width)[None]


def test_positions_are_in_half_widths():
    positions = cell_positions(6, 8).reshape(6, 8, 2)
    np.testing.assert_allclose(positions[0, 0], [-1 + CELL / 2, -0.75 + CELL / 2])
    np.testing.assert_allclose(positions[0, 1] - positions[0, 0], [CELL, 0], atol=1e-7)
    np.testing.assert_allclose(positions[1, 0] - positions[0, 0], [0, CELL], atol=1e-7)
    np.testing.assert_allclose(positions.mean(dim=(0, 1)), 0, atol=1e-7)


def test_channels_are_those_of_two_plain_softmaxes():
    first, second, _ = random_descriptors().split(2)
    positions = cell_positions(*GRID)
    similarity = first.mT @ second
    there, back = (similarity * TEMPERATURE).softmax(2), (similarity * TEMPERATURE).softmax(1).mT
    found = fields_of(first, second)
    for channels, weights, opposite, cosine in (
        (found.there, there, back, similarity),
        (found.back, back, there, similarity.mT),
    ):
        expected = weights @ positions
        squares = (weights @ positions.square().sum(1, keepdim=True))[..., 0]
        spread = (squares - expected.square().sum(2)).clamp(min=0).sqrt()
        mutual = (weights * opposite.mT).sum(2)
        wanted = [
            *(5 * (expected - positions)).unbind(2),
            *expected.unbind(2),
            *positions.expand(2, -1, -1).unbind(2),
            cosine.amax(2) - 1,
            3 * weights.amax(2),
            3 * mutual,
            3 * spread - 1,
        ]
        assert channels.shape == (2, FIELD_CHANNELS, 48)
        torch.testing.assert_close(channels, torch.stack(wanted, dim=1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shift", [(0, 0), (2, 0), (0, -1), (-3, 2)])
def test_planted_shift_of_cells(shift):
    """The content of cell (y, x) of the first image is at (y + dy, x + dx) of the second."""
    dx, dy = shift
    height, width = 12, 16
    content = unlike_cells(height, width).reshape(1, -1, height, width)
    first = content[:, :, 3:9, 4:12]
    second = content[:, :, 3 - dy : 9 - dy, 4 - dx : 12 - dx]
    fields = fields_of(first.flatten(2), second.flatten(2))
    rows, columns = np.mgrid[:6, :8]
    for field, sign in ((fields.there, 1), (fields.back, -1)):
        y, x = rows + sign * dy, columns + sign * dx
        visible = ((y >= 0) & (y < 6) & (x >= 0) & (x < 8)).ravel()
        found = field[0, :, visible]
        moved = torch.tensor([dx * CELL, dy * CELL])[:, None] * sign
        np.testing.assert_allclose(found[:2] / 5, moved.expand_as(found[:2]), atol=1e-4)
        np.testing.assert_allclose(found[6], 0, atol=1e-5)  # the best cosine is 1
        np.testing.assert_allclose(found[7:9], 3, atol=1e-3)  # sure, and mutually so
        np.testing.assert_allclose(found[9], -1, atol=0.02)  # no spread
        hidden = field[0, :, ~visible]
        assert (hidden[7] < 0.1).all()
        assert (hidden[6] < -0.9).all()


@pytest.mark.parametrize(("encoder", "tolerance"), [("efficientnet_lite0", 0.2), ("sift", 0.02)])
def test_planted_shift_of_an_image(encoder, tolerance):
    """32 pixels to the left and 16 up: 4 cells and 2."""
    rng = np.random.default_rng(0)
    blobs = [
        np.kron(
            rng.integers(0, 100, (240 // n, 320 // n, 3), np.uint8), np.ones((n, n, 1), np.uint8)
        )
        for n in (20, 8)
    ]
    large = sum(blobs)
    images = [large[40:168, 40:216], large[56:184, 72:248]]
    maps = load_encoder(encoder)(torch.from_numpy(np.stack(images)))
    _, descriptors = describe_cells(*(standardised(part) for part in maps))
    positions = cell_positions(16, 22)
    fields = match_fields(*descriptors[:, None], positions, positions)
    cells_moved = fields.there[0, :2].reshape(2, 16, 22) / 5 * 22 / 2
    # Away from the borders, which the network's padding changes, and from what leaves the image.
    inside = cells_moved[:, 5:-3, 7:-3].flatten(1)
    for axis, planted in enumerate((-4, -2)):
        errors = (inside[axis] - planted).abs()
        assert errors.median() < tolerance
        assert errors.quantile(0.9) < 4 * tolerance


def standardised(part: torch.Tensor) -> torch.Tensor:
    """Return maps with channels of mean 0 and deviation 1."""
    mean = part.mean(dim=(0, 2, 3), keepdim=True)
    deviation = (part - mean).square().mean(dim=(0, 2, 3), keepdim=True).sqrt()
    return (part - mean) / deviation


def test_swapped_images_have_swapped_fields():
    first, second, _ = random_descriptors().split(2)
    fields, swapped = fields_of(first, second), fields_of(second, first)
    torch.testing.assert_close(fields.there, swapped.back, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fields.back, swapped.there, atol=1e-5, rtol=1e-5)


def test_images_of_different_sizes():
    """A large image and its lower right part."""
    large = unlike_cells(6, 8).reshape(1, -1, 6, 8)
    part = large[:, :, 2:, 3:]
    whole_positions = cell_positions(6, 8)
    part_positions = whole_positions.reshape(6, 8, 2)[2:, 3:].flatten(0, 1)
    fields = match_fields(large.flatten(2), part.flatten(2), whole_positions, part_positions)
    assert (fields.there.shape, fields.back.shape) == ((1, 10, 48), (1, 10, 20))
    np.testing.assert_allclose(fields.back[0, :2], 0, atol=1e-3)


def test_blank_images_match_everywhere():
    fields = fields_of(torch.zeros(1, 4, 48), torch.zeros(1, 4, 48))
    np.testing.assert_allclose(fields.there[0, 2:4], 0, atol=1e-6)
    np.testing.assert_allclose(fields.there[0, 6], -1, atol=1e-6)
    np.testing.assert_allclose(fields.there[0, 7:9], 3 / 48, rtol=1e-5)


def test_low_precision_around_does_not_reach_the_fields():
    first, second, _ = random_descriptors().split(2)
    expected = fields_of(first, second)
    appearance = follow_fields(expected, first, second)
    with torch.autocast("cpu", torch.bfloat16):
        found = fields_of(first, second)
        followed = follow_fields(found, first, second)
    for one, other in zip((*found, *followed), (*expected, *appearance), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


@pytest.mark.slow
def test_cameras_agree_in_rays(room):
    """A room seen from one place by two cameras: nothing moves in rays, all of it in the image."""
    pose = camera_path(room, 11, 1, 8)[2]
    cameras = [Camera(176, 128, focal) for focal in (140.0, 190.0)]
    images = np.stack([render_frame(room, pose, camera)[0] for camera in cameras])
    maps = load_encoder("efficientnet_lite0")(torch.from_numpy(images))
    first, second = describe_cells(*(standardised(part) for part in maps))[1][:, None]
    image = [cell_positions(16, 22)] * 2
    scales = image_scales(RAYS, np.array([140.0, 190.0]) / 176, (128, 176), (16, 22))
    rays = [cell_positions(16, 22) * scale for scale in scales]
    median = {}
    for name, positions in (("image", image), ("rays", rays)):
        back = match_fields(first, second, *positions).back
        median[name] = (back[0, :2] / 5).norm(dim=0).median() / (2 / 22)  # in cells
    assert median["rays"] < 0.75 < 1.5 < median["image"], median


def test_descriptors_ignore_the_scale_of_a_map():
    rng = torch.Generator().manual_seed(0)
    fine, coarse = torch.randn(2, 5, 6, 8, generator=rng), torch.randn(2, 7, 3, 4, generator=rng)
    maps, descriptors = describe_cells(fine, coarse)
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(2, 48))
    torch.testing.assert_close(describe_cells(3 * fine, 5 * coarse)[1], descriptors)
    torch.testing.assert_close(maps[:, :5], fine.flatten(2))
    # Of a fine map alone the descriptor is the normalised map.
    maps, descriptors = describe_cells(fine, coarse[:, :0])
    torch.testing.assert_close(descriptors, normalize(fine, dim=1).flatten(2))
    torch.testing.assert_close(maps, fine.flatten(2))


def test_coarse_maps_share_weight_with_fine_ones():
    """Cosine of cells that agree in the coarse map alone: 1 / (1 + 0.7^2)."""
    fine, coarse = torch.zeros(2, 2, 2, 2), torch.ones(2, 1, 1, 1)
    fine[0, 0], fine[1, 1] = 1, 1
    first, second = describe_cells(fine, coarse)[1]
    np.testing.assert_allclose((first * second).sum(dim=0), 1 / 1.49, rtol=1e-5)


def test_followed_channels_are_those_of_the_counterpart():
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    first = unlike_cells(*GRID)
    second = first[:, :, order]
    values = torch.randn(2, 1, 3, 48, generator=torch.Generator().manual_seed(1))
    there, back = follow_fields(fields_of(first, second), *values)
    # Cell k of the second image is cell order[k] of the first.
    torch.testing.assert_close(there[:, :, order], values[1], atol=1e-3, rtol=0)
    torch.testing.assert_close(back, values[0][:, :, order], atol=1e-3, rtol=0)
