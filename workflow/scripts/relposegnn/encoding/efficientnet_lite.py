"""EfficientNet-Lite0 up to stride 16, in PyTorch's own layers.

timm has it too, with the same maps to the bit, but importing timm makes the command that localises
one photo about two seconds slower.

Source: Tan and Le, EfficientNet (ICML 2019), Table 1, in TensorFlow's variant Lite: without squeeze
and excitation, with ReLU6, and with the same stem and last layers for every width.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import pad, relu6

EPSILON = 1e-3  # of the batch norms, as in TensorFlow


class Stage(NamedTuple):
    """Blocks of one width; the first one has the stride and the change of channels.

    Attributes:
        kernel: side of the filters, in cells of a map.
        stride: of the first block.
        expansion: ratio of a block's inner channels to its input channels.
        channels: of a block's output.
        blocks: their number.
    """

    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


STEM = 32  # channels, at stride 2
STAGES = (  # up to stride 16; the rest would cost a third and is not needed
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
)


class EfficientNetLite0(nn.Module):
    """The network's stem and first stages: images to maps at strides 8 and 16.

    Modules have the names of the weights' package, so that its ImageNet weights can be loaded
    directly. Each norm comes right after its convolution, so that it can be folded into it.
    """

    def __init__(self) -> None:
        """Build the network with random weights."""
        super().__init__()
        self._conv_stem = _convolution(3, STEM, 3, 2)
        self._bn0 = nn.BatchNorm2d(STEM, EPSILON)
        blocks, channels, stride = [], STEM, 2
        for stage in STAGES:
            stride *= stage.stride
            for number in range(stage.blocks):
                first_stride = 1 if number else stage.stride
                blocks.append(Block(channels, stage, first_stride))
                channels = stage.channels
            if stride == 8:
                self.fine_blocks = len(blocks)  # so many blocks end at stride 8
        self._blocks = nn.ModuleList(blocks)

    def forward(self, images_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps (B, 40, H/8, W/8) and (B, 112, H/16, W/16); sides are multiples of 16."""
        maps = relu6(self._bn0(_strided(self._conv_stem, images_B3HW)), inplace=True)
        for block in self._blocks[: self.fine_blocks]:
            maps = block(maps)
        fine = maps
        for block in self._blocks[self.fine_blocks :]:
            maps = block(maps)
        return fine, maps


class Block(nn.Module):
    """An inverted residual: expansion of channels, depthwise convolution, projection."""

    def __init__(self, channels: int, stage: Stage, stride: int) -> None:
        """Build a block of ``stage`` for inputs with ``channels`` channels."""
        super().__init__()
        wide = channels * stage.expansion
        self.expands, self.adds = wide > channels, stride == 1 and channels == stage.channels
        if self.expands:
            self._expand_conv = _convolution(channels, wide)
            self._bn0 = nn.BatchNorm2d(wide, EPSILON)
        self._depthwise_conv = _convolution(wide, wide, stage.kernel, stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, EPSILON)
        self._project_conv = _convolution(wide, stage.channels)
        self._bn2 = nn.BatchNorm2d(stage.channels, EPSILON)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (B, C', H/stride, W/stride) of maps (B, C, H, W), H and W even."""
        inner = maps
        if self.expands:
            inner = relu6(self._bn0(self._expand_conv(inner)), inplace=True)
        inner = relu6(self._bn1(_strided(self._depthwise_conv, inner)), inplace=True)
        inner = self._bn2(self._project_conv(inner))
        return inner + maps if self.adds else inner


def _convolution(
    channels: int, channels_after: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a convolution without bias; with a stride, ``_strided`` pads its input."""
    padding = kernel // 2 if stride == 1 else 0
    return nn.Conv2d(channels, channels_after, kernel, stride, padding, groups=groups, bias=False)


def _strided(convolution: nn.Conv2d, maps: Tensor) -> Tensor:
    """Return a convolution of maps of even sides, padded as in TensorFlow: less at the start."""
    if convolution.stride[0] > 1:
        padding = convolution.kernel_size[0] - convolution.stride[0]
        before, behind = padding // 2, padding - padding // 2
        maps = pad(maps, (before, behind, before, behind))
    return convolution(maps)
