"""Files of the network: round trips, other people's layouts, refusals."""

import argparse
import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from relposegnn.files.weights import fingerprint, load_weights, read_checkpoint
from relposegnn.network.checkpoints import (
    load_model,
    restore_state,
    save_model,
    save_state,
)
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.runtime import InputError

SETTINGS = ModelSettings.published(backbone="resnet18", width=16, iterations=2, knn=2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return RelPoseGNN(SETTINGS)


def test_a_model_comes_back_with_settings_and_weights(model, tmp_path):
    save_model(tmp_path / "model.pt", model, epoch=3, scenes=["chess"])
    loaded = load_model(tmp_path / "model.pt")
    assert loaded.settings == SETTINGS
    assert not loaded.training
    for key, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key])


def test_networks_that_are_filled_from_one_state_share_nothing():
    """Also one that was built without weights of its own."""
    with torch.device("meta"):
        bare = torch.nn.Linear(3, 2)
    state = {name: torch.rand(own.shape) for name, own in bare.state_dict().items()}
    kept = {name: own.clone() for name, own in state.items()}
    for network in (bare, torch.nn.Linear(3, 2)):
        load_weights(network, state, "planted")
        with torch.no_grad():
            network.weight += 1
        torch.testing.assert_close(network.weight, kept["weight"] + 1)
        torch.testing.assert_close(state, kept, rtol=0, atol=0)
        assert network.weight.requires_grad


def test_other_networks_are_refused_with_keys_and_shapes(model, tmp_path):
    save_model(tmp_path / "model.pt", model, 0, [])
    contents = torch.load(tmp_path / "model.pt")
    state = contents["model_state_dict"]
    del state["gnn1.att.g.bias"]
    state["fc_xyz.weight"] = torch.zeros(3, 8)
    state["decoder.weight"] = torch.zeros(1)
    torch.save(contents, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model\.pt") as refused:
        load_model(tmp_path / "model.pt")
    text = str(refused.value)
    assert "missing gnn1.att.g.bias" in text
    assert "unexpected decoder.weight" in text
    assert "fc_xyz.weight is (3, 8), expected (3, 16)" in text


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (torch.full((3,), torch.nan), r"numbers that are not finite"),
        (torch.tensor([1.0, -torch.inf, 0]), r"numbers that are not finite"),
        (torch.full((3,), 1e300, dtype=torch.float64), r"numbers that are not finite"),
        (torch.ones(3, dtype=torch.int64), r"torch\.int64"),
    ],
)
def test_weights_that_are_no_finite_numbers_are_refused_by_name(model, tmp_path, planted, found):
    save_model(tmp_path / "model.pt", model, 0, [])
    contents = torch.load(tmp_path / "model.pt")
    contents["model_state_dict"]["fc_xyz.bias"] = planted
    torch.save(contents, tmp_path / "model.pt")
    message = rf"model\.pt: fc_xyz\.bias holds {found}, expected finite torch\.float32; .* again"
    with pytest.raises(InputError, match=message):
        load_model(tmp_path / "model.pt")


def test_a_networks_fingerprint_is_that_of_its_weights_alone(model, tmp_path):
    save_model(tmp_path / "model.pt", model, epoch=3, scenes=["chess"])
    loaded = load_model(tmp_path / "model.pt").to(memory_format=torch.channels_last)
    assert fingerprint(loaded) == fingerprint(model)
    with torch.no_grad():
        loaded.fc_xyz.bias[1] += 1e-6
    assert fingerprint(loaded) != fingerprint(model)


def test_a_file_without_settings_is_refused(tmp_path):
    torch.save({"weights": {}}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="expected model_state_dict, settings and maps"):
        load_model(tmp_path / "model.pt")


def test_settings_of_another_version_are_refused(model, tmp_path):
    save_model(tmp_path / "model.pt", model, 0, [])
    contents = torch.load(tmp_path / "model.pt")
    contents["settings"]["depth"] = 3
    torch.save(contents, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"settings of another version .*depth"):
        load_model(tmp_path / "model.pt")
    del contents["settings"]["depth"], contents["settings"]["attention"]
    torch.save(contents, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"settings of another version .*attention"):
        load_model(tmp_path / "model.pt")


