"""Checkpoints that are no network of the authors' profile are refused, and run no code."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from tiny_checkpoints import TINY, tiny_state, write_checkpoint

from relposegnn.authors.models import import_model
from relposegnn.network.checkpoints import load_model
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"width": 32},
            r"(?s)authors\.pth\.tar: .*gnn1\.mlp\.0\.weight is \(16, 32\), expected \(32, 64\).*"
            r"authors\.profile has backbone resnet10 and width 32",
        ),
        (
            {"backbone": "resnet18"},
            r"(?s)missing feature_extractor\.layer1\.1\..*authors\.profile has backbone resnet18",
        ),
    ],
)
def test_settings_that_do_not_fit_are_named_by_their_keys(tmp_path, change, message):
    checkpoint = write_checkpoint(tmp_path / "authors.pth.tar", tiny_state())
    with pytest.raises(InputError, match=message):
        import_model(checkpoint, tmp_path / "model.pt", replace(TINY, **change))
    assert [path.name for path in tmp_path.iterdir()] == ["authors.pth.tar"]


def test_a_profile_of_another_year_is_warned_of(tmp_path, caplog):
    checkpoint = write_checkpoint(tmp_path / "authors.pth.tar", tiny_state())
    import_model(checkpoint, tmp_path / "model.pt", replace(TINY, knn=4))
    assert "authors.profile.knn: got 4" in caplog.text
    assert "profile.iterations" not in caplog.text


def test_incomplete_checkpoints_are_refused_with_keys_and_shapes(tmp_path):
    state = tiny_state()
    del state["gnn1.att.g.bias"]
    state["fc_xyz_R.weight"] = torch.zeros(3, 8)
    state["gnn3.mlp.0.weight"] = torch.zeros(1)
    state["fc_wpqr.bias"] = "none"
    checkpoint = write_checkpoint(tmp_path / "authors.pth.tar", state)
    with pytest.raises(InputError, match=r"authors\.pth\.tar") as refused:
        import_model(checkpoint, tmp_path / "model.pt", TINY)
    text = str(refused.value)
    assert "missing gnn1.att.g.bias" in text
    assert "unexpected gnn3.mlp.0.weight" in text
    assert "fc_xyz_R.weight is (3, 8), expected (3, 16)" in text
    assert "fc_wpqr.bias is a str" in text


@pytest.mark.parametrize("key", [3, b"fc_xyz_R.weight", (1, 2)])
def test_keys_that_are_no_text_are_refused(tmp_path, key):
    checkpoint = write_checkpoint(tmp_path / "a.pth", {**tiny_state(), key: torch.zeros(1)})
    with pytest.raises(
        InputError, match=r"a\.pth: holds weights that do not fit .*\n  unexpected "
    ):
        import_model(checkpoint, tmp_path / "model.pt", TINY)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_weights_that_are_no_floating_point_numbers_are_refused(tmp_path, dtype):
    state = tiny_state()
    state["gnn1.att.W.bias"] = state["gnn1.att.W.bias"].to(dtype)
    checkpoint = write_checkpoint(tmp_path / "authors.pth.tar", state)
    message = (
        rf"authors\.pth\.tar: gnn1\.att\.W\.bias holds {dtype}, expected finite torch\.float32"
    )
    with pytest.raises(InputError, match=message):
        import_model(checkpoint, tmp_path / "model.pt", TINY)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    state = tiny_state()
    state["gnn1.att.W.bias"] = torch.full((16,), torch.nan)
    checkpoint = write_checkpoint(tmp_path / "authors.pth.tar", state)
    with pytest.raises(InputError, match=r"gnn1\.att\.W\.bias holds numbers that are not finite"):
        import_model(checkpoint, tmp_path / "model.pt", TINY)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (torchvision.models.resnet18(weights=None).state_dict, "conv1.weight.*expected model_stat"),
        (lambda: {"state_dict": {"pool.centroids": torch.zeros(64, 512)}}, "holds state_dict, exp"),
        (
            lambda: {"model_state_dict": {"fc.weight": torch.zeros(1)}},
            "holds weights that do not fit",
        ),
        (lambda: {"model_state_dict": torch.zeros(3)}, "expected model_state_dict among them, as"),
        (lambda: [torch.zeros(3)], "holds a list, expected a dict of tensors"),
    ],
)
def test_files_of_other_networks_are_refused(tmp_path, contents, message):
    torch.save(contents(), tmp_path / "other.pth")
    with pytest.raises(InputError, match=message) as refused:
        import_model(tmp_path / "other.pth", tmp_path / "model.pt", TINY)
    assert "other.pth" in str(refused.value)


class Hostile:
    """An object whose pickle makes a folder when it is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, new_format):
    contents = {"model_state_dict": tiny_state(), "epoch": Hostile(tmp_path / "harm")}
    path = tmp_path / "hostile.pth.tar"
    torch.save(contents, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(InputError, match=r"hostile\.pth\.tar: cannot be read as a checkpoint"):
        import_model(path, tmp_path / "model.pt", TINY)
    assert not (tmp_path / "harm").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "harm").exists()  # it would have done harm


def test_their_file_is_not_taken_for_a_model_of_ours(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "authors.pth.tar", tiny_state())
    with pytest.raises(InputError, match=r"authors\.pth\.tar: .*import it as a published-\.\.\."):
        load_model(checkpoint)
