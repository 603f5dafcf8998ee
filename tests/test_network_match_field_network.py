"""Networks whose edges are match fields: what they estimate, in training and from files."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import test_learning_training
import torch
from conftest import TURN, turn_world, write_tiny_scene
from scipy.spatial.transform import Rotation
from torch_geometric.loader import DataLoader

from relposegnn.data.frames import Frames
from relposegnn.data.scene_files import SceneFiles
from relposegnn.estimates import localization
from relposegnn.estimates.aggregation import MEDIAN, LocalizationSettings
from relposegnn.files.storage import create_hdf5
from relposegnn.learning.datasets import GraphDataset, true_relative
from relposegnn.learning.training import TrainingOutputs, train_model
from relposegnn.network.checkpoints import load_model, save_model
from relposegnn.network.edges import complete_edges
from relposegnn.network.match_field_network import MatchFieldGNN
from relposegnn.network.match_fields import Views
from relposegnn.network.model_settings import MATCH_FIELD, ModelSettings
from relposegnn.network.relative_poses import (
    RELATIVE,
    compose,
)
from relposegnn.poses import quaternion_from_matrix, rotation_error_deg
from relposegnn.runtime import InputError

CPU = torch.device("cpu")
CHANNELS, GRID = {"fine": 8, "coarse": 6}, (4, 5)
FIRST, BOTH = (LocalizationSettings(both, MEDIAN) for both in (False, True))
SETTINGS = ModelSettings.published(
    edges=MATCH_FIELD, encoder="planted", pose=RELATIVE, iterations=0, width=32, dropout=0.0
)
COSINE = {"schedule": "cosine", "decay_epochs": None, "decay_factor": None}
TRAINING = replace(test_learning_training.SETTINGS, epochs=2, weight_decay=0.0, **COSINE)


def write_features(path, dataset="tiny", scene="tiny", encoder="planted"):
    """Write random maps of a tiny scene's frames as a features file."""
    rng = np.random.default_rng(3)
    settings = {"encoder": encoder, "weights": "none", "width": 40, "height": 32}
    with create_hdf5(path, "features", settings) as file:
        file.attrs.update(dataset=dataset, scene=scene)
        for split, count in (("train", 12), ("test", 5)):
            shapes = {"fine": GRID, "coarse": (2, 3)}
            for name, shape in shapes.items():
                values = rng.standard_normal((count, CHANNELS[name], *shape))
                file[f"{split}/{name}"] = values.astype(np.float16)
        for name, channels in CHANNELS.items():
            file[f"{name}_mean"] = np.zeros(channels, np.float32)
            file[f"{name}_deviation"] = np.ones(channels, np.float32)
    return path


@pytest.fixture(scope="session")
def features(tmp_path_factory):
    return write_features(tmp_path_factory.mktemp("features") / "tiny.h5")


def network(**changes):
    torch.manual_seed(0)
    return MatchFieldGNN(replace(SETTINGS, **changes), sum(CHANNELS.values()), GRID).eval()


def random_views(count):
    torch.manual_seed(1)
    fine, coarse = torch.randn(count, CHANNELS["fine"], *GRID), torch.randn(count, 6, 2, 3)
    return Views(fine, coarse, torch.ones(count, 2))


@pytest.mark.parametrize("iterations", [0, 1, 2])
@pytest.mark.parametrize("rotation_from_field", [True, False])
@pytest.mark.parametrize("both", [True, False])
def test_edges_at_the_queries_are_those_of_the_whole_graph(iterations, rotation_from_field, both):
    model = network(iterations=iterations, rotation_from_field=rotation_from_field)
    edges = torch.from_numpy(complete_edges(4))
    edges = torch.cat([edges, edges + 4], dim=1)
    graph, queries = torch.arange(8) // 4, torch.arange(8) % 4 == 0
    with torch.no_grad():
        cells = model.encode(random_views(8))
        everything = model.relate(cells, edges, graph)
        found, relative, _ = model.relate_at(cells, edges, graph, queries, both)
    wanted = queries[edges[1]] | (queries[edges[0]] if both else False)
    assert torch.equal(found, edges[:, wanted])
    torch.testing.assert_close(relative, everything.relative[wanted], atol=1e-5, rtol=1e-4)


def test_an_edge_depends_on_its_own_two_images_alone_without_rounds():
    model, views = network(), random_views(4)
    others = Views(*(torch.cat([each[:2], each[2:] + 1]) for each in views))
    edges, graph = torch.from_numpy(complete_edges(4)), torch.zeros(4, dtype=torch.long)
    with torch.no_grad():
        here, there = (model(each, edges, graph).relative for each in (views, others))
    own = (edges < 2).all(dim=0)
    torch.testing.assert_close(here[own], there[own])
    assert not torch.allclose(here[~own], there[~own])


def test_rotations_from_the_field_ignore_what_the_images_look_like():
    model, views = network(), random_views(2)
    edges, graph = torch.tensor([[0, 1], [1, 0]]), torch.zeros(2, dtype=torch.long)
    with torch.no_grad():
        before = model(views, edges, graph).relative
        model.match.appearance.weight.mul_(2)
        after = model(views, edges, graph).relative
    assert torch.equal(before[:, 3:], after[:, 3:])
    assert not torch.allclose(before[:, :3], after[:, :3])


