"""Positions as rays: by the focal lengths of a frames file, exactly, from there to the network."""

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from test_network_match_field_network import (
    CPU,
    GRID,
    SETTINGS,
    TRAINING,
    network,
    train,
    write_features,
)

from relposegnn.data.frames import Frames
from relposegnn.data.scene_files import SceneFiles
from relposegnn.estimates.aggregation import MEDIAN, LocalizationSettings
from relposegnn.estimates.localization import localize_queries
from relposegnn.learning.datasets import GraphDataset
from relposegnn.network.checkpoints import load_model
from relposegnn.network.match_fields import cell_positions, match_fields
from relposegnn.network.positions import IMAGE, RAYS, REFERENCE, frame_scales, image_scales
from relposegnn.network.relative_poses import RELATIVE
from relposegnn.network.scene_images import SceneImages
from relposegnn.runtime import InputError

FIRST = LocalizationSettings(both_directions=False, aggregation=MEDIAN)


@pytest.fixture(scope="session")
def features(tmp_path_factory):
    return write_features(tmp_path_factory.mktemp("features") / "tiny.h5")


def with_cameras(scene, folder, train=REFERENCE, test=REFERENCE):
    """Return the scene with focal lengths in a frames file of its own."""
    folder.mkdir(exist_ok=True)
    frames = folder / "frames.h5"
    shutil.copy(scene.frames, frames)
    with h5py.File(frames, "r+") as file:
        for split, value in (("train", train), ("test", test)):
            file[f"{split}/focal_length"] = np.full(len(file[f"{split}/name"]), value)
    return scene._replace(frames=frames)


@pytest.mark.parametrize(
    ("shape", "focal_length"), [((480, 640), 585 / 640), ((256, 341), 585 / 640), ((640, 480), 0.7)]
)
def test_positions_times_scales_are_rays(shape, focal_length):
    """Of the corner at the lower right; cells have only nearly the proportions of the image."""
    (height, width), grid = shape, (16, 22) if shape[0] < shape[1] else (22, 16)
    scales = image_scales(RAYS, np.array([focal_length]), shape, grid)
    corner = torch.tensor([1.0, grid[0] / grid[1]]) * scales[0]
    pixels = focal_length * max(shape)
    expected = 2 * REFERENCE * np.array([width / 2, height / 2]) / pixels
    np.testing.assert_allclose(corner, expected, rtol=1e-6)
    if focal_length == REFERENCE:
        np.testing.assert_allclose(corner[0], 1, rtol=1e-6)


def test_scales_in_the_image_are_one():
    assert torch.equal(image_scales(IMAGE, np.array([0.4, np.nan]), (6, 8), GRID), torch.ones(2, 2))
    with pytest.raises(InputError, match=r"model\.positions: got 'angles', expected image or rays"):
        image_scales("angles", np.ones(1), (6, 8), GRID)


def test_inputs_differ_by_exactly_the_ratio_of_focal_lengths(tiny_scene, features, tmp_path):
    """Two frames files that differ in the queries' focal length alone."""
    model = network(positions=RAYS)
    cells, batches = [], []
    for factor in (1, 2):
        scene = with_cameras(tiny_scene, tmp_path / str(factor), test=factor * REFERENCE)
        files = scene._replace(features=features)
        batches.append(GraphDataset(files, "test", RELATIVE, RAYS)[3])
        with Frames(scene.frames) as frames:
            images = SceneImages(model, frames, features)
            queries = images.of_frames("test", np.array([3]))
            rows, nodes = images.graphs(queries, np.array([[0, 1]]))
            cells.append(rows[torch.from_numpy(nodes[0])])
    for one, two in (batches, cells):  # in training, in prediction
        assert torch.equal(two.scales[0], one.scales[0] / 2)  # the query
        assert torch.equal(two.scales[1:], one.scales[1:])
    seen = []
    model.match.edge_network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    edge = torch.tensor([[0], [1]])  # from the query to a database image
    with torch.no_grad():
        for each in cells:
            model.match(each, edge)
    own = [field[0, 4:6] for field in seen]
    expected = cell_positions(*GRID).T * cells[0].scales[0][:, None]
    torch.testing.assert_close(own[0], expected, rtol=1e-6, atol=0)
    assert torch.equal(own[1], own[0] / 2)
    assert torch.equal(seen[0][0, 2:4], seen[1][0, 2:4])  # where it is in the other image


