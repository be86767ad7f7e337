"""ResNet-18 for 32 x 32 images, with float, binary or tiled binary weights.

    bitwright train examples/recipes/cifar10_resnet18.toml --device cuda -o out/train/resnet18

The network of the CIFAR-10 literature: a 3 x 3 stem at full resolution, four stages of two blocks,
global average pooling. `width` is the channels of the first stage, 64 in the literature; every
layer is binary where weights are tiled, the first and the last too (arXiv 2407.12075).
"""

import torch
from torch import Tensor, nn

from bitwright.models.layers import TiledConv2d, TiledLinear, Tiling


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, which has its own weights where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int, tiling: Tiling | None) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, outputs, 3, stride, tiling)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = _conv(outputs, outputs, 3, 1, tiling)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                _conv(inputs, outputs, 1, stride, tiling), nn.BatchNorm2d(outputs)
            )
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Sequential):
    """A chain of layers that keeps channels innermost, which is faster on CPUs and GPUs alike."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, 3, 32, 32). Returns (batch, classes) scores."""
        return super().forward(x.contiguous(memory_format=torch.channels_last))


def resnet18(
    weights: str = "tiled",
    compression: int = 4,
    width: int = 64,
    min_compress_size: int = 64_000,
    classes: int = 10,
) -> ResNet:
    """weights: "float" or "tiled". compression: p, copies of a tile; 1 is a plain binary layer."""
    if weights not in ("float", "tiled"):
        raise ValueError(f"weights {weights!r}: choose float or tiled")
    tiling = Tiling(compression, min_compress_size) if weights == "tiled" else None
    layers: list[nn.Module] = [_conv(3, width, 3, 1, tiling), nn.BatchNorm2d(width), nn.ReLU()]
    inputs = width
    for stage in range(4):
        for first in (True, False):
            outputs = width << stage
            layers.append(Block(inputs, outputs, 2 if first and stage else 1, tiling))
            inputs = outputs
    layers += [nn.AvgPool2d(4), nn.Flatten()]
    if tiling is None:
        layers.append(nn.Linear(inputs, classes))
    else:
        layers.append(TiledLinear(inputs, classes, bias=True, tiling=tiling))
    return ResNet(*layers).to(memory_format=torch.channels_last)


def _conv(inputs: int, outputs: int, kernel: int, stride: int, tiling: Tiling | None) -> nn.Module:
    """A convolution without a bias: batch-norm follows."""
    shape = {"kernel_size": kernel, "stride": stride, "padding": kernel // 2, "bias": False}
    if tiling is None:
        return nn.Conv2d(inputs, outputs, **shape)
    return TiledConv2d(inputs, outputs, tiling=tiling, **shape)