def train(folder, tiny_scene, features, settings=SETTINGS, training=TRAINING):
    outputs = TrainingOutputs(*(folder / name for name in ("model.pt", "training.csv", "events")))
    files = {"tiny": tiny_scene._replace(features=features)}
    train_model(files, outputs, settings, training, CPU)
    return outputs.model


def test_a_trained_network_is_read_back_and_estimates_what_it_did(tiny_scene, features, tmp_path):
    model = load_model(train(tmp_path, tiny_scene, features))
    assert model.maps == {"channels": 14, "grid": list(GRID)}
    dataset = GraphDataset(tiny_scene._replace(features=features), "test", RELATIVE)
    files = tiny_scene._replace(features=features)
    found = localization.localize_queries(model, files, FIRST)
    with Frames(tiny_scene.frames) as frames:
        database = frames.poses("train")
    for index, graph in enumerate(dataset):
        with torch.no_grad():
            seen = Views(graph.fine, graph.coarse, graph.scales)
            estimates = model(seen, graph.edge_index, torch.zeros(4, dtype=torch.long))
        edge = int(torch.nonzero(estimates.edge_index[1] == 0)[0])
        source = database[dataset.neighbours[index][0]]
        expected = compose(RELATIVE, estimates.relative[edge].double().numpy(), source)
        np.testing.assert_allclose(found["abs_t"][index], expected[:3, 3], atol=1e-4)
        quaternion = quaternion_from_matrix(expected[:3, :3])
        assert rotation_error_deg(found["abs_q"][index], quaternion) < 0.01


@pytest.mark.slow
def test_training_graphs_are_learned(tiny_scene, features):
    """The loss on a fixed batch falls to a small share."""
    dataset = GraphDataset(tiny_scene._replace(features=features), "train", RELATIVE)
    batch = next(iter(DataLoader(dataset, batch_size=2)))
    torch.manual_seed(0)
    model = network(width=128, edge_dropout=0.0).train()
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=1e-3), []
    for _ in range(200):
        seen = Views(batch.fine, batch.coarse, batch.scales)
        estimates = model(seen, batch.edge_index, batch.batch)
        error = (estimates.relative - true_relative(batch, estimates.edge_index)).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        losses.append(error.item())
    assert losses[-1] < 0.1 * losses[0]


def test_a_turned_and_shifted_world_turns_and_shifts_the_estimates(tiny_scene, features, tmp_path):
    """By 120 degrees, and as far as UTM coordinates lie from their origin."""
    origin = [5_572_094.0, 691_233.0, 120.0]
    turned = turn_world(tiny_scene, tmp_path, origin)
    # Trained in either world, too: the targets are the same to float32's rounding.
    models = []
    for name, frames in (("here", tiny_scene.frames), ("there", turned)):
        (tmp_path / name).mkdir()
        scene = tiny_scene._replace(frames=frames)
        models.append(load_model(train(tmp_path / name, scene, features)))
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
    here, there = (
        localization.localize_queries(
            models[0], SceneFiles(frames, tiny_scene.graphs, features), BOTH
        )
        for frames in (tiny_scene.frames, turned)
    )
    np.testing.assert_allclose(there["abs_t"], TURN.apply(here["abs_t"]) + origin, atol=1e-5)
    rotation = TURN * Rotation.from_quat(here["abs_q"], scalar_first=True)
    expected = rotation.as_quat(scalar_first=True)
    assert rotation_error_deg(there["abs_q"], expected).max() < 1e-5


def test_features_of_another_encoder_or_scene_are_refused(tiny_scene, features, tmp_path):
    model_file = tmp_path / "model.pt"
    save_model(model_file, network(), 0, ["tiny"])
    model, files = load_model(model_file), tiny_scene
    with pytest.raises(InputError, match="got no features file of this scene"):
        localization.localize_queries(model, files, FIRST)
    other = write_features(tmp_path / "other.h5", encoder="another")
    with pytest.raises(InputError, match=r"other\.h5: encoder, channels and grid are .*another"):
        localization.localize_queries(model, files._replace(features=other), FIRST)
    elsewhere = write_features(tmp_path / "elsewhere.h5", scene="elsewhere")
    with pytest.raises(InputError, match=r"elsewhere\.h5: data set, scene"):
        localization.localize_queries(model, files._replace(features=elsewhere), FIRST)


def test_scenes_of_different_maps_do_not_share_a_batch(tiny_scene, features, tmp_path):
    other = write_tiny_scene(tmp_path, "other")
    (tmp_path / "features.h5").unlink(missing_ok=True)
    theirs = write_features(tmp_path / "features.h5", scene="other")
    with h5py.File(theirs, "r+") as file:
        for split in ("train", "test"):
            fine = file[f"{split}/fine"][:, :, :3]
            del file[f"{split}/fine"]
            file[f"{split}/fine"] = fine
    scenes = {
        "tiny": tiny_scene._replace(features=features),
        "other": SceneFiles(other.frames, other.graphs, theirs),
    }
    outputs = TrainingOutputs(*(tmp_path / name for name in ("m.pt", "t.csv", "events")))
    with pytest.raises(InputError, match="features have different shapes"):
        train_model(scenes, outputs, SETTINGS, TRAINING, CPU)
