"""NetVLAD (Arandjelovic et al., CVPR 2016): VGG16 features, softly assigned residuals.

Layers and state dict keys follow the published checkpoint ``netvlad_vgg16.tar``: ``encoder.0`` to
``encoder.28`` are VGG16's convolutions, ``pool.conv.weight`` (K, 512, 1, 1) assigns local
descriptors to clusters, ``pool.centroids`` (K, 512) are the anchors of the residuals.

Dimensions: B images, C = 512 channels, P positions of the feature map, K clusters.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..files.weights import load_weights, read_checkpoint
from ..runtime import InputError, torch_generator
from .vocabulary import fit_centroids

CHANNELS = 512
CLUSTERS = 64
SECOND_SHARE = 0.01  # soft assignment: weight of the second nearest cluster relative to the nearest
ROUNDING = 1e-5  # cosines closer than this are equal
BATCH = 16  # images at once
# VGG16's convolutions by their output channels; "pool" halves the resolution.
VGG16 = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool")
VGG16 += (512, 512, 512)
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class NetVLAD(nn.Module):
    """VGG16 up to conv5_3's ReLU, then the NetVLAD layer."""

    def __init__(self, clusters: int = CLUSTERS) -> None:
        """Make the network; its weights have to be loaded, or initialised from data."""
        super().__init__()
        self.encoder = vgg16_encoder()
        self.pool = ResidualPooling(clusters)

    def forward(self, images_B3HW: torch.Tensor) -> torch.Tensor:
        """Return unit descriptors (B, K * 512) of images, RGB, ImageNet-normalised."""
        return self.pool(self.local_descriptors(images_B3HW))

    def local_descriptors(self, images_B3HW: torch.Tensor) -> torch.Tensor:
        """Return the local descriptors (B, 512, P), unit length over the channels, float32."""
        return functional.normalize(self.encoder(images_B3HW).flatten(2).float(), dim=1)


class ResidualPooling(nn.Module):
    """The NetVLAD layer (section 3.1): residuals to K centroids, weighted by soft assignment."""

    def __init__(self, clusters: int) -> None:
        """Make the layer with empty weights."""
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, clusters, kernel_size=1, bias=False)
        self.centroids = nn.Parameter(torch.zeros(clusters, CHANNELS))

    def forward(self, local_BCP: torch.Tensor) -> torch.Tensor:
        """Return unit descriptors (B, K * C) of unit local descriptors.

        Equation 4, the sum of a (x - c) over positions, is computed as (sum of a x) - (sum of a) c,
        without the residuals (B, K, C, P).
        """
        with torch.autocast(local_BCP.device.type, enabled=False):
            assignment_BKP = self.conv(local_BCP[..., None]).squeeze(-1).softmax(dim=1)
            total_BK1 = assignment_BKP.sum(dim=2, keepdim=True)
            residuals_BKC = assignment_BKP @ local_BCP.mT - total_BK1 * self.centroids
            blocks_BKC = functional.normalize(residuals_BKC, dim=2)  # intra-normalisation
            return functional.normalize(blocks_BKC.flatten(1), dim=1)


def vgg16_encoder() -> nn.Sequential:
    """Return VGG16's convolutional layers without the last pooling, numbered as in torchvision."""
    layers: list[nn.Module] = []
    channels = 3
    for width in VGG16:
        if width == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*layers)


def network_of(arrays: Mapping[str, np.ndarray], source: str | Path) -> NetVLAD:
    """Return the network with the arrays of a vocabulary or a checkpoint, for evaluation.

    Raises:
        InputError: keys of ``source`` are missing, unexpected or of another shape.
    """
    model = NetVLAD(len(arrays.get("pool.centroids", ()))).eval()
    load_weights(model, {key: torch.from_numpy(array) for key, array in arrays.items()}, source)
    return model


def load_netvlad(path: str | Path) -> NetVLAD:
    """Return the network of a checkpoint in the published layout, on the CPU, for evaluation.

    Raises:
        InputError: the checkpoint cannot be read or has no ``state_dict``, or keys are missing,
            unexpected or of another shape.
    """
    contents = read_checkpoint(path)
    if not isinstance(contents.get("state_dict"), dict):
        raise InputError(
            f"{path}: holds {', '.join(map(str, contents)) or 'nothing'}, expected the key "
            "state_dict as in netvlad_vgg16.tar"
        )
    model = NetVLAD()
    load_weights(model, contents["state_dict"], path)
    return model.eval()


