"""Networks for scikit-learn's handwritten digits, trained in seconds.

    bitwright train examples/recipes/digits.toml -o out/digits
    bitwright train examples/recipes/digits_cnn.toml -o out/digits_cnn

The first has activations with bits to spare, and is there to show what `bitwright bottleneck` finds
out about them; the second is convolutional. All scales are powers of two, so that no integer of the
hardware differs from torch's.
"""

from collections import OrderedDict

import torch
from brevitas import nn as qnn
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import Int8Bias
from brevitas.quant.fixed_point import (
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPointMaxInit,
)
from torch import nn

ACT = {"act_quant": Uint8ActPerTensorFixedPointMaxInit, "return_quant_tensor": True}
WEIGHT = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": 4}


def mlp(activations: int = 6, seed: int = 0) -> nn.Module:
    """64-32-16-10 with 4-bit weights, 4-bit pixels, and hidden activations of so many bits."""
    torch.manual_seed(seed)
    return nn.Sequential(
        OrderedDict(
            pixels=pixels(),
            fc1=qnn.QuantLinear(64, 32, bias=False, **WEIGHT),
            bn1=nn.BatchNorm1d(32),
            relu1=relu(activations),
            fc2=qnn.QuantLinear(32, 16, bias=False, **WEIGHT),
            bn2=nn.BatchNorm1d(16),
            relu2=relu(activations),
            fc3=qnn.QuantLinear(16, 10, bias=True, bias_quant=Int8Bias, **WEIGHT),
        )
    )


def cnn(activations: int = 3, channels: int = 8, seed: int = 0) -> nn.Module:
    """Two 3 x 3 convolutions of 4-bit weights with a maximum behind each, and a dense layer."""
    torch.manual_seed(seed)
    c = channels
    return nn.Sequential(
        OrderedDict(
            image=nn.Unflatten(1, (1, 8, 8)),
            pixels=pixels(),
            conv1=qnn.QuantConv2d(1, c, 3, padding=1, bias=False, **WEIGHT),
            bn1=nn.BatchNorm2d(c),
            relu1=relu(activations),
            pool1=nn.MaxPool2d(2),
            conv2=qnn.QuantConv2d(c, 2 * c, 3, padding=1, bias=False, **WEIGHT),
            bn2=nn.BatchNorm2d(2 * c),
            relu2=relu(activations),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc=qnn.QuantLinear(8 * c, 10, bias=True, bias_quant=Int8Bias, **WEIGHT),
        )
    )


def pixels() -> nn.Module:
    """What makes pixels integers: 16 levels, as they come."""
    scale = {"max_val": 1.0, "scaling_impl_type": ScalingImplType.CONST}
    return qnn.QuantIdentity(bit_width=4, **scale, **ACT)


def relu(bits: int) -> nn.Module:
    """A quantised ReLU, with a learned scale that is a power of two."""
    return qnn.QuantReLU(bit_width=bits, max_val=4.0, **ACT)
