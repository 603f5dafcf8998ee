import importlib.util
import json
import math

import numpy as np
import pytest
import torch

from relposegnn.retrieval.netvlad import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    NetVLAD,
    ResidualPooling,
    encoder_input,
    initialise_from_data,
    load_netvlad,
    load_vgg16,
    randomise_vgg16,
)
from relposegnn.runtime import InputError


@pytest.fixture(scope="module")
def reference_state(reference) -> dict[str, torch.Tensor]:
    """Return the weights that the reference values were computed with."""
    spec = importlib.util.spec_from_file_location("weights", reference / "weights.py")
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    shapes = json.loads((reference / "shapes-netvlad.json").read_text())
    return {key: torch.from_numpy(value) for key, value in weights.state_dict(shapes).items()}


@pytest.fixture(scope="module")
def checkpoint(reference_state, tmp_path_factory):
    """Return a checkpoint as training scripts of the time wrote it, NumPy scalar included."""
    path = tmp_path_factory.mktemp("weights") / "netvlad_vgg16.tar"
    contents = {"epoch": 30, "best_score": np.float64(0.85), "state_dict": reference_state}
    torch.save(contents, path)
    return path


def unit_rows(count: int, seed: int) -> np.ndarray:
    """Return non-negative unit vectors, as features after a ReLU are."""
    rows = np.abs(np.random.default_rng(seed).standard_normal((count, 512))).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_parity_with_the_published_implementation(checkpoint, reference):
    expected = np.load(reference / "netvlad.npz")
    model = load_netvlad(checkpoint)
    images = torch.from_numpy(expected["images"])
    with torch.inference_mode():
        features = model.encoder(images).numpy()
        descriptor = model(images).numpy()
    for found, name in ((features, "feature_map"), (descriptor, "descriptor")):
        deviation = np.abs(found - expected[name]).max()
        assert deviation < 1e-4 * np.abs(expected[name]).max(), name
    np.testing.assert_allclose(np.linalg.norm(descriptor, axis=1), 1, atol=1e-5)


def test_checkpoint_keeps_every_weight(checkpoint, reference_state):
    model = load_netvlad(checkpoint)
    assert not model.training
    state = model.state_dict()
    assert state.keys() == reference_state.keys()
    assert all(torch.equal(state[key], value) for key, value in reference_state.items())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("pool.centroids", None, "missing pool.centroids"),
        ("WPCA.0.weight", torch.zeros(1), "unexpected WPCA.0.weight"),
        ("encoder.28.bias", torch.zeros(3), r"encoder.28.bias is \(3,\), expected \(512,\)"),
        ("encoder.28.bias", "none", r"encoder.28.bias is a str, expected \(512,\)"),
    ],
)
def test_checkpoint_of_another_network_is_refused(reference_state, tmp_path, key, value, message):
    state = {**reference_state, key: value}
    if value is None:
        del state[key]
    path = tmp_path / "other.tar"
    torch.save({"state_dict": state}, path)
    with pytest.raises(InputError, match=rf"(?s)other\.tar: .*{message}"):
        load_netvlad(path)


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of the file ran')",))


@pytest.mark.parametrize("damage", ["absent", "empty", "truncated", "code", "no state_dict"])
def test_unreadable_checkpoint(reference_state, tmp_path, damage):
    path = tmp_path / "bad.tar"
    if damage == "empty":
        path.touch()
    elif damage == "truncated":
        torch.save({"state_dict": {"x": torch.zeros(10_000)}}, path)
        path.write_bytes(path.read_bytes()[:20_000])
    elif damage == "code":
        torch.save({"state_dict": Malicious()}, path)
    elif damage == "no state_dict":
        torch.save({"model": {}}, path)
    messages = {"absent": "no such file", "no state_dict": "holds model"}
    message = messages.get(damage, "cannot be read as a checkpoint")
    with pytest.raises(InputError, match=rf"bad\.tar: {message}"):
        load_netvlad(path)


