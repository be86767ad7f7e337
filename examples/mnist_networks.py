"""Networks for MNIST: an MLP and a small CNN, with float, binary or tiled binary weights.

    bitwright train examples/recipes/mnist_mlp.toml -o out/train/mnist_mlp

Every factory takes the same three arguments, which a recipe sets:

weights       "float", or "tiled": binary weights that repeat one learned tile (TBN)
compression   p, how many copies of the tile make a layer; 1 is a plain binary layer
activations   bits of the pixels and of every activation; 32 leaves them float

Pixels come as multiples of 1/256 below 1 (see bitwright.models.data_files), so that 8 bits hold
them exactly, and all activation scales are powers of two. Scales of binary weights are not: they
and batch-norm fold into thresholds, exactly, where torch rounds in float32. `bitwright lower` tells
how many integers that changes: none or a few in a million.
"""

from collections import OrderedDict
from typing import Any

from brevitas import nn as qnn
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import Int8Bias
from brevitas.quant.fixed_point import Uint8ActPerTensorFixedPointMaxInit
from torch import nn

from bitwright.models.layers import TiledConv2d, TiledLinear, Tiling

FLOAT = 32


def mlp(
    weights: str = "tiled",
    compression: int = 4,
    activations: int = 4,
    inputs: int = 784,
    hidden: int = 128,
    min_compress_size: int = 64_000,
) -> nn.Sequential:
    """784-128-10. The last layer is below min_compress_size: binary, but not tiled."""
    tiling = _tiling(weights, compression, min_compress_size)
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            pixels=pixels(activations),
            fc1=linear(inputs, hidden, tiling),
            bn1=nn.BatchNorm1d(hidden),
            relu1=relu(activations),
            fc2=scores(hidden, 10, tiling, activations),
        )
    )


def cnn(
    weights: str = "tiled",
    compression: int = 4,
    activations: int = 4,
    channels: int = 16,
    min_compress_size: int = 4_096,
) -> nn.Sequential:
    """Two convolutions and two dense layers; the second convolution and fc1 are tiled."""
    tiling = _tiling(weights, compression, min_compress_size)
    c = channels
    return nn.Sequential(
        OrderedDict(
            pixels=pixels(activations),
            conv1=conv(1, c, tiling, stride=2),
            bn1=nn.BatchNorm2d(c),
            relu1=relu(activations),
            conv2=conv(c, 2 * c, tiling, stride=2),
            bn2=nn.BatchNorm2d(2 * c),
            relu2=relu(activations),
            flatten=nn.Flatten(),
            fc1=linear(2 * c * 7 * 7, 128, tiling),
            bn3=nn.BatchNorm1d(128),
            relu3=relu(activations),
            fc2=scores(128, 10, tiling, activations),
        )
    )


def pixels(bits: int) -> nn.Module:
    """What makes pixels integers: their top bits, since the scale is 2^-bits."""
    if bits == FLOAT:
        return nn.Identity()
    return qnn.QuantIdentity(
        act_quant=Uint8ActPerTensorFixedPointMaxInit,
        bit_width=bits,
        max_val=1.0,
        scaling_impl_type=ScalingImplType.CONST,
        return_quant_tensor=True,
    )


def relu(bits: int) -> nn.Module:
    """A ReLU; quantised, with a learned scale that is a power of two."""
    if bits == FLOAT:
        return nn.ReLU()
    return qnn.QuantReLU(
        act_quant=Uint8ActPerTensorFixedPointMaxInit,
        bit_width=bits,
        max_val=4.0,
        return_quant_tensor=True,
    )


def linear(inputs: int, outputs: int, tiling: Tiling | None, **bias: Any) -> nn.Module:
    """A dense layer, without a bias unless told: batch-norm follows."""
    bias = bias or {"bias": False}
    if tiling is None:
        return nn.Linear(inputs, outputs, bias=bias["bias"])
    return TiledLinear(inputs, outputs, tiling=tiling, **bias)


def conv(inputs: int, outputs: int, tiling: Tiling | None, stride: int) -> nn.Module:
    """A 3 x 3 convolution without a bias: batch-norm follows."""
    shape = {"kernel_size": 3, "stride": stride, "padding": 1, "bias": False}
    if tiling is None:
        return nn.Conv2d(inputs, outputs, **shape)
    return TiledConv2d(inputs, outputs, tiling=tiling, **shape)


def scores(inputs: int, outputs: int, tiling: Tiling | None, activations: int) -> nn.Module:
    """The last layer, whose bias is an integer where its inputs are."""
    if tiling is None or activations == FLOAT:
        return linear(inputs, outputs, tiling, bias=True)
    return linear(inputs, outputs, tiling, bias=True, bias_quant=Int8Bias)


def _tiling(weights: str, compression: int, min_compress_size: int) -> Tiling | None:
    if weights not in ("float", "tiled"):
        raise ValueError(f"weights {weights!r}: choose float or tiled")
    return Tiling(compression, min_compress_size) if weights == "tiled" else None