@pytest.mark.parametrize("damage", [b"", b"PK", b"\x80\x02X\x02\x00\x00\x00\xff\xfe."])
def test_damaged_files_are_refused(tmp_path, damage):
    (tmp_path / "model.pt").write_bytes(damage)
    with pytest.raises(InputError, match=r"model\.pt: cannot be read as a checkpoint"):
        load_model(tmp_path / "model.pt")


def test_imagenet_weights_fill_all_but_the_last_layer(model, tmp_path):
    torch.manual_seed(1)
    imagenet = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(imagenet, tmp_path / "resnet18.pth")
    last = model.feature_extractor.fc.weight.clone()
    model.load_backbone(tmp_path / "resnet18.pth")
    own = model.feature_extractor.state_dict()
    assert all(torch.equal(own[key], imagenet[key]) for key in own if not key.startswith("fc."))
    assert torch.equal(own["fc.weight"], last)
    other = torchvision.models.resnet34(weights=None).state_dict()
    torch.save(other, tmp_path / "resnet34.pth")
    with pytest.raises(InputError, match=r"unexpected layer1\.2\.conv1"):
        model.load_backbone(tmp_path / "resnet34.pth")


def trained_layer(weight):
    """Return a layer with one weight, and its optimizer."""
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, weight)
    return {"learner": layer, "optimizer": torch.optim.Adam(layer.parameters(), lr=weight)}


def test_training_states_are_resumed_by_key_only(tmp_path, caplog):
    path, fresh = tmp_path / "model.pt.ckpt" / "last.pt", trained_layer(0.5)
    assert restore_state(path, "key", **fresh) == []
    for epoch in (1, 2):
        save_state(path, "key", [{"epoch": epoch}], **trained_layer(float(epoch)))
    assert restore_state(path, "other", **fresh) == []
    assert "other settings, code or data" in caplog.text
    assert fresh["learner"].weight.item() == 0.5
    assert restore_state(path, "key", **fresh) == [{"epoch": 2}]
    assert fresh["learner"].weight.item() == fresh["optimizer"].param_groups[0]["lr"] == 2
    assert list(path.parent.iterdir()) == [path]


def test_a_damaged_training_state_is_not_resumed(tmp_path, caplog):
    path, fresh = tmp_path / "last.pt", trained_layer(0.5)
    save_state(path, "key", [{"epoch": 1}], **trained_layer(1.0))
    path.write_bytes(path.read_bytes()[:100])
    assert restore_state(path, "key", **fresh) == []
    assert "starts over" in caplog.text


@pytest.mark.parametrize(
    ("stranger", "name"),
    [
        (argparse.Namespace(epochs=3), "argparse.Namespace"),
        (Path("model.pt"), f"{type(Path()).__module__}.PosixPath"),
        (np.array([None]), "numpy.dtypes.ObjectDType"),
        (datetime.date(2020, 1, 1), "datetime.date"),
    ],
)
def test_what_is_refused_in_a_checkpoint_is_named(tmp_path, stranger, name):
    """And nobody is told how to run it."""
    path = tmp_path / "model.pt"
    torch.save({"state_dict": {}, "args": stranger}, path)
    with pytest.raises(InputError, match=rf"model\.pt: .*\(it holds {name}\); expected") as caught:
        read_checkpoint(path)
    text = str(caught.value)
    assert "store the weights without it" in text
    for advice in ("weights_only", "add_safe_globals", "\x1b", "options"):
        assert advice not in text


def test_arrays_beside_the_weights_are_read_as_data(tmp_path):
    arrays = {"recall": np.linspace(0, 1, 5), "found": np.array([[True], [False]])}
    torch.save({"state_dict": {}, **arrays, "best": np.float32(0.5)}, tmp_path / "model.pt")
    contents = read_checkpoint(tmp_path / "model.pt")
    for key, array in arrays.items():
        np.testing.assert_array_equal(contents[key], array)
    assert contents["best"] == 0.5


def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"model\.pt: no such file, expected a checkpoint"):
        read_checkpoint(tmp_path / "model.pt")