def load_vgg16(model: NetVLAD, path: str | Path) -> None:
    """Fill the encoder from torchvision's VGG16 (``vgg16-397923af.pth``), without its classifier.

    Raises:
        InputError: the file cannot be read, or is not VGG16's state dict.
    """
    state = read_checkpoint(path)
    convolutions = {
        key.removeprefix("features."): value
        for key, value in state.items()
        if not key.startswith("classifier.")
    }
    load_weights(model.encoder, convolutions, path)


@torch.no_grad()
def randomise_vgg16(model: NetVLAD, seed: int) -> None:
    """Fill the encoder with random weights that preserve the scale of features (He et al. 2015)."""
    generator = torch_generator(seed, "vgg16")
    for layer in model.encoder:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)


def fit_netvlad(
    images: Iterable[np.ndarray],
    sample: Callable[[Iterable[np.ndarray]], np.ndarray],
    clusters: int,
    seed: int,
    scene: str,
    vgg16_weights: str | Path | None,
    device: torch.device,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a network fitted on images, and what to record about it.

    Args:
        images: (H, W, 3) uint8 RGB, of one size.
        sample: draws local features (N, D) from those of each image (n, D).
        clusters: of the pooling layer.
        seed: of random weights and of the clusters.
        scene: that the images are of, for messages.
        vgg16_weights: see ``load_vgg16``; None: random weights.
        device: to compute local features on.
    """
    model = NetVLAD(clusters)
    if vgg16_weights is None:
        randomise_vgg16(model, seed)
    else:
        load_vgg16(model, vgg16_weights)
    model.to(device)
    features = run_in_batches(lambda batch: model.local_descriptors(batch).mT, images, device)
    local_NC = sample(features)  # which are computed now, before the model leaves the device
    alpha = initialise_from_data(model.cpu(), local_NC, seed, scene)
    vgg16 = Path(vgg16_weights).name if vgg16_weights else "random"
    arrays = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    return arrays, {"alpha": alpha, "vgg16": vgg16}


@torch.no_grad()
def initialise_from_data(
    model: NetVLAD, local_NC: np.ndarray, seed: int, source: str = "NetVLAD"
) -> float:
    """Initialise the NetVLAD layer from local descriptors (N, 512), unit rows; return alpha.

    Centroids are those of k-means. The assignment's weight is alpha times the unit centroids, with
    alpha such that the second nearest cluster weighs 0.01 times the nearest, in the geometric mean
    over the descriptors (section 4, "Training the NetVLAD layer").

    Raises:
        InputError: there are too few local descriptors, or all are alike.
    """
    centroids = torch.from_numpy(fit_centroids(local_NC, len(model.pool.centroids), seed, source))
    anchors = functional.normalize(centroids, dim=1)
    nearest_N2 = (torch.from_numpy(local_NC) @ anchors.T).topk(2, dim=1).values
    gap = (nearest_N2[:, 0] - nearest_N2[:, 1]).mean().item()
    if not gap > ROUNDING:
        raise InputError(
            f"{source}: the local descriptors of the training images are all alike, expected "
            "different ones, to fit a vocabulary on; are the images blank?"
        )
    alpha = -math.log(SECOND_SHARE) / gap
    model.pool.centroids.copy_(centroids)
    model.pool.conv.weight.copy_(alpha * anchors[:, :, None, None])
    return alpha


def run_in_batches(
    network: Callable[[torch.Tensor], torch.Tensor],
    images: Iterable[np.ndarray],
    device: torch.device,
) -> Iterator[np.ndarray]:
    """Yield the network's output for each image, (H, W, 3) uint8 RGB, all of one size."""
    images = iter(images)
    while batch := list(itertools.islice(images, BATCH)):
        with torch.inference_mode():
            made = network(encoder_input(np.stack(batch), device))
        yield from made.cpu().numpy()


def encoder_input(images_BHW3: np.ndarray, device: torch.device) -> torch.Tensor:
    """Return uint8 RGB images (B, H, W, 3) as the encoder's input (B, 3, H, W) on ``device``."""
    images = torch.from_numpy(images_BHW3).to(device).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (
        torch.tensor(values, device=device)[:, None, None]
        for values in (IMAGENET_MEAN, IMAGENET_DEVIATION)
    )
    return (images - mean) / deviation
