"""The networks of MLPerf Tiny with weights and activations of a few bits (arXiv 2106.07597).

    bitwright lower examples/mlperf_tiny.py:keywords --input-shape 1,49,10 -o out/keywords

images        ResNet-8 for 32 x 32 colour images, residual blocks of three widths
keywords      DS-CNN for 49 x 10 spectrograms, depthwise and pointwise convolutions
anomalies     an autoencoder of ten dense layers for 640 spectrogram values

All scales are powers of two, so that the integers that bitwright makes are torch's own. `width` is
the channels of the first layer; the benchmark's are 16, 64 and 128. The weights are untrained.
"""

from collections import OrderedDict

import torch
from brevitas import nn as qnn
from brevitas.quant import Int8Bias
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from torch import Tensor, nn


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, both quantised alike before they are added."""

    def __init__(self, inputs: int, outputs: int, stride: int, weights: int, bits: int) -> None:
        super().__init__()
        self.conv1 = conv(inputs, outputs, 3, weights, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = relu(bits)
        self.conv2 = conv(outputs, outputs, 3, weights, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = conv(inputs, outputs, 1, weights, stride=stride)
        self.quant = signed(bits)
        self.relu2 = relu(bits)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(self.quant(y) + self.quant(self.shortcut(x)))


def images(width: int = 16, weights: int = 4, activations: int = 4, seed: int = 0) -> nn.Module:
    """ResNet-8: (3, 32, 32) to the scores of ten classes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        OrderedDict(
            pixels=signed(8),
            conv=conv(3, width, 3, weights, padding=1),
            bn=nn.BatchNorm2d(width),
            relu=relu(activations),
            stack1=Block(width, width, 1, weights, activations),
            stack2=Block(width, 2 * width, 2, weights, activations),
            stack3=Block(2 * width, 4 * width, 2, weights, activations),
            pool=nn.AvgPool2d(8),
            average=signed(activations + 2),
            flatten=nn.Flatten(),
            scores=dense(4 * width, 10, weights, bias=True, bias_quant=Int8Bias),
        )
    )


def keywords(width: int = 64, weights: int = 4, activations: int = 4, seed: int = 0) -> nn.Module:
    """DS-CNN: (1, 49, 10) to the scores of twelve words."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [
        signed(8),
        conv(1, width, (10, 4), weights, stride=2, padding="same"),
        nn.BatchNorm2d(width),
        relu(activations),
    ]
    for _ in range(4):
        layers += [
            conv(width, width, 3, weights, padding=1, groups=width),
            nn.BatchNorm2d(width),
            relu(activations),
            conv(width, width, 1, weights),
            nn.BatchNorm2d(width),
            relu(activations),
        ]
    layers += [nn.Dropout(0.4), nn.AvgPool2d((25, 5)), signed(activations + 2), nn.Flatten()]
    return nn.Sequential(*layers, dense(width, 12, weights, bias=True, bias_quant=Int8Bias))


def anomalies(width: int = 128, weights: int = 4, activations: int = 4, seed: int = 0) -> nn.Module:
    """An autoencoder: 640 values through eight to 640 again, whose distance tells anomalies."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [signed(8)]
    inputs = 640
    for outputs in (width, width, width, width, 8, width, width, width, width):
        layers += [
            dense(inputs, outputs, weights, bias=False),
            nn.BatchNorm1d(outputs),
            relu(activations),
        ]
        inputs = outputs
    return nn.Sequential(*layers, dense(inputs, 640, weights, bias=False))


def signed(bits: int) -> nn.Module:
    """What makes tensors integers."""
    return qnn.QuantIdentity(
        act_quant=Int8ActPerTensorFixedPoint, bit_width=bits, return_quant_tensor=True
    )


def relu(bits: int) -> nn.Module:
    """A ReLU with a learned scale that is a power of two."""
    return qnn.QuantReLU(
        act_quant=Uint8ActPerTensorFixedPoint, bit_width=bits, return_quant_tensor=True
    )


def conv(
    inputs: int, outputs: int, kernel: int | tuple[int, int], bits: int, **shape: object
) -> nn.Module:
    """A convolution without a bias: batch-norm or a quantiser follows."""
    weight = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": bits}
    return qnn.QuantConv2d(inputs, outputs, kernel, bias=False, **weight, **shape)


def dense(inputs: int, outputs: int, bits: int, **bias: object) -> nn.Module:
    """A dense layer."""
    weight = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": bits}
    return qnn.QuantLinear(inputs, outputs, **weight, **bias)
