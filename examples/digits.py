"""A network for scikit-learn's handwritten digits whose activations have bits to spare.

    bitwright train examples/recipes/digits.toml -o out/digits

It is there to show what `bitwright bottleneck` finds out about its activations. All scales are
powers of two, so that no integer of the hardware differs from torch's.
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


def mlp(activations: int = 6, seed: int = 0) -> nn.Module:
    """64-32-16-10 with 4-bit weights, 4-bit pixels, and hidden activations of so many bits."""
    torch.manual_seed(seed)
    act = {"act_quant": Uint8ActPerTensorFixedPointMaxInit, "return_quant_tensor": True}
    weight = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": 4}
    pixels = {"bit_width": 4, "max_val": 1.0, "scaling_impl_type": ScalingImplType.CONST}
    return nn.Sequential(
        OrderedDict(
            pixels=qnn.QuantIdentity(**pixels, **act),
            fc1=qnn.QuantLinear(64, 32, bias=False, **weight),
            bn1=nn.BatchNorm1d(32),
            relu1=qnn.QuantReLU(bit_width=activations, max_val=4.0, **act),
            fc2=qnn.QuantLinear(32, 16, bias=False, **weight),
            bn2=nn.BatchNorm1d(16),
            relu2=qnn.QuantReLU(bit_width=activations, max_val=4.0, **act),
            fc3=qnn.QuantLinear(16, 10, bias=True, bias_quant=Int8Bias, **weight),
        )
    )
