"""What a network knows of features, and how unlike the known ones others are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_learning_training import train as train_pooled
from test_network_match_field_network import FIRST, TRAINING, train, write_features
from torch_geometric.loader import DataLoader

from relposegnn.estimates.localization import localize_queries
from relposegnn.learning.datasets import GraphDataset
from relposegnn.learning.learner import Learner
from relposegnn.network.checkpoints import load_model
from relposegnn.network.known_features import KnownFeatures
from relposegnn.network.relative_poses import RELATIVE

DEVIATIONS = torch.tensor([1, 1, 1, 1, 0.3, 0.3, 3, 0])


def planted(count=2000, seed=0):
    """Return features that vary as much as planted, the last one never."""
    draw = torch.Generator().manual_seed(seed)
    return 2 + DEVIATIONS * torch.randn(count, 8, generator=draw)


def knowing(features) -> KnownFeatures:
    known = KnownFeatures(features.shape[1])
    known.learn(features)
    return known


def test_features_lie_as_far_off_as_they_are_unlike_the_known_ones():
    features = planted()
    known = knowing(features)
    assert known(features).square().mean() == pytest.approx(1, rel=1e-4)
    assert known(planted(seed=1)).square().mean() == pytest.approx(1, rel=0.05)
    strange = known.mean + torch.tensor([[1], [10], [100]]) * (features[:1] - known.mean)
    expected = known(features[:1]) * torch.tensor([1, 10, 100])
    torch.testing.assert_close(known(strange), expected, rtol=1e-3, atol=0)


def test_what_never_differed_is_strange_where_it_does():
    """Six deviations of what varies much are as usual as six of what varies little."""
    known = knowing(planted())
    steps = known(known.mean + 6 * torch.diag(DEVIATIONS.clamp(min=0.3)))
    torch.testing.assert_close(steps[:7], torch.full([7], 6 / 7**0.5), rtol=0.1, atol=0)
    assert steps[7] > 1.5 * steps[:7].max()


def test_features_that_never_differ_at_all_are_known():
    known = knowing(torch.ones(3, 4))
    assert known(torch.ones(2, 4)).tolist() == [0, 0]
    assert torch.isfinite(known.whitening).all()
    assert (known(torch.full([1, 4], 1.1)) > 1e3).all()


@pytest.mark.parametrize("spread", [0, 1e-7, 1e-6, 1e-5, 1e-3])
def test_moments_of_features_that_hardly_differ_are_known(spread):
    """Such as of a place of nearly identical images."""
    rng = np.random.default_rng(0)
    features = 3 * rng.normal(size=512).clip(0) + spread * rng.normal(size=(196, 512))
    mean, squares = features.mean(axis=0), features.T @ features / len(features)
    known = KnownFeatures(512)
    known.set_moments(*map(torch.from_numpy, (mean, squares - np.outer(mean, mean))))
    assert torch.isfinite(known.whitening).all()
    near, far = known(torch.tensor(features).float()), known(torch.tensor(mean[None] + 1).float())
    assert (10 * near.max() < far).all()


def test_what_is_known_replaces_what_was():
    known = knowing(planted() + 5)
    known.learn(planted())
    for name, expected in knowing(planted()).state_dict().items():
        assert torch.equal(getattr(known, name), expected)


def test_a_trained_network_knows_the_features_of_its_training(tiny_scene, tmp_path):
    files = tiny_scene._replace(features=write_features(tmp_path / "features.h5"))
    model = load_model(train(tmp_path, tiny_scene, files.features))
    graphs = GraphDataset(files, "train", RELATIVE)
    learner = Learner(model, TRAINING, torch.device("cpu")).eval()
    (batch,) = DataLoader(graphs, batch_size=len(graphs))
    features = learner.query_features(batch)
    assert len(features) == 2 * 3 * len(graphs)  # edges into queries, and out of them
    knowing_them = knowing(features)
    torch.testing.assert_close(model.known.mean, knowing_them.mean)
    torch.testing.assert_close(model.known(features), knowing_them(features), rtol=1e-3, atol=1e-4)
    found = localize_queries(model, files, FIRST)
    assert (found["abs_distance"] > 0).all()
    assert not (found["abs_distance"] == 1).any()
    model.known.whitening *= 3
    farther = localize_queries(model, files, FIRST)
    for name in ("abs_distance", "robust_distance"):
        torch.testing.assert_close(*map(torch.from_numpy, (farther[name], 3 * found[name])))


def test_what_is_known_changes_nothing_else(tiny_scene, tmp_path, monkeypatch):
    features = write_features(tmp_path / "features.h5")
    once = replace(TRAINING, epochs=1)
    full = load_model(train(tmp_path / "a", tiny_scene, features, training=once)).state_dict()
    monkeypatch.setattr("relposegnn.learning.training._know_features", lambda *_: None)
    plain = load_model(train(tmp_path / "b", tiny_scene, features, training=once)).state_dict()
    assert full.keys() - plain.keys() == {"known.mean", "known.whitening"}
    assert all(torch.equal(full[name], plain[name]) for name in plain)


@pytest.mark.slow
def test_networks_with_the_published_layers_have_no_others(tiny_scene, tmp_path):
    assert not any("known" in name for name in train_pooled(tiny_scene, tmp_path)[0])