def test_pooling_equals_the_definition():
    torch.manual_seed(0)
    pool = ResidualPooling(5)
    torch.nn.init.normal_(pool.centroids)
    local = torch.nn.functional.normalize(torch.randn(2, 512, 7), dim=1)
    weight = (pool.conv.weight[:, :, 0, 0] @ local).softmax(dim=1)
    residual = local[:, None] - pool.centroids[None, :, :, None]
    blocks = torch.nn.functional.normalize((weight[:, :, None] * residual).sum(-1), dim=2)
    expected = torch.nn.functional.normalize(blocks.flatten(1), dim=1)
    torch.testing.assert_close(pool(local), expected, atol=1e-6, rtol=1e-4)


def test_pooling_does_not_depend_on_position():
    torch.manual_seed(0)
    pool = ResidualPooling(5)
    torch.nn.init.normal_(pool.centroids)
    local = torch.nn.functional.normalize(torch.randn(1, 512, 30), dim=1)
    torch.testing.assert_close(pool(local[..., torch.randperm(30)]), pool(local))


def test_initialisation_gives_the_second_cluster_a_hundredth_of_the_first():
    local = unit_rows(3000, seed=0)
    model = NetVLAD(16)
    alpha = initialise_from_data(model, local, seed=0)
    logits = model.pool.conv(torch.from_numpy(local)[..., None, None])[:, :, 0, 0].detach()
    best = logits.log_softmax(dim=1).topk(2, dim=1).values
    assert (best[:, 1] - best[:, 0]).mean().item() == pytest.approx(math.log(0.01), rel=1e-3)
    rows = model.pool.conv.weight.detach()[:, :, 0, 0]
    np.testing.assert_allclose(rows.norm(dim=1), alpha, rtol=1e-5)
    cosine = torch.nn.functional.cosine_similarity(rows, model.pool.centroids, dim=1)
    np.testing.assert_allclose(cosine.detach(), 1, atol=1e-5)


def test_initialisation_follows_the_seed_and_refuses_equal_features():
    local = unit_rows(500, seed=1)
    first, again = NetVLAD(8), NetVLAD(8)
    assert initialise_from_data(first, local, 0) == initialise_from_data(again, local, 0)
    assert torch.equal(first.pool.centroids, again.pool.centroids)
    with pytest.raises(InputError, match="all alike"):
        initialise_from_data(first, np.repeat(local[:1], 50, axis=0), 0)


def test_vgg16_of_torchvision(reference_state, tmp_path):
    encoder = {k: v for k, v in reference_state.items() if k.startswith("encoder.")}
    published = {k.replace("encoder.", "features."): v for k, v in encoder.items()}
    path = tmp_path / "vgg16.pth"
    torch.save({**published, "classifier.0.weight": torch.zeros(2, 2)}, path)
    model = NetVLAD()
    load_vgg16(model, path)
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in encoder.items())
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(InputError, match=r"(?s)vgg16\.pth: .*missing 0\.bias"):
        load_vgg16(model, path)


def test_random_encoder_follows_the_seed_and_keeps_the_scale():
    first, again, other = NetVLAD(2), NetVLAD(2), NetVLAD(2)
    for model, seed in ((first, 0), (again, 0), (other, 1)):
        randomise_vgg16(model, seed)
    weights = [model.encoder[28].weight for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    images = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert 0.1 < first.encoder(images).std() < 10


def test_normalisation_of_images():
    images = np.zeros((2, 4, 6, 3), np.uint8)
    images[1] = 255
    found = encoder_input(images, torch.device("cpu"))
    assert found.shape == (2, 3, 4, 6)
    for channel, (mean, deviation) in enumerate(
        zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True)
    ):
        assert found[0, channel, 0, 0].item() == pytest.approx(-mean / deviation)
        assert found[1, channel, 3, 5].item() == pytest.approx((1 - mean) / deviation)
