"""The networks that people bring: FINN's TFC, and MLPerf Tiny's image, keyword and anomaly.

width: channels of a sixteenth of the real ones, 16 being the real network. Weights are random.
"""

from typing import Any

import torch
from brevitas import nn as qnn
from brevitas.quant import binary, fixed_point, scaled_int
from torch import nn

SIGNED = fixed_point.Int8ActPerTensorFixedPointMinMaxInit.let(min_val=-1.0, max_val=0.9921875)
UNSIGNED = fixed_point.Uint8ActPerTensorFixedPointMaxInit.let(max_val=2.0)
BIPOLAR = binary.SignedBinaryActPerTensorConst.let(scaling_const=1.0)
FINN_WEIGHTS = binary.SignedBinaryWeightPerTensorConst.let(scaling_const=1.0)


def _weights(bits: int) -> dict[str, Any]:
    if bits == 1:
        return {"weight_quant": FINN_WEIGHTS, "bias": False}
    return {"weight_quant": scaled_int.Int8WeightPerTensorFloat, "weight_bit_width": bits,
            "bias": False}  # fmt: skip


def _act(bits: int) -> nn.Module:
    quant = BIPOLAR if bits == 1 else SIGNED
    settings = {} if bits == 1 else {"bit_width": bits}
    return qnn.QuantIdentity(act_quant=quant, return_quant_tensor=True, **settings)


def _relu(bits: int) -> nn.Module:
    return qnn.QuantReLU(act_quant=UNSIGNED, bit_width=bits, return_quant_tensor=True)


class Normalised(nn.Module):
    """TFC with what FINN has in front: pixels 0..255 become reals from -1 to 1."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.inner = tfc(1, 1, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(2.0 * (x / 255.0) - 1.0)


class Bipolar(nn.Module):
    """TFC of one bit everywhere, pixels from 0 to 1 too."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.inner = tfc(1, 1, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(2.0 * x - 1.0)


def tfc(weight_bits: int, act_bits: int, width: int = 16) -> nn.Module:
    """784-64-64-64-10 on 28 x 28 pixels."""
    hidden = 4 * width
    layers: list[nn.Module] = [nn.Flatten(), _act(act_bits)]
    for inputs in (784, hidden, hidden):
        layers += [
            nn.Dropout(0.2),
            qnn.QuantLinear(inputs, hidden, **_weights(weight_bits)),
            nn.BatchNorm1d(hidden),
            _act(act_bits),
        ]
    return nn.Sequential(*layers, qnn.QuantLinear(hidden, 10, **_weights(weight_bits)))


class _Block(nn.Module):
    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.one = qnn.QuantConv2d(before, channels, 3, stride=stride, padding=1, **_weights(4))
        self.bn1, self.relu1 = nn.BatchNorm2d(channels), _relu(4)
        self.two = qnn.QuantConv2d(channels, channels, 3, padding=1, **_weights(4))
        self.bn2 = nn.BatchNorm2d(channels)
        self.skip = (
            nn.Identity()
            if before == channels
            else qnn.QuantConv2d(before, channels, 1, stride=stride, **_weights(4))
        )
        self.join, self.relu2 = _act(6), _relu(4)

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.two(self.relu1(self.bn1(self.one(x)))))
        return self.relu2(self.join(y) + self.join(self.skip(x)))


def image(width: int = 16) -> nn.Module:
    """MLPerf Tiny's ResNet-8 on 3 x 32 x 32."""
    return nn.Sequential(
        _act(8), qnn.QuantConv2d(3, width, 3, padding=1, **_weights(4)), nn.BatchNorm2d(width),
        _relu(4), _Block(width, width, 1), _Block(width, 2 * width, 2),
        _Block(2 * width, 4 * width, 2), nn.AvgPool2d(8), nn.Flatten(), _act(8),
        qnn.QuantLinear(4 * width, 10, **_weights(4)),
    )  # fmt: skip


def keyword(width: int = 16) -> nn.Module:
    """MLPerf Tiny's DS-CNN on 49 x 10 spectra: depthwise and pointwise convolutions."""
    made = 4 * width
    layers: list[nn.Module] = [
        _act(8), qnn.QuantConv2d(1, made, (10, 4), stride=2, padding=(5, 1), **_weights(4)),
        nn.BatchNorm2d(made), _relu(4), nn.Dropout(0.2),
    ]  # fmt: skip
    for _ in range(4):
        for settings in ({"kernel_size": 3, "padding": 1, "groups": made}, {"kernel_size": 1}):
            layers += [
                qnn.QuantConv2d(made, made, **settings, **_weights(4)),
                nn.BatchNorm2d(made), _relu(4),
            ]  # fmt: skip
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), _act(8)]
    return nn.Sequential(*layers, qnn.QuantLinear(made, 12, **_weights(4)))


def anomaly(width: int = 16) -> nn.Module:
    """MLPerf Tiny's autoencoder, 640-128-128-128-128-8-128-128-128-128-640."""
    wide, layers, before = 8 * width, [_act(8)], 640
    for hidden in (wide, wide, wide, wide, 8, wide, wide, wide, wide):
        layers += [
            qnn.QuantLinear(before, hidden, **_weights(6)), nn.BatchNorm1d(hidden), _relu(6)
        ]  # fmt: skip
        before = hidden
    return nn.Sequential(*layers, qnn.QuantLinear(before, 640, **_weights(6)))
