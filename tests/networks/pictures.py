"""A small convolutional network for tests of the whole job."""

import torch
from brevitas import nn as qnn
from brevitas.quant import Int8WeightPerTensorFixedPoint, Uint8ActPerTensorFixedPoint
from torch import nn


def _act(bits: int) -> nn.Module:
    return qnn.QuantIdentity(
        act_quant=Uint8ActPerTensorFixedPoint, bit_width=bits, return_quant_tensor=True
    )


def pictures() -> nn.Module:
    """1 x 6 x 6 to 3 classes: a convolution, a pool and a dense layer."""
    torch.manual_seed(0)
    weights = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": 3}
    model = nn.Sequential(
        _act(4),
        qnn.QuantConv2d(1, 4, 3, padding=1, bias=False, **weights),
        nn.BatchNorm2d(4),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=3, return_quant_tensor=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        qnn.QuantLinear(36, 3, bias=False, **weights),
    )
    model.train()
    for _ in range(5):
        model(torch.rand(64, 1, 6, 6))
    return model.eval()