def test_rays_of_the_reference_camera_are_positions_in_the_image(tiny_scene, features, tmp_path):
    """But for the proportions of the cells: the frames here are 40 x 32, a grid of 5 x 4."""
    scene = with_cameras(tiny_scene, tmp_path / "cameras")
    with Frames(scene.frames) as frames:
        scales = frame_scales(RAYS, frames, "test", GRID)
    torch.testing.assert_close(scales, torch.ones(5, 2))
    files = scene._replace(features=features)
    found = [
        localize_queries(network(positions=positions), files, FIRST) for positions in (IMAGE, RAYS)
    ]
    np.testing.assert_allclose(found[0]["robust_t"], found[1]["robust_t"], atol=1e-5)


def test_training_depends_on_focal_lengths_where_rays_are_seen(tiny_scene, features, tmp_path):
    trained = {}
    for positions in (IMAGE, RAYS):
        for focal_length in (0.5, 1.0):
            folder = tmp_path / f"{positions}-{focal_length}"
            scene = with_cameras(tiny_scene, folder, train=focal_length)
            settings = replace(SETTINGS, positions=positions)
            model = load_model(train(folder, scene, features, settings))
            assert model.settings.positions == positions
            trained[positions, focal_length] = torch.cat([p.flatten() for p in model.parameters()])
    assert torch.equal(trained[IMAGE, 0.5], trained[IMAGE, 1.0])
    assert not torch.allclose(trained[RAYS, 0.5], trained[RAYS, 1.0])


@pytest.mark.parametrize("split", ["train", "test"])
def test_rays_need_every_focal_length(tiny_scene, features, tmp_path, split):
    unknown = with_cameras(tiny_scene, tmp_path / "unknown")
    with h5py.File(unknown.frames, "r+") as file:
        file[f"{split}/focal_length"][3] = np.nan
    files = SceneFiles(unknown.frames, unknown.graphs, features)
    message = rf"frames\.h5: the focal length of 1 of \d+ {split} frames is unknown.*"
    message += r"frames\.focal_lengths\.tiny, or train .* image"
    with pytest.raises(InputError, match=message):
        localize_queries(network(positions=RAYS), files, FIRST)
    localize_queries(network(), files, FIRST)
    if split == "train":
        with pytest.raises(InputError, match=message):
            train(tmp_path, unknown, features, replace(SETTINGS, positions=RAYS), TRAINING)


def test_fields_of_a_frames_file_without_focal_lengths(tiny_scene, features):
    with Frames(tiny_scene.frames) as frames, pytest.raises(InputError, match="of 12 of 12 train"):
        SceneImages(network(positions=RAYS).to(CPU), frames, features)


def test_one_cell_seen_by_two_cameras_does_not_move_in_rays():
    """Cells of a camera twice as long are the inner ones of the other, each as four."""
    wide, narrow = torch.eye(16)[None], torch.zeros(1, 16, 16)
    inner = torch.arange(16).reshape(4, 4)[1:3, 1:3].repeat_interleave(2, 0).repeat_interleave(2, 1)
    narrow[0, inner.flatten(), torch.arange(16)] = 1
    motion = {}
    for positions in (IMAGE, RAYS):
        scales = image_scales(positions, np.array([0.5, 1.0]), (128, 128), (4, 4))
        places = cell_positions(4, 4) * scales[:, None]
        back = match_fields(wide, narrow, *places).back
        motion[positions] = (back[0, :2] / 5).norm(dim=0)
        half_cell = float(scales[1, 0]) / 4
    # Within the cell that all four of them lie in.
    np.testing.assert_allclose(motion[RAYS], half_cell * 2**0.5, rtol=1e-3)
    assert motion[IMAGE].max() > 1.5 * motion[RAYS].max()
