"""The authors' checkpoints become models of ours; anything else is refused."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_checkpoints import TINY, tiny_state, with_second_layer, write_checkpoint

from relposegnn.authors.models import import_model
from relposegnn.authors.second_layer import examine_second_layer
from relposegnn.network.checkpoints import load_model
from relposegnn.network.edges import complete_edges
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.published_network import RelPoseGNN

pytestmark = pytest.mark.slow

PROFILES = {
    "full-3-2": ModelSettings.published(width=64),
    "knn4-2-1": ModelSettings.published(width=64, iterations=2, knn=4),
}


def write_reference_checkpoint(reference: Path, case: str, path: Path) -> Path:
    """Write the checkpoint that the reference values were computed with, as theirs are written."""
    spec = importlib.util.spec_from_file_location("weights", reference / "weights.py")
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    shapes = json.loads((reference / f"shapes-{case}.json").read_text())
    state = {key: torch.from_numpy(value) for key, value in weights.state_dict(shapes).items()}
    return write_checkpoint(path, state)


@pytest.mark.parametrize("case", PROFILES)
def test_imported_checkpoints_compute_what_the_published_implementation_did(
    reference, tmp_path, case
):
    checkpoint = write_reference_checkpoint(reference, case, tmp_path / "authors.pth.tar")
    import_model(checkpoint, tmp_path / "model.pt", PROFILES[case])
    model = load_model(tmp_path / "model.pt")
    assert model.settings == PROFILES[case]
    expected = np.load(reference / f"model-{case}.npz")
    edges = torch.from_numpy(complete_edges(8))
    with torch.no_grad():
        images = torch.from_numpy(expected["images"])
        estimates = model(images, torch.cat([edges, edges + 8], dim=1), torch.arange(16) // 8)
    np.testing.assert_array_equal(estimates.edge_index, expected["edge_index"])
    for name in ("relative", "absolute"):
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(getattr(estimates, name), expected[name], atol=1e-4 * scale)


def test_the_file_keeps_the_epoch_and_leaves_training_out(tmp_path, caplog):
    caplog.set_level("INFO")
    checkpoint = write_checkpoint(tmp_path / "authors.pth.tar", tiny_state())
    import_model(checkpoint, tmp_path / "model.pt", TINY)
    contents = torch.load(tmp_path / "model.pt", weights_only=True)
    assert (contents["epoch"], contents["scenes"]) == (39, [])
    assert contents.keys() == {
        *("model_state_dict", "epoch", "settings", "maps", "scenes", "remarks", "version")
    }
    assert contents["remarks"]["second_layer"].startswith("unused (weights as torch draws them")
    assert "the second layer of message passing: " in caplog.text
    assert not any(key.startswith("gnn2.") for key in contents["model_state_dict"])
    assert "profile" not in caplog.text


def test_a_missing_epoch_is_told_and_not_invented(tmp_path, caplog):
    torch.save({"model_state_dict": RelPoseGNN(TINY).state_dict()}, tmp_path / "file.pth")
    import_model(tmp_path / "file.pth", tmp_path / "model.pt", TINY)
    assert torch.load(tmp_path / "model.pt", weights_only=True)["epoch"] is None
    assert "does not say after which epoch" in caplog.text
    assert load_model(tmp_path / "model.pt").settings == TINY


def second_layer_checkpoint(path: Path, trained: bool, updated: bool) -> Path:
    """Write a checkpoint whose second layer bears the signs of one that was used, or not."""
    torch.manual_seed(1)
    own = RelPoseGNN(replace(TINY, iterations=2, layers=2))
    state = own.state_dict()
    if trained:
        state["gnn2.mlp.0.weight"] = 1.2 * state["gnn2.mlp.0.weight"]
    entries = {
        number: {"exp_avg": torch.zeros_like(parameter)}
        for number, (name, parameter) in enumerate(own.named_parameters())
        if updated or not name.startswith("gnn2.")
    }
    count = len(list(own.parameters()))
    groups = [{"params": list(range(count + 2))}]  # and the two of the loss
    optimizer = {"state": entries, "param_groups": groups}
    contents = {"epoch": 39, "model_state_dict": state, "optimizer_state_dict": optimizer}
    torch.save(contents, path)
    return path


@pytest.mark.parametrize(
    ("trained", "updated", "verdict", "warned"),
    [
        (False, False, "unused (weights as torch draws them, no entry in Adam's state)", False),
        (True, True, "used (weights not as torch draws them, an entry in Adam's state)", True),
        (True, False, "unclear, the evidence is contradictory", False),
        (False, True, "unclear, the evidence is contradictory", False),
    ],
)
def test_the_second_layer_is_looked_at(tmp_path, caplog, trained, updated, verdict, warned):
    caplog.set_level("INFO")
    checkpoint = second_layer_checkpoint(tmp_path / "authors.pth", trained, updated)
    import_model(checkpoint, tmp_path / "model.pt", TINY)
    contents = torch.load(tmp_path / "model.pt", weights_only=True)
    assert contents["remarks"]["second_layer"].startswith(verdict)
    (level,) = (
        record.levelname
        for record in caplog.records
        if f"the second layer of message passing: {verdict}" in record.getMessage()
    )
    assert level == ("WARNING" if verdict.startswith("unclear") else "INFO")
    assert ("authors.profile.layers: got 1" in caplog.text) == warned
    assert ("iterations: 2, layers: 2" in caplog.text) == warned


@pytest.mark.parametrize("damage", ["no first layer", "other order", "too few", "absent"])
def test_an_adams_state_that_does_not_fit_the_weights_tells_nothing(tmp_path, damage):
    checkpoint = second_layer_checkpoint(tmp_path / "authors.pth", trained=False, updated=True)
    contents = torch.load(checkpoint, weights_only=True)
    optimizer = contents["optimizer_state_dict"]
    if damage == "no first layer":
        names = [name for name, _ in RelPoseGNN(TINY).named_parameters()]
        for number in [i for i, name in enumerate(names) if name.startswith("gnn1.")]:
            optimizer["state"].pop(number)
    elif damage == "other order":
        optimizer["param_groups"][0]["params"].reverse()
    elif damage == "too few":
        optimizer["param_groups"][0]["params"] = [0, 1]
    else:
        contents["optimizer_state_dict"] = None
    finding = examine_second_layer(contents)
    assert finding == (False, "unused (weights as torch draws them, Adam's state unknown)")


def test_both_readings_of_the_second_layer_can_be_evaluated(tmp_path, caplog):
    checkpoint = second_layer_checkpoint(tmp_path / "authors.pth", trained=True, updated=True)
    both = replace(TINY, iterations=2, layers=2)
    import_model(checkpoint, tmp_path / "both.pt", both)
    assert "authors.profile" not in caplog.text
    import_model(checkpoint, tmp_path / "once.pt", replace(TINY, iterations=2))
    models = [load_model(tmp_path / f"{name}.pt") for name in ("both", "once")]
    images, edges = torch.randn(3, 3, 32, 32), torch.from_numpy(complete_edges(3))
    with torch.no_grad():
        first, second = (model(images, edges, torch.zeros(3, dtype=int)) for model in models)
        nodes, features = models[0].encode(images), None
        features, _ = models[0].edge_features(nodes, edges)
        for layer in (models[0].gnn1, models[0].gnn2):
            nodes, features = layer(nodes, edges, features)
        expected = models[0].absolute_poses(nodes)
    assert not torch.allclose(first.relative, second.relative)
    torch.testing.assert_close(first.absolute, expected)


def test_a_checkpoint_of_full_size_is_imported(tmp_path):
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = with_second_layer(RelPoseGNN(ModelSettings.published()).state_dict())
    # One stretch of noise behind every tensor: quick to make, and small on disk.
    noise = 0.01 * torch.rand(max(tensor.numel() for tensor in shapes.values()))
    state = {
        key: noise[: tensor.numel()].view(tensor.shape)
        if tensor.is_floating_point()
        else torch.zeros((), dtype=tensor.dtype)
        for key, tensor in shapes.items()
    }
    assert sum(tensor.numel() for tensor in state.values()) == pytest.approx(118.9e6, rel=1e-3)
    checkpoint = write_checkpoint(tmp_path / "authors.pth.tar", state)
    import_model(checkpoint, tmp_path / "model.pt", ModelSettings.published())
    model = load_model(tmp_path / "model.pt")
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(74.8e6, rel=1e-3)
    own = model.state_dict()
    assert all(torch.equal(own[key], state[key]) for key in own)
    (tmp_path / "model.pt").unlink()  # 300 MB
