"""Every step that may run on a GPU keeps to one device, and computes what it does on a CPU."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import with_validation
from described_place import write_photos
from pretend_gpu import pretended_gpu
from project import REPOSITORY
from test_estimates_adaptation import write_left_out
from test_network_match_field_network import BOTH, SETTINGS, TRAINING, network, write_features
from test_photos_place import write_calibration

from relposegnn.data.scene_files import SceneFiles
from relposegnn.encoding import feature_maps
from relposegnn.encoding.feature_maps import FeatureMaps
from relposegnn.estimates import adaptation
from relposegnn.estimates.adaptation import adapt_model
from relposegnn.estimates.localization import predict_poses
from relposegnn.learning.datasets import batches, read_training_graphs
from relposegnn.learning.learner import Learner
from relposegnn.learning.training import TrainingOutputs, train_model
from relposegnn.network.checkpoints import save_model
from relposegnn.network.match_field_network import MatchFieldGNN
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.networks import build_network
from relposegnn.photos.localiser import Localiser
from relposegnn.photos.place import Place
from relposegnn.retrieval.netvlad import fit_netvlad, network_of, run_in_batches
from relposegnn.runtime import DEVICE_VARIABLE, select_device, torch_generator
from relposegnn.scores.context import measure_context

pytestmark = pytest.mark.slow

POOLED = ModelSettings.published(
    backbone="resnet10", width=16, iterations=2, edge_dropout=0.5, dropout=0.0
)
NETWORKS = {
    "pooled": POOLED,
    "k nearest": replace(POOLED, knn=2),
    "match fields": replace(SETTINGS, edge_dropout=0.5),
}


def on_both(work: Callable[[torch.device], object]) -> tuple:
    """Return what some work gives on the CPU and on a GPU that is pretended."""
    ours = work(torch.device("cpu"))
    with pretended_gpu() as gpu:
        return ours, work(gpu)


def test_a_pretended_gpu_refuses_what_a_gpu_would():
    with pretended_gpu() as gpu:
        there, here = torch.zeros(3, 2, device=gpu), torch.zeros(3, 2)
        assert there.device == gpu
        refused = {
            "both devices": lambda: there + here,
            "an index of a GPU": lambda: here[there[:, 0].long()],
            "values of a CPU": lambda: there.index_put_((torch.arange(2),), here[:2]),
            "a generator": lambda: torch.rand(2, device=gpu, generator=torch.Generator()),
            "numbers for NumPy": there.numpy,
        }
        for name, mixed in refused.items():
            with pytest.raises((RuntimeError, TypeError)):
                pytest.fail(f"{name} pass: {mixed()}")
        assert (there + here.to(gpu)).cpu().numpy().sum() == 0
        assert there[torch.arange(2)].device == (there + torch.tensor(1.0)).device == gpu


def test_a_gpu_that_is_asked_for_is_the_one_that_torch_takes_by_itself(monkeypatch):
    """Whether it has bfloat16 is asked of that one, and batches are pinned for it."""
    chosen = []
    with pretended_gpu() as gpu, monkeypatch.context() as changed:
        changed.setattr(torch.cuda, "set_device", chosen.append)
        assert select_device(str(gpu)) == gpu
        select_device("cpu")
    assert chosen == [gpu]


@pytest.mark.parametrize("kind", NETWORKS)
def test_training_and_prediction(kind, tiny_scene, tmp_path):
    """Two epochs, then poses and the two tests of what a graph carries."""
    scene = with_validation(tiny_scene, tmp_path)
    if kind == "match fields":
        scene = scene._replace(features=write_features(tmp_path / "features.h5"))

    def trained(device: torch.device) -> tuple[pd.DataFrame, dict, pd.DataFrame]:
        """Return the history, predictions and errors by context."""
        folder = tmp_path / device.type
        outputs = TrainingOutputs(*(folder / name for name in ("m.pt", "history.csv", "events")))
        train_model({"tiny": scene}, outputs, NETWORKS[kind], TRAINING, device)
        predict_poses(outputs.model, scene, folder / "p.npz", BOTH, device)
        measure_context(outputs.model, scene, folder / "context.csv", BOTH, device)
        context = pd.read_csv(folder / "context.csv", comment="#")
        return pd.read_csv(outputs.history), dict(np.load(folder / "p.npz")), context

    (history, poses, context), (others, found, errors) = on_both(trained)
    pd.testing.assert_frame_equal(others, history, rtol=1e-3)
    pd.testing.assert_frame_equal(errors, context, rtol=1e-2, atol=1e-2)
    for name in ("abs_t", "robust_q", "robust_distance"):
        np.testing.assert_allclose(found[name], poses[name], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("kind", NETWORKS)
def test_mixed_precision_changes_a_loss_little(kind, tiny_scene, tmp_path):
    """As the CPU has it, which the pretended GPU has not; poses and losses stay float32."""
    scene = tiny_scene
    if kind == "match fields":
        scene = scene._replace(features=write_features(tmp_path / "features.h5"))
    graphs, _ = read_training_graphs({"tiny": scene}, NETWORKS[kind].pose)
    batch = next(iter(batches(graphs, 4, torch.device("cpu"))))
    losses = []
    for half in (False, True):
        torch.manual_seed(0)
        network = build_network(NETWORKS[kind], graphs.datasets[0].maps)
        learner = Learner(network, TRAINING, torch.device("cpu"))
        learner.half = half
        losses.append(torch.stack(learner(batch, torch_generator(0, "edge dropout"))))
        losses[-1][0].backward()
        gradients = [each.grad for each in learner.parameters() if each.grad is not None]
        assert {each.dtype for each in (losses[-1], *gradients)} == {torch.float32}
        assert all(torch.isfinite(each).all() for each in gradients)
    assert not torch.equal(*losses)
    torch.testing.assert_close(*losses, rtol=0.1, atol=0)


def test_adaptation(tiny_scene, tmp_path, monkeypatch):
    monkeypatch.setattr(adaptation, "choose_strength", lambda *_: 0.1)
    save_model(tmp_path / "model.pt", network(), 3, ["elsewhere"])
    write_left_out(tmp_path / "left.h5")
    features = write_features(tmp_path / "features.h5")
    scene = SceneFiles(tiny_scene.frames, tmp_path / "left.h5", features)

    def adapted(device: torch.device) -> np.ndarray:
        """Return the positions of left-out frames."""
        outputs = (tmp_path / f"{device.type}{kind}" for kind in (".pt", ".npz"))
        adapt_model(tmp_path / "model.pt", scene, *outputs, BOTH, device)
        return np.load(tmp_path / f"{device.type}.npz")["robust_t"]

    np.testing.assert_allclose(*on_both(adapted), atol=1e-4)


@pytest.fixture
def encode(place, monkeypatch) -> Callable[[Path, str], Path]:
    """Return how to encode the images of a place; other threads do not know the pretended GPU."""
    monkeypatch.setattr(feature_maps, "map_in_threads", lambda work, items, _: map(work, items))

    def encoded(path: Path, encoder: str) -> Path:
        """Return a features file."""
        scene = place.frames.parent / "scene"
        feature_maps.encode_frames(place.frames, scene, path, encoder, (48, 32))
        return path

    return encoded


@pytest.mark.parametrize("encoder", ["efficientnet_lite0", "sift"])
def test_encoding(encoder, encode, tmp_path, monkeypatch):
    def maps(device: torch.device) -> np.ndarray:
        """Return the fine maps of the database."""
        monkeypatch.setenv(DEVICE_VARIABLE, str(device))
        with h5py.File(encode(tmp_path / f"{device.type}.h5", encoder)) as file:
            return file["train/fine"][:]

    np.testing.assert_allclose(*on_both(maps), atol=1e-2)


def test_netvlad_is_fitted_and_describes():
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)

    def described(device: torch.device) -> np.ndarray:
        """Return descriptors by a network that is fitted to the images."""
        sample = lambda features: np.concatenate(list(features))  # noqa: E731
        arrays, _ = fit_netvlad(images, sample, 3, 0, "tiny", None, device)
        return np.stack([*run_in_batches(network_of(arrays, "").to(device), images, device)])

    np.testing.assert_allclose(*on_both(described), atol=1e-4)


@pytest.mark.parametrize("edges", ["pooled", "match fields"])
def test_photos(edges, place, encode, tmp_path):
    photos = sorted(write_photos(place, tmp_path / "photos").glob("*.PNG"))
    if edges == "match fields":
        place = seen_by_match_fields(place, encode(tmp_path / "features.h5", "efficientnet_lite0"))

    def positions(device: torch.device) -> np.ndarray:
        """Return where photos are, and one that comes by itself."""
        with Localiser(place, device) as localiser:
            tables = [localiser.localise(each).table for each in (photos, photos[:1])]
        return pd.concat(tables)[["tx", "ty", "tz"]].to_numpy()

    np.testing.assert_allclose(*on_both(positions), atol=1e-4)


def seen_by_match_fields(place: Place, features: Path) -> Place:
    """Return a place with a network of match fields, which is adapted and knows features."""
    with FeatureMaps(features) as maps:
        network = MatchFieldGNN(replace(SETTINGS, encoder=maps.encoder), maps.channels, maps.grid)
    network.add_known().learn(torch.randn(50, 2 * SETTINGS.width))
    network.add_adaptation()
    model = features.with_name("model.pt")
    save_model(model, network, 0, ["tiny"])
    calibration = write_calibration(features.with_name("calibration.json"), model)
    return replace(place, features=features, model=model, calibration=calibration)


def test_figures_of_a_gpu(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda:0")
    monkeypatch.setattr("sys.argv", ["gpu.py", "--quick", "--output", str(tmp_path / "gpu.md")])
    gpu = importlib.import_module("gpu")
    monkeypatch.setattr(gpu, "TOY", gpu.Sizes((40, 32), 8, graphs=8, batch=1, repeats=1))
    monkeypatch.setattr(ModelSettings, "published", lambda **_: POOLED)
    with pretended_gpu():
        gpu.main()
    table = (tmp_path / "gpu.md").read_text()
    assert "failed" not in table
    assert table.count("\n| training step |") == 6
